"""The quality report: what the finished rows are worth, and what they took."""

import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import polars as pl
from dagster import (
    AssetChecksDefinition,
    AssetExecutionContext,
    AssetsDefinition,
    MaterializeResult,
    PartitionsDefinition,
    asset,
)

from assets import expectations
from assets.checks import table_checks
from assets.interrupts import cancelled_by_signals
from assets.step import attributes, finish, page_path, readable_errors, seconds_since, start
from resources.data import DataFolder
from resources.llm import LLMResource
from resources.tasks import TaskFolder
from targen.hashing import digest
from targen.quality.inputs import COMPLETIONS, ReportInputs
from targen.settings import Settings
from targen.steps import (
    CONTEXTS,
    CORRECTED_SET,
    INSTANCES,
    LABELS,
    QUALITY_REPORT,
    SCHEMA_VERSION,
    SEEDS,
    VOCABULARIES,
)
from targen.tables.files import Stored
from targen.tables.storage import Storage
from targen.tasks.spec import TaskSpec


def build(
    partitions: PartitionsDefinition, settings: Settings
) -> list[AssetsDefinition | AssetChecksDefinition]:
    """Return the asset and its checks, one partition per task."""

    @asset(**attributes(QUALITY_REPORT, partitions, settings))
    async def quality_report(
        context: AssetExecutionContext,
        tasks: TaskFolder,
        llm: LLMResource,
        data: DataFolder,
        vocabularies: Stored,
        contexts: Stored,
        seeds: Stored,
        instances: Stored,
        labels: Stored,
        corrected_set: Stored,
    ) -> MaterializeResult[Stored]:
        """Balance, yield, agreement, duplicates and diversity of the corrected set, as a page."""
        from targen.quality import page, report  # noqa: PLC0415 - not when loading
        from targen.quality.embedding import with_embeddings  # noqa: PLC0415

        started = time.monotonic()
        above = {
            VOCABULARIES: vocabularies,
            CONTEXTS: contexts,
            SEEDS: seeds,
            INSTANCES: instances,
            LABELS: labels,
            CORRECTED_SET: corrected_set,
        }
        with readable_errors():
            spec = start(context, tasks, data)
            docs = expectations.relative_page(spec.name) if settings.expectations else None
            place = data.tables().storage
            inputs = gather(spec, above, llm, docs, reviewed(spec, above, place))
            with cancelled_by_signals():
                async with llm.embedder(context.run.run_id, spec.name, QUALITY_REPORT) as engine:
                    inputs = await with_embeddings(inputs, engine, engine.embeddings.model)
            made = report.build(inputs)
            pages = {"json": made.json_text(), "html": page.render(made)}
            version = digest_now(spec, place)
        origin = {
            "task": spec.name,
            "step": QUALITY_REPORT,
            "step_digest": version,
            "upstream": list(above),
        }
        stored = Stored(made.table, step_digest=version, pages=pages, made_by=origin)
        extra = {
            "verdict": made.json["verdict"]["text"],
            "report": page_path(data, QUALITY_REPORT, spec.name),
            **embedding_metadata(engine.embeddings.model, engine.stats.as_dict()),
            **({"expectations": expectations.link(data, spec.name)} if docs else {}),
            "seconds": seconds_since(started),
        }
        if inputs.embeddings is None:
            context.log.warning(f"No figures on meaning: {inputs.no_embeddings}")
        return finish(QUALITY_REPORT, spec, stored, data, extra)

    return [quality_report, table_checks(QUALITY_REPORT, partitions, settings)]


def gather(
    spec: TaskSpec,
    above: dict[str, Stored],
    llm: LLMResource,
    data_docs: str | None = None,
    looked_at: pl.DataFrame | None = None,
) -> ReportInputs:
    """Return what the report of a task is computed from.

    Args:
        spec: the task.
        above: table -> what is stored of it.
        llm: the model, for its completion store.
        data_docs: where the page of the expectations lies, None where there is none.
        looked_at: people's verdicts, None where nobody looked.

    Raises:
        StoreError: the completion store cannot be read.
        TableError: the reference data cannot be read, or does not fit the task.
    """
    from targen.quality.accounting import step_of_requests  # noqa: PLC0415
    from targen.tasks import references  # noqa: PLC0415 - not when loading

    frames = {name: stored.table for name, stored in above.items()}
    rejected = {name: s.rejected for name, s in above.items() if s.rejected is not None}
    with closing(llm.store()) as store:
        planted = above[CORRECTED_SET].planted
        asked = store.with_chain(step_of_requests(frames, rejected, planted))
        # In one order: the report of unchanged tables must keep its bytes.
        completions = store.completions(asked).select(*COMPLETIONS).sort("request_id")
    gold = references.of(spec)
    return ReportInputs(
        task_name=spec.name,
        title=spec.title,
        description=spec.description,
        fields=spec.field_types,
        answer_kind=spec.answer.kind,
        tables=frames,
        labels=tuple(spec.labels),
        language=spec.language,
        rejected=rejected,
        completions=completions,
        planned={name: tuple(values) for name, values in spec.planned.items()},
        options=options(spec),
        pair_field=spec.twin.id_field if spec.twin else None,
        rows_asked=spec.wanted_rows,
        models=tuple(completions["model"].unique().sort()),
        # False where there is no completion, which `any` over no row says as well.
        simulated=bool(completions["simulated"].any()),
        corrector_blind=corrector_blind(spec),
        gates=tuple(spec.gates),
        reference=gold.rows,
        reference_name=gold.name,
        elsewhere=gold.elsewhere,
        versions={name: stored.data_version for name, stored in above.items()},
        planted_errors=planted,
        reviewed=looked_at,
        data_docs=data_docs,
    )


def embedding_metadata(model: str, stats: Mapping[str, Any]) -> dict[str, Any]:
    """Return what this run itself embedded and paid for that."""
    cost = stats["cost_usd"]
    return {
        "embedding_model": model,
        "embedding_calls": stats["calls"],
        "embeddings_found_in_store": stats["from_store"],
        "embedding_tokens": stats["prompt_tokens"],
        "cost_usd": "unknown" if cost is None else cost,
    }


def reviewed(spec: TaskSpec, above: Mapping[str, Stored], place: Storage) -> pl.DataFrame | None:
    """Return people's verdicts that hold for the rows as they are, None where nobody looked.

    Raises:
        TableError: the verdicts cannot be read.
    """
    from targen.quality import review  # noqa: PLC0415 - not when loading

    verdicts = review.stored(place, spec.name)
    if verdicts is None or spec.answer.kind == "none":
        return None
    return review.in_force(spec, above[CORRECTED_SET].table, above[LABELS].table, verdicts)


def digest_now(spec: TaskSpec, place: Storage) -> str:
    """Return `report_digest` with what people have said by now.

    Raises:
        TableError: the verdicts cannot be read.
    """
    from targen.quality import review  # noqa: PLC0415 - not when loading

    return report_digest(spec, review.identity(review.stored(place, spec.name)))


def options(spec: TaskSpec) -> tuple[str, ...]:
    """Return the fields that hold the alternatives of which the answer is one, in order."""
    answer = spec.answer
    return (answer.choices,) if answer.choices else tuple(answer.options)


def corrector_blind(spec: TaskSpec) -> bool:
    """Return whether nobody showed the corrector the label that the row was written for."""
    from targen.tasks.registry import resolve  # noqa: PLC0415 - not when loading

    _, params = resolve(spec.recipe.choice(CORRECTED_SET), CORRECTED_SET)
    return not getattr(params, "shown", False)


def report_digest(spec: TaskSpec, verdicts: str | None = None) -> str:
    """Return the sha256 of what the report reads beyond its tables.

    Args:
        spec: the task.
        verdicts: identity of people's verdicts, None where there are none.
    """
    from targen.tasks import references  # noqa: PLC0415 - not when loading

    return digest(
        {
            "step": QUALITY_REPORT,
            "schema_version": SCHEMA_VERSION,
            "verdicts": verdicts,
            "name": spec.name,
            "title": spec.title,
            "description": spec.description,
            "fields": spec.field_types,
            "answer_kind": spec.answer.kind,
            "language": spec.language,
            "options": options(spec),
            "corrector_blind": corrector_blind(spec),
            "gates": [gate.model_dump(mode="json") for gate in spec.gates],
            "labels": list(spec.labels),
            "planned": spec.planned,
            "references": references.identity(spec),
            "rows": spec.wanted_rows,
            "pair_field": spec.twin.id_field if spec.twin else None,
        }
    )
