"""Sensors that start runs when something has changed.

Runs are started by the schedule `nightly`, by `changed_steps` when files change, and by automation
for `comparison`, which calls no model. Their reasons do not overlap, so nothing is paid for twice.
All are off by default.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dagster import (
    AssetKey,
    AssetRecordsFilter,
    AssetSelection,
    AutomationConditionSensorDefinition,
    DagsterEventType,
    DagsterInstance,
    DagsterRunStatus,
    DefaultSensorStatus,
    RunRequest,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from assets import quality_report
from assets.scope import Scope
from dagster_project.dagster_internals import PARTITION_NAME_TAG, AssetJob
from resources.data import DataFolder
from resources.tasks import TaskFolder
from targen.errors import TargenError
from targen.hashing import short_id
from targen.steps import COMPARISON, QUALITY_REPORT, ROW_STEPS, STEPS

CHANGED_STEPS = "changed_steps"
_FETCHED_AT_ONCE = 500
_UNDER_WAY = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


@dataclass(frozen=True)
class Materialized:
    """The latest materialization of one asset and partition.

    Attributes:
        step_digest: digest of everything that the step read from task and recipe.
        storage_id: Dagster's id of the event.
    """

    step_digest: str
    storage_id: int


def changed_steps(scope: Scope, job: AssetJob) -> SensorDefinition:
    """Return the sensor that requests the first changed step of a task and all steps downstream.

    It ignores partitions that were never materialized. Each change is requested once; failed runs
    are not repeated.
    """
    known = scope.partitions.get_partition_keys()

    @sensor(
        name=scope.name(CHANGED_STEPS),
        job=job,
        required_resource_keys=scope.required(),
        minimum_interval_seconds=300,
        default_status=DefaultSensorStatus.STOPPED,
        description="Requests the first changed step and all steps downstream if a task, its "
        "recipe or a prompt has changed since the tables were made. Unchanged requests make no "
        "call.",
    )
    def look(context: SensorEvaluationContext) -> SensorResult | SkipReason:
        used = scope.resources(context)
        tasks, data = used.tasks, used.data
        try:
            names = tasks.names()
        except TargenError as error:
            return SkipReason(str(error))
        requests, notes = [], []
        made = {step: materializations(context.instance, scope.key(step), known) for step in STEPS}
        busy = under_way(context.instance)
        for name in names:
            if name not in known:
                notes.append(f"{name}: new task; reload the code location to get its partition")
                continue
            try:
                step = first_changed(name, tasks, data, {s: made[s].get(name) for s in STEPS})
            except TargenError as error:
                notes.append(f"{name}: {error}")
                continue
            if step is not None and name in busy:
                notes.append(f"{name}: {step} has changed, and a run of it is under way")
            elif step is not None:
                requests.append(_request(name, step, made, scope, digests(name, tasks, data)))
        for line in notes:
            context.log.warning(line)
        if not requests:
            return SkipReason("\n".join(["No table is older than its task.", *notes]))
        return SensorResult(run_requests=requests)

    return look


def first_changed(
    task: str, tasks: TaskFolder, data: DataFolder, made: Mapping[str, Materialized | None]
) -> str | None:
    """Return the first step whose inputs changed since its table was made, if any.

    Raises:
        SpecError: the task's file is wrong.
    """
    if not any(made.values()):
        return None
    now = digests(task, tasks, data)
    for step in STEPS:
        newest = made[step]
        if newest is not None and newest.step_digest != now[step]:
            return step
    return None


def digests(task: str, tasks: TaskFolder, data: DataFolder) -> dict[str, str]:
    """Return step -> its current step digest, which includes the human verdicts.

    Raises:
        SpecError: the task's file, or its file of targets, is wrong.
        TableError: the verdicts or the targets cannot be read.
    """
    from targen.operators import step_digest  # noqa: PLC0415 - not when loading
    from targen.tables import reviews, targets  # noqa: PLC0415

    storage = data.tables().storage
    spec = targets.attached(storage, tasks.load(task))
    verdicts = reviews.identity(reviews.stored(storage, task))
    steps = {step: step_digest(step, spec, verdicts) for step in ROW_STEPS}
    return {**steps, QUALITY_REPORT: quality_report.digest_now(spec, storage)}


def materializations(
    instance: DagsterInstance, key: AssetKey, partitions: Sequence[str]
) -> dict[str, Materialized]:
    """Return partition -> the latest materialization of an asset, if any."""
    newest = instance.get_latest_storage_id_by_partition(
        key, DagsterEventType.ASSET_MATERIALIZATION, set(partitions)
    )
    ids, found = sorted(newest.values()), {}
    for start in range(0, len(ids), _FETCHED_AT_ONCE):
        some = ids[start : start + _FETCHED_AT_ONCE]
        records = instance.fetch_materializations(
            AssetRecordsFilter(asset_key=key, storage_ids=some), limit=len(some)
        ).records
        for record in records:
            event = record.asset_materialization
            if event is not None and event.partition is not None:
                digest = event.metadata.get("step_digest")
                found[event.partition] = Materialized(
                    "" if digest is None else str(digest.value), record.storage_id
                )
    return found


def under_way(instance: DagsterInstance) -> set[str]:
    """Return the partitions with a queued or active run."""
    runs = instance.get_runs(RunsFilter(statuses=_UNDER_WAY))
    return {run.tags[PARTITION_NAME_TAG] for run in runs if PARTITION_NAME_TAG in run.tags}


def _request(
    task: str,
    step: str,
    made: Mapping[str, Mapping[str, Materialized]],
    scope: Scope,
    wanted: Mapping[str, str],
) -> RunRequest:
    below = STEPS[STEPS.index(step) :]
    # The key identifies the change by the current tables and the wanted digests, so it is requested
    # again only if a later run changed the tables.
    state = [made[s][task].storage_id if task in made[s] else 0 for s in STEPS]
    return RunRequest(
        run_key=f"{task} {step} {short_id([state, wanted])}",
        partition_key=task,
        asset_selection=[scope.key(name) for name in below],
        tags={"targen/first_changed": step},
    )


def automation(scope: Scope) -> AutomationConditionSensorDefinition:
    """Return the sensor that evaluates the automation condition of `comparison`."""
    return AutomationConditionSensorDefinition(
        name=scope.name("automation"),
        target=AssetSelection.assets(scope.key(COMPARISON)),
        default_status=DefaultSensorStatus.STOPPED,
        description="Updates the comparison when a report has changed and no run is in progress.",
    )
