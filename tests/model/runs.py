"""A model server and the runs of the product against it."""

import os
import re
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import sqlalchemy as sa

from targen.lineage import completions
from targen.lineage.completions import StoredCompletion
from targen.steps import UPSTREAM
from targen.store.completions import Store
from targen.store.schema import COMPLETIONS
from targen.tables.files import Stored, Tables, key_of
from targen.tables.storage import LocalStorage
from targen.tasks.loading import load_task
from tests.support.specs import RECIPES, ROOT, TASKS

ROWS = 12
CONCURRENCY = 4
BOUNDS = """
headroom: 2
steps:
  contexts: {count: 3, max_output_tokens: 200, extra: {repeat_penalty: 1.1}}
  seeds: {page: 3, max_output_tokens: 250, extra: {repeat_penalty: 1.1}}
  instances: {per_call: 1, retries: 1, max_output_tokens: 200, extra: {repeat_penalty: 1.1}}
  labels: {max_output_tokens: 40}
  correction: {max_output_tokens: 120}
"""
"""Changes to the tasks: few and short answers, so that a loop of the model costs seconds."""

RUN_S = 900
"""Seconds after which a run counts as hanging. A run takes some 6 minutes of CPU time."""


class ModelServer:
    """llama.cpp's server with the small model, by deploy/local/model.sh."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""

    def start(self) -> None:
        """Start it, or start it again on the same port; return when it answers."""
        self.folder.mkdir(exist_ok=True)
        self.url = self._script("start").strip()

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._script("kill")

    def stop(self) -> None:
        """End it if it runs."""
        self._script("stop")

    def _script(self, action: str) -> str:
        # Not captured by a pipe: the server inherits it and keeps it open.
        with (self.folder / "out").open("w+") as output:
            subprocess.run(
                [ROOT / "deploy" / "local" / "model.sh", action, self.folder],
                check=True,
                stdout=output,
                stdin=subprocess.DEVNULL,
            )
            output.seek(0)
            return output.read()


def copy_task(name: str, folder: Path) -> None:
    """Copy one of the repository's tasks into `folder`, with `BOUNDS`."""
    text = (TASKS / f"{name}.yaml").read_text(encoding="utf-8")
    assert not re.search(r"^(steps|headroom):", text, re.M)
    (folder / f"{name}.yaml").write_text(text + BOUNDS, encoding="utf-8")


@dataclass
class Result:
    """How a run ended.

    Attributes:
        status: the exit status.
        output: what it wrote to stdout.
        errors: what it wrote to stderr.
        seconds: wall time.
    """

    status: int
    output: str
    errors: str
    seconds: float

    @cached_property
    def messages(self) -> list[str]:
        """The errors for the user, one line each."""
        return [line for line in self.errors.splitlines() if line.startswith("error: ")]


class Runs:
    """`make run` for one task in one data folder."""

    def __init__(self, task: str, tasks: Path, data: Path, server: ModelServer) -> None:
        copy_task(task, tasks)
        self.task, self.tasks, self.data, self.server = task, tasks, data, server
        self.spec = load_task(task, tasks, RECIPES, ROWS)
        self.store_url = f"sqlite:///{data}/completions.db"

    def environment(self) -> dict[str, str]:
        """Return the environment of the product's commands."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TARGEN_", "DAGSTER_", "OPENAI_"))
        }
        return {
            **kept,
            "DAGSTER_HOME": str(self.data / "home"),
            "TARGEN_TASKS_DIR": str(self.tasks),
            "TARGEN_DATA_DIR": str(self.data),
            "TARGEN_ROWS": str(ROWS),
            "TARGEN_CONCURRENCY": str(CONCURRENCY),
            "TARGEN_MODEL": "smollm2",
            # One server behind any port.
            "TARGEN_ENDPOINT_NAME": "llama.cpp",
            "OPENAI_BASE_URL": self.server.url,
            "OPENAI_API_KEY": "none",
        }

    def start(self) -> "Running":
        """Start a run and return at once."""
        self.data.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "dagster_project.run", self.task]
        return Running(command, self.environment(), self.data)

    def run(self) -> Result:
        """Run the task to its end."""
        return self.start().wait(RUN_S)

    def audit(self) -> subprocess.CompletedProcess[str]:
        """Verify all rows of the task against the store."""
        command = [sys.executable, "-m", "targen.cli", "audit", "--task", self.task]
        return subprocess.run(
            [*command, "--sample", str(ROWS)],
            cwd=ROOT,
            env=self.environment(),
            text=True,
            capture_output=True,
            check=False,
        )

    def tables(self) -> dict[str, Stored]:
        """Return the tables that are there, by step."""
        storage = LocalStorage(str(self.data))
        tables = Tables(storage)
        return {
            step: tables.read(step, self.task)
            for step in UPSTREAM
            if (self.data / key_of(step, self.task)).exists()
        }

    def versions(self) -> dict[str, str]:
        """Return the data version of each table that is there."""
        return {step: stored.data_version for step, stored in self.tables().items()}

    def stored(self) -> int:
        """Return the number of stored completions; 0 before the store exists."""
        try:
            with closing(
                sqlite3.connect(f"file:{self.data}/completions.db?mode=ro", uri=True)
            ) as db:
                return int(db.execute("SELECT count(*) FROM completions").fetchone()[0])
        except sqlite3.OperationalError:
            return 0

    def completions(self) -> dict[str, StoredCompletion]:
        """Return all stored completions, by request id."""
        with closing(Store(self.store_url, make=False)) as store:
            with store.read() as connection:
                ids = list(connection.execute(sa.select(COMPLETIONS.c.request_id)).scalars())
            return completions.read(store, ids)


class Running:
    """A run in a process of its own, its output in files."""

    def __init__(self, command: list[str], environment: dict[str, str], folder: Path) -> None:
        self.folder, self.began = folder, time.monotonic()
        with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=out, stderr=err
            )

    def wait(self, seconds: float) -> Result:
        """Return its result; a run that takes longer is killed and fails the test."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(
                f"the run took longer than {seconds} s; its last words: {self._read('out')[-500:]}"
            ) from None
        return Result(status, self._read("out"), self._read("err"), time.monotonic() - self.began)

    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    def _read(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="utf-8", errors="replace")
