"""An installation on loopback: PostgreSQL, Redis, S3, code server, daemon, web server, workers."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.services import s3
from tests.support.specs import ROOT

BIN = Path(sys.executable).parent
BUCKET, LOGS = "tables", "logs"
LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        return int(taken.getsockname()[1])


def wait_for(what: str, ready: Callable[[], Any], seconds: float) -> Any:
    """Return what `ready` returns once that is true.

    Raises:
        TimeoutError: it was not within `seconds`.
    """
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        if found := ready():
            return found
        time.sleep(0.2)
    raise TimeoutError(f"{what} took longer than {seconds} s")


def answers(url: str) -> bool:
    """Return whether an HTTP server answers with success."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


def stop_in_order() -> None:
    """Let SIGTERM and SIGINT end this process like an error, so that it stops what it started."""

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)
    # A shell starts background commands with this one ignored.
    signal.signal(signal.SIGINT, end)


class Stack:
    """The installation; `environment` is what its processes are started with."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        """Name the folder; nothing is started yet.

        Args:
            folder: empty; PostgreSQL's user must be able to enter it.
            settings: variables of the project, beside those of the services.
        """
        self.folder = folder
        self.home = folder / "home"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TARGEN_", "DAGSTER_", "AWS_", "OPENAI_"))
        }
        self.environment = {
            **inherited,
            **s3.SETTINGS,
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore",
            "DAGSTER_HOME": str(self.home),
            "TARGEN_LOGS_BUCKET": LOGS,
            **settings,
        }

    def spawn(self, name: str, *command: str | Path) -> subprocess.Popen[bytes]:
        """Start a process in a group of its own, its output in a file of the folder."""
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [str(part) for part in command],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes[name] = process
        return process

    def start_postgres(self) -> None:
        """Start PostgreSQL with one database for Dagster and one for completions."""
        url = self.postgres("start").strip()
        server = sa.create_engine(url, isolation_level="AUTOCOMMIT")
        with server.connect() as connection:
            connection.exec_driver_sql("CREATE DATABASE dagster")
        server.dispose()
        self.environment["TARGEN_STORE_URL"] = url
        self.environment["DAGSTER_POSTGRES_URL"] = f"{url.rpartition('/')[0]}/dagster"

    def postgres(self, action: str) -> str:
        """Start, restart or stop the server."""
        script = ROOT / "deploy" / "local" / "postgres.sh"
        # Not captured by a pipe: the server inherits it and keeps it open.
        with (self.folder / "postgres.out").open("w+") as output:
            subprocess.run(
                [script, action, self.folder / "postgres"],
                check=True,
                stdout=output,
                stdin=subprocess.DEVNULL,
            )
            output.seek(0)
            return output.read()

    def start_redis(self) -> None:
        """Start Redis, which keeps nothing on disk."""
        port = free_port()
        command = ["redis-server", "--bind", LOOPBACK, "--port", str(port), "--save", ""]
        self.spawn("redis", *command, "--dir", self.folder)
        self.environment["TARGEN_CELERY_BROKER"] = f"redis://{LOOPBACK}:{port}/0"
        self.environment["TARGEN_CELERY_BACKEND"] = f"redis://{LOOPBACK}:{port}/1"
        wait_for("Redis", lambda: _listening(port), 20)

    def start_s3(self) -> int:
        """Start the S3 server with its two buckets; return its port."""
        port = free_port()
        self.spawn("s3", BIN / "moto_server", "-H", LOOPBACK, "-p", str(port))
        wait_for("the S3 server", lambda: answers(f"http://{LOOPBACK}:{port}/moto-api/"), 60)
        where = {"LocationConstraint": s3.SETTINGS["AWS_DEFAULT_REGION"]}
        for bucket in (BUCKET, LOGS):
            s3.client(port).create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
        self.use_s3(port)
        return port

    def use_s3(self, port: int) -> None:
        """Let what is started from now on find S3 at this port."""
        self.environment["AWS_ENDPOINT_URL"] = f"http://{LOOPBACK}:{port}"

    def start_model(self, *limit: str) -> str:
        """Start the simulator on a port; return its address. Limit: calls a second."""
        port = free_port()
        self.spawn("model", sys.executable, "-m", "tests.services.model", str(port), *limit)
        address = f"http://{LOOPBACK}:{port}"
        wait_for("the model", lambda: answers(f"{address}/asked"), 60)
        self.environment |= {
            "OPENAI_BASE_URL": f"{address}/v1",
            "OPENAI_API_KEY": "any",
            "TARGEN_MODEL": "targen-embedded",
            "TARGEN_ENDPOINT_NAME": "embedded",
        }
        return address

    def start_dagster(self, settings: str) -> str:
        """Start code server, daemon and web server on a dagster.yaml; return the UI's address."""
        self.home.mkdir()
        (self.home / "dagster.yaml").write_text(settings)
        # One process makes Dagster's tables; several at once get in each other's way.
        command = [sys.executable, "-c", _INITIALISE]
        with (self.folder / "initialise.log").open("wb") as log:
            subprocess.run(
                command, env=self.environment, cwd=ROOT, check=True, stdout=log, stderr=log
            )
        code, web = free_port(), free_port()
        grpc = ["api", "grpc", "--module-name", "dagster_project.definitions"]
        grpc += ["--host", LOOPBACK, "--port", str(code), "--location-name", "targen"]
        self.spawn("code", BIN / "dagster", *grpc)
        workspace = self.folder / "workspace.yaml"
        workspace.write_text(
            f"load_from: [{{grpc_server: {{host: {LOOPBACK}, port: {code}, "
            "location_name: targen}}]\n"
        )
        wait_for("the code server", lambda: _listening(code), 90)
        self.spawn("daemon", BIN / "dagster-daemon", "run", "--workspace", workspace)
        server = ["--workspace", str(workspace), "--host", LOOPBACK, "--port", str(web)]
        self.spawn("web", sys.executable, "-m", "targen_dagster.webserver", *server)
        address = f"http://{LOOPBACK}:{web}"
        wait_for("the web server", lambda: answers(f"{address}/server_info"), 90)
        return address

    def start_worker(self, name: str, processes: int = 1) -> subprocess.Popen[bytes]:
        """Start a Celery worker."""
        app = ["--app", "dagster_project.celery_worker", "worker"]
        options = ["--queues", "dagster", "--concurrency", str(processes), "--loglevel", "INFO"]
        return self.spawn(name, BIN / "celery", *app, *options, "--hostname", f"{name}@localhost")

    def kill(self, name: str) -> None:
        """Kill a process and all that it started, at once and without a word."""
        process = self.processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        """Stop everything, workers first, PostgreSQL last."""
        for name, process in reversed([*self.processes.items()]):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                sys.stderr.write(f"{name} had to be killed\n")
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if (self.folder / "postgres").exists():
            self.postgres("stop")
        shutil.rmtree(self.folder)


_INITIALISE = """
from dagster import DagsterInstance
with DagsterInstance.get() as instance:
    instance.get_runs_count(); instance.all_asset_keys(); instance.all_instigator_state()
"""


def _listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0
