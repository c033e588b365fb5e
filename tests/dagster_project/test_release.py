"""A release by its job: made once, refused by a failed gate, its check finds what was changed."""

from pathlib import Path

import pytest
from dagster import AssetKey, DagsterInstance

from dagster_project import home, run
from dagster_project.definitions import build_defs
from targen.steps import STEPS
from tests.support.specs import MOOD, RECIPES, write_task


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TARGEN_MODEL", "TARGEN_STORE_URL", "TARGEN_BUDGET_USD"):
        monkeypatch.delenv(name, raising=False)
    # Set, so that what the command makes of it is undone.
    monkeypatch.setenv("TARGEN_ROWS", "")
    monkeypatch.setenv("TARGEN_EXPECTATIONS", "off")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TARGEN_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TARGEN_TASKS_DIR", str(tmp_path / "tasks"))
    monkeypatch.setenv("TARGEN_RECIPES_DIR", str(RECIPES))
    monkeypatch.chdir(home.ROOT)


def test_a_task_is_released_once_it_passes_its_gates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def shell(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = run.main(arguments)
        return status, *capsys.readouterr()

    write_task(tmp_path / "tasks", MOOD + "gates: [{metric: rows, at_least: 9}]\n")
    status, _, err = shell("--release", "mood")
    assert status == 1 and "error: mood: release: The table" in err and "does not exist" in err
    assert shell("mood")[0] == 1
    status, _, err = shell("--release", "mood")
    assert status == 1 and err.count("\n") == 1
    assert "mood is not released: gate rows: Rows: 8; required: at least 9." in err
    assert not (tmp_path / "data/releases").exists()

    write_task(tmp_path / "tasks", MOOD + "gates: [{metric: rows, at_least: 8}]\n")
    assert "made for another version of the task" in shell("--release", "mood")[2]
    assert shell("mood")[0] == 0
    status, out, err = shell("--release", "mood")
    assert (status, err) == (0, "")
    folder = next(Path(line.strip()) for line in out.splitlines() if "/releases/" in line)
    assert folder.parent == tmp_path / "data/releases/mood"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert shell("--release", "mood")[0] == 0
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}

    # More rows are wanted by now: those that stand are released.
    gates = "gates: [{metric: rows, at_least: 8}]\n"
    write_task(tmp_path / "tasks", MOOD.replace("rows: 8", "rows: 20") + gates)
    assert shell("--release", "mood")[0] == 0
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    monkeypatch.setenv("TARGEN_ROWS", "20")
    status, _, err = shell("--release", "mood")
    assert status == 1
    assert (
        "they have 8 rows, but 20 are requested; TARGEN_ROWS=8 releases the current tables" in err
    )
    monkeypatch.setenv("TARGEN_ROWS", "8")

    with DagsterInstance.get() as instance:
        event = instance.get_latest_materialization_event(AssetKey("release"))
    said = {name: one.value for name, one in event.asset_materialization.metadata.items()}
    assert said["version"] == folder.name and said["path"] == str(folder)
    assert said["dagster/row_count"] == 8 == sum(said["rows_by_split"].values())
    assert "| `train` |" in said["rows_by_split_and_label"] and said["simulated"] is True

    (folder / "README.md").write_text("forged")
    status, _, err = shell("--release", "mood")
    assert status == 1 and "README.md differs" in err
    assert (folder / "README.md").read_text() == "forged"


def test_a_run_that_makes_all_assets_makes_no_release(tmp_path: Path) -> None:
    write_task(tmp_path / "tasks", MOOD)
    built = build_defs()
    with DagsterInstance.ephemeral() as instance:
        job = built.resolve_implicit_global_asset_job_def()
        done = job.execute_in_process(instance=instance, partition_key="mood")
        made = {e.asset_key.path[-1] for e in done.get_asset_materialization_events()}
        assert done.success and made == {*STEPS, "comparison", "targets"}
        assert not (tmp_path / "data/releases").exists()
        # The run can be found by its method and its base task.
        tags = instance.get_run_by_id(done.run_id).tags
        assert (tags["targen/recipe"], tags["targen/base"]) == ("targen", "mood")
        only = [AssetKey("release")]
        done = job.execute_in_process(instance=instance, partition_key="mood", asset_selection=only)
        assert len(done.get_asset_materialization_events()) == 1
        assert (tmp_path / "data/releases/mood").exists()
