"""The comparison as an asset: what it reads, what it writes, and what is not there yet."""

from pathlib import Path

import polars as pl
import pytest
from dagster import materialize

from assets import comparison
from resources.data import DataFolder
from resources.io_manager import TablesIOManager
from resources.tasks import TaskFolder
from targen import tables as schemas
from targen.errors import TableError
from targen.places import place
from targen.quality.report import build
from targen.stored import Stored, Tables
from tests.quality.sample import inputs
from tests.specs import MOOD, RECIPES, write_task


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
        comparison.build(), resources={"tasks": tasks, "data": data, "io_manager": manager}
    )
    assert done.success
    (event,) = done.asset_materializations_for_node("comparison")
    table = Tables(place(data.data_dir)).read("comparison", "comparison").table
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
    assert dict(table.schema) == schemas.schema("comparison", {})
    assert table.select("base", "task", "recipe", "made").rows() == [
        ("mood", "mood", "targen", True),
        ("mood", "mood-zerogen", "zerogen", False),
    ]
    folder = tmp_path / "data/comparison"
    assert sorted(path.name for path in folder.iterdir()) == [
        "comparison.html",
        "comparison.json",
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


def test_a_damaged_report_is_named(tasks: TaskFolder, data: DataFolder, tmp_path: Path) -> None:
    report(data, "mood")
    (tmp_path / "data/quality_report/mood.json").write_text("{")
    with pytest.raises(TableError, match=r"mood\.json is no readable JSON.*quality_report of mood"):
        comparison.gather(tasks, data)


def test_nothing_made_is_no_failure(tasks: TaskFolder, data: DataFolder) -> None:
    assert make(tasks, data)["made"].to_list() == [False, False]
