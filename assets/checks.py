"""The two checks that stand beside every asset: `contract` blocks, `statistics` warns.

Here belongs how Dagster is told. What a contract demands belongs to `targen.contracts`.
"""

import warnings
from collections.abc import Iterator, Mapping

import polars as pl
from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetCheckSpec,
    MetadataValue,
    PartitionsDefinition,
    multi_asset_check,
)
from dagster._utils.warnings import PreviewWarning

from assets import markdown
from assets.step import readable_errors
from resources.data import DataFolder
from resources.tasks import TaskFolder
from targen.tables import schema

CONTRACT = "contract"
STATISTICS = "statistics"
REPORT = "quality_report"
_SHOWN = 20


def table_checks(step: str, partitions: PartitionsDefinition) -> AssetChecksDefinition:
    """Return both checks of an asset as one step, which reads the run's partition and no other."""

    @multi_asset_check(name=f"{step}_checks", specs=_specs(step, partitions), can_subset=True)
    def check(
        context: AssetCheckExecutionContext, tasks: TaskFolder, data: DataFolder
    ) -> Iterator[AssetCheckResult]:
        with readable_errors():
            results = _results(step, context.partition_key, tasks, data)
        selected = {key.name for key in context.selected_asset_check_keys}
        for result in results:
            if result.check_name in selected:
                yield result

    return check


def _specs(step: str, partitions: PartitionsDefinition) -> list[AssetCheckSpec]:
    with warnings.catch_warnings():
        # Dagster still calls a check's partitions a preview; without them it reads every table.
        warnings.simplefilter("ignore", PreviewWarning)
        return [
            AssetCheckSpec(
                CONTRACT,
                asset=step,
                blocking=True,
                partitions_def=partitions,
                description="Schema, unique ids, references into the tables above, the task's "
                "invariants, and that every item asked for is a row or rejected.",
            ),
            AssetCheckSpec(
                STATISTICS,
                asset=step,
                partitions_def=partitions,
                description="Balance, yield, duplicates and shortfall, as far as they apply.",
            ),
        ]


def _results(step: str, task: str, tasks: TaskFolder, data: DataFolder) -> list[AssetCheckResult]:
    from targen import contracts  # noqa: PLC0415 - not when loading the code location
    from targen.operators import UPSTREAM  # noqa: PLC0415

    spec, tables = tasks.load(task), data.tables()
    stored = tables.read(step, task)
    if stored.rejected is None:
        return [_contract(step, report_violations(stored.table)), _gates(step, stored.table)]
    above = {name: tables.read(name, task).table for name in UPSTREAM[step]}
    found = contracts.violations(step, spec, stored.table, stored.rejected, above, stored.asked)
    figures = contracts.statistics(step, spec, stored.table, stored.rejected)
    return [_contract(step, found), _statistics(step, figures.warnings, figures.metadata)]


def report_violations(table: pl.DataFrame) -> list[str]:
    """Return every way in which a quality report's table breaks its contract, in words."""
    expected = schema(REPORT, {})
    if dict(table.schema) != expected:
        return [f"the columns are {dict(table.schema)}, expected {expected}"]
    found = []
    doubled = table.filter(table.select("metric", "slice").is_duplicated())
    if doubled.height:
        found.append(f"{doubled.height} rows share their metric and slice with another")
    if not table.height:
        found.append("there is no figure")
    return found


def _gates(step: str, table: pl.DataFrame) -> AssetCheckResult:
    missed = table.filter(~pl.col("passed"))
    sentences = [f"{name} ({part}) misses its gate" for name, part, *_ in missed.iter_rows()]
    gated = table["passed"].drop_nulls().len()
    return _statistics(step, sentences, {"figures": table.height, "gates": gated})


def _contract(step: str, found: list[str]) -> AssetCheckResult:
    return AssetCheckResult(
        check_name=CONTRACT,
        asset_key=step,
        passed=not found,
        description="; ".join(found[:3]) if found else None,
        metadata={"violations": len(found), "found": _listed(found)},
    )


def _statistics(step: str, found: list[str], figures: Mapping[str, float]) -> AssetCheckResult:
    return AssetCheckResult(
        check_name=STATISTICS,
        asset_key=step,
        passed=not found,
        severity=AssetCheckSeverity.WARN,
        description="; ".join(found[:3]) if found else None,
        metadata={**figures, "found": _listed(found)},
    )


def _listed(sentences: list[str]) -> MetadataValue:
    # The sentences quote rows, so they are as hostile as the rows.
    return MetadataValue.md("\n".join(f"- {markdown.cell(text)}" for text in sentences[:_SHOWN]))
