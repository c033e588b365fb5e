"""Runs a job in this process, and says what it made."""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dagster_project import failure
from targen.errors import TargenError
from targen.settings import Settings

if TYPE_CHECKING:
    from dagster import DagsterInstance, JobDefinition, JobExecutionResult


@dataclass
class TaskRun:
    """The result of one task's run.

    Attributes:
        task: the task's name; the job's name for a run without a task.
        run_id: Dagster's id of the run.
        seconds: wall time of the run.
        error: the error message, if the run failed.
        trace: the traceback, if the error was unexpected.
        metadata: asset -> the metadata of its materialization.
    """

    task: str
    run_id: str
    seconds: float
    error: str | None = None
    trace: str | None = None
    metadata: dict[str, dict[str, object]] = field(default_factory=dict)

    @property
    def interrupted(self) -> bool:
        """Whether the run was interrupted."""
        return self.error == failure.INTERRUPTED


def executed(
    job: "JobDefinition",
    task: str | None,
    instance: "DagsterInstance",
    config: Mapping[str, Any],
    tags: Mapping[str, str] | None = None,
) -> TaskRun:
    """Run a job in this process."""
    from dagster_project.dagster_internals import execute  # noqa: PLC0415 - Dagster, only now
    from dagster_project.shell import values  # noqa: PLC0415

    started = time.monotonic()
    result = execute(job, instance, task, config, tags or {})
    made = TaskRun(task or job.name, result.run_id, time.monotonic() - started)
    for event in result.get_asset_materialization_events():
        if event.asset_key:
            made.metadata[event.asset_key.path[-1]] = dict(values(event))
    if not result.success:
        made.error, made.trace = failure.explain(result.all_events)
    if not made.interrupted:
        _alert(result)
    return made


def _alert(result: "JobExecutionResult") -> None:
    """Post an alert if one is due; if it cannot be sent, a warning says so."""
    from dagster_project import alerts  # noqa: PLC0415 - Dagster, only now

    webhook = Settings.from_environment().alert_webhook
    try:
        alerts.report(result.dagster_run, result.all_events, result.success, webhook)
    except TargenError as error:
        sys.stderr.write(f"warning: {error}\n")
