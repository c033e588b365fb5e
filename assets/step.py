"""What the assets share: their attributes, running a step, and the metadata in the UI."""

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
from assets.interrupts import cancelled_by_signals
from resources.data import DataFolder
from resources.llm import LLMResource
from resources.tasks import TaskFolder
from targen.errors import StepError, TargenError
from targen.settings import Settings
from targen.steps import QUALITY_REPORT, SCHEMA_VERSION
from targen.tables.files import Stored
from targen.tasks.spec import TaskSpec

GROUP = "targen"
POOL = "llm"
"""The pool of all that asks a model: production sets how many runs may be in it at once."""
OWNERS = ["team:data"]
SAMPLE_ROWS = 5

_ASSET_VERSION = 1
"""Raised when what the assets themselves do changes what a table holds."""


def attributes(
    step: str, partitions: PartitionsDefinition, settings: Settings, *kinds: str
) -> dict[str, Any]:
    """Return the arguments of `@asset` for a partitioned asset.

    Args:
        step: the asset's name.
        partitions: one partition per task.
        settings: the settings of the code location.
        kinds: technologies that the UI shows, besides Polars and Parquet.
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
        # One string for all partitions: the step digest covers what differs between tasks.
        "code_version": f"{_ASSET_VERSION}.{SCHEMA_VERSION}",
        "metadata": {"dagster/column_schema": fixed_schema(step)},
        "freshness_policy": FreshnessPolicy.time_window(fail_window=fresh_for),
    }


@contextmanager
def readable_errors() -> Iterator[None]:
    """Turn an error that is meant for the user into Dagster's failure with that message alone."""
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
    """Run the asset's step for the run's task.

    Args:
        context: of the asset's run.
        tasks: where the tasks are.
        llm: the model.
        data: where the tables are.
        upstream: asset above -> what it stored.
    """
    from targen.operators import (  # noqa: PLC0415 - not when loading
        endpoints,
        made_by,
        rejected_frame,
        run_step,
        step_digest,
    )

    step, started = context.asset_key.path[-1], time.monotonic()
    with readable_errors():
        spec = start(context, tasks, data)
        named = endpoints(spec)
        # Of all steps: a key that the last one lacks is told before the first has cost anything.
        llm.check_keys(set(named.values()))
        frames = {name: stored.table for name, stored in upstream.items()}
        try:
            with cancelled_by_signals():
                async with llm.engine(
                    context.run.run_id, spec.name, step, named.get(step), spec.budget_usd
                ) as engine:
                    output = await run_step(step, spec, frames, engine)
        except StepError as error:
            if not error.rejected:
                raise
            lost = rejected_frame(step, spec, error.rejected)
            address = data.tables().write_failed(step, spec.name, lost)
            raise StepError(f"{error}. The rejected items: {address}") from None
        stored = Stored(
            output.table,
            output.rejected,
            output.asked,
            step_digest(step, spec),
            planted=output.planted,
            made_by=made_by(step, spec),
        )
        # A run that lost the partition while its step took long must not write over another's.
        data.hold(spec.name, context.run.run_id)
    for warning in output.warnings:
        context.log.warning(warning)
    usage = usage_metadata(engine.stats.as_dict())
    extra = {**usage, "warnings": output.warnings, "seconds": seconds_since(started)}
    return finish(step, spec, stored, data, extra)


def start(context: AssetExecutionContext, tasks: TaskFolder, data: DataFolder) -> TaskSpec:
    """Return the run's task, with its partition held for this run.

    Raises:
        SpecError: the task is wrong.
        TableError: another run holds the partition, or nothing can be written.
    """
    spec = tasks.load(context.partition_key)
    data.hold(spec.name, context.run.run_id)
    return spec


def finish(
    step: str, spec: TaskSpec, stored: Stored, data: DataFolder, extra: Mapping[str, Any]
) -> MaterializeResult[Stored]:
    """Return a step's result with everything that the UI shows of it."""
    table = stored.table
    sample = table.head(SAMPLE_ROWS).to_dicts()
    described = {name: field.description for name, field in spec.fields.items()}
    version = stored.data_version
    # In the order in which a person reads it; hashes and schemas come last.
    metadata: dict[str, Any] = {"dagster/row_count": table.height}
    if stored.rejected is not None:
        reasons = rejected_by_reason(stored.rejected)
        metadata |= {"rejected": sum(reasons.values()), "rejected_by_reason": reasons}
    if stored.asked is not None:
        metadata["asked"] = stored.asked
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
    """Return, as Markdown, how to ask where a row comes from."""
    return (
        f"`targen audit {instance_id}` tells where this row, or any other of the table, comes from "
        "and checks it again; `--html row.html` writes the same as a page with every prompt and "
        "answer, `targen audit --sample 200` checks rows at random."
    )


def page_path(data: DataFolder, step: str, task: str) -> MetadataValue:
    """Return where the page beside a table lies, to copy: a browser opens no file from a link."""
    return MetadataValue.path(data.tables().address(step, task, "html"))


def shown_columns(step: str, spec: TaskSpec, table: pl.DataFrame) -> list[str]:
    """Return the columns that say something to a reader: no hashes, the task's fields first."""
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
    """Return the seconds since `time.monotonic()` said `started`."""
    return round(time.monotonic() - started, 2)


def usage_metadata(stats: Mapping[str, Any]) -> dict[str, Any]:
    """Return what this run itself asked for and paid; what the tables cost is in the report."""
    waits = {
        name: round(stats[name], 4)
        for name in ("latency_p50_s", "latency_p95_s", "latency_p99_s")
        # Without a call there is none.
        if stats[name] is not None
    }
    return {
        "calls": stats["calls"],
        "found_in_store": stats["from_store"],
        **{
            name: "unknown" if stats[name] is None else stats[name]
            for name in ("prompt_tokens", "completion_tokens", "cost_usd")
        },
        "model": stats["model"],
        "simulated": stats["simulated"],
        **waits,
    }
