"""DAGSTER_HOME is made ready once, also by several processes at once."""

import errno
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dagster_project import home
from targen.errors import TargenError


def test_several_processes_share_an_empty_home(tmp_path: Path) -> None:
    environment = {**os.environ, "DAGSTER_HOME": str(tmp_path / "home")}
    (tmp_path / "home").mkdir(mode=0o755)
    command = [sys.executable, "-W", "error", "-m", "dagster_project.home"]
    started = [
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, cwd=home.ROOT, text=True, umask=0o022
        )
        for _ in range(3)
    ]
    outputs = [process.communicate(timeout=60)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0]
    assert set(outputs) == {f"{tmp_path / 'home'}\n"}
    settings = yaml.safe_load((tmp_path / "home/dagster.yaml").read_text())
    files = [path for path in (tmp_path / "home").rglob("*.db") if path.is_file()]
    # Its databases have samples of rows.
    assert files and {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert settings["telemetry"] == {"enabled": False} and settings["nux"] == {"enabled": False}


def test_the_home_of_nobody_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "~no-such-user/home")
    with pytest.raises(TargenError, match="DAGSTER_HOME: '~no-such-user/home' begins with ~"):
        home.prepare()


def test_settings_that_are_there_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    assert home.prepare() == tmp_path
    assert (tmp_path / "dagster.yaml").read_text() == "telemetry: {enabled: false}\n"


def test_a_home_that_cannot_be_made_is_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "file"))
    with pytest.raises(TargenError, match="Cannot write in DAGSTER_HOME"):
        home.prepare()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -n 4096"),
        (OSError(errno.ENFILE, "Too many open files"), "ulimit -n 4096"),
        (MemoryError(), "Out of memory"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "/some/home cannot"),
        (sqlite3.OperationalError("unable to open database file"), "exists, is writable"),
        (sqlite3.OperationalError("no such table: runs"), "run again"),
    ],
)
def test_trouble_of_the_machine_is_one_message(
    error: Exception, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "/some/home")
    outer = RuntimeError("while handling an event")
    outer.__cause__ = error
    for one in (error, outer):
        assert message in str(home.lost(one))


def test_other_errors_keep_their_trace() -> None:
    for error in (ValueError("x"), OSError(errno.ENOENT, "x"), sqlite3.OperationalError("syntax")):
        assert home.lost(error) is None


def test_a_home_that_became_read_only_is_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / ".targen-ready").touch()
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    # The administrator, who runs some tests, may write everywhere.
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(TargenError, match="Cannot write in DAGSTER_HOME .*Permission denied"):
        home.prepare()
