"""Shared by the assets: arguments of `@asset`, running a step, and metadata."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import polars as pl
from dagster import (
    AssetExecutionContext,
    DataVersion,
    Failure,
    FreshnessPolicy,
    MaterializeResult,
    MetadataValue,
    PartitionsDefinition,
)

from assets import markdown
from assets.columns import fixed_schema, lineage, table_schema
from assets.interrupts import canceled_by_signals
from resources.data import DataFolder
from resources.llm import LLMResource
from resources.tasks import TaskFolder
from targen.errors import StepError, TargenError
from targen.settings import Settings
from targen.steps import CORRECTED_SET, QUALITY_REPORT, SCHEMA_VERSION
from targen.tables.files import Stored
from targen.tasks.spec import TaskSpec

GROUP = "targen"
POOL = "llm"
"""The pool of all steps that call a model; production limits its concurrent runs."""
OWNERS = ["team:data"]
SAMPLE_ROWS = 5

_ASSET_VERSION = 1
"""Incremented when a change in `assets` changes the content of tables."""


def attributes(
    step: str, partitions: PartitionsDefinition, settings: Settings, *kinds: str
) -> dict[str, Any]:
    """Return the arguments of `@asset` for a partitioned asset.

    Args:
        step: the asset's name.
        partitions: one partition per task.
        settings: the settings of the code location.
        kinds: technologies to show in the UI besides Polars and Parquet.
    """
    return common_attributes(step, settings, *kinds) | {"partitions_def": partitions, "pool": POOL}


def common_attributes(step: str, settings: Settings, *kinds: str) -> dict[str, Any]:
    """Return the arguments of `@asset` for any asset, partitioned or not."""
    fresh_for = timedelta(hours=settings.fresh_hours)
    return {
        "name": step,
        "group_name": GROUP,
        "owners": OWNERS,
        "kinds": {"polars", "parquet", *kinds},
        # The same for all partitions; step digests cover the differences between tasks.
        "code_version": f"{_ASSET_VERSION}.{SCHEMA_VERSION}",
        "metadata": {"dagster/column_schema": fixed_schema(step)},
        "freshness_policy": FreshnessPolicy.time_window(fail_window=fresh_for),
    }


@contextmanager
def readable_errors() -> Iterator[None]:
    """Turn a `TargenError` into a Dagster failure that shows only its message."""
    try:
        yield
    except TargenError as error:
        raise Failure(description=str(error), allow_retries=False) from None


async def make(
    context: AssetExecutionContext,
    tasks: TaskFolder,
    llm: LLMResource,
    data: DataFolder,
    **upstream: Stored,
) -> MaterializeResult[Stored]:
    """Run the asset's step for the run's task; `upstream` maps upstream assets to their tables."""
    from targen.operators import (  # noqa: PLC0415 - not when loading
        made_by,
        rejected_frame,
        run_step,
        step_digest,
    )
    from targen.tables import reviews  # noqa: PLC0415

    step, started = context.asset_key.path[-1], time.monotonic()
    with readable_errors():
        spec = start(context, tasks, data)
        named = spec.recipe.endpoints
        # For all steps, so that a missing key is reported before the first paid call.
        llm.check_keys(set(named.values()))
        frames = {name: stored.table for name, stored in upstream.items()}
        reviewed = None
        if step == CORRECTED_SET:
            reviewed = reviews.stored(data.tables().storage, spec.name)
        verdicts = reviews.identity(reviewed)
        try:
            with canceled_by_signals():
                async with llm.engine(
                    context.run.run_id, spec.name, step, named.get(step), spec.budget_usd
                ) as engine:
                    output = await run_step(step, spec, frames, engine, reviewed)
        except StepError as error:
            if not error.rejected:
                raise
            rejected = rejected_frame(step, spec, error.rejected)
            address = data.tables().write_failed(step, spec.name, rejected)
            raise StepError(f"{error}. The rejected items: {address}") from None
        stored = Stored(
            output.table,
            output.rejected,
            output.asked,
            step_digest(step, spec, verdicts),
            planted=output.planted,
            made_by=made_by(step, spec, verdicts),
        )
        # A run that has lost its partition lock must not overwrite another run's table.
        data.hold(spec.name, context.run.run_id)
    for warning in output.warnings:
        context.log.warning(warning)
    usage = usage_metadata(engine.stats.as_dict())
    extra = {**usage, "warnings": output.warnings, "seconds": seconds_since(started)}
    return finish(step, spec, stored, data, extra)


def start(context: AssetExecutionContext, tasks: TaskFolder, data: DataFolder) -> TaskSpec:
    """Lock the run's partition and return its task.

    Raises:
        SpecError: the task is wrong.
        TableError: another run holds the partition, or the data folder cannot be written.
    """
    spec = tasks.load(context.partition_key)
    data.hold(spec.name, context.run.run_id)
    return spec


def finish(
    step: str, spec: TaskSpec, stored: Stored, data: DataFolder, extra: Mapping[str, Any]
) -> MaterializeResult[Stored]:
    """Return a step's result with its metadata."""
    table = stored.table
    sample = table.head(SAMPLE_ROWS).to_dicts()
    described = {name: field.description for name, field in spec.fields.items()}
    version = stored.data_version
    # Ordered by interest; hashes and schemas come last.
    metadata: dict[str, Any] = {"dagster/row_count": table.height}
    if stored.rejected is not None:
        reasons = rejected_by_reason(stored.rejected)
        metadata |= {"rejected": sum(reasons.values()), "rejected_by_reason": reasons}
    if stored.asked is not None:
        metadata["asked"] = stored.asked
    if "human_reviewer" in table.columns:
        metadata["reviewed_by_people"] = table["human_reviewer"].count()
    metadata |= {
        **extra,
        "sample": MetadataValue.md(markdown.table(sample, shown_columns(step, spec, table))),
        "path": MetadataValue.path(data.tables().address(step, spec.name)),
    }
    if "instance_id" in table.columns and table.height:
        metadata["audit"] = MetadataValue.md(audit_hint(table["instance_id"][0]))
    metadata |= {
        "dagster/column_schema": table_schema(step, table.schema, described),
        "dagster/column_lineage": lineage(step, spec.field_types),
        "step_digest": stored.step_digest,
        "data_version": version,
    }
    return MaterializeResult(value=stored, metadata=metadata, data_version=DataVersion(version))


def audit_hint(instance_id: str) -> str:
    """Return, as Markdown, how to audit a row."""
    return (
        f"`targen audit {instance_id}` shows the sources of this row and verifies them; it works "
        "for any row of the table. `--html row.html` writes a page with all prompts and answers. "
        "`targen audit --sample 200` verifies random rows."
    )


def page_path(data: DataFolder, step: str, task: str) -> MetadataValue:
    """Return a page's path as metadata; browsers do not open links to local files."""
    return MetadataValue.path(data.tables().address(step, task, "html"))


def shown_columns(step: str, spec: TaskSpec, table: pl.DataFrame) -> list[str]:
    """Return the columns of the sample: the task's fields first, and no ids."""
    fields = [name for name in spec.field_types if name in table.columns]
    others = [
        name
        for name in table.columns
        if name not in fields and not name.endswith(("_id", "_ids")) and name != "depth"
    ]
    return fields + others if step != QUALITY_REPORT else table.columns


def rejected_by_reason(rejected: pl.DataFrame) -> dict[str, int]:
    """Return reason -> number of rejected items, sorted by reason."""
    counts = rejected.group_by("reason").len().sort("reason")
    return dict(counts.iter_rows())


def seconds_since(started: float) -> float:
    """Return the seconds since `started`, a value of `time.monotonic()`."""
    return round(time.monotonic() - started, 2)


def usage_metadata(stats: Mapping[str, Any]) -> dict[str, Any]:
    """Return the calls and cost of this run; the report has the total cost of the tables."""
    latencies = {
        name: round(stats[name], 4)
        for name in ("latency_p50_s", "latency_p95_s", "latency_p99_s")
        # None if the run made no call.
        if stats[name] is not None
    }
    return {
        "calls": stats["calls"],
        "found_in_store": stats["from_store"],
        **{
            name: "unknown" if stats[name] is None else stats[name]
            for name in ("prompt_tokens", "completion_tokens", "cost_usd")
        },
        # Many endpoints do not report it.
        **({} if stats["cached_tokens"] is None else {"cached_tokens": stats["cached_tokens"]}),
        "model": stats["model"],
        "simulated": stats["simulated"],
        **latencies,
    }
