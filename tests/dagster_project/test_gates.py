"""Gates in a run: an error stops what comes after the report, a warning only warns."""

from pathlib import Path

import pytest
from dagster import AssetKey, DagsterInstance

from dagster_project import home, run
from tests.specs import MOOD, RECIPES, write_task

GATED = """\
gates:
  - {metric: rows, at_least: %s, severity: %s}
  - {metric: label_noise, at_most: 0.1, severity: warn}
"""


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TARGEN_MODEL", "TARGEN_STORE_URL", "TARGEN_BUDGET_USD", "TARGEN_ROWS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TARGEN_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TARGEN_TASKS_DIR", str(tmp_path / "tasks"))
    monkeypatch.setenv("TARGEN_RECIPES_DIR", str(RECIPES))
    monkeypatch.chdir(home.ROOT)


def made(folder: Path, capsys: pytest.CaptureFixture[str], text: str) -> tuple[int, str]:
    write_task(folder / "tasks", MOOD + text)
    capsys.readouterr()
    status = run.main(["mood"])
    return status, capsys.readouterr().err


def test_an_error_ends_the_run_and_a_warning_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, err = made(tmp_path, capsys, GATED % (9, "error"))
    assert status == 1
    assert err.startswith(
        "error: mood: quality_report: its gates do not hold: Rows: 8; wanted at least 9. Labels "
        "that are still wrong: not measured, because fewer than 30 rows"
    )
    assert err.count("\n") == 1
    assert (tmp_path / "data/quality_report/mood.html").exists()
    assert made(tmp_path, capsys, GATED % (9, "warn")) == (0, "")
    assert made(tmp_path, capsys, GATED % (8, "error")) == (0, "")
    with DagsterInstance.get() as instance:
        records = instance.event_log_storage.get_latest_asset_check_execution_by_key(
            [key for key in _keys() if key.name == "gates"]
        )
    (found,) = records.values()
    assert found.event.asset_check_evaluation.metadata["not_measured"].value == 1


def _keys() -> list:
    from dagster import AssetCheckKey

    return [AssetCheckKey(AssetKey("quality_report"), name) for name in ("contract", "gates")]
