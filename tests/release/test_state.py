"""Whether a task's tables are current: which step is missing or older, and why."""

from dataclasses import replace

import polars as pl

from targen.release.state import State, state_of
from targen.tables.files import Tables
from targen.tasks.sections import Gate
from targen.tasks.spec import TaskSpec
from tests.release.conftest import Made


def found(made: Made, spec: TaskSpec | None = None) -> tuple[str, str | None, str]:
    state: State = state_of(spec or made.spec, Tables(made.place))
    return state.state, state.step, state.why


def test_each_reason_is_found_at_its_step(rte: Made) -> None:
    tables, spec = Tables(rte.place), rte.spec
    assert found(rte) == ("current", None, "")
    other = spec.model_copy(update={"rows": 90})
    assert found(rte, other)[:2] == ("older", "contexts")
    assert found(rte, other)[2] == "made for 24 rows; now 90 are requested"
    told = spec.model_copy(update={"title": "Another title"})
    assert found(rte, told) == ("older", "vocabularies", "the task or its recipe changed")
    gated = spec.model_copy(update={"gates": [Gate(metric="rows", at_least=1)]})
    assert found(rte, gated)[:2] == ("older", "quality_report")
    labels = tables.read("labels", "rte")
    changed = labels.table.with_columns(agreement=0.5)
    tables.write("labels", "rte", replace(labels, table=changed))
    assert found(rte) == ("older", "quality_report", "the tables above were made again")
    tables.write(
        "labels", "rte", replace(labels, table=changed.with_columns(instance_id=pl.lit("gone")))
    )
    assert found(rte)[:2] == ("older", "labels")
    (rte.folder / "labels/rte.parquet").write_text("not Parquet")
    assert found(rte)[0] == "incomplete" and "not a readable Parquet file" in found(rte)[2]
    (rte.folder / "labels/rte.parquet").unlink()
    assert found(rte) == ("incomplete", "labels", "its table does not exist")


def test_a_task_without_tables_is_not_made(rte: Made) -> None:
    spec = rte.spec.model_copy(update={"name": "another"})
    assert found(rte, spec) == ("not made", "vocabularies", "no table exists")


def test_a_report_that_is_gone(rte: Made) -> None:
    (rte.folder / "quality_report/rte.json").unlink()
    assert found(rte) == ("incomplete", "quality_report", "the report does not exist")
