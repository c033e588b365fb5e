"""Runs as Celery tasks on other machines, and how a dead one is noticed.

A worker that is killed never reports: Celery goes on calling its task started, and so Dagster's own
launcher goes on calling the run healthy. Here every run's process renews a key in Redis instead
(`BEAT_S`, `SILENT_S`), and a run whose key is gone for longer than `GRACE_S` is dead. The same
finds a run whose process ended without being able to say so, because the database was away.
"""

import time
from typing import Any

from dagster import DagsterRun
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG

from dagster_project.dagster_internals import CheckRunHealthResult, WorkerStatus

BEAT_S = 5.0
"""Seconds between two signs of life."""

SILENT_S = 20
"""Seconds until a sign of life is forgotten."""

GRACE_S = 20.0
"""Seconds that a sign may be missing: a Redis that was restarted has forgotten all of them."""


def sign_of_life(task_id: str) -> str:
    """Return the key that the process of a Celery task renews."""
    return f"targen:alive:{task_id}"


class BeatingCeleryRunLauncher(CeleryRunLauncher):
    """Starts runs as Celery tasks whose processes give signs of life in the result backend."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._missing_since: dict[str, float] = {}

    def redis(self) -> Any:
        """Return a connection to the result backend, which must be Redis."""
        from redis import Redis  # noqa: PLC0415 - only where runs are looked after

        return Redis.from_url(str(self.backend), socket_timeout=5, socket_connect_timeout=5)

    @property
    def supports_resume_run(self) -> bool:
        """No: a dead run fails and is retried as a new one, from the step that is missing."""
        return False

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Say whether the run's process is alive.

        Raises:
            redis.RedisError: Redis cannot be reached; the monitor logs it and asks again later.
        """
        task_id = run.tags.get(DAGSTER_CELERY_TASK_ID_TAG, "")
        with self.redis() as connection:
            alive = bool(connection.exists(sign_of_life(task_id)))
        if alive:
            self._missing_since.pop(run.run_id, None)
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        silent = time.monotonic() - self._missing_since.setdefault(run.run_id, time.monotonic())
        if silent < GRACE_S:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "no sign of life since a moment ago")
        del self._missing_since[run.run_id]
        return CheckRunHealthResult(
            WorkerStatus.FAILED,
            "the run's process gives no sign of life: its worker was killed or cut off",
        )

    def terminate(self, run_id: str) -> bool:
        """Interrupt the run's process, so that it can say that it was stopped."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished or DAGSTER_CELERY_TASK_ID_TAG not in run.tags:
            return False
        self._instance.report_run_canceling(run)
        # SIGTERM would end the process before it has told anybody.
        result = self.celery.AsyncResult(run.tags[DAGSTER_CELERY_TASK_ID_TAG])
        result.revoke(terminate=True, signal="SIGINT")
        return True
