"""The checks of assets: `contract` (blocks), `statistics` (warns) and `expectations`.

The report also has `gates`, the task's bounds, which block if their severity is `error`.
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

from assets import markdown
from assets.step import readable_errors
from resources.data import DataFolder
from resources.tasks import TaskFolder
from targen.errors import TableError
from targen.settings import Settings
from targen.steps import QUALITY_REPORT, STEPS, schema
from targen.tables.files import Stored
from targen.tasks.spec import TaskSpec

CONTRACT = "contract"
STATISTICS = "statistics"
EXPECTATIONS = "expectations"
GATES = "gates"
_SHOWN = 20


def table_checks(
    step: str, partitions: PartitionsDefinition, settings: Settings
) -> AssetChecksDefinition:
    """Return the checks of an asset as one step, which reads only the run's partition."""

    @multi_asset_check(
        name=f"{step}_checks", specs=_specs(step, partitions, settings), can_subset=True
    )
    def check(
        context: AssetCheckExecutionContext, tasks: TaskFolder, data: DataFolder
    ) -> Iterator[AssetCheckResult]:
        with readable_errors():
            selected = {key.name for key in context.selected_asset_check_keys}
            expect = EXPECTATIONS in selected
            results = list(_results(step, context.partition_key, tasks, data, expect=expect))
        for result in results:
            if result.check_name in selected:
                yield result

    return check


def _specs(step: str, partitions: PartitionsDefinition, settings: Settings) -> list[AssetCheckSpec]:
    with warnings.catch_warnings():
        # `partitions_def` of checks is a preview feature; without it a check loads every partition.
        warnings.simplefilter("ignore", PreviewWarning)
        specs = [
            AssetCheckSpec(
                CONTRACT,
                asset=step,
                blocking=True,
                partitions_def=partitions,
                description="Schema, unique ids, references to upstream tables, the task's "
                "validators, and that every requested item is a row or a rejected item.",
            ),
            AssetCheckSpec(
                STATISTICS,
                asset=step,
                partitions_def=partitions,
                description="Balance, yield, duplicates and shortfall, as far as they apply."
                if step != QUALITY_REPORT
                else "The report's findings that require action.",
            ),
        ]
        if settings.expectations:
            specs.append(
                AssetCheckSpec(
                    EXPECTATIONS,
                    asset=step,
                    blocking=True,
                    partitions_def=partitions,
                    description="Great Expectations: the suite derived from the task, its gates "
                    "and its own expectations. A failure of severity `error` blocks.",
                )
            )
        if step == QUALITY_REPORT:
            specs.append(
                AssetCheckSpec(
                    GATES,
                    asset=step,
                    blocking=True,
                    partitions_def=partitions,
                    description="The task's bounds for metrics (`gates`). A failure of severity "
                    "`error` blocks the release.",
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
        findings = page.get("findings", [])
        acts = [item["text"] for item in findings if item["level"] in ("bad", "warn")]
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
    # A table that breaks its contract may lack columns of the suite.
    if expect and not found:
        yield expectations_result(step, spec, stored.table, above, data, judged)


def _rejected(step: str, task: str, stored: Stored) -> pl.DataFrame:
    if stored.rejected is None:
        raise TableError(
            f"The rejected items of {step} of {task} are missing. Materialize {step} again."
        )
    return stored.rejected


def report_violations(table: pl.DataFrame) -> list[str]:
    """Return the contract violations of a quality report's table."""
    expected = schema(QUALITY_REPORT, {})
    if dict(table.schema) != expected:
        return [f"the columns are {dict(table.schema)}, expected {expected}"]
    found = []
    doubled = table.filter(table.select("metric", "slice").is_duplicated())
    if doubled.height:
        found.append(f"{doubled.height} rows have the same metric and slice as another row")
    if not table.height:
        found.append("the report contains no metric")
    return found


def gates_result(judged: Sequence[Mapping[str, Any]]) -> AssetCheckResult:
    """Return the result of the check `gates`, from `targen.quality.gates.judge`."""
    missed = [gate for gate in judged if gate["passed"] is not True]
    blocks = [gate for gate in missed if gate["severity"] == "error"]
    unknown = sum(gate["passed"] is None for gate in missed)
    # Blocking failures first, because the description has only a few sentences.
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


def expectations_result(
    step: str,
    spec: TaskSpec,
    table: pl.DataFrame,
    above: Mapping[str, pl.DataFrame],
    data: DataFolder,
    judged: list[Mapping[str, Any]] | None = None,
) -> AssetCheckResult:
    """Validate a table against its suite, update the page, and return the check's result.

    Raises:
        SpecError: arguments of the task's expectations are wrong.
        TableError: the page cannot be written.
    """
    from targen.quality import expectations, suites  # noqa: PLC0415 - not when loading

    suite = suites.build(step, spec, table, above, judged or ())
    found = expectations.validate(step, spec, table, suite)
    expectations.write(data.tables().storage, spec, STEPS, found)
    missed = [one for one in found["results"] if not one["success"]]
    blocks = [one for one in missed if one["expectation_config"]["severity"] == "critical"]
    sentences = [one["words"] for one in blocks + [one for one in missed if one not in blocks]]
    return AssetCheckResult(
        check_name=EXPECTATIONS,
        asset_key=step,
        passed=not missed,
        severity=AssetCheckSeverity.ERROR if blocks else AssetCheckSeverity.WARN,
        description=" ".join(markdown.cell(text) for text in sentences[:3]) if missed else None,
        metadata={
            **found["statistics"],
            "result": MetadataValue.json(found),
            "page": expectations_page(data, spec.name),
        },
    )


def expectations_page(data: DataFolder, task: str) -> MetadataValue:
    """Return the page's path as metadata; browsers do not open links to local files."""
    return MetadataValue.path(data.tables().storage.address(_key(task)))


def relative_expectations_page(task: str) -> str:
    """Return the page's address relative to the report's page."""
    return f"../{_key(task)}"


def _key(task: str) -> str:
    from targen.quality.expectations import page_key  # noqa: PLC0415 - not when loading

    return page_key(task)


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
    # Sentences may quote rows, which are untrusted.
    return MetadataValue.md("\n".join(f"- {markdown.cell(text)}" for text in sentences[:_SHOWN]))
