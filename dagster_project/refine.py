"""Rounds of targets: the loop of `make refine`, and the job `refine`.

A round moves the approved proposals of the last report into the file of targets, which `instances`
and `corrected_set` read, and then makes the tables. The file is an input like the task file, so the
asset graph has no cycle.
"""

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from dagster import (
    Config,
    Failure,
    JobDefinition,
    Nothing,
    OpExecutionContext,
    Out,
    in_process_executor,
    job,
    op,
)
from pydantic import Field

from assets.scope import LLM, Scope
from assets.step import readable_errors
from dagster_project.jobs import DATASET_JOB, REFINE_JOB, TARGETS_JOB
from dagster_project.task_run import TaskRun, executed
from targen.errors import SpecError
from targen.steps import CORRECTED_SET, INSTANCES, QUALITY_REPORT, TARGETS

Say = Callable[[str], None]
RunJob = Callable[[str, Mapping[str, Any]], TaskRun]
"""Runs a job of the task, by the job's name and the run configuration of its resources."""
ROUNDS = 3
MOST_ROUNDS = 100
"""Each round reads all earlier ones, and a set has no gap that needs more."""


@dataclass
class Refined:
    """The result of `refine_task`.

    Attributes:
        why: why it stopped, as a clause.
        calls: calls that were made.
        runs: the runs of the job `dataset`, the first of which brings the tables up to date.
    """

    why: str
    calls: int
    runs: list[TaskRun]


def refine_task(
    task: str,
    used: Any,
    rounds: int,
    budget_usd: float | None,
    run_job: RunJob,
    say: Say,
    llm: str = LLM,
) -> Refined:
    """Make rounds of targets until there is a reason to stop.

    Args:
        task: the task.
        used: the resources `tasks`, `data` and `llm`, as `assets.scope.Resources`.
        rounds: most rounds, counting those that were made before.
        budget_usd: limit in US dollars of what the rounds may cost; None sets no limit.
        run_job: runs a job.
        say: gets a line about each round.
        llm: key of the model's resource in run configurations.

    Raises:
        TargenError: the task, the targets or the settings are wrong.
    """
    from targen.tables import targets as files  # noqa: PLC0415 - not when loading
    from targen.tables.changes import locked  # noqa: PLC0415
    from targen.targeting import effect, table  # noqa: PLC0415
    from targen.tasks.targets import reason_not_refinable  # noqa: PLC0415

    spec, tables = used.tasks.load(task), used.data.tables()
    reason = reason_not_refinable(spec.recipe.choice(INSTANCES).operator)
    if reason is not None:
        raise SpecError(f"{task}: {reason}")
    # Before the first run, so that a mistake in the file costs nothing.
    files.load(tables.storage, spec)
    runs = [_made(run_job, {})]
    limit = {} if budget_usd is None else {llm: {"config": {"limit_usd": _limit(used, budget_usd)}}}
    while True:
        if QUALITY_REPORT not in runs[-1].metadata:
            why = "the run failed; what it paid for is stored, and the next refine goes on"
            return Refined(why, _calls(runs), runs)
        with locked(tables.storage, task, "refine", used.llm.store):
            content = files.load(tables.storage, spec)
            found = tables.read(TARGETS, task).table
            gates = (tables.read_json(QUALITY_REPORT, task) or {}).get("gates", [])
            stop = effect.stop_reason(content, found, gates, rounds)
            if stop is not None or content.proposed is None:
                return Refined(stop or "", _calls(runs), runs)
            number = len(content.rounds) + 1
            asked = content.proposed.approved
            say(f"round {number}: {len(asked)} targets, {sum(one.count for one in asked)} rows")
            failed = sum(gate["passed"] is not True for gate in gates)
            files.save(tables.storage, table.beginning(content, failed))
        runs.append(_made(run_job, limit))
        if QUALITY_REPORT in runs[-1].metadata:
            own = {one.target_id for one in asked}
            kept = tables.read(CORRECTED_SET, task).table["target_id"]
            say(f"round {number}: {sum(one in own for one in kept)} of its rows are in the set")


def _made(run_job: RunJob, resources: Mapping[str, Any]) -> TaskRun:
    """Make the tables of a task, and then its targets, even if a gate failed."""
    made = run_job(DATASET_JOB, resources)
    if QUALITY_REPORT in made.metadata:
        made.metadata |= run_job(TARGETS_JOB, resources).metadata
    return made


def _calls(runs: list[TaskRun]) -> int:
    steps = [step for run in runs for step in run.metadata.values()]
    return sum(int(str(step.get("calls", 0))) for step in steps)


def _limit(used: Any, budget_usd: float) -> float:
    """Return the budget of all runs in the store that leaves this much for the rounds."""
    from targen.store.budgets import spent_usd  # noqa: PLC0415 - not when loading

    with closing(used.llm.store()) as store:
        limit = spent_usd(store) + budget_usd
    own: float | None = used.llm.limit_usd
    return limit if own is None else min(limit, own)


def _with_changes(own: Any, changes: Any) -> dict[str, Any]:
    """Return one resource's run configuration with changes."""
    configs = [(one or {}).get("config") or {} for one in (own, changes)]
    return {"config": configs[0] | configs[1]}


class RefineConfig(Config):
    """Configuration of the job."""

    rounds: int = Field(
        default=ROUNDS,
        ge=1,
        le=MOST_ROUNDS,
        description="Maximum number of rounds, including earlier ones.",
    )
    budget_usd: float | None = Field(
        default=None, gt=0, description="Limit in US dollars of what the rounds may cost."
    )


def build(scope: Scope) -> JobDefinition:
    """Return the job, with one partition per task."""

    @op(
        name=scope.name("refine_rounds"),
        # Without an output value, so that the IO manager writes nothing.
        out=Out(Nothing),
        description="Starts a run of the job dataset for each round.",
        required_resource_keys=scope.required(LLM),
    )
    def refine_rounds(context: OpExecutionContext, config: RefineConfig) -> None:
        task = context.partition_key

        def run_job(name: str, resources: Mapping[str, Any]) -> TaskRun:
            found = context.repository_def.get_job(scope.name(name))
            # What this run's configuration sets also applies to the runs that it starts.
            own: Any = context.run.run_config.get("resources") or {}
            names = {*own, *resources}
            both = {key: _with_changes(own.get(key), resources.get(key)) for key in names}
            return executed(found, task, context.instance, {"resources": both})

        with readable_errors():
            found = refine_task(
                task,
                scope.resources(context),
                config.rounds,
                config.budget_usd,
                run_job,
                context.log.info,
                scope.resource(LLM),
            )
        if QUALITY_REPORT not in found.runs[-1].metadata:
            raise Failure(description=found.runs[-1].error, allow_retries=False)
        context.log.info(f"Stopped because {found.why}.")
        context.add_output_metadata(
            {"stopped": found.why, "rounds": len(found.runs) - 1, "calls": found.calls}
        )

    @job(
        name=scope.name(REFINE_JOB),
        partitions_def=scope.partitions,
        executor_def=in_process_executor,
        description="Writes the rows that the targets of one task ask for, round by round, and "
        "drops the rows that they replace.",
    )
    def refine_job() -> None:
        refine_rounds()

    return refine_job
