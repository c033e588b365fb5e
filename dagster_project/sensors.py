"""Sensors: what is made because something changed.

Three things start runs, and no two for the same reason, so that nothing is paid for twice:
`nightly` by the clock, `changed_steps` by what the files say, and automation for what asks no
model (`comparison`). All are off until somebody switches them on.
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
    StaticPartitionsDefinition,
    sensor,
)

from assets import quality_report
from dagster_project import jobs
from dagster_project.dagster_internals import PARTITION_NAME_TAG
from resources.data import DataFolder
from resources.tasks import TaskFolder
from targen.errors import TargenError
from targen.hashing import short_id
from targen.steps import ROW_STEPS, STEPS

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
class Made:
    """The newest materialization of one asset and partition.

    Attributes:
        step_digest: identity of everything that the step read of task and recipe.
        storage_id: Dagster's number of the event.
    """

    step_digest: str
    storage_id: int


def changed_steps(partitions: StaticPartitionsDefinition) -> SensorDefinition:
    """Return the sensor that asks for the first changed step of a task and all below it.

    It looks at partitions whose tables are there: what was never made is the schedule's work, or a
    person's. A change is asked for once; a run that fails is not repeated by itself.
    """
    known = partitions.get_partition_keys()

    @sensor(
        name=CHANGED_STEPS,
        job=jobs.dataset,
        minimum_interval_seconds=300,
        default_status=DefaultSensorStatus.STOPPED,
        description="Where a task, its recipe or a prompt no longer is what the tables were made "
        "from, asks for the first changed step and all below it. What did not change makes no "
        "call.",
    )
    def look(
        context: SensorEvaluationContext, tasks: TaskFolder, data: DataFolder
    ) -> SensorResult | SkipReason:
        try:
            names = tasks.names()
        except TargenError as error:
            return SkipReason(str(error))
        requests, said = [], []
        made = {step: materialised(context.instance, step, known) for step in STEPS}
        busy = under_way(context.instance)
        for name in names:
            if name not in known:
                said.append(f"{name}: new; reload the code location, then it is a partition")
                continue
            try:
                step = first_changed(name, tasks, data, {s: made[s].get(name) for s in STEPS})
            except TargenError as error:
                said.append(f"{name}: {error}")
                continue
            if step is not None and name in busy:
                said.append(f"{name}: {step} has changed, and a run of it is under way")
            elif step is not None:
                requests.append(_request(name, step, made, tasks, data))
        for line in said:
            context.log.warning(line)
        if not requests:
            return SkipReason("\n".join(["No table is older than its task.", *said]))
        return SensorResult(run_requests=requests)

    return look


def first_changed(
    task: str, tasks: TaskFolder, data: DataFolder, made: Mapping[str, Made | None]
) -> str | None:
    """Return the first step whose table was made from something else than the files now say.

    Args:
        task: its name.
        tasks: where the files are.
        data: where the verdicts of reviews are.
        made: step -> its newest materialization, None where there is none.

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
    """Return step -> the identity of everything that it reads of the task's files now.

    The report reads people's verdicts as well, which an import changes.

    Raises:
        SpecError: the task's file is wrong.
        TableError: the verdicts cannot be read.
    """
    from targen.operators import step_digest  # noqa: PLC0415 - not when loading

    spec = tasks.load(task)
    steps = {step: step_digest(step, spec) for step in ROW_STEPS}
    return {**steps, quality_report.STEP: quality_report.digest_now(spec, data.tables().storage)}


def materialised(
    instance: DagsterInstance, step: str, partitions: Sequence[str]
) -> dict[str, Made]:
    """Return partition -> the newest materialization of `step`, for those that have one."""
    key = AssetKey(step)
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
                found[event.partition] = Made(
                    "" if digest is None else str(digest.value), record.storage_id
                )
    return found


def under_way(instance: DagsterInstance) -> set[str]:
    """Return the partitions of which a run is queued or running."""
    runs = instance.get_runs(RunsFilter(statuses=_UNDER_WAY))
    return {run.tags[PARTITION_NAME_TAG] for run in runs if PARTITION_NAME_TAG in run.tags}


def _request(
    task: str,
    step: str,
    made: Mapping[str, Mapping[str, Made]],
    tasks: TaskFolder,
    data: DataFolder,
) -> RunRequest:
    below = STEPS[STEPS.index(step) :]
    # What stands and what is wanted name the change: it is asked for once, and once more only
    # when a later run made something else of it.
    state = [made[s][task].storage_id if task in made[s] else 0 for s in STEPS]
    wanted = digests(task, tasks, data)
    return RunRequest(
        run_key=f"{task} {step} {short_id([state, wanted])}",
        partition_key=task,
        asset_selection=[AssetKey(name) for name in below],
        tags={"targen/first_changed": step},
    )


def automation() -> AutomationConditionSensorDefinition:
    """Return the sensor that acts on automation conditions: of `comparison` alone."""
    return AutomationConditionSensorDefinition(
        name="automation",
        target=AssetSelection.assets(jobs.COMPARISON),
        default_status=DefaultSensorStatus.STOPPED,
        description="Makes the comparison anew when a report has changed and no run is under way.",
    )
