"""`make refine`: rounds on the simulator with a name in every row, and what is left afterwards."""

import functools
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

import simulator
from dagster_project import run
from simulator.app import create_app
from simulator.habits import Habits
from targen.settings import Settings, variable

NAME = "Elara Voss"
OURS = [variable(name) for name in Settings.__dataclass_fields__]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("refine")


@pytest.fixture(autouse=True)
def settings(work: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in OURS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DAGSTER_HOME", str(work / "home"))
    monkeypatch.setenv("TARGEN_DATA_DIR", str(work / "data"))
    monkeypatch.setenv("TARGEN_ROWS", "48")
    monkeypatch.setenv("TARGEN_EXPECTATIONS", "off")
    named = functools.partial(create_app, habits=Habits(name=NAME))
    monkeypatch.setattr(simulator, "application", named)
    yield


def rows(work: Path, asset: str = "corrected_set") -> pl.DataFrame:
    return pl.read_parquet(work / f"data/{asset}/rte.parquet")


def with_name(table: pl.DataFrame) -> int:
    return int(table["hypothesis"].str.contains(NAME, literal=True).sum())


def test_rounds_replace_rows_and_the_next_refine_makes_no_call(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main(["--refine", "rte", "--rounds", "1"]) == 0
    said = capsys.readouterr().out
    assert "Rounds made now: 1;" in said and "Stopped because 1 of 1 rounds are made." in said
    table = rows(work)
    entered = table.drop_nulls("target_id")
    assert table.height == 48 and entered.height >= 8
    assert with_name(entered) == 0
    gone = rows(work, "rejected/corrected_set").filter(pl.col("detail").str.contains("replaced by"))
    assert gone.height == entered.height and set(gone["reason"]) == {"surplus"}
    assert run.main(["--refine", "rte", "--rounds", "1"]) == 0
    assert "Rounds made now: 0; no call was made." in capsys.readouterr().out
    assert rows(work).equals(table)


def test_the_audit_follows_every_row_to_its_target(work: Path) -> None:
    from typer.testing import CliRunner

    from targen.cli import app

    found = CliRunner().invoke(app, ["audit", "--sample", "48", "--task", "rte"])
    assert found.exit_code == 0, found.output
    (one,) = rows(work).drop_nulls("target_id").head(1).to_dicts()
    told = CliRunner().invoke(app, ["audit", one["instance_id"]]).output
    assert f"written in round 1 for the target {one['target_id']}" in told
    assert "Verified" in told


def test_a_mistake_in_the_file_stops_before_the_first_call(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = work / "data/targets/rte.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("status: approved", "status: aproved", 1), encoding="utf-8")
    assert run.main(["--refine", "rte"]) == 1
    assert "did you mean 'approved'?" in capsys.readouterr().err
    path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rounds", "0"], "ROUNDS=0: it must be a whole number from 1 to 100\n"),
        (["--rounds", "-1"], "ROUNDS=-1: it must be a whole number from 1 to 100\n"),
        (["--rounds", "two"], "ROUNDS=two: it must be a whole number from 1 to 100\n"),
        (["--rounds", "1e400"], "ROUNDS=1e400: it must be a whole number from 1 to 100\n"),
        (["--rounds", "101"], "ROUNDS=101: it must be a whole number from 1 to 100\n"),
        (["--budget", "0"], "BUDGET=0: it must be a number of US dollars above 0; leave it out"),
        (["--budget=-1"], "BUDGET=-1: it must be a number of US dollars above 0; leave it out"),
    ],
)
def test_a_wrong_number(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main(["--refine", "rte", *arguments]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("task", "why"),
    [
        (
            "rte-data-creator",
            "and example_growth does not write rows one by one. Make",
        ),
        ("rte-contrast", "and a row of a contrast set cannot be replaced without the others"),
    ],
)
def test_a_recipe_that_cannot_write_for_targets(
    task: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main(["--refine", task]) == 1
    said = capsys.readouterr().err
    assert f"{task}: targets cannot be made with the operator " in said
    assert why in said
    assert "such as targen" in said
