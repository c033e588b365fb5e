"""The commands behind `make run`, `demo`, `compare` and `release`: headless, in this process."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dagster_project import failure, home
from targen.errors import SpecError, TargenError
from targen.settings import Settings, variable
from targen.tasks.yamlfile import nearest

if TYPE_CHECKING:
    from dagster import DagsterInstance, Definitions

DEMO_TASKS = ("axg", "boolq", "cb", "copa", "record", "rte", "wic", "wsc", "ticket_urgency")
DEMO_ROWS = "100"
INTERRUPTED_STATUS = 130
"""Exit status after an interrupt, as shells have it: 128 and the signal's number."""
_SIMULATED = (
    "Made by the simulator: this is not training data. Set TARGEN_MODEL to use a real model."
)
_REAL_MODEL = ("TARGEN_MODEL", "TARGEN_EMBEDDING_MODEL", "TARGEN_MODE", "TARGEN_BUDGET_USD")


@dataclass
class Made:
    """What became of one task's run.

    Attributes:
        task: its name; that of the job for a run of no task.
        run_id: as Dagster knows it.
        seconds: wall time of the whole run.
        error: one message, None where all went well.
        trace: traceback of a mistake of ours, None where the error is one for the user.
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
        """Whether somebody stopped the run."""
        return self.error == failure.INTERRUPTED


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m dagster_project.run", description=__doc__)
    parser.add_argument("task", nargs="?", help="a task's name")
    parser.add_argument("--demo", action="store_true", help="the nine tasks, with the simulator")
    parser.add_argument(
        "--compare",
        metavar="BASE",
        nargs="?",
        const="",
        help="make a task and all that extend it, then the comparison; without BASE that alone",
    )
    parser.add_argument("--release", metavar="TASK", help="release a task's tables as they stand")
    options = parser.parse_args(arguments)
    asked = [options.demo, bool(options.task), options.compare is not None, bool(options.release)]
    if asked.count(True) != 1:
        return _fail("name one task, as in: make run TASK=rte, or make release TASK=rte")
    try:
        if options.release:
            return release(options.release)
        if options.compare is not None:
            return compare(options.compare)
        return demo() if options.demo else run(options.task)
    except TargenError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        _fail(failure.INTERRUPTED)
        return INTERRUPTED_STATUS


def run(task: str) -> int:
    """Make all tables of one task; return the exit status.

    Raises:
        TargenError: nothing could be started.
    """
    _warn_of_simulation()
    made = make_tasks([task])[0]
    _show([made])
    return _report_errors([made])


def demo() -> int:
    """Make all tables of the demonstration's tasks with the simulator.

    Raises:
        TargenError: nothing could be started.
    """
    for name in _REAL_MODEL:
        os.environ.pop(name, None)
    os.environ.setdefault("TARGEN_ROWS", DEMO_ROWS)
    made = make_tasks(DEMO_TASKS)
    _show(made)
    return _report_errors(made)


def compare(base: str) -> int:
    """Make a task and all that extend it, then the comparison of all that is made.

    With the simulator they have as many rows as in the demonstration, unless TARGEN_ROWS says
    otherwise. A task that fails is missing in the comparison.

    Args:
        base: the task that the others extend; empty for the comparison alone.

    Raises:
        TargenError: nothing could be started.
    """
    if not os.environ.get("TARGEN_MODEL"):
        os.environ.setdefault("TARGEN_ROWS", DEMO_ROWS)
    _warn_of_simulation()
    names = _group(base) if base else []
    made = make_tasks(names, then_compare=True)
    _show(made[: len(names)])
    if len(made) > len(names) and made[-1].error is None:
        _show_comparison()
    return _report_errors(made)


def release(task: str) -> int:
    """Release a task's tables as they stand; return the exit status.

    Raises:
        TargenError: nothing could be started.
    """
    from dagster_project.jobs import RELEASE, RELEASE_JOB  # noqa: PLC0415 - Dagster, only now

    home.prepare()
    _as_many_rows_as_made(task)
    (made,) = make_tasks([task], job=RELEASE_JOB)
    if made.error is None:
        sys.stdout.write(f"\nRelease:\n  {made.metadata[RELEASE]['path']}\n")
    return _report_errors([made])


def _warn_of_simulation() -> None:
    named = [name for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL") if os.environ.get(name)]
    if named and not os.environ.get("TARGEN_MODEL"):
        sys.stderr.write(
            f"warning: {' and '.join(named)} set, but not TARGEN_MODEL: the simulator "
            "is used, and its rows are not training data\n"
        )


def _as_many_rows_as_made(task: str) -> None:
    """Want as many rows of a task as its report is about: what stands is to be released."""
    from dagster_project.definitions import data_folder, task_folder  # noqa: PLC0415

    settings = Settings.from_environment()
    if settings.rows is not None or task not in task_folder(settings).names():
        return
    report = data_folder(settings).tables().read_json("quality_report", task)
    if report is not None:
        os.environ[variable("rows")] = str(report["rows_asked"])


def _group(base: str) -> list[str]:
    from dagster_project.definitions import task_folder  # noqa: PLC0415
    from targen.quality.comparison import groups  # noqa: PLC0415

    folder = task_folder(Settings.from_environment())
    found = groups({name: spec.extends for name, spec in folder.load_all().items()})
    if base not in found:
        raise SpecError(f"{folder.tasks_dir}: no task extends '{base}'; {nearest(base, found)}")
    return found[base]


def make_tasks(
    names: Sequence[str], *, then_compare: bool = False, job: str = "dataset"
) -> list[Made]:
    """Run the tasks one after the other in this process.

    One process: loading Dagster takes longer than making a demonstration's tables.

    Args:
        names: the tasks.
        then_compare: make the comparison after them.
        job: what is run of each.

    Returns:
        What became of them, in order; it ends with the one that somebody interrupted.

    Raises:
        TargenError: a task does not exist, or Dagster's home or the definitions are unusable.
    """
    home.prepare()
    # Only now: the definitions read the environment when they are imported.
    from dagster import DagsterInstance  # noqa: PLC0415

    from dagster_project.definitions import build_defs, task_folder  # noqa: PLC0415
    from dagster_project.jobs import COMPARISON_JOB  # noqa: PLC0415

    folder = task_folder(Settings.from_environment())
    known = folder.names()
    for name in names:
        if name not in known:
            raise SpecError(f"{folder.tasks_dir}: no task '{name}'; {nearest(name, known)}")
    definitions = build_defs()
    with DagsterInstance.get() as instance:
        runs = [(job, name) for name in names] + [(COMPARISON_JOB, None)] * then_compare
        made: list[Made] = []
        for each, task in runs:
            made.append(_make(each, task, definitions, instance))
            if made[-1].interrupted:
                break
        return made


def _make(
    job: str, task: str | None, definitions: "Definitions", instance: "DagsterInstance"
) -> Made:
    from dagster_project.shell import SHELL_LOGGER, values  # noqa: PLC0415
    from dagster_project.terminal import bars  # noqa: PLC0415

    started = time.monotonic()
    with bars(sys.stdout):
        result = definitions.resolve_job_def(job).execute_in_process(
            instance=instance,
            partition_key=task,
            run_config={"loggers": {SHELL_LOGGER: {}}},
            raise_on_error=False,
        )
    made = Made(task or job, result.run_id, time.monotonic() - started)
    for event in result.get_asset_materialization_events():
        if event.asset_key:
            made.metadata[event.asset_key.path[-1]] = dict(values(event))
    if not result.success:
        made.error, made.trace = failure.explain(result.all_events)
    return made


def _report_errors(made: Sequence[Made]) -> int:
    failed = [one for one in made if one.error is not None]
    for one in failed:
        if one.trace:
            sys.stderr.write(f"{one.trace}\n")
        sys.stderr.write(f"error: {one.task}: {one.error}\n")
    if any(one.interrupted for one in failed):
        return INTERRUPTED_STATUS
    return 1 if failed else 0


def _show(made: Sequence[Made]) -> None:
    from dagster_project import summary  # noqa: PLC0415 - Polars, only after the run
    from dagster_project.definitions import data_folder  # noqa: PLC0415

    # A gate that is not passed ends a run after its report: that is what there is to read.
    made = [one for one in made if "quality_report" in one.metadata]
    if not made:
        return
    tables = data_folder(Settings.from_environment()).tables()
    lines = [summary.row(one.task, one.metadata, tables, one.seconds) for one in made]
    reports = [tables.address("quality_report", one.task, "html") for one in made]
    simulated = any(summary.simulated(one.metadata) for one in made)
    told = [summary.aligned(lines), "", *([_SIMULATED, ""] if simulated else [])]
    text = "\n".join([*told, "Reports:", *(f"  {path}" for path in reports)])
    sys.stdout.write(f"\n{text}\n")
    sys.stdout.flush()


def _show_comparison() -> None:
    from dagster_project.definitions import data_folder  # noqa: PLC0415
    from dagster_project.jobs import COMPARISON  # noqa: PLC0415

    address = (
        data_folder(Settings.from_environment()).tables().address(COMPARISON, COMPARISON, "html")
    )
    sys.stdout.write(f"\nComparison:\n  {address}\n")


def _fail(message: str) -> int:
    sys.stderr.write(f"error: {message}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
