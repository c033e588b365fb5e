"""The checks of assets: `contract` (blocks), `statistics` (warns) and `expectations`.

The report also has a check for each gate of its task, which blocks if its severity is `error`, and
`gates_of_all_tasks`, which only warns.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import polars as pl
from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetKey,
    MetadataValue,
    PreviewWarning,
    multi_asset_check,
)

from assets import markdown
from assets.scope import Resources, Scope
from assets.step import page_link, readable_errors
from resources.data import DataFolder
from targen.errors import TableError
from targen.memory import trim
from targen.steps import QUALITY_REPORT, STEPS, schema
from targen.tables.files import Stored, key_of
from targen.tasks.sections import Gate
from targen.tasks.spec import TaskSpec

CONTRACT = "contract"
STATISTICS = "statistics"
EXPECTATIONS = "expectations"
ALL_TASKS = "gates_of_all_tasks"
_SHOWN = 20


def table_checks(step: str, scope: Scope) -> AssetChecksDefinition:
    """Return the checks of an asset as one step, which reads only the run's partition."""

    @multi_asset_check(
        name=scope.name(f"{step}_checks"),
        specs=_specs(step, scope),
        can_subset=True,
        required_resource_keys=scope.required(),
    )
    def check(context: AssetCheckExecutionContext) -> Iterator[AssetCheckResult]:
        trim()
        used = scope.resources(context)
        with readable_errors():
            selected = {key.name for key in context.selected_asset_check_keys}
            if EXPECTATIONS in selected:
                # Their page is written.
                used.data.hold(context.partition_key, context.run.run_id)
            results = list(_results(step, context.partition_key, scope, used, selected))
        for result in results:
            if result.check_name in selected:
                yield result

    return check


def _specs(step: str, scope: Scope) -> list[AssetCheckSpec]:
    known: dict[str, tuple[str, bool]] = {
        CONTRACT: (
            "Schema, unique ids, references to upstream tables, the task's validators, and that "
            "every requested item is a row or a rejected item.",
            True,
        ),
        STATISTICS: (
            "Balance, yield, duplicates and shortfall, as far as they apply."
            if step != QUALITY_REPORT
            else "The report's findings that require action.",
            False,
        ),
    }
    if scope.settings.expectations:
        text = (
            "Great Expectations: the suite derived from the task, its gates and its own "
            "expectations. A failure of severity `error` blocks."
        )
        known[EXPECTATIONS] = (text, True)
    if step == QUALITY_REPORT:
        known |= {name: (text, True) for name, text in gate_checks(scope.gates).items()}
        text = (
            "No task's last report has a failed gate. The other checks are shown for the task that "
            "ran last."
        )
        known[ALL_TASKS] = (text, False)
    with warnings.catch_warnings():
        # `partitions_def` of checks is a preview feature; without it a check loads every partition.
        warnings.simplefilter("ignore", PreviewWarning)
        return [
            AssetCheckSpec(
                name,
                asset=scope.key(step),
                blocking=blocking,
                partitions_def=scope.partitions,
                description=text,
            )
            for name, (text, blocking) in known.items()
        ]


def gate_checks(gates: Mapping[str, Sequence[Gate]]) -> dict[str, str]:
    """Return the name of the check of every gate -> its description.

    Args:
        gates: task -> its gates. Gates of several tasks for the same figure share a check.
    """
    from targen.quality.gates import bounds, names  # noqa: PLC0415 - not when loading

    figures: dict[str, str] = {}
    tasks: dict[str, list[str]] = {}
    for task, wanted in gates.items():
        for name, gate in zip(names(wanted), wanted, strict=True):
            part = f", {gate.slice}" if gate.slice else ""
            figures.setdefault(name, f"`{gate.metric}`{part}")
            tasks.setdefault(name, []).append(f"{task}: {bounds(gate)} ({gate.severity})")
    return {name: _gate_text(figures[name], tasks[name]) for name in sorted(figures)}


def _gate_text(figure: str, tasks: Sequence[str]) -> str:
    more = f"; and {len(tasks) - _SHOWN} more tasks" if len(tasks) > _SHOWN else ""
    return (
        f"Bounds for {figure}. A failure of severity `error` blocks the release. "
        f"{'; '.join(tasks[:_SHOWN])}{more}."
    )


def _results(
    step: str, task: str, scope: Scope, used: Resources, selected: set[str]
) -> Iterator[AssetCheckResult]:
    from targen.steps import UPSTREAM  # noqa: PLC0415
    from targen.store import table_digests  # noqa: PLC0415
    from targen.tables import contracts  # noqa: PLC0415 - not when loading the code location

    key = scope.key(step)
    spec, tables = used.tasks.load(task), used.data.tables()
    stored = tables.read(step, task)
    above: dict[str, pl.DataFrame] = {}
    judged: list[Mapping[str, Any]] = []
    if step == QUALITY_REPORT:
        page = tables.read_json(step, task) or {}
        judged = page.get("gates", [])
        findings = page.get("findings", [])
        acts = [item["text"] for item in findings if item["level"] in ("bad", "warn")]
        found = report_violations(stored.table)
        known = gate_checks(scope.gates)
        acts += [
            f"The gate {gate['name']} has no check yet: reload the definitions. {gate['text']}"
            for gate in judged
            if gate["name"] not in known
        ]
        yield _contract(key, found)
        yield _statistics(key, acts, {"figures": stored.table.height})
        yield from (gate_result(key, gate) for gate in judged)
        if ALL_TASKS in selected:
            reports = {key_of(step, name): name for name in scope.gates}
            with closing(used.data.store()) as store:
                made = table_digests.latest(store, reports)
            failed = {
                name: made[at].get("failed_gates", {}) for at, name in reports.items() if at in made
            }
            yield all_tasks_result(key, failed)
    else:
        above = {name: tables.read(name, task).table for name in UPSTREAM[step]}
        rejected = _rejected(step, task, stored)
        found = contracts.violations(step, spec, stored.table, rejected, above, stored.asked)
        figures = contracts.statistics(step, spec, stored.table, rejected)
        yield _contract(key, found)
        yield _statistics(key, figures.warnings, figures.metadata)
    # A table that breaks its contract may lack columns of the suite.
    if EXPECTATIONS in selected and not found:
        yield expectations_result(step, scope, spec, stored, above, used.data, judged)


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


def gate_result(asset: AssetKey, gate: Mapping[str, Any]) -> AssetCheckResult:
    """Return the result of a gate's check.

    Args:
        asset: the key of the report.
        gate: a gate as `targen.quality.gates.judge` returns it.
    """
    bounds = {name: gate[name] for name in ("at_least", "at_most") if gate[name] is not None}
    value = {} if gate["value"] is None else {"value": float(gate["value"])}
    state = {True: "passed", False: "failed", None: "not measured"}[gate["passed"]]
    return AssetCheckResult(
        check_name=gate["name"],
        asset_key=asset,
        passed=gate["passed"] is True,
        severity=AssetCheckSeverity.ERROR
        if gate["severity"] == "error"
        else AssetCheckSeverity.WARN,
        description=gate["text"],
        metadata={
            "state": state,
            **value,
            **bounds,
            "required": gate["wanted"],
            "metric": gate["metric"],
            "slice": gate["slice"],
            "severity": gate["severity"],
            **({"why": gate["why"]} if gate["why"] else {}),
        },
    )


def all_tasks_result(asset: AssetKey, failed: Mapping[str, Mapping[str, str]]) -> AssetCheckResult:
    """Return the result of the check over the last reports of all tasks.

    Args:
        asset: the key of the report.
        failed: task -> its failed gates, as `targen.quality.gates.failed` returns them.
    """
    tasks = [task for task, gates in failed.items() if gates]
    lines = [f"{task}, {name}: {text}" for task in tasks for name, text in failed[task].items()]
    more = f" and {len(tasks) - _SHOWN} more tasks" if len(tasks) > _SHOWN else ""
    return AssetCheckResult(
        check_name=ALL_TASKS,
        asset_key=asset,
        passed=not tasks,
        severity=AssetCheckSeverity.WARN,
        description=f"Gates failed in {', '.join(tasks[:_SHOWN])}{more}." if tasks else None,
        metadata={"tasks": len(failed), "failed_gates": len(lines), **_listed(lines)},
    )


def expectations_result(
    step: str,
    scope: Scope,
    spec: TaskSpec,
    stored: Stored,
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

    suite = suites.build(step, spec, stored.table, above, judged or ())
    found = expectations.update(data.tables().storage, step, spec, stored, suite, STEPS)
    missed = [one for one in found["results"] if not one["success"]]
    blocks = [one for one in missed if one["expectation_config"]["severity"] == "critical"]
    sentences = [one["words"] for one in blocks + [one for one in missed if one not in blocks]]
    return AssetCheckResult(
        check_name=EXPECTATIONS,
        asset_key=scope.key(step),
        passed=not missed,
        severity=AssetCheckSeverity.ERROR if blocks else AssetCheckSeverity.WARN,
        description=" ".join(markdown.cell(text) for text in sentences[:3]) if missed else None,
        metadata={
            "page": expectations_page(scope, data, spec.name),
            **found["statistics"],
            "result": MetadataValue.json(found),
        },
    )


def expectations_page(scope: Scope, data: DataFolder, task: str) -> MetadataValue:
    """Return a link to the page of a task's expectations."""
    return page_link(scope, data, _key(task))


def relative_expectations_page(task: str) -> str:
    """Return the page's address relative to the report's page."""
    return f"../{_key(task)}"


def _key(task: str) -> str:
    from targen.quality.expectations import page_key  # noqa: PLC0415 - not when loading

    return page_key(task)


def _contract(asset: AssetKey, found: list[str]) -> AssetCheckResult:
    return AssetCheckResult(
        check_name=CONTRACT,
        asset_key=asset,
        passed=not found,
        description="; ".join(found[:3]).replace(".; ", ". ") if found else None,
        metadata={"violations": len(found), **_listed(found)},
    )


def _statistics(
    asset: AssetKey, found: list[str], figures: Mapping[str, float]
) -> AssetCheckResult:
    return AssetCheckResult(
        check_name=STATISTICS,
        asset_key=asset,
        passed=not found,
        severity=AssetCheckSeverity.WARN,
        description="; ".join(found[:3]).replace(".; ", ". ") if found else None,
        metadata={**figures, **_listed(found)},
    )


def _listed(sentences: list[str]) -> dict[str, MetadataValue]:
    """Return the sentences as metadata, none without sentences."""
    if not sentences:
        return {}
    # Sentences may quote rows, which are untrusted.
    lines = [f"- {markdown.cell(text)}" for text in sentences[:_SHOWN]]
    return {"found": MetadataValue.md("\n".join(lines))}
