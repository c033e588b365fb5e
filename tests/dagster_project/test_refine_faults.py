"""Refining against a priced endpoint on the loopback: killed, out of budget, and as a job."""

import asyncio
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import uvicorn
from ruamel.yaml import YAML

from dagster_project import home, run
from simulator.app import MODEL, create_app
from simulator.habits import Habits
from targen.settings import Settings, variable

CUE = Habits(cue=("entailment", "evidently"))
OURS = [variable(name) for name in Settings.__dataclass_fields__]
PRICES = f"models: [{{model: {MODEL}, prompt: 1.0, completion: 4.0}}]\n"
MOST_PAID_TWICE = 16


class Endpoint:
    """The simulator behind HTTP, which counts the calls and can be slow."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.seconds = 0.0
        self._app = create_app(habits=CUE)
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._count,
                host="127.0.0.1",
                port=0,
                log_level="error",
                lifespan="off",
                interface="asgi3",
            )
        )
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def start(self) -> str:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}/v1"

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()

    async def _count(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", scope["type"] == "http" and scope["method"] == "POST"
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        if body and scope["path"].endswith("completions"):
            self.calls[hashlib.sha256(body).hexdigest()] += 1
            await asyncio.sleep(self.seconds)

        async def again() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, again, send)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[tuple[Endpoint, str]]:
    one = Endpoint()
    yield one, one.start()
    one.stop()


@pytest.fixture(autouse=True)
def settings(
    endpoint: tuple[Endpoint, str], tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    folder = tmp_path_factory.getbasetemp()
    prices = folder / "prices.yaml"
    prices.write_text(PRICES)
    for name in OURS:
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "DAGSTER_HOME": str(folder / "refine-home"),
        "TARGEN_ROWS": "48",
        "TARGEN_EXPECTATIONS": "off",
        "TARGEN_MODEL": MODEL,
        "TARGEN_CONCURRENCY": "4",
        "TARGEN_PRICES": str(prices),
        "OPENAI_BASE_URL": endpoint[1],
        "OPENAI_API_KEY": "none",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(home.ROOT)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("made") / "data"


@pytest.fixture
def data(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with a finished set, made once."""
    if not made.exists():
        monkeypatch.setenv("TARGEN_DATA_DIR", str(made))
        assert run.main(["rte"]) == 0
    folder = tmp_path / "data"
    shutil.copytree(made, folder)
    monkeypatch.setenv("TARGEN_DATA_DIR", str(folder))
    return folder


def rows(data: Path) -> pl.DataFrame:
    return pl.read_parquet(data / "corrected_set/rte.parquet")


def test_a_refine_that_is_killed_goes_on(
    endpoint: tuple[Endpoint, str], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = endpoint[0]
    other = tmp_path / "other"
    shutil.copytree(data, other)
    served.calls.clear()
    assert run.main(["--refine", "rte", "--rounds", "1"]) == 0
    whole = rows(data)
    assert whole["target_id"].drop_nulls().len() >= 6
    needed = dict(served.calls)
    assert set(needed.values()) == {1}

    monkeypatch.setenv("TARGEN_DATA_DIR", str(other))
    served.calls.clear()
    served.seconds = 0.3
    command = [sys.executable, "-m", "dagster_project.run", "--refine", "rte", "--rounds", "1"]
    with subprocess.Popen(command, env=dict(os.environ), stdout=subprocess.DEVNULL) as process:
        while served.calls.total() < len(needed) // 2 and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    served.seconds = 0.0
    assert not rows(other)["target_id"].drop_nulls().len()
    assert run.main(["--refine", "rte", "--rounds", "1"]) == 0
    assert rows(other).equals(whole)
    assert set(served.calls) == set(needed)
    assert sum(count - 1 for count in served.calls.values()) <= MOST_PAID_TWICE

    from typer.testing import CliRunner

    from targen.cli import app

    found = CliRunner().invoke(app, ["audit", "--sample", "48", "--task", "rte"])
    assert found.exit_code == 0 and "Verified: 48 rows" in found.output, found.output
    served.calls.clear()
    assert run.main(["--refine", "rte", "--rounds", "1"]) == 0
    assert not served.calls


def test_a_refine_ends_at_its_budget_and_the_next_one_goes_on(
    endpoint: tuple[Endpoint, str], data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    served = endpoint[0]
    served.calls.clear()
    assert run.main(["--refine", "rte", "--rounds", "1", "--budget", "0.009"]) == 1
    said = capsys.readouterr()
    assert "Stopped because the run failed" in said.out
    errors = [line for line in said.err.splitlines() if "budget" in line.lower()]
    assert len(errors) == 1, said.err
    first = served.calls.total()
    assert first and not rows(data)["target_id"].drop_nulls().len()
    assert run.main(["--refine", "rte", "--rounds", "1", "--budget", "1"]) == 0
    assert rows(data)["target_id"].drop_nulls().len() >= 6
    assert set(served.calls.values()) == {1}


@pytest.mark.parametrize(
    ("job", "config"),
    [
        ("find_targets", {}),
        ("refine", {"ops": {"refine_rounds": {"config": {"rounds": 1, "budget_usd": 1.0}}}}),
    ],
)
def test_the_jobs_run_from_outside_with_a_partition(
    data: Path, tmp_path: Path, job: str, config: dict[str, Any]
) -> None:
    """As the process that the interface starts: the job by its name, the partition as a tag."""
    home.prepare()
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps(config))
    command = [sys.executable, "-m", "dagster", "job", "execute", "-j", job, "-c", str(file)]
    command += ["-m", "dagster_project.definitions", "--tags", '{"dagster/partition": "rte"}']
    done = subprocess.run(
        command, env=dict(os.environ), capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    proposed = YAML(typ="safe").load((data / "targets/rte.yaml").read_text())
    assert len(proposed["rounds"]) == (job == "refine")
    entered = rows(data)["target_id"].drop_nulls().len()
    assert entered >= 6 if job == "refine" else entered == 0
