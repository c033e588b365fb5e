"""Shared by the assets: arguments of `@asset`, running a step, and metadata."""

import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
from dagster import (
    AssetExecutionContext,
    DataVersion,
    Failure,
    FreshnessPolicy,
    MaterializeResult,
    MetadataValue,
)

from assets import markdown
from assets.columns import fixed_schema, lineage, table_schema
from assets.interrupts import canceled_by_signals
from assets.scope import IO_MANAGER, LLM, Resources, Scope
from resources import paying
from resources.data import DataFolder
from targen.errors import StepError, TargenError
from targen.memory import trim
from targen.redaction import redacted_trace
from targen.steps import (
    COMPARISON,
    CONTEXTS,
    CORRECTED_SET,
    IDS,
    INSTANCES,
    LABELS,
    QUALITY_REPORT,
    ROW_STEPS,
    SCHEMA_VERSION,
    SEEDS,
    TARGETS,
    VOCABULARIES,
)
from targen.tables.files import Stored
from targen.tasks.spec import TaskSpec

if TYPE_CHECKING:
    from targen.llm.engine import EmbeddingEngine

RELEASE = "release"
GROUPS = {
    **dict.fromkeys((VOCABULARIES, CONTEXTS, SEEDS, INSTANCES), "generation"),
    **dict.fromkeys((LABELS, CORRECTED_SET), "labeling"),
    **dict.fromkeys((QUALITY_REPORT, TARGETS, COMPARISON), "quality"),
    RELEASE: "publishing",
}
"""Asset -> its group in the UI."""
POOL = "llm"
"""The pool of all steps that call a model; production limits its concurrent runs."""
OWNERS = ["team:data"]
RECIPE_TAG = "targen/recipe"
BASE_TAG = "targen/base"
"""Tags of runs. The base is the task that the run's task extends, directly or not."""
SAMPLE_ROWS = 5

_ASSET_VERSION = 1
"""Incremented when a change in `assets` changes the content of tables."""


def attributes(step: str, scope: Scope, *kinds: str) -> dict[str, Any]:
    """Return the arguments of `@asset` for a partitioned step.

    Args:
        step: the asset's name.
        scope: the asset's partitions, settings and names.
        kinds: technologies to show in the UI besides Polars and Parquet.
    """
    return {
        **common_attributes(step, scope, *kinds),
        "partitions_def": scope.partitions,
        "required_resource_keys": scope.required(LLM),
        "pool": POOL,
    }


def common_attributes(step: str, scope: Scope, *kinds: str) -> dict[str, Any]:
    """Return the arguments of `@asset` for any table, partitioned or not."""
    fresh_for = timedelta(hours=scope.settings.fresh_hours)
    return {
        **identity(step, scope),
        "kinds": {"polars", "parquet", *kinds},
        # The same for all partitions; step digests cover the differences between tasks.
        "code_version": f"{_ASSET_VERSION}.{SCHEMA_VERSION}",
        "metadata": {"dagster/column_schema": fixed_schema(step)},
        "freshness_policy": FreshnessPolicy.time_window(fail_window=fresh_for),
        "io_manager_key": scope.resource(IO_MANAGER),
    }


def identity(asset: str, scope: Scope) -> dict[str, Any]:
    """Return the arguments of `@asset` for its key, group and owners."""
    return {
        "key": scope.key(asset),
        "group_name": scope.group or GROUPS[asset],
        "owners": OWNERS,
    }


@contextmanager
def readable_errors() -> Iterator[None]:
    """Turn a `TargenError` into a Dagster failure that shows only its message.

    Dagster stores other errors with their traceback. One that has a secret in it becomes a failure
    with the redacted traceback.
    """
    try:
        yield
    except TargenError as error:
        raise Failure(description=str(error), allow_retries=False) from None
    except Exception as error:
        trace = redacted_trace(error)
        if trace is None:
            raise
        raise Failure(description=trace) from None


async def make(
    context: AssetExecutionContext, scope: Scope, **upstream: Stored
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
    used = scope.resources(context)
    llm, data = used.llm, used.data
    with readable_errors():
        spec = start(context, used)
        # For all steps, so that a missing key is reported before the first paid call.
        llm.check_keys(spec.recipe.named_endpoints)
        await _check_payments(context, scope, used, spec)
        frames = {name: stored.table for name, stored in upstream.items()}
        reviewed = None
        if step == CORRECTED_SET:
            reviewed = reviews.stored(data.tables().storage, spec.name)
        verdicts = reviews.identity(reviewed)
        try:
            with canceled_by_signals():
                async with AsyncExitStack() as stack:

                    async def opened(endpoint: str | None) -> "EmbeddingEngine":
                        engine = llm.engine(
                            context.run.run_id, spec.name, step, endpoint, spec.budget_usd
                        )
                        return await stack.enter_async_context(engine)

                    engine = await opened(spec.recipe.endpoints.get(step))
                    of_readers = {*spec.recipe.reader_endpoints(step)} - {None}
                    readers = {str(name): await opened(name) for name in of_readers}
                    output = await run_step(step, spec, frames, engine, readers, reviewed)
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
    stats = engine.stats.plus(*(reader.stats for reader in readers.values()))
    usage = usage_metadata(stats.as_dict())
    extra = {**usage, "warnings": output.warnings, "seconds": seconds_since(started)}
    return finish(step, spec, stored, data, extra, scope.settings.pages_url)


async def _check_payments(
    context: AssetExecutionContext, scope: Scope, used: Resources, spec: TaskSpec
) -> None:
    """Before the first step of a run, check what the run would pay for again.

    Raises:
        StoreError: it is more than the settings allow.
    """
    keys = context.run.asset_selection or context.job_def.asset_layer.executable_asset_keys
    steps = [step for step in ROW_STEPS if scope.key(step) in keys]
    if context.asset_key == scope.key(steps[0]):
        warning = await paying.check(spec, used.llm, used.data, steps)
        if warning is not None:
            context.log.warning(warning)


def start(context: AssetExecutionContext, used: Resources) -> TaskSpec:
    """Lock the run's partition, tag the run with recipe and base task, and return the task.

    The task has its rounds of targets.

    Raises:
        SpecError: the task or its file of targets is wrong.
        TableError: another run holds the partition, or the data folder cannot be written.
    """
    from targen.tables.targets import attached  # noqa: PLC0415 - not when loading

    trim()
    spec = used.tasks.load(context.partition_key)
    used.data.hold(spec.name, context.run.run_id)
    tags = {RECIPE_TAG: spec.recipe_name, BASE_TAG: base_of(spec)}
    if not tags.items() <= context.run.tags.items():
        context.instance.add_run_tags(context.run.run_id, tags)
    return attached(used.data.tables().storage, spec)


def base_of(spec: TaskSpec) -> str:
    """Return the task that a task extends, directly or not; its own name if it extends none."""
    return spec.ancestors[-1] if spec.ancestors else spec.name


def finish(
    step: str,
    spec: TaskSpec,
    stored: Stored,
    data: DataFolder,
    extra: Mapping[str, Any],
    pages_url: str | None,
) -> MaterializeResult[Stored]:
    """Return a step's result with its metadata."""
    table = stored.table
    described = {name: field.description for name, field in spec.fields.items()}
    version = stored.data_version
    # Ordered by interest; hashes and schemas come last.
    # The report's rows are its metrics, so the UI must not call them rows of data.
    metadata: dict[str, Any] = {} if step == QUALITY_REPORT else {"dagster/row_count": table.height}
    if stored.rejected is not None:
        reasons = rejected_by_reason(stored.rejected)
        metadata |= {"rejected": sum(reasons.values()), "rejected_by_reason": reasons}
    if stored.asked is not None:
        metadata["asked"] = stored.asked
    if "human_reviewer" in table.columns:
        metadata["reviewed_by_people"] = table["human_reviewer"].count()
    metadata |= {
        **extra,
        **({"figures": table.height} if step == QUALITY_REPORT else {}),
        "sample": MetadataValue.md(_sample(step, spec, table, pages_url)),
        "path": MetadataValue.path(data.tables().address(step, spec.name)),
    }
    if "instance_id" in table.columns and table.height:
        metadata["audit"] = MetadataValue.md(audit_hint(table["instance_id"][0], pages_url))
    metadata |= {
        "dagster/column_schema": table_schema(step, table.schema, described),
        "dagster/column_lineage": lineage(step, spec.field_types),
        "step_digest": stored.step_digest,
        "data_version": version,
    }
    return MaterializeResult(value=stored, metadata=metadata, data_version=DataVersion(version))


def _sample(step: str, spec: TaskSpec, table: pl.DataFrame, pages_url: str | None) -> str:
    """Return the first rows as Markdown, each with a link to the page of its audit."""
    first = table.head(SAMPLE_ROWS)
    if not first.height:
        return "No rows."
    rows = first.to_dicts()
    links: list[str] = []
    if pages_url and (column := IDS.get(step)):
        links = [f"[audit]({pages_url}/audit/{row[column]})" for row in rows]
    # Columns without values would hide the others.
    empty = {name for name in first.columns if first[name].null_count() == first.height}
    columns = [name for name in shown_columns(step, spec, table) if name not in empty]
    return markdown.table(rows, columns, links)


def audit_hint(instance_id: str, pages_url: str | None) -> str:
    """Return, as Markdown, how to audit a row."""
    page = f"[Open the page of this row]({pages_url}/audit/{instance_id}). " if pages_url else ""
    return (
        f"{page}`targen audit {instance_id}` shows the sources of this row and verifies them; it "
        "works for any row of the table. `--html row.html` writes the page with all prompts and "
        "answers. `targen audit --sample 200` verifies random rows."
    )


def page_link(scope: Scope, data: DataFolder, key: str) -> MetadataValue:
    """Return a link to a page in the data folder, or its path if no server is set."""
    if scope.settings.pages_url:
        return MetadataValue.url(f"{scope.settings.pages_url}/{key}")
    return MetadataValue.path(data.tables().storage.address(key))


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
