"""Launches runs as Celery tasks and detects dead runs by heartbeats.

Celery keeps the task of a killed worker in the state "started", so Dagster's own launcher reports
its run as healthy. Here each run's process renews a key in Redis every `BEAT_S`, which expires
after `SILENT_S`. A run without a key for `GRACE_S` is dead. This also detects a process that ended
while the database was not available.
"""

import time
from typing import Any

from dagster import DagsterRun
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG

from dagster_project.dagster_internals import CheckRunHealthResult, WorkerStatus

BEAT_S = 5.0
"""Seconds between heartbeats."""

SILENT_S = 20
"""Seconds until a heartbeat expires."""

GRACE_S = 20.0
"""Seconds that a heartbeat may be missing; a restarted Redis has lost all of them."""


def sign_of_life(task_id: str) -> str:
    """Return the key that the process of a Celery task renews."""
    return f"targen:alive:{task_id}"


class BeatingCeleryRunLauncher(CeleryRunLauncher):
    """Starts runs as Celery tasks whose processes send heartbeats to the result backend."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._missing_since: dict[str, float] = {}

    def redis(self) -> Any:
        """Return a connection to the result backend, which must be Redis."""
        from redis import Redis  # noqa: PLC0415 - only in processes that monitor runs

        return Redis.from_url(str(self.backend), socket_timeout=5, socket_connect_timeout=5)

    @property
    def supports_resume_run(self) -> bool:
        """False: a dead run fails and is retried as a new run, from the failed step."""
        return False

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Return whether the run's process is alive.

        Raises:
            redis.RedisError: Redis cannot be reached; the monitor logs it and tries again later.
        """
        task_id = run.tags.get(DAGSTER_CELERY_TASK_ID_TAG, "")
        with self.redis() as connection:
            alive = bool(connection.exists(sign_of_life(task_id)))
        if alive:
            self._missing_since.pop(run.run_id, None)
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        silent = time.monotonic() - self._missing_since.setdefault(run.run_id, time.monotonic())
        if silent < GRACE_S:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "the heartbeat is late")
        del self._missing_since[run.run_id]
        return CheckRunHealthResult(
            WorkerStatus.FAILED,
            "the run's process gives no sign of life: its worker was killed or cut off",
        )

    def terminate(self, run_id: str) -> bool:
        """Interrupt the run's process, so that it can report that it was stopped."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished or DAGSTER_CELERY_TASK_ID_TAG not in run.tags:
            return False
        self._instance.report_run_canceling(run)
        # SIGTERM would end the process before it has reported anything.
        result = self.celery.AsyncResult(run.tags[DAGSTER_CELERY_TASK_ID_TAG])
        result.revoke(terminate=True, signal="SIGINT")
        return True
