"""The asset `quality_report`: quality of the finished rows, and what they cost."""

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

from assets.checks import expectations_page, relative_expectations_page, table_checks
from assets.interrupts import cancelled_by_signals
from assets.step import attributes, finish, page_path, readable_errors, seconds_since, start
from resources.data import DataFolder
from resources.llm import LLMResource
from resources.tasks import TaskFolder
from targen.hashing import digest
from targen.quality.inputs import COMPLETIONS, ReportInputs
from targen.settings import Settings
from targen.steps import CORRECTED_SET, SCHEMA_VERSION
from targen.tables.files import Stored
from targen.tables.storage import Storage
from targen.tasks.spec import TaskSpec

STEP = "quality_report"


def build(
    partitions: PartitionsDefinition, settings: Settings
) -> list[AssetsDefinition | AssetChecksDefinition]:
    """Return the asset and its checks, one partition per task."""

    @asset(**attributes(STEP, partitions, settings))
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
        """Balance, yield, agreement, duplicates and diversity of the corrected set."""
        from targen.quality import page, report  # noqa: PLC0415 - not when loading
        from targen.quality.embedding import with_embeddings  # noqa: PLC0415

        started = time.monotonic()
        above = {
            "vocabularies": vocabularies,
            "contexts": contexts,
            "seeds": seeds,
            "instances": instances,
            "labels": labels,
            "corrected_set": corrected_set,
        }
        with readable_errors():
            spec = start(context, tasks, data)
            docs = relative_expectations_page(spec.name) if settings.expectations else None
            storage = data.tables().storage
            inputs = gather(spec, above, llm, docs, reviewed(spec, above, storage))
            with cancelled_by_signals():
                async with llm.embedder(context.run.run_id, spec.name, STEP) as engine:
                    inputs = await with_embeddings(inputs, engine, engine.embeddings.model)
            built = report.build(inputs)
            pages = {"json": built.json_text(), "html": page.render(built)}
            version = digest_now(spec, storage)
        origin = {"task": spec.name, "step": STEP, "step_digest": version, "upstream": list(above)}
        stored = Stored(built.table, step_digest=version, pages=pages, made_by=origin)
        extra = {
            "verdict": built.json["verdict"]["text"],
            "report": page_path(data, STEP, spec.name),
            **embedding_metadata(engine.embeddings.model, engine.stats.as_dict()),
            **({"expectations": expectations_page(data, spec.name)} if docs else {}),
            "seconds": seconds_since(started),
        }
        if inputs.embeddings is None:
            context.log.warning(f"No semantic metrics: {inputs.no_embeddings}")
        return finish(STEP, spec, stored, data, extra)

    return [quality_report, table_checks(STEP, partitions, settings)]


def gather(
    spec: TaskSpec,
    above: dict[str, Stored],
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
        looked_at: verdicts of the human review, if any.

    Raises:
        StoreError: the completion store cannot be read.
        TableError: the reference data cannot be read, or does not match the task.
    """
    from targen.quality.accounting import step_of_requests  # noqa: PLC0415
    from targen.tasks import references  # noqa: PLC0415 - not when loading

    frames = {name: stored.table for name, stored in above.items()}
    rejected = {name: s.rejected for name, s in above.items() if s.rejected is not None}
    with closing(llm.store()) as store:
        planted = above["corrected_set"].planted
        asked = store.with_chain(step_of_requests(frames, rejected, planted))
        # Sorted, so that the report of unchanged tables keeps its bytes.
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
    """Return the human verdicts that apply to the current rows, None without a review.

    Raises:
        TableError: the verdicts cannot be read.
    """
    from targen.quality import review  # noqa: PLC0415 - not when loading

    verdicts = review.stored(storage, spec.name)
    if verdicts is None or spec.answer.kind == "none":
        return None
    return review.in_force(spec, above["corrected_set"].table, above["labels"].table, verdicts)


def digest_now(spec: TaskSpec, storage: Storage) -> str:
    """Return `report_digest` with the current human verdicts.

    Raises:
        TableError: the verdicts cannot be read.
    """
    from targen.quality import review  # noqa: PLC0415 - not when loading

    return report_digest(spec, review.identity(review.stored(storage, spec.name)))


def options(spec: TaskSpec) -> tuple[str, ...]:
    """Return the fields that contain the answer options, in order."""
    answer = spec.answer
    return (answer.choices,) if answer.choices else tuple(answer.options)


def corrector_blind(spec: TaskSpec) -> bool:
    """Return whether the corrector does not see the intended label."""
    from targen.tasks.registry import resolve  # noqa: PLC0415 - not when loading

    _, params = resolve(spec.recipe.choice(CORRECTED_SET), CORRECTED_SET)
    return not getattr(params, "shown", False)


def report_digest(spec: TaskSpec, verdicts: str | None = None) -> str:
    """Return the sha256 of what the report reads besides its tables.

    Args:
        spec: the task.
        verdicts: identity of the human verdicts, if any.
    """
    from targen.tasks import references  # noqa: PLC0415 - not when loading

    return digest(
        {
            "step": STEP,
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
