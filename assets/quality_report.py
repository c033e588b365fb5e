"""The asset `quality_report`: quality of the finished rows, and what they cost."""

import json
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import polars as pl
from dagster import (
    AssetChecksDefinition,
    AssetExecutionContext,
    AssetsDefinition,
    MaterializeResult,
    MetadataValue,
    asset,
)

from assets import markdown
from assets.checks import expectations_page, relative_expectations_page, table_checks
from assets.interrupts import canceled_by_signals
from assets.scope import Scope
from assets.step import (
    attributes,
    base_of,
    finish,
    page_link,
    readable_errors,
    seconds_since,
    start,
)
from resources.llm import LLMResource
from targen.quality.inputs import ReportInputs, report_digest
from targen.steps import CORRECTED_SET, LABELS, QUALITY_REPORT, ROW_STEPS
from targen.tables.files import Stored, key_of
from targen.tables.storage import Storage
from targen.tasks.spec import TaskSpec

if TYPE_CHECKING:
    from targen.quality.first_screen import Origin
    from targen.quality.report import Report


def build(scope: Scope) -> list[AssetsDefinition | AssetChecksDefinition]:
    """Return the asset and its checks, one partition per task."""

    @asset(**attributes(QUALITY_REPORT, scope), ins=scope.ins(ROW_STEPS))
    async def quality_report(
        context: AssetExecutionContext, **above: Stored
    ) -> MaterializeResult[Stored]:
        """Balance, yield, agreement, duplicates and diversity of the corrected set."""
        from targen.quality import unchanged  # noqa: PLC0415 - not when loading
        from targen.quality.semantic import with_embeddings  # noqa: PLC0415

        started = time.monotonic()
        used = scope.resources(context)
        llm, data = used.llm, used.data
        with readable_errors():
            spec = start(context, used)
            docs = relative_expectations_page(spec.name) if scope.settings.expectations else None
            storage = data.tables().storage
            inputs = gather(spec, above, llm, docs, reviewed(spec, above, storage))
            with canceled_by_signals():
                async with llm.embedder(context.run.run_id, spec.name, QUALITY_REPORT) as engine:
                    inputs = await with_embeddings(inputs, engine, engine.embeddings.model)
            version = digest_now(spec, storage)
            parts = {"report": version, "inputs": unchanged.of_inputs(inputs)}
            basis = unchanged.basis(spec, parts)
            stored = unchanged.stored(
                storage, llm.store(), QUALITY_REPORT, spec.name, basis, ("json", "html")
            )
            if stored is None:
                origin = {
                    "task": spec.name,
                    "step": QUALITY_REPORT,
                    "step_digest": version,
                    "upstream": list(above),
                    unchanged.KEY: basis,
                }
                stored = _computed(inputs, storage, context.run.run_id, origin)
        figures = json.loads(stored.pages["json"])
        extra = {
            "verdict": figures["verdict"]["text"],
            "report": page_link(scope, data, key_of(QUALITY_REPORT, spec.name, "html")),
            **described(figures),
            **({"expectations": expectations_page(scope, data, spec.name)} if docs else {}),
            "recipe": spec.recipe_name,
            "base": base_of(spec),
            **embedding_metadata(engine.embeddings.model, engine.stats.as_dict()),
            "seconds": seconds_since(started),
        }
        if inputs.embeddings is None:
            context.log.warning(f"No figures on meaning: {inputs.no_embeddings}")
        return finish(QUALITY_REPORT, spec, stored, data, extra, scope.settings.pages_url)

    return [quality_report, table_checks(QUALITY_REPORT, scope)]


def _computed(
    inputs: ReportInputs, storage: Storage, run: str, origin: Mapping[str, Any]
) -> Stored:
    """Compute the report, with its pages and its failed gates."""
    from targen.quality import gates, page, report  # noqa: PLC0415 - not when loading

    made = report.build(inputs)
    written = _origin(storage, inputs.task_name, made, run)
    return Stored(
        made.table,
        step_digest=origin["step_digest"],
        pages={"json": made.json_text(), "html": page.render(made, written)},
        made_by={**origin, "failed_gates": gates.failed(made.json["gates"])},
    )


def described(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return the key figures and the tables of findings and gates as metadata.

    Args:
        report: the JSON of the report.
    """
    from targen.quality.key_figures import key_figures  # noqa: PLC0415 - not when loading

    findings = [{"level": one["level"], "finding": one["text"]} for one in report["findings"]]
    gates = [
        {"gate": gate["text"], "passed": {True: "yes", False: "no"}.get(gate["passed"], "unknown")}
        for gate in report["gates"]
    ]
    return {
        **key_figures(report),
        "simulated": report["simulated"],
        "findings": MetadataValue.md(markdown.table(findings, ("level", "finding"))),
        **({"gates": MetadataValue.md(markdown.table(gates, ("passed", "gate")))} if gates else {}),
    }


def _origin(storage: Storage, task: str, made: "Report", run: str) -> "Origin":
    """Return the origin of the page: that of the stored page, if its figures are the same."""
    from targen.quality.first_screen import Origin  # noqa: PLC0415 - not when loading

    figures = storage.read(key_of(QUALITY_REPORT, task, "json"))
    page = storage.read(key_of(QUALITY_REPORT, task, "html"))
    if page is not None and figures == made.json_text().encode():
        before = Origin.read(page.decode("utf-8", "replace"))
        if before is not None:
            return before
    return Origin(datetime.now(UTC).date(), run)


def gather(
    spec: TaskSpec,
    above: Mapping[str, Stored],
    llm: LLMResource,
    data_docs: str | None = None,
    looked_at: pl.DataFrame | None = None,
) -> ReportInputs:
    """Return the inputs of a task's report.

    Args:
        spec: the task.
        above: step -> its stored table.
        llm: gives access to the completion store.
        data_docs: relative address of the page of expectations, if any.
        looked_at: the result of the human review, if any.

    Raises:
        StoreError: the completion store cannot be read.
        TableError: the reference data cannot be read, or does not match the task.
    """
    from targen.quality import own_tables  # noqa: PLC0415 - not when loading

    with closing(llm.store()) as store:
        return own_tables.gather(spec, above, store, data_docs, looked_at)


def embedding_metadata(model: str, stats: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata of this run's embedding calls."""
    cost = stats["cost_usd"]
    return {
        "embedding_model": model,
        "embedding_calls": stats["calls"],
        "embeddings_found_in_store": stats["from_store"],
        "embedding_tokens": stats["prompt_tokens"],
        "cost_usd": "unknown" if cost is None else cost,
    }


def reviewed(spec: TaskSpec, above: Mapping[str, Stored], storage: Storage) -> pl.DataFrame | None:
    """Return what the human verdicts say of the current rows, None without a review.

    Raises:
        TableError: the verdicts cannot be read.
    """
    from targen.quality.review_strata import in_force  # noqa: PLC0415 - not when loading
    from targen.tables import reviews  # noqa: PLC0415

    verdicts = reviews.stored(storage, spec.name)
    if verdicts is None or spec.answer.kind == "none":
        return None
    corrected = above[CORRECTED_SET]
    return in_force(spec, corrected.table, corrected.rejected, above[LABELS].table, verdicts)


def digest_now(spec: TaskSpec, storage: Storage) -> str:
    """Return `report_digest` with the current human verdicts.

    Raises:
        TableError: the verdicts cannot be read.
    """
    from targen.tables import reviews  # noqa: PLC0415 - not when loading

    return report_digest(spec, reviews.identity(reviews.stored(storage, spec.name)))
