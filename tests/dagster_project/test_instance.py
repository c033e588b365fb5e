"""The classes of `dagster.yaml`: output of runs in files, and runs whose process was killed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dagster import DagsterInstance, DagsterRun

from dagster_project import home
from targen_dagster.instance import (
    PROCESS_TAG,
    FileComputeLogManager,
    MonitoredRunLauncher,
    process_alive,
    this_process,
)

CAPTURE = """
import os, sys
from targen_dagster.instance import FileComputeLogManager
logs = FileComputeLogManager()
logs.mirror = "mirror" in sys.argv
with logs.capture_logs(["run", "compute_logs", "step"]):
    print("from Python")
    sys.stdout.flush()
    os.write(1, b"from below\\n")
    print("a warning", file=sys.stderr)
print("after")
"""


def captured(folder: Path, *arguments: str) -> tuple[str, str, str]:
    done = subprocess.run(
        [sys.executable, "-c", CAPTURE, *arguments],
        cwd=home.ROOT, env={"DAGSTER_HOME": str(folder), "PYTHONPATH": str(home.ROOT)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    logs = folder / "storage/run/compute_logs"
    assert (logs / "step.complete").exists()
    return done.stdout, (logs / "step.out").read_text(), (logs / "step.err").read_text()


def test_the_output_of_a_run_is_kept(tmp_path: Path) -> None:
    terminal, out, err = captured(tmp_path)
    assert terminal == "after\n"
    assert (out, err) == ("from Python\nfrom below\n", "a warning\n")


def test_a_terminal_shows_it_too(tmp_path: Path) -> None:
    terminal, out, err = captured(tmp_path, "mirror")
    assert "from Python\n" in terminal and "after\n" in terminal
    assert (out, err) == ("from Python\n", "a warning\n")


def test_a_process_is_alive_until_it_ends() -> None:
    assert process_alive(this_process()) is True
    code = "from targen_dagster.instance import this_process; print(this_process(), flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", f"{code}; input()"],
        cwd=home.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        tag = process.stdout.readline()
        assert process_alive(tag) is True
        process.kill()
    assert process_alive(tag) is False


@pytest.mark.parametrize(
    ("changes", "alive"),
    [({"since": "1"}, False), ({"host": "another"}, None), ({"pid": "x"}, None)],
)
def test_another_process_with_its_number_is_not_it(changes: dict, alive: bool | None) -> None:
    assert process_alive(json.dumps(json.loads(this_process()) | changes)) is alive
    assert process_alive("no JSON") is None


def test_a_killed_run_is_not_healthy() -> None:
    launcher = MonitoredRunLauncher()
    assert launcher.supports_check_run_worker_health

    def status(**tags: str) -> str:
        return launcher.check_run_worker_health(DagsterRun("dataset", tags=tags)).status.value

    assert status(**{PROCESS_TAG: this_process()}) == "RUNNING"
    killed = json.dumps(json.loads(this_process()) | {"since": "1"})
    assert status(**{PROCESS_TAG: killed}) == "FAILED"
    assert status() == "RUNNING"


def test_a_new_home_uses_them_and_an_unchanged_copy_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    home.prepare()
    with DagsterInstance.get() as instance:
        assert isinstance(instance.compute_log_manager, FileComputeLogManager)
        assert isinstance(instance.run_launcher, MonitoredRunLauncher)
        assert instance.run_monitoring_enabled
        assert instance.run_monitoring_poll_interval_seconds <= 60
    file = tmp_path / "dagster.yaml"
    file.write_text("telemetry: {enabled: false}\n")
    home.prepare()
    assert yaml.safe_load(file.read_text()) == {"telemetry": {"enabled": False}}
    former = {home.hashlib.sha256(file.read_bytes()).hexdigest()}
    monkeypatch.setattr(home, "_FORMER", former)
    home.prepare()
    assert yaml.safe_load(file.read_text())["run_monitoring"]["enabled"]
