"""The schedule `nightly`."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from dagster import (
    DagsterInvalidDefinitionError,
    DefaultScheduleStatus,
    RunRequest,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    schedule,
)

from assets.scope import Scope
from dagster_project.dagster_internals import AssetJob
from targen.errors import TargenError
from targen.settings import variable
from targen.tasks.yamlfile import nearest

NIGHTLY = "nightly"


def nightly(scope: Scope, job: AssetJob) -> ScheduleDefinition:
    """Return the schedule that requests one run per selected partition.

    Settings: TARGEN_NIGHTLY_CRON (default 02:00), TARGEN_NIGHTLY_TIMEZONE (UTC), and
    TARGEN_NIGHTLY_TASKS, comma-separated names or patterns of partitions (all). The schedule is off
    by default, because runs can cost money. An unchanged partition makes no call.

    Raises:
        TargenError: the selection names an unknown task, or cron expression or time zone is wrong.
    """
    settings = scope.settings
    selected = selection(settings.nightly_tasks, scope.partitions.get_partition_keys())

    def requests(context: ScheduleEvaluationContext) -> Iterator[RunRequest]:
        night = (context.scheduled_execution_time or datetime.now(UTC)).isoformat()
        for task in selected:
            yield RunRequest(run_key=f"{night} {task}", partition_key=task)

    cron = settings.nightly_cron
    timezone = settings.nightly_timezone
    try:
        return schedule(
            name=scope.name(NIGHTLY),
            job=job,
            cron_schedule=cron,
            execution_timezone=timezone,
            default_status=DefaultScheduleStatus.STOPPED,
            description=f"All tables of {_count(selected)}, once a night. An unchanged partition "
            "makes no call; a failed one continues where it stopped.",
        )(requests)
    except DagsterInvalidDefinitionError as error:
        raise TargenError(
            f"{variable('nightly_cron')}={cron!r}, {variable('nightly_timezone')}={timezone!r}: "
            "the first must be a cron expression such as '0 2 * * *', the second a time zone such "
            "as 'Europe/Berlin'."
        ) from error


def selection(patterns: str, tasks: Sequence[str]) -> list[str]:
    """Return the tasks that any of the comma-separated names or patterns (`rte*`) matches.

    Raises:
        TargenError: a pattern matches no task.
    """
    found: set[str] = set()
    for pattern in filter(None, (part.strip() for part in patterns.split(","))):
        matching = [task for task in tasks if fnmatchcase(task, pattern)]
        if not matching:
            raise TargenError(
                f"{variable('nightly_tasks')}: no task '{pattern}'; {nearest(pattern, tasks)}"
            )
        found.update(matching)
    return sorted(found)


def _count(selected: Sequence[str]) -> str:
    return "one task" if len(selected) == 1 else f"{len(selected)} tasks"
