"""`make ui`: it serves this machine only, and stops on Ctrl-C however it was started.

What the UI shows is tested in `tests/browser`.
"""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from dagster_project import home, ui

IGNORING = (
    "import signal, os, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv({0}, {1})"
)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def answers(url: str, server: subprocess.Popen[bytes]) -> bool:
    for _ in range(240):
        if server.poll() is not None:
            return False
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return True
        except OSError:
            time.sleep(0.5)
    return False


def test_it_stops_on_an_interrupt_that_a_script_made_it_ignore(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "dagster_project.ui", str(port)]
    server = subprocess.Popen(
        [sys.executable, "-c", IGNORING.format(repr(sys.executable), command)],
        cwd=home.ROOT,
        env={**os.environ, "DAGSTER_HOME": str(tmp_path / "home")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert answers(f"http://127.0.0.1:{port}/server_info", server)
        server.send_signal(signal.SIGINT)
        server.wait(timeout=60)
    finally:
        server.kill()
        server.wait()


def test_a_home_that_cannot_be_made_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "file"))
    assert ui.main([]) == 1
    assert capsys.readouterr().err.startswith("error: Cannot write in DAGSTER_HOME")


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http", ""])
def test_a_port_that_is_none(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ui.main([port]) == 1
    assert "PORT must be a number from 1 to 65535" in capsys.readouterr().err


def test_a_port_that_is_taken_is_one_error(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert ui.main([str(port)]) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert f"port {port} cannot be used" in told and "make ui PORT=" in told
