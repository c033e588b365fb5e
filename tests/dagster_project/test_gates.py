"""Gates and expectations in a run: an error stops what comes after, a warning only warns."""

from pathlib import Path
from typing import Any

import pytest
from dagster import (
    AssetCheckEvaluation,
    AssetCheckKey,
    AssetCheckSeverity,
    AssetKey,
    DagsterInstance,
)

from dagster_project import alerts, home, run
from targen.steps import STEPS
from tests.support.specs import MOOD, RECIPES, write_task

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
    monkeypatch.setenv("TARGEN_EXPECTATIONS", "off")
    monkeypatch.setenv("TARGEN_RECIPES_DIR", str(RECIPES))
    monkeypatch.chdir(home.ROOT)


def made(folder: Path, capsys: pytest.CaptureFixture[str], text: str) -> tuple[int, str]:
    write_task(folder / "tasks", MOOD + text)
    status, _, err = shell(capsys, "mood")
    return status, err


def shell(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    status = run.main(words)
    return status, *capsys.readouterr()


def test_an_error_ends_the_run_and_a_warning_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, err = made(tmp_path, capsys, GATED % (9, "error"))
    assert status == 1
    wanted = "quality_report: gate_rows failed: Rows: 8; required: at least 9."
    assert err == f"error: mood: {wanted}\n"
    assert (tmp_path / "data/quality_report/mood.html").exists()
    assert made(tmp_path, capsys, GATED % (9, "warn")) == (0, "")
    assert made(tmp_path, capsys, GATED % (8, "error")) == (0, "")
    (rows,), (noise,) = checks("gate_rows"), checks("gate_label_noise")
    assert rows.passed and rows.metadata["value"].value == 8
    assert rows.metadata["at_least"].value == 8
    assert not noise.passed and noise.severity == AssetCheckSeverity.WARN
    assert noise.metadata["state"].value == "not measured"
    assert checks("expectations") == []


def test_the_last_lines_name_every_gate_and_strict_makes_warnings_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_task(tmp_path / "tasks", MOOD + GATED % (8, "error"))
    status, out, err = shell(capsys, "mood")
    assert (status, err) == (0, "")
    heading, passed, warned = out.splitlines()[-3:]
    assert heading == "Gates of mood (simulated rows): 1 passed, 1 warned, 0 failed"
    assert passed == "  passed  rows: Rows: 8; required: at least 8."
    assert warned.startswith("  warned  label_noise: Estimated label errors: not measured")
    status, again, err = shell(capsys, "mood", "--strict")
    assert status == 1 and again.splitlines()[-3:] == [heading, passed, warned]
    assert err == "error: gates warn, and --strict makes warnings fail: mood (label_noise)\n"


def test_a_failed_gate_of_another_task_stays_in_the_list_of_checks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], webhook: list[dict[str, Any]]
) -> None:
    write_task(
        tmp_path / "tasks",
        (MOOD + GATED % (8, "error")).replace("name: mood", "name: calm"),
        "calm",
    )
    assert made(tmp_path, capsys, GATED % (9, "warn")) == (0, "")
    (every,) = checks("gates_of_all_tasks")
    assert every.partition == "mood" and every.metadata["failed_gates"].value == 1
    webhook.clear()
    assert shell(capsys, "calm")[0] == 0
    (rows,), (every,) = checks("gate_rows"), checks("gates_of_all_tasks")
    assert rows.passed and not every.passed and not every.blocking
    assert (every.partition, every.severity) == ("calm", AssetCheckSeverity.WARN)
    assert every.description == "Gates failed in mood."
    assert "mood, gate" in every.metadata["found"].value.replace("\\", "")
    assert not any("mood" in body["message"] for body in webhook)
    assert made(tmp_path, capsys, GATED % (8, "error")) == (0, "")
    (every,) = checks("gates_of_all_tasks")
    assert every.passed and every.metadata["tasks"].value == 2


def test_strict_releases_nothing_that_a_gate_warns_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert made(tmp_path, capsys, GATED % (8, "error")) == (0, "")
    status, out, err = shell(capsys, "--release", "mood", "--strict")
    assert status == 1 and "warned  label_noise" in out
    assert err.startswith("error: mood is not released: gates warn")
    assert not (tmp_path / "data/releases").exists()
    status, out, err = shell(capsys, "--release", "mood")
    assert (status, err) == (0, "")
    assert "Release of 8 simulated rows:" in out and "this is not training data" in out
    assert out.splitlines()[-1].startswith("  warned  label_noise")
    (card,) = (tmp_path / "data/releases/mood").glob("*/README.md")
    assert "- Not measured: Estimated label errors" in card.read_text()


def test_a_gate_that_fails_is_named_and_the_run_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_task(tmp_path / "tasks", MOOD + GATED % (9, "error"))
    status, out, _ = shell(capsys, "mood")
    assert status == 1
    assert "  failed  rows: Rows: 8; required: at least 9." in out.splitlines()


def test_a_run_in_the_shell_alerts_with_the_check_names_and_texts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], webhook: list[dict[str, Any]]
) -> None:
    noise = "quality_report, gate_label_noise: Estimated label errors: not measured"
    assert made(tmp_path, capsys, GATED % (9, "error"))[0] == 1
    (failed,) = webhook
    assert (failed["what"], failed["job"], failed["task"]) == ("failed", "dataset", "mood")
    gate, *warned = failed["message"].splitlines()
    assert gate == "quality_report: gate_rows failed: Rows: 8; required: at least 9."
    assert [line.startswith(noise) for line in warned].count(True) == 1
    assert not any("gate_rows" in line for line in warned)
    webhook.clear()
    assert made(tmp_path, capsys, GATED % (9, "warn")) == (0, "")
    (warns,) = webhook
    assert warns["what"] == "warns"
    lines = warns["message"].splitlines()
    wanted = "quality_report, gate_rows: Rows: 8; required: at least 9 (warning only)."
    assert wanted in lines and any(line.startswith(noise) for line in lines)


def test_an_alert_that_cannot_be_sent_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TARGEN_ALERT_WEBHOOK", "http://127.0.0.1:9/token-canary")
    monkeypatch.setattr(alerts, "_PAUSES_S", ())
    status, err = made(tmp_path, capsys, GATED % (8, "error"))
    assert status == 0 and "canary" not in err
    assert err.startswith("warning: No alert was sent: TARGEN_ALERT_WEBHOOK cannot be reached")


OWN = """\
expectations:
  corrected_set:
    - type: expect_column_values_to_not_match_regex
      kwargs: {column: note, regex: .}
      severity: %s
"""


def test_expectations_are_checked_table_by_table_and_shown_on_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TARGEN_EXPECTATIONS", "on")
    assert made(tmp_path, capsys, OWN % "warn") == (0, "")
    page = (tmp_path / "data/expectations/mood/index.html").read_text()
    assert all(f'id="{step}"' in page for step in STEPS)
    found = {one.asset_key.path[-1]: one for one in checks("expectations")}
    assert set(found) == set(STEPS)
    assert [step for step, one in found.items() if not one.passed] == ["corrected_set"]
    assert found["corrected_set"].severity == AssetCheckSeverity.WARN
    result = found["corrected_set"].metadata["result"].value
    assert result["statistics"]["unsuccessful_expectations"] == 1
    assert str(found["seeds"].metadata["page"].value).endswith("/index.html")
    report = (tmp_path / "data/quality_report/mood.html").read_text()
    assert 'href="../expectations/mood/index.html"' in report
    status, err = made(tmp_path, capsys, OWN % "error")
    assert status == 1 and "corrected_set: its expectations do not hold: `note values" in err


def checks(name: str) -> list[AssetCheckEvaluation]:
    keys = [AssetCheckKey(AssetKey(step), name) for step in STEPS]
    with DagsterInstance.get() as instance:
        found = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    return [record.event.asset_check_evaluation for record in found.values() if record.event]


TWO = """\
gates:
  - {metric: rows, at_least: 9}
  - {metric: calls, at_most: 1}
  - {metric: rows, at_most: 7, severity: warn}
"""


def test_every_failed_gate_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, err = made(tmp_path, capsys, TWO)
    assert status == 1
    for name in ("gate_rows", "gate_calls"):
        assert f"quality_report: {name} failed: " in err
    (mild,) = checks("gate_rows_2")
    assert mild.severity == AssetCheckSeverity.WARN and not mild.passed


def test_a_gate_that_a_task_no_longer_sets_is_not_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_task(tmp_path / "tasks", MOOD.replace("name: mood", "name: other") + TWO, "other")
    assert made(tmp_path, capsys, "gates: [{metric: rows, at_least: 8}]\n") == (0, "")
    (rows,), other = checks("gate_rows"), checks("gate_calls")
    # Planned, but without a result: the UI shows it as skipped.
    assert rows.passed and other == [None]
