"""A run task, a web server and a browser: what the tests of pages share.

Set TARGEN_PICTURES to a folder to keep the pictures that the tests take (the README's own).
"""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.specs import ROOT

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
STARTS_WITHIN_S = 180
STRICT = "rte-strict"
"""A task whose gate fails."""
TAKING = bool(os.environ.get("TARGEN_PICTURES"))
"""The pictures are for keeping, so they show runs of the size that a reader will see."""


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the environment of a run of `rte`, whose tables and records are there."""
    if not CHROMIUM:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    folder = tmp_path_factory.mktemp("browser")
    environment = fresh(folder)
    tasks = folder / "tasks"
    shutil.copytree(ROOT / "tasks", tasks)
    (tasks / f"{STRICT}.yaml").write_text(
        f"name: {STRICT}\nextends: rte\ngates:\n  - {{metric: rows, at_least: 999}}\n"
    )
    environment["TARGEN_TASKS_DIR"] = str(tasks)
    run(environment, "rte")
    return environment


@pytest.fixture(scope="session")
def refused(made: dict[str, str], grown: None) -> str:
    """Return what a run whose gate fails writes to the terminal.

    It is the last run, because the UI shows the latest result of a check over all partitions.
    """
    done = called({**made, "TARGEN_EXPECTATIONS": "off"}, STRICT)
    assert done.returncode == 1
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def grown(made: dict[str, str]) -> None:
    """Make rte twice more, so that three reports can be plotted."""
    for rows in ("36", "40"):
        run({**made, "TARGEN_ROWS": rows, "TARGEN_EXPECTATIONS": "off"}, "rte")


def fresh(folder: Path) -> dict[str, str]:
    """Return the environment of runs on the simulator that keep all they make in `folder`."""
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(folder / "home"),
        "TARGEN_DATA_DIR": str(folder / "data"),
        # Label noise is not estimated for fewer than 30 rows.
        "TARGEN_ROWS": "100" if TAKING else "32",
        "PYTHONWARNINGS": "ignore",
    }
    environment.pop("TARGEN_MODEL", None)
    return environment


def run(environment: dict[str, str], *arguments: str) -> None:
    """Run a task, or what else `dagster_project.run` takes."""
    done = called(environment, *arguments)
    assert done.returncode == 0, done.stderr


def called(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dagster_project.run", *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture(scope="session")
def server(made: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of Dagster's web server over that run."""
    with serving(made, tmp_path_factory.mktemp("server") / "log.txt") as address:
        yield address


@contextmanager
def serving(environment: dict[str, str], log: Path) -> Iterator[str]:
    """Run Dagster's web server as `make ui` does; yield its address."""
    port = _free_port()
    command = [sys.executable, "-m", "targen_dagster.webserver", "--workspace", "workspace.yaml"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        address = f"http://127.0.0.1:{port}"
        try:
            _wait_for(f"{address}/server_info", process, log)
            yield address
        finally:
            process.terminate()
            process.wait(20)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < give_up:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"the web server did not start:\n{log.read_text()[-2000:]}")


# Not for the whole session: while Playwright is open its event loop counts as running in this
# thread, and nothing else that is asynchronous can be tested.
@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """Yield a headless Chromium."""
    with chromium() as opened:
        yield opened


@contextmanager
def chromium(*flags: str) -> Iterator[object]:
    """Run a headless Chromium, with more flags."""
    if not CHROMIUM:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, *flags])
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder for pictures."""
    kept = os.environ.get("TARGEN_PICTURES")
    folder = Path(kept).resolve() if kept else tmp_path_factory.mktemp("pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
