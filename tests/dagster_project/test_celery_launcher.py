"""How a dead run is told from one that lives, with a real Redis."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from dagster._core.launcher import WorkerStatus

pytest.importorskip("dagster_celery", reason="the extra `production` is not installed")

from dagster_project import celery_launcher
from dagster_project.celery_launcher import (
    SILENT_S,
    BeatingCeleryRunLauncher,
    sign_of_life,
)

RUN: Any = SimpleNamespace(run_id="run", tags={"dagster-celery/task_id": "task"})


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not shutil.which("redis-server"):
        pytest.skip("Redis is not installed (Debian: apt-get install redis-server)")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    folder = str(tmp_path_factory.mktemp("redis"))
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    process = subprocess.Popen([*command, "--dir", folder], stdout=subprocess.DEVNULL)
    url = f"redis://127.0.0.1:{port}/1"
    from redis import Redis, RedisError

    for _ in range(100):
        try:
            Redis.from_url(url).ping()
            break
        except RedisError:
            time.sleep(0.05)
    yield url
    process.terminate()
    process.wait(10)


@pytest.fixture
def launcher(redis_url: str) -> BeatingCeleryRunLauncher:
    made = BeatingCeleryRunLauncher("dagster", broker=redis_url, backend=redis_url)
    made.redis().flushdb()
    return made


def status(launcher: BeatingCeleryRunLauncher) -> WorkerStatus:
    return launcher.check_run_worker_health(RUN).status


def test_a_run_with_signs_of_life_is_healthy(launcher: BeatingCeleryRunLauncher) -> None:
    launcher.redis().set(sign_of_life("task"), "1", ex=SILENT_S)
    assert status(launcher) == WorkerStatus.RUNNING


def test_a_silent_run_is_dead_after_a_grace(
    launcher: BeatingCeleryRunLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(celery_launcher, "GRACE_S", 0.2)
    assert status(launcher) == WorkerStatus.RUNNING
    time.sleep(0.25)
    found = launcher.check_run_worker_health(RUN)
    assert found.status == WorkerStatus.FAILED and "killed or cut off" in (found.msg or "")


def test_a_sign_that_comes_back_ends_the_doubt(
    launcher: BeatingCeleryRunLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(celery_launcher, "GRACE_S", 0.2)
    assert status(launcher) == WorkerStatus.RUNNING
    launcher.redis().set(sign_of_life("task"), "1")
    time.sleep(0.25)
    assert status(launcher) == WorkerStatus.RUNNING
    launcher.redis().delete(sign_of_life("task"))
    assert status(launcher) == WorkerStatus.RUNNING


def test_a_redis_that_is_away_says_nothing_of_the_run() -> None:
    from redis import RedisError

    away = BeatingCeleryRunLauncher(
        "dagster", broker="redis://127.0.0.1:9/0", backend="redis://127.0.0.1:9/1"
    )
    with pytest.raises(RedisError):
        away.check_run_worker_health(RUN)
    assert not away.supports_resume_run
