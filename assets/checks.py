"""The checks that stand beside every asset: `contract` blocks, `statistics` warns.

The report has one more, `gates`: the task's bounds, blocking where their severity is `error`.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl
from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetCheckSpec,
    MetadataValue,
    PartitionsDefinition,
    PreviewWarning,
    multi_asset_check,
)

from assets import expectations, markdown
from assets.expectations import EXPECTATIONS
from assets.step import readable_errors
from resources.data import DataFolder
from resources.tasks import TaskFolder
from targen.errors import TableError
from targen.settings import Settings
from targen.steps import QUALITY_REPORT, schema
from targen.tables.files import Stored

CONTRACT = "contract"
STATISTICS = "statistics"
GATES = "gates"
_SHOWN = 20


def table_checks(
    step: str, partitions: PartitionsDefinition, settings: Settings
) -> AssetChecksDefinition:
    """Return both checks of an asset as one step, which reads the run's partition and no other."""

    @multi_asset_check(
        name=f"{step}_checks", specs=_specs(step, partitions, settings), can_subset=True
    )
    def check(
        context: AssetCheckExecutionContext, tasks: TaskFolder, data: DataFolder
    ) -> Iterator[AssetCheckResult]:
        with readable_errors():
            selected = {key.name for key in context.selected_asset_check_keys}
            looked_at = EXPECTATIONS in selected
            results = list(_results(step, context.partition_key, tasks, data, expect=looked_at))
        for result in results:
            if result.check_name in selected:
                yield result

    return check


def _specs(step: str, partitions: PartitionsDefinition, settings: Settings) -> list[AssetCheckSpec]:
    with warnings.catch_warnings():
        # Dagster still calls a check's partitions a preview; without them it reads every table.
        warnings.simplefilter("ignore", PreviewWarning)
        specs = [
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
                description="Balance, yield, duplicates and shortfall, as far as they apply."
                if step != QUALITY_REPORT
                else "What the report says one should act on.",
            ),
        ]
        if settings.expectations:
            specs.append(
                AssetCheckSpec(
                    EXPECTATIONS,
                    asset=step,
                    blocking=True,
                    partitions_def=partitions,
                    description="Great Expectations: the suite that follows from the task, its "
                    "gates and the expectations of its own. One of severity `error` blocks.",
                )
            )
        if step == QUALITY_REPORT:
            specs.append(
                AssetCheckSpec(
                    GATES,
                    asset=step,
                    blocking=True,
                    partitions_def=partitions,
                    description="The bounds that the task sets for its metrics (`gates`). One of "
                    "severity `error` blocks what is made from here, the release.",
                )
            )
        return specs


def _results(
    step: str, task: str, tasks: TaskFolder, data: DataFolder, *, expect: bool
) -> Iterator[AssetCheckResult]:
    from targen.steps import UPSTREAM  # noqa: PLC0415
    from targen.tables import contracts  # noqa: PLC0415 - not when loading the code location

    spec, tables = tasks.load(task), data.tables()
    stored = tables.read(step, task)
    above: dict[str, pl.DataFrame] = {}
    judged: list[Mapping[str, Any]] = []
    if step == QUALITY_REPORT:
        page = tables.read_json(step, task) or {}
        judged = page.get("gates", [])
        acts = [item["text"] for item in page.get("findings", []) if item["level"] == "warn"]
        found = report_violations(stored.table)
        yield _contract(step, found)
        yield _statistics(step, acts, {"figures": stored.table.height})
        yield gates_result(judged)
    else:
        above = {name: tables.read(name, task).table for name in UPSTREAM[step]}
        rejected = _rejected(step, task, stored)
        found = contracts.violations(step, spec, stored.table, rejected, above, stored.asked)
        figures = contracts.statistics(step, spec, stored.table, rejected)
        yield _contract(step, found)
        yield _statistics(step, figures.warnings, figures.metadata)
    # A table that breaks its contract may lack what its suite speaks of.
    if expect and not found:
        yield expectations.result(step, spec, stored.table, above, data, judged)


def _rejected(step: str, task: str, stored: Stored) -> pl.DataFrame:
    if stored.rejected is None:
        raise TableError(f"The rejected items of {step} of {task} are missing. Make {step} again.")
    return stored.rejected


def report_violations(table: pl.DataFrame) -> list[str]:
    """Return every way in which a quality report's table breaks its contract, in words."""
    expected = schema(QUALITY_REPORT, {})
    if dict(table.schema) != expected:
        return [f"the columns are {dict(table.schema)}, expected {expected}"]
    found = []
    doubled = table.filter(table.select("metric", "slice").is_duplicated())
    if doubled.height:
        found.append(f"{doubled.height} rows share their metric and slice with another")
    if not table.height:
        found.append("there is no figure")
    return found


def gates_result(judged: Sequence[Mapping[str, Any]]) -> AssetCheckResult:
    """Return the check `gates` of what the report judged; see `targen.quality.gates.judge`."""
    missed = [gate for gate in judged if gate["passed"] is not True]
    blocks = [gate for gate in missed if gate["severity"] == "error"]
    unknown = sum(gate["passed"] is None for gate in missed)
    # What blocks is told first: descriptions are cut off after a few sentences.
    ordered = blocks + [gate for gate in missed if gate["severity"] != "error"]
    sentences = [gate["text"] for gate in ordered]
    return AssetCheckResult(
        check_name=GATES,
        asset_key=QUALITY_REPORT,
        passed=not missed,
        severity=AssetCheckSeverity.ERROR if blocks else AssetCheckSeverity.WARN,
        description=" ".join(sentences[:3]) if missed else None,
        metadata={
            "gates": len(judged),
            "failed": len(missed) - unknown,
            "not_measured": unknown,
            "found": _listed([gate["text"] for gate in judged]),
        },
    )


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
