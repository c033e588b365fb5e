"""The commands `make run`, `demo`, `compare`, `refine` and `release`, which run without a UI."""

import argparse
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from dagster_project import failure, home, paying
from dagster_project.task_run import TaskRun, executed
from targen.errors import SpecError, TargenError
from targen.settings import Settings, unknown_variables, variable
from targen.steps import QUALITY_REPORT, TARGETS
from targen.tasks.yamlfile import nearest
from targen.wording import printable

if TYPE_CHECKING:
    from dagster import DagsterInstance, Definitions

    from targen.tables.files import Tables

DEMO_TASKS = ("axg", "boolq", "cb", "copa", "record", "rte", "wic", "wsc", "ticket_urgency")
DEMO_ROWS = "100"
INTERRUPTED_STATUS = 130
"""Exit status after an interrupt, as in shells: 128 plus the signal number."""
_SIMULATED = (
    "Made by the simulator: this is not training data. Set TARGEN_MODEL to use a real model."
)
_REAL_MODEL = ("TARGEN_MODEL", "TARGEN_EMBEDDING_MODEL", "TARGEN_MODE", "TARGEN_BUDGET_USD")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m dagster_project.run", description=__doc__)
    parser.add_argument("task", nargs="?", help="a task's name")
    parser.add_argument("--demo", action="store_true", help="the nine tasks, with the simulator")
    parser.add_argument(
        "--compare",
        metavar="BASE",
        nargs="?",
        const="",
        help="make a task and all that extend it, then the comparison; without BASE only that",
    )
    parser.add_argument("--release", metavar="TASK", help="release a task's current tables")
    parser.add_argument(
        "--strict", action="store_true", help="fail if a gate of severity `warn` does not pass"
    )
    parser.add_argument(
        "--plan", action="store_true", help="with --compare: show the plan and stop"
    )
    parser.add_argument("--refine", metavar="TASK", help="make the rows of a task's targets")
    parser.add_argument("--rounds", help="maximum number of rounds of targets; default 3")
    parser.add_argument("--budget", help="limit in US dollars of what the rounds may cost")
    options = parser.parse_args(arguments)
    asked = [options.demo, bool(options.task), options.compare is not None, bool(options.release)]
    asked.append(bool(options.refine))
    if asked.count(True) != 1:
        return _fail("name one task, as in: make run TASK=rte, or make release TASK=rte")
    for sentence in unknown_variables():
        sys.stderr.write(f"warning: {sentence}\n")
    # A closed terminal interrupts the run as Ctrl-C does, except under nohup.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        return _command(options)
    except TargenError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        _fail(failure.INTERRUPTED)
        return INTERRUPTED_STATUS
    except Exception as error:
        if message := home.lost(error):
            return _fail(message)
        raise


def _command(options: argparse.Namespace) -> int:
    if options.refine:
        return refine(options.refine, options.rounds, options.budget, options.strict)
    if options.release:
        return release(options.release, options.strict)
    if options.compare is not None:
        return compare(options.compare, options.strict, only_plan=options.plan)
    return demo(options.strict) if options.demo else run(options.task, options.strict)


def run(task: str, strict: bool = False) -> int:
    """Make all tables of one task; return the exit status.

    Raises:
        TargenError: the run could not be started.
    """
    _warn_of_simulation()
    from dagster_project.jobs import TARGETS_JOB  # noqa: PLC0415 - Dagster, only now

    made, targets = make_tasks([task]), []
    if QUALITY_REPORT in made[0].metadata and not made[0].interrupted:
        # In a run of its own, because a failed gate blocks what is downstream of the report.
        targets = make_tasks([task], job=TARGETS_JOB)
        made[0].metadata |= targets[0].metadata
    _show(made)
    status = _end(made, [task], strict)
    # After the gates, which the report has although its targets failed.
    return _report_errors(targets) or status


def demo(strict: bool = False) -> int:
    """Make all tables of the demo tasks with the simulator; return the exit status.

    Raises:
        TargenError: the run could not be started.
    """
    for name in _REAL_MODEL:
        os.environ.pop(name, None)
    os.environ.setdefault("TARGEN_ROWS", DEMO_ROWS)
    count, rows = len(DEMO_TASKS), os.environ["TARGEN_ROWS"]
    _write(f"Making {count} tasks of {rows} rows with the simulator. Loading Dagster ...\n")
    made = make_tasks(DEMO_TASKS)
    _show(made)
    return _end(made, DEMO_TASKS, strict)


def compare(base: str, strict: bool = False, *, only_plan: bool = False) -> int:
    """Make a task and all that extend it where needed, then the comparison; return the exit status.

    Only tasks whose tables are missing or older than the task are made. With the simulator, the
    default of TARGEN_ROWS is that of the demo. Failed tasks are left out of the comparison.

    Args:
        base: the task that the others extend; empty for the comparison only.
        strict: fail if a gate of severity `warn` does not pass.
        only_plan: show what would be made, and stop.

    Raises:
        TargenError: the run could not be started.
    """
    if not os.environ.get("TARGEN_MODEL"):
        os.environ.setdefault("TARGEN_ROWS", DEMO_ROWS)
    _warn_of_simulation()
    names, making = _planned(base) if base else ([], [])
    if only_plan:
        return 0
    made = make_tasks(making, then_compare=True)
    _show(made[: len(making)])
    compared = len(made) > len(making) and made[-1].error is None
    status = _end(made, names if compared else making, strict)
    if compared:
        _show_comparison(base)
    return status


def release(task: str, strict: bool = False) -> int:
    """Release a task's current tables; return the exit status.

    With `strict`, nothing is released if a gate of severity `warn` does not pass.

    Raises:
        TargenError: the run could not be started.
    """
    from dagster_project.jobs import RELEASE, RELEASE_JOB  # noqa: PLC0415 - Dagster, only now

    home.prepare()
    _set_rows_from_report(task)
    if strict and (gates := _gates([task])).warned:
        _write("\n".join(["", *gates.lines, ""]))
        return _strict_error(gates, f"{task} is not released: ")
    (made,) = make_tasks([task], job=RELEASE_JOB)
    if made.error is not None:
        return _report_errors([made])
    found = made.metadata[RELEASE]
    rows = f"{found['dagster/row_count']:,} {'simulated ' if found['simulated'] else ''}rows"
    note = f"\n{_SIMULATED}\n" if found["simulated"] else ""
    _write(f"\nRelease of {rows}:\n  {found['path']}\n{note}")
    return _end([made], [task], strict)


def refine(task: str, rounds: str | None, budget: str | None, strict: bool = False) -> int:
    """Make rounds of targets of a task; return the exit status.

    Args:
        task: the task's name.
        rounds: most rounds, counting those that were made before; default 3.
        budget: limit in US dollars of what they may cost; None sets no limit.
        strict: fail if a gate of severity `warn` does not pass.

    Raises:
        TargenError: the task or its targets are wrong, or a number is wrong.
    """
    from dagster_project.definitions import make_resources  # noqa: PLC0415 - Dagster, only now
    from dagster_project.refine import MOST_ROUNDS, ROUNDS, refine_task  # noqa: PLC0415

    most = _number(rounds) if rounds else ROUNDS
    limit = _number(budget) if budget else None
    if most is None or not 1 <= most <= MOST_ROUNDS or most != int(most):
        raise TargenError(f"ROUNDS={rounds}: it must be a whole number from 1 to {MOST_ROUNDS}")
    if budget and not limit:
        raise TargenError(
            f"BUDGET={budget}: it must be a number of US dollars above 0; leave it out for no limit"
        )
    _warn_of_simulation()
    home.prepare()
    made = make_resources(Settings.from_environment())

    def run_job(job: str, config: Mapping[str, Any]) -> TaskRun:
        return make_tasks([task], job=job, resources=config)[0]

    used = SimpleNamespace(tasks=made["tasks"], data=made["data"], llm=made["llm"])
    found = refine_task(task, used, int(most), limit, run_job, lambda line: _write(f"{line}\n"))
    last = found.runs[-1]
    _show([last])
    calls = f"{found.calls} calls were made" if found.calls else "no call was made"
    _write(f"\nRounds made now: {len(found.runs) - 1}; {calls}. Stopped because {found.why}.\n")
    if TARGETS in last.metadata:
        file = str(last.metadata[TARGETS]["file"])
        _write(f"\nTargets:\n  {file}\n  {file.removesuffix('yaml')}html\n")
    return _end([last], [task], strict)


def _write(text: str) -> None:
    sys.stdout.write(printable(text))
    sys.stdout.flush()


def _number(text: str) -> float | None:
    """Return a finite number that is not negative; None if a text is none."""
    try:
        found = float(text)
    except ValueError:
        return None
    return found if 0 <= found < float("inf") else None


def _warn_of_simulation() -> None:
    named = [name for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL") if os.environ.get(name)]
    if named and not os.environ.get("TARGEN_MODEL"):
        sys.stderr.write(
            f"warning: {' and '.join(named)} set, but not TARGEN_MODEL: the simulator "
            "is used, and its rows are not training data\n"
        )


def _tables() -> "Tables":
    from dagster_project.definitions import data_folder  # noqa: PLC0415 - Dagster, only now

    return data_folder(Settings.from_environment()).tables()


def _set_rows_from_report(task: str) -> None:
    """Set TARGEN_ROWS to the number of rows of the task's report, unless it is set."""
    from dagster_project.definitions import task_folder  # noqa: PLC0415

    settings = Settings.from_environment()
    if settings.rows is not None or task not in task_folder(settings).names():
        return
    report = _tables().read_json(QUALITY_REPORT, task)
    if report is not None:
        os.environ[variable("rows")] = str(report["rows_asked"])


def _planned(base: str) -> tuple[list[str], list[str]]:
    """Print the plan of a comparison; return the tasks of the group, and those to make."""
    from dagster_project import comparing  # noqa: PLC0415 - Polars
    from dagster_project.definitions import task_folder  # noqa: PLC0415
    from targen.quality.comparison import groups  # noqa: PLC0415

    settings = Settings.from_environment()
    folder = task_folder(settings)
    specs = folder.load_all()
    found = groups({name: spec.extends for name, spec in specs.items()})
    if base not in found:
        raise SpecError(f"{folder.tasks_dir}: no task extends '{base}'; {nearest(base, found)}")
    planned = comparing.plan([specs[name] for name in found[base]], _tables(), settings)
    comparing.show(base, planned)
    return found[base], [one.spec.name for one in planned if one.making]


def make_tasks(
    names: Sequence[str],
    *,
    then_compare: bool = False,
    job: str = "dataset",
    resources: Mapping[str, Any] | None = None,
) -> list[TaskRun]:
    """Run the tasks one after the other in this process.

    One process, because loading Dagster takes longer than making the tables of a demo task.

    Returns:
        The results in order, up to an interrupted run.

    Raises:
        TargenError: a task does not exist, or Dagster's home or the definitions cannot be loaded.
    """
    home.prepare()
    # Imported here, because the definitions read the environment when they are imported.
    from dagster import DagsterInstance  # noqa: PLC0415

    from dagster_project.definitions import build_defs, task_folder  # noqa: PLC0415
    from dagster_project.jobs import COMPARISON_JOB, RELEASE_JOB  # noqa: PLC0415
    from targen_dagster.instance import FileComputeLogManager  # noqa: PLC0415

    folder = task_folder(Settings.from_environment())
    known = folder.names()
    for name in names:
        if name not in known:
            raise SpecError(f"{folder.tasks_dir}: no task '{name}'; {nearest(name, known)}")
    if job != RELEASE_JOB:
        # Before the resources read the environment.
        paying.ask(names)
    definitions = build_defs()
    with DagsterInstance.get() as instance:
        if isinstance(logs := instance.compute_log_manager, FileComputeLogManager):
            # The terminal shows what goes to the run's files.
            logs.mirror = True
        runs = [(job, name) for name in names] + [(COMPARISON_JOB, None)] * then_compare
        made: list[TaskRun] = []
        for each, task in runs:
            made.append(_make(each, task, definitions, instance, resources or {}))
            if made[-1].interrupted:
                break
        return made


def _make(
    job: str,
    task: str | None,
    definitions: "Definitions",
    instance: "DagsterInstance",
    resources: Mapping[str, Any],
) -> TaskRun:
    from dagster_project.shell import SHELL_LOGGER  # noqa: PLC0415
    from dagster_project.terminal import bars  # noqa: PLC0415
    from targen_dagster.instance import PROCESS_TAG, this_process  # noqa: PLC0415

    config = {"loggers": {SHELL_LOGGER: {}}, "resources": resources}
    with bars(sys.stdout):
        tags = {PROCESS_TAG: this_process()}
        return executed(definitions.resolve_job_def(job), task, instance, config, tags)


@dataclass(frozen=True)
class _Gates:
    """The gates of some tasks.

    Attributes:
        lines: how many passed, and a line for each.
        warned: per task with failed gates of severity `warn`, the task and their metrics.
    """

    lines: list[str]
    warned: list[str]


def _gates(names: Sequence[str]) -> _Gates:
    """Read the gates from the tasks' reports; tasks without a report are left out."""
    from dagster_project import summary  # noqa: PLC0415 - Polars, only after the run
    from targen.quality.gates import outcome  # noqa: PLC0415

    tables, found = _tables(), _Gates([], [])
    for name in names:
        report = tables.read_json(QUALITY_REPORT, name)
        if report is None:
            continue
        found.lines.extend(summary.gates(name, report, brief=len(names) > 1))
        warned = [gate["metric"] for gate in report["gates"] if outcome(gate) == "warned"]
        found.warned.extend([f"{name} ({', '.join(warned)})"] if warned else [])
    return found


def _end(made: Sequence[TaskRun], names: Sequence[str], strict: bool) -> int:
    """Print the gates of the tasks, then the errors; return the exit status.

    Args:
        made: the runs. Gates of a run that ended before the report are not shown.
        names: the tasks, made now or before.
        strict: whether warnings fail.
    """
    ended = {one.task for one in made if one.error and QUALITY_REPORT not in one.metadata}
    gates = _gates([name for name in names if name not in ended])
    if gates.lines:
        _write("\n".join(["", *gates.lines, ""]))
    status = _report_errors(made)
    return _strict_error(gates) if strict and gates.warned and not status else status


def _strict_error(gates: _Gates, outcome: str = "") -> int:
    return _fail(
        f"{outcome}gates warn, and --strict makes warnings fail: {'; '.join(gates.warned)}"
    )


def _report_errors(made: Sequence[TaskRun]) -> int:
    failed = [one for one in made if one.error is not None]
    for one in failed:
        if one.trace:
            sys.stderr.write(f"{printable(one.trace)}\n")
        sys.stderr.write(f"error: {one.task}: {printable(one.error or '')}\n")
    if any(one.interrupted for one in failed):
        return INTERRUPTED_STATUS
    return 1 if failed else 0


def _show(made: Sequence[TaskRun]) -> None:
    from dagster_project import summary  # noqa: PLC0415 - Polars, only after the run

    # A run that fails a gate still has a report to show.
    made = [one for one in made if QUALITY_REPORT in one.metadata]
    if not made:
        return
    tables = _tables()
    lines = [summary.row(one.task, one.metadata, tables, one.seconds) for one in made]
    reports = [tables.address(QUALITY_REPORT, one.task, "html") for one in made]
    simulated = any(summary.simulated(one.metadata) for one in made)
    blocks = [summary.aligned(lines), "", *([_SIMULATED, ""] if simulated else [])]
    text = "\n".join([*blocks, "Reports:", *(f"  {path}" for path in reports)])
    _write(f"\n{text}\n")


def _show_comparison(base: str) -> None:
    from dagster_project.jobs import COMPARISON  # noqa: PLC0415

    page = f"{base}.html" if base else "html"
    address = _tables().address(COMPARISON, COMPARISON, page)
    _write(f"\nComparison:\n  {address}\n")


def _fail(message: str) -> int:
    sys.stderr.write(f"error: {printable(message)}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
