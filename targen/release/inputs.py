"""Gathers the inputs of a release; refuses inconsistent inputs and failed gates."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from targen.errors import ReleaseError, TableError
from targen.hashing import sha256_of
from targen.operators import step_digest
from targen.quality.accounting import step_of_requests
from targen.steps import ROW_STEPS, STEPS
from targen.store.completions import Store
from targen.tables.contracts import lost_references
from targen.tables.files import Stored, Tables
from targen.tasks.spec import TaskSpec

REPORT = "quality_report"


@dataclass(frozen=True)
class ReleaseInputs:
    """Everything that a release says something of.

    Attributes:
        spec: the task.
        tables: step -> what it stored, without the report.
        report: the report's JSON.
        upstream: key of a file in the data folder -> its `sha256` and `size`.
        report_digest: identity of what the report read of the task.
        served: request_id, step, endpoint, model, served_model of every completion that the
            tables descend from.
    """

    spec: TaskSpec
    tables: Mapping[str, Stored]
    report: Mapping[str, Any]
    upstream: Mapping[str, Mapping[str, Any]]
    report_digest: str
    served: pl.DataFrame

    @property
    def rows(self) -> pl.DataFrame:
        """The corrected set."""
        return self.tables["corrected_set"].table


def gather(spec: TaskSpec, tables: Tables, store: Store, report_digest: str) -> ReleaseInputs:
    """Return what a release of the task is made from.

    Args:
        spec: the task.
        tables: its tables.
        store: the completions.
        report_digest: what the report would be made from of the task as it is now.

    Raises:
        ReleaseError: a gate failed, there are no rows, or task, tables and report do not
            belong together.
        TableError: a table or the report is missing or cannot be read.
        StoreError: the store cannot be read.
    """
    stored = {step: tables.read(step, spec.name) for step in ROW_STEPS}
    made = tables.read(REPORT, spec.name)
    report = tables.read_json(REPORT, spec.name)
    if report is None:
        address = tables.address(REPORT, spec.name, "json")
        raise TableError(f"The report {address} is missing. Materialise {REPORT} of {spec.name}.")
    _fits_together(spec, stored, made, report, report_digest)
    _gates_passed(spec, made.table, report)
    frames = {step: one.table for step, one in stored.items()}
    rejected = {step: one.rejected for step, one in stored.items() if one.rejected is not None}
    owner = step_of_requests(frames, rejected, stored["corrected_set"].planted)
    served = store.served(store.with_chain(owner)).with_columns(
        step=pl.col("request_id").replace_strict(owner, default="", return_dtype=pl.String)
    )
    planted = stored["corrected_set"].planted is not None
    return ReleaseInputs(
        spec, stored, report, _upstream(spec, tables, planted), report_digest, served
    )


def _other_rows(spec: TaskSpec, report: Mapping[str, Any]) -> str:
    made_for = report.get("rows_asked")
    if made_for == spec.rows:
        return ""
    return (
        f" (they are for {made_for} rows, and {spec.rows} are wanted now: TARGEN_ROWS={made_for} "
        "releases the current tables)"
    )


def _fits_together(
    spec: TaskSpec,
    stored: Mapping[str, Stored],
    made: Stored,
    report: Mapping[str, Any],
    report_digest: str,
) -> None:
    """Refuse tables of another edition of the task, and a report on other tables."""
    for step, one in stored.items():
        if one.step_digest != step_digest(step, spec):
            raise ReleaseError(
                f"{spec.name} is not released: its {step} were made before the task or its recipe "
                f"was changed{_other_rows(spec, report)}. Materialise {step} and all below again."
            )
    frames = {step: one.table for step, one in stored.items()}
    for step, frame in frames.items():
        if lost := lost_references(step, frame, frames):
            raise ReleaseError(
                f"{spec.name} is not released: its {step} do not descend from the tables above "
                f"in the current tables ({lost[0]}). Materialize {step} and all steps below."
            )
    on = report.get("made_from", {})
    other = [step for step, one in stored.items() if on.get(step) != one.data_version]
    if other or made.step_digest != report_digest:
        why = (
            f"on other tables ({other[0]}) than the current ones"
            if other
            else "for another task file"
        )
        raise ReleaseError(
            f"{spec.name} is not released: its quality report was made {why}. Materialise {REPORT} "
            "again."
        )
    if not stored["corrected_set"].table.height:
        raise ReleaseError(f"{spec.name} is not released: its corrected set has no row.")


def _gates_passed(spec: TaskSpec, table: pl.DataFrame, report: Mapping[str, Any]) -> None:
    """Refuse rows that break a bound of severity `error`, by the report's table and its JSON."""
    missed = [gate for gate in report.get("gates", []) if gate["passed"] is not True]
    found = [
        f"gate {gate['metric']}: {gate['text']}" for gate in missed if gate["severity"] == "error"
    ]
    shown = {(gate["metric"], part) for gate in missed for part in gate["slices"]}
    for metric, part in table.filter(~pl.col("passed")).select("metric", "slice").iter_rows():
        if (metric, part) not in shown:
            found.append(f"gate {metric} ({part}): it is not passed.")
    if found:
        raise ReleaseError(
            f"{spec.name} is not released: {' '.join(found)} Mend the rows, or change the gate in "
            "the task and make the report again."
        )


def _upstream(spec: TaskSpec, tables: Tables, planted: bool) -> dict[str, dict[str, Any]]:
    """Return the digest and size of every file of the task that the release descends from.

    They include planted errors if the current tables have some: older tables may have
    left theirs.
    """
    keys = [f"{step}/{spec.name}.parquet" for step in STEPS]
    keys += [f"rejected/{step}/{spec.name}.parquet" for step in ROW_STEPS]
    keys += [f"planted/corrected_set/{spec.name}.parquet"] * planted
    keys += [f"{REPORT}/{spec.name}.json", f"{REPORT}/{spec.name}.html"]
    contents = {key: tables.storage.read(key) for key in sorted(keys)}
    return {key: fingerprint(content) for key, content in contents.items() if content is not None}


def fingerprint(content: bytes) -> dict[str, Any]:
    """Return the sha256 and the size of a file."""
    return {"sha256": sha256_of(content), "size": len(content)}


def task_dump(spec: TaskSpec) -> dict[str, Any]:
    """Return a task as JSON, with everything that its files and its recipe say."""
    dumped: dict[str, Any] = json.loads(spec.model_dump_json())
    return dumped | {"seed_rows": spec.seed_rows, "given_rows": spec.given_rows}
