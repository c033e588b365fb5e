"""Whether a task's tables are current, and what its last report says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from targen.errors import TableError
from targen.operators import step_digest
from targen.quality.inputs import report_digest
from targen.steps import CORRECTED_SET, QUALITY_REPORT, ROW_STEPS
from targen.tables import reviews
from targen.tables.contracts import lost_references
from targen.tables.files import Stored, Tables, key_of
from targen.tables.targets import attached
from targen.tasks.spec import TaskSpec

NOT_MADE: Final = "not made"
INCOMPLETE: Final = "incomplete"
OLDER: Final = "older"
CURRENT: Final = "current"
MADE_AGAIN: Final = "the tables above were made again"


@dataclass(frozen=True)
class State:
    """The state of a task's tables.

    Attributes:
        state: `not made` without any table; `incomplete` if a table is missing or unreadable;
            `older` if the task, a table above or the human verdicts changed since; or `current`.
        step: the first step to make again; None if all are current.
        why: one clause about that step.
        report: the JSON of the last report; None without one.
    """

    state: Literal["not made", "incomplete", "older", "current"]
    step: str | None = None
    why: str = ""
    report: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def current(self) -> bool:
        """Whether everything is up to date."""
        return self.state == CURRENT


def state_of(spec: TaskSpec, tables: Tables) -> State:
    """Return whether all tables of a task, and its report, match the task and each other.

    Raises:
        SpecError: the task's file of targets is wrong.
        TableError: the storage or the human verdicts cannot be read.
    """
    spec = attached(tables.storage, spec)
    report, stored, missing = _read(spec, tables)
    if not stored and report is None:
        return State(NOT_MADE, ROW_STEPS[0], "no table exists")
    verdicts = reviews.identity(reviews.stored(tables.storage, spec.name))
    found = _rows(spec, stored, missing, report, verdicts)
    if found is not None:
        return found
    if report is None:
        return State(INCOMPLETE, QUALITY_REPORT, missing[QUALITY_REPORT])
    made_from = report.get("made_from", {})
    if any(made_from.get(step) != one.data_version for step, one in stored.items()):
        return State(OLDER, QUALITY_REPORT, MADE_AGAIN, report)
    if tables.read(QUALITY_REPORT, spec.name).step_digest != report_digest(spec, verdicts):
        return State(OLDER, QUALITY_REPORT, "the task, its gates or the review changed", report)
    return State(CURRENT, report=report)


def _rows(
    spec: TaskSpec,
    stored: Mapping[str, Stored],
    missing: Mapping[str, str],
    report: Mapping[str, Any] | None,
    verdicts: str | None,
) -> State | None:
    """Return the state if a table of rows has to be made again, else None."""
    above = {name: one.table for name, one in stored.items()}
    for step in ROW_STEPS:
        if step not in stored:
            return State(INCOMPLETE, step, missing[step], report)
        if stored[step].step_digest != step_digest(step, spec, verdicts):
            why = _changed(spec, report)
            if step == CORRECTED_SET and verdicts is not None:
                why += ", or human verdicts were imported"
            return State(OLDER, step, why, report)
        if lost_references(step, stored[step].table, above):
            return State(OLDER, step, MADE_AGAIN, report)
    return None


def _read(
    spec: TaskSpec, tables: Tables
) -> tuple[Mapping[str, Any] | None, dict[str, Stored], dict[str, str]]:
    """Return the report, the readable tables, and why the others cannot be read."""
    stored: dict[str, Stored] = {}
    missing: dict[str, str] = {}
    for step in ROW_STEPS:
        try:
            stored[step] = tables.read(step, spec.name)
        except TableError as error:
            absent = tables.storage.read(key_of(step, spec.name)) is None
            missing[step] = "its table does not exist" if absent else str(error)
    report: Mapping[str, Any] | None = None
    try:
        report = tables.read_json(QUALITY_REPORT, spec.name)
        missing[QUALITY_REPORT] = "the report does not exist"
    except TableError as error:
        missing[QUALITY_REPORT] = str(error)
    return report, stored, missing


def _changed(spec: TaskSpec, report: Mapping[str, Any] | None) -> str:
    made_for = (report or {}).get("rows_asked")
    if made_for not in (None, spec.rows):
        return f"made for {made_for:,} rows; now {spec.rows:,} are requested"
    return "the task or its recipe changed"
