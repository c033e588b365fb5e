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
from targen.steps import CORRECTED_SET, QUALITY_REPORT, REVIEWS, ROW_STEPS, STEPS
from targen.store.completions import Store
from targen.tables import reviews
from targen.tables.contracts import lost_references
from targen.tables.files import Stored, Tables
from targen.tasks.spec import TaskSpec


@dataclass(frozen=True)
class ReleaseInputs:
    """The inputs of a release.

    Attributes:
        spec: the task.
        tables: step -> its stored result, without the report.
        report: the report's JSON.
        upstream: key of a file in the data folder -> its `sha256` and `size`.
        report_digest: digest of what the report read from the task.
        served: request_id, step, endpoint, model and served_model of every completion that the
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
        return self.tables[CORRECTED_SET].table


def gather(spec: TaskSpec, tables: Tables, store: Store, report_digest: str) -> ReleaseInputs:
    """Return the inputs of a task's release.

    Raises:
        ReleaseError: a gate failed, there are no rows, or task, tables and report do not match.
        TableError: a table or the report is missing or cannot be read.
        StoreError: the store cannot be read.
    """
    stored = {step: tables.read(step, spec.name) for step in ROW_STEPS}
    made = tables.read(QUALITY_REPORT, spec.name)
    report = tables.read_json(QUALITY_REPORT, spec.name)
    if report is None:
        address = tables.address(QUALITY_REPORT, spec.name, "json")
        raise TableError(
            f"The report {address} is missing. Materialize {QUALITY_REPORT} of {spec.name}."
        )
    verdicts = reviews.identity(reviews.stored(tables.storage, spec.name))
    _fits_together(spec, stored, made, report, report_digest, verdicts)
    _gates_passed(spec, made.table, report)
    frames = {step: one.table for step, one in stored.items()}
    rejected = {step: one.rejected for step, one in stored.items() if one.rejected is not None}
    owner = step_of_requests(frames, rejected, stored[CORRECTED_SET].planted)
    served = store.served(store.with_chain(owner["request_id"])).join(
        owner.with_columns(pl.col("step").cast(pl.String)),
        on="request_id",
        how="left",
        maintain_order="left",
    )
    served = served.with_columns(pl.col("step").fill_null(""))
    planted = stored[CORRECTED_SET].planted is not None
    return ReleaseInputs(
        spec, stored, report, _upstream(spec, tables, planted), report_digest, served
    )


def _other_rows(spec: TaskSpec, report: Mapping[str, Any]) -> str:
    made_for = report.get("rows_asked")
    if made_for == spec.rows:
        return ""
    return (
        f" (they have {made_for} rows, but {spec.rows} are requested; TARGEN_ROWS={made_for} "
        "releases the current tables)"
    )


def _fits_together(
    spec: TaskSpec,
    stored: Mapping[str, Stored],
    made: Stored,
    report: Mapping[str, Any],
    report_digest: str,
    verdicts: str | None,
) -> None:
    """Reject tables of another edition of the task, and reports on other tables."""
    for step, one in stored.items():
        if one.step_digest != step_digest(step, spec, verdicts):
            reviewed = step == CORRECTED_SET and verdicts is not None
            changed = (
                "the task, its recipe or its human verdicts were"
                if reviewed
                else ("the task or its recipe was")
            )
            raise ReleaseError(
                f"{spec.name} is not released: its {step} were made before {changed} "
                f"changed{_other_rows(spec, report)}. Materialize {step} "
                "and all steps below again."
            )
    frames = {step: one.table for step, one in stored.items()}
    for step, frame in frames.items():
        if lost := lost_references(step, frame, frames):
            raise ReleaseError(
                f"{spec.name} is not released: its {step} do not match the upstream tables "
                f"({lost[0]}). Materialize {step} and all steps below again."
            )
    on = report.get("made_from", {})
    other = [step for step, one in stored.items() if on.get(step) != one.data_version]
    if other or made.step_digest != report_digest:
        why = (
            f"from other tables ({other[0]}) than the current ones"
            if other
            else "for another version of the task"
        )
        raise ReleaseError(
            f"{spec.name} is not released: its quality report was made {why}. Materialize "
            f"{QUALITY_REPORT} again."
        )
    if not stored[CORRECTED_SET].table.height:
        raise ReleaseError(f"{spec.name} is not released: its corrected set has no rows.")


def _gates_passed(spec: TaskSpec, table: pl.DataFrame, report: Mapping[str, Any]) -> None:
    """Reject rows that fail a gate of severity `error`, by the report's table and its JSON."""
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
            f"{spec.name} is not released: {' '.join(found)} Fix the rows or change the gate "
            "in the task, then make the report again."
        )


def _upstream(spec: TaskSpec, tables: Tables, planted: bool) -> dict[str, dict[str, Any]]:
    """Return digest and size of every file that the release descends from.

    Planted errors are included only if the current tables have some; a file may be left from older
    tables.
    """
    keys = [f"{step}/{spec.name}.parquet" for step in STEPS]
    keys += [f"rejected/{step}/{spec.name}.parquet" for step in ROW_STEPS]
    keys += [f"planted/corrected_set/{spec.name}.parquet"] * planted
    keys.append(f"{REVIEWS}/{spec.name}.parquet")
    keys += [f"{QUALITY_REPORT}/{spec.name}.json", f"{QUALITY_REPORT}/{spec.name}.html"]
    contents = {key: tables.storage.read(key) for key in sorted(keys)}
    return {key: fingerprint(content) for key, content in contents.items() if content is not None}


def fingerprint(content: bytes) -> dict[str, Any]:
    """Return the sha256 and the size of a file."""
    return {"sha256": sha256_of(content), "size": len(content)}


def task_dump(spec: TaskSpec) -> dict[str, Any]:
    """Return a task as JSON, including its recipe and its other files."""
    dumped: dict[str, Any] = json.loads(spec.model_dump_json())
    return dumped | {"seed_rows": spec.seed_rows, "given_rows": spec.given_rows}
