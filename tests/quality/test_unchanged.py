"""The report and the targets of a run in which nothing changed are taken from the data folder."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dagster_project import home, run
from targen.quality import report, unchanged
from targen.quality.inputs import ReportInputs
from targen.targeting import detectors
from targen.targeting.gaps import View
from targen.tasks.targets import Target
from tests.support.specs import MOOD, use_folder, write_task

Made = Callable[[str], list[str]]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    """Returns a function that runs the task and returns what was computed."""
    use_folder(tmp_path, monkeypatch)
    monkeypatch.delenv("TARGEN_BUDGET_USD", raising=False)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TARGEN_EXPECTATIONS", "off")
    monkeypatch.chdir(home.ROOT)
    computed: list[str] = []
    build, targets = report.build, detectors.targets

    def noted_build(inputs: ReportInputs) -> report.Report:
        computed.append("build")
        return build(inputs)

    def noted_targets(view: View) -> list[Target]:
        computed.append("targets")
        return targets(view)

    monkeypatch.setattr(report, "build", noted_build)
    monkeypatch.setattr(detectors, "targets", noted_targets)

    def call(text: str = MOOD) -> list[str]:
        write_task(tmp_path / "tasks", text)
        computed.clear()
        assert run.main(["mood"]) == 0
        return list(computed)

    return call


def contents(folder: Path) -> dict[str, bytes]:
    names = ("quality_report", "targets")
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for name in names
        for path in sorted((folder / name).iterdir())
    }


def test_nothing_is_computed_again_unless_task_code_or_library_changed(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert made(MOOD) == ["build", "targets"]
    before = contents(tmp_path / "data")
    assert {Path(name).suffix for name in before} == {".parquet", ".json", ".html", ".yaml"}
    assert made(MOOD) == []
    assert contents(tmp_path / "data") == before
    assert made(MOOD + "gates: [{metric: rows, at_least: 2}]\n") == ["build", "targets"]
    monkeypatch.setattr(unchanged, "_code", lambda: "other")
    assert made(MOOD) == ["build", "targets"]
    known = unchanged.version
    monkeypatch.setattr(unchanged, "version", lambda name: known(name) + "1")
    assert made(MOOD) == ["build", "targets"]


def test_changed_and_lost_pages_are_made_again(made: Made, tmp_path: Path) -> None:
    made(MOOD)
    before = contents(tmp_path / "data")
    page = tmp_path / "data/quality_report/mood.html"
    page.write_bytes(page.read_bytes().replace(b"a", b"b", 1))
    assert made(MOOD) == ["build"]
    (tmp_path / "data/targets/mood.html").write_bytes(b"")
    assert made(MOOD) == ["targets"]
    page.with_suffix(".json").unlink()
    assert made(MOOD) == ["build"]
    after = contents(tmp_path / "data")
    # The report's page shows the run that made it.
    assert after.pop("quality_report/mood.html")
    assert after == {key: before[key] for key in after}


def test_an_edited_file_of_targets_is_computed_once_and_kept(made: Made, tmp_path: Path) -> None:
    made(MOOD)
    path = tmp_path / "data/targets/mood.yaml"
    edited = "# Looked at.\n" + path.read_text()
    path.write_text(edited)
    assert made(MOOD) == ["targets"]
    assert made(MOOD) == []
