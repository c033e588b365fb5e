"""The comparison as an asset: what it reads, what it writes, and what is not there yet."""

import json
from pathlib import Path

import polars as pl
import pytest
from dagster import materialize

from assets import comparison
from dagster_project.definitions import make_scope
from resources.data import DataFolder
from resources.io_manager import TablesIOManager
from resources.tasks import TaskFolder
from targen import steps as schemas
from targen.quality.metrics import comparison_columns
from targen.quality.report import build
from targen.settings import Settings
from targen.tables.files import Stored, Tables
from targen.tables.storage import open_storage
from tests.support.report_inputs import inputs
from tests.support.specs import MOOD, RECIPES, write_task


@pytest.fixture
def tasks(tmp_path: Path) -> TaskFolder:
    folder = tmp_path / "tasks"
    # The base's own parameters would not fit the other recipe's operators.
    write_task(folder, MOOD[: MOOD.index("steps:")])
    write_task(folder, "name: mood-zerogen\nextends: mood\nrecipe: zerogen\n", "mood-zerogen")
    write_task(folder, MOOD.replace("name: mood", "name: alone"), "alone")
    return TaskFolder(tasks_dir=str(folder), recipes_dir=str(RECIPES))


@pytest.fixture
def data(tmp_path: Path) -> DataFolder:
    return DataFolder(data_dir=str(tmp_path / "data"))


def report(data: DataFolder, task: str) -> None:
    made = build(inputs(40, task_name=task))
    stored = Stored(made.table, pages={"json": made.json_text()})
    data.tables().write("quality_report", task, stored)


def make(tasks: TaskFolder, data: DataFolder) -> pl.DataFrame:
    manager = TablesIOManager(data_dir=data.data_dir)
    done = materialize(
        comparison.build(make_scope(Settings(), tasks)),
        resources={"tasks": tasks, "data": data, "io_manager": manager},
    )
    assert done.success
    (event,) = done.asset_materializations_for_node("comparison")
    table = Tables(open_storage(data.data_dir)).read("comparison", "comparison").table
    found = {name: entry.value for name, entry in event.metadata.items()}
    assert found["made"] == table["made"].sum()
    assert found["missing"] == table.filter(~pl.col("made"))["task"].to_list()
    assert len(str(found["step_digest"])) == len(str(found["data_version"])) == 64
    return table


def test_what_is_there_is_compared_and_what_is_not_is_shown(
    tasks: TaskFolder, data: DataFolder, tmp_path: Path
) -> None:
    report(data, "mood")
    table = make(tasks, data)
    assert dict(table.schema) == {column.name: column.dtype for column in comparison_columns()}
    assert table.select("base", "task", "recipe", "made").rows() == [
        ("mood", "mood", "targen", True),
        ("mood", "mood-zerogen", "zerogen", False),
    ]
    folder = tmp_path / "data/comparison"
    assert sorted(path.name for path in folder.iterdir()) == [
        "comparison.html",
        "comparison.json",
        "comparison.mood.html",
        "comparison.parquet",
    ]
    assert "make run TASK=mood-zerogen" in (folder / "comparison.html").read_text()


def test_the_same_reports_give_the_same_bytes(
    tasks: TaskFolder, data: DataFolder, tmp_path: Path
) -> None:
    for task in ("mood", "mood-zerogen"):
        report(data, task)
    make(tasks, data)
    folder = tmp_path / "data/comparison"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert make(tasks, data)["made"].to_list() == [True, True]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def cautions(tasks: TaskFolder, data: DataFolder) -> list[str]:
    make(tasks, data)
    content = data.tables().read_json("comparison", "comparison")
    assert content is not None
    return list(content["groups"][0]["cautions"])


def made_from(data: DataFolder, task: str) -> None:
    """Write tables and a report that says what it was made from."""
    given = inputs(40, task_name=task)
    stored = {
        name: Stored(given.tables[name], given.rejected.get(name))
        for name in ("instances", "labels", "corrected_set")
    }
    for name, one in stored.items():
        data.tables().write(name, task, one)
    versions = {name: one.data_version for name, one in stored.items()}
    made = build(inputs(40, task_name=task, versions=versions))
    pages = {"json": made.json_text()}
    data.tables().write("quality_report", task, Stored(made.table, pages=pages))


def test_a_report_that_is_older_than_its_tables_is_said_to_be(
    tasks: TaskFolder, data: DataFolder
) -> None:
    for task in ("mood", "mood-zerogen"):
        made_from(data, task)
    assert cautions(tasks, data) == []
    table = data.tables().read("corrected_set", "mood")
    data.tables().write("corrected_set", "mood", Stored(table.table.head(30), table.rejected))
    (said,) = cautions(tasks, data)
    assert said == "The report of mood is older than its table corrected_set: materialize it again."


def test_a_report_of_another_schema_or_release_does_not_hide_the_others(
    tasks: TaskFolder, data: DataFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for task in ("mood", "mood-zerogen"):
        made_from(data, task)
    path = tmp_path / "data/quality_report/mood.json"
    content = json.loads(path.read_text())
    del content["made_from"]
    path.write_text(json.dumps(content))
    monkeypatch.setattr("targen.tables.files.SCHEMA_VERSION", schemas.SCHEMA_VERSION + 1)
    report(data, "mood-zerogen")
    monkeypatch.undo()
    said = cautions(tasks, data)
    assert said == [
        "The report of mood was made by an older release: materialize it again.",
        "The report of mood-zerogen is damaged or has another schema than this release's "
        f"({schemas.SCHEMA_VERSION}): materialize it again.",
    ]


def test_a_damaged_report_is_named(tasks: TaskFolder, data: DataFolder, tmp_path: Path) -> None:
    made_from(data, "mood")
    (tmp_path / "data/quality_report/mood.json").write_text("{")
    methods = comparison.gather(tasks, data)
    assert methods[0].report is None
    assert (methods[0].stale or "").startswith("is damaged")


def test_nothing_made_is_no_failure(tasks: TaskFolder, data: DataFolder) -> None:
    assert make(tasks, data)["made"].to_list() == [False, False]
