"""The Celery app of workers: `celery --app dagster_project.celery_worker worker`."""

import threading
from typing import Any

from celery import signals
from dagster import DagsterInstance
from dagster_celery.tasks import create_execute_job_task

from dagster_project.celery_launcher import (
    BEAT_S,
    SILENT_S,
    BeatingCeleryRunLauncher,
    sign_of_life,
)
from targen.errors import TargenError


def _launcher() -> BeatingCeleryRunLauncher:
    with DagsterInstance.get() as instance:
        launcher = instance.run_launcher
    if not isinstance(launcher, BeatingCeleryRunLauncher):
        raise TargenError(
            "This instance does not launch runs by Celery: DAGSTER_HOME must contain a "
            "dagster.yaml like deploy/production/dagster.yaml."
        )
    return launcher


launcher = _launcher()
app = launcher.celery
execute_job = create_execute_job_task(app)


class Heartbeat:
    """Sends the heartbeats of one task from a thread until it is stopped."""

    def __init__(self, redis: Any, task_id: str) -> None:
        self._redis, self._key = redis, sign_of_life(task_id)
        self._stopped = threading.Event()
        # Before the run starts, because a run without a heartbeat counts as dead.
        self._beat()
        self._thread = threading.Thread(target=self._run, name="targen-alive", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopped.wait(BEAT_S):
            self._beat()

    def _beat(self) -> None:
        from redis import RedisError  # noqa: PLC0415 - only in a worker's run

        try:
            self._redis.set(self._key, "1", ex=SILENT_S)
        except RedisError:
            # The run continues. The launcher cannot check it without Redis, either.
            return

    def stop(self) -> None:
        """Stop and delete the key."""
        from redis import RedisError  # noqa: PLC0415

        self._stopped.set()
        self._thread.join()
        try:
            self._redis.delete(self._key)
        except RedisError:
            return


_heartbeats: dict[str, Heartbeat] = {}


@signals.task_prerun.connect  # type: ignore[untyped-decorator]
def _start(task_id: str, **rest: Any) -> None:
    _heartbeats[task_id] = Heartbeat(launcher.redis(), task_id)


@signals.task_postrun.connect  # type: ignore[untyped-decorator]
def _stop(task_id: str, **rest: Any) -> None:
    if heartbeat := _heartbeats.pop(task_id, None):
        heartbeat.stop()
