"""The Python API: generate rows, report on rows, and audit rows, without Dagster.

The functions read the same settings as the command line, and use the same completion store. They
write no table.
"""

import asyncio
import html
import re
import threading
import uuid
import warnings
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import polars as pl

from targen.cli import base
from targen.errors import SpecError, StepError, TableError, TargenError
from targen.llm.progress import Progress, Stats, watched
from targen.steps import CORRECTED_SET, ROW_STEPS, UPSTREAM
from targen.tables.files import Stored
from targen.tasks.own_data import for_reports_only
from targen.tasks.spec import TaskSpec

if TYPE_CHECKING:
    from targen.llm.settings import EngineSettings
    from targen.operators.estimate import SettingsOf
    from targen.quality.inputs import ReportInputs
    from targen.quality.report import Report

SIMULATOR: Final = "simulator"
"""The `model` that asks for the simulator."""

Task = str | Path | Mapping[str, Any] | TaskSpec
Result = TypeVar("Result")


class SimulatorWarning(UserWarning):
    """No model is set, so that the simulator makes the rows."""


def load_task(task: Task, rows: int | None = None) -> TaskSpec:
    """Return a task.

    Args:
        task: its name in the folder of tasks, the path of its file (.yaml), or a mapping with the
            keys of a task file, whose paths are relative to the working directory.
        rows: overrides the task's own number of rows.

    Raises:
        SpecError: the task does not exist or is wrong.
    """
    if rows is not None and (isinstance(rows, bool) or not isinstance(rows, int) or rows < 1):
        raise SpecError(f"`rows` must be a whole number of at least 1, not {rows!r}.")
    if isinstance(task, TaskSpec):
        spec = task
    elif isinstance(task, Mapping):
        spec = base.task_of(task)
    elif isinstance(task, str | Path):
        spec = base.task_or_file(_file_name(task))
    else:
        raise SpecError(
            f"A task is a name, the path of a file or a mapping, not {type(task).__name__}."
        )
    return spec if rows is None else spec.model_copy(update={"rows": rows})


def _file_name(task: str | Path) -> str:
    if isinstance(task, Path) and task.suffix not in (".yaml", ".yml"):
        raise SpecError(f"{task}: a task file ends with .yaml.")
    return str(task)


@dataclass(frozen=True)
class Generated:
    """The tables that the steps of a task made.

    Attributes:
        task: the task.
        steps: step -> its table, its rejected items and how it was made.
        usage: step -> calls, tokens and cost of this call of `generate`.
        simulated: True if the simulator made any of the rows. They are not training data.
        warnings: of the steps, as sentences.
    """

    task: TaskSpec
    steps: Mapping[str, Stored]
    usage: Mapping[str, Stats]
    simulated: bool
    warnings: Sequence[str]

    @property
    def rows(self) -> pl.DataFrame:
        """The finished rows: the table of the last step."""
        return self.frames[CORRECTED_SET]

    @property
    def frames(self) -> dict[str, pl.DataFrame]:
        """Step -> its table; docs/data.md describes the columns."""
        return {step: stored.table for step, stored in self.steps.items()}

    @property
    def rejected(self) -> pl.DataFrame:
        """The items of all steps that did not become rows, each with its reason."""
        found = [stored.rejected for stored in self.steps.values() if stored.rejected is not None]
        return pl.concat(found)

    def __repr__(self) -> str:
        """Return rows, calls and cost in one line."""
        used = [*self.usage.values()]
        total = used[0].plus(*used[1:])
        cost = "free" if self.simulated else base.usd(total.cost_usd)
        made = "simulated, not training data" if self.simulated else total.model
        return (
            f"<{self.task.name}: {self.rows.height:,} of {self.task.wanted_rows:,} rows ({made}); "
            f"{base.plural(total.calls, 'call')}, {total.from_store:,} from the store, {cost}>"
        )


async def generate(
    task: Task,
    rows: int | None = None,
    *,
    model: str | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    budget_usd: float | None = None,
    concurrency: int | None = None,
    progress: bool = False,
) -> Generated:
    """Run all steps of a task and return their tables.

    The answers are stored like those of a run, so that the same call again makes no request, and
    more rows pay for the new ones only. Human verdicts and targets of the data folder are not used.

    Args:
        task: see `load_task`.
        rows: number of rows; by default the task's own.
        model: name at the endpoint, or `simulator`. By default TARGEN_MODEL; without it, the
            simulator with a `SimulatorWarning`.
        base_url: root of the OpenAI-compatible API; by default OPENAI_BASE_URL.
        api_key: by default OPENAI_API_KEY; any word for a server that asks for none.
        budget_usd: spending limit over all runs that share the store, in US dollars.
        concurrency: maximum number of requests in flight.
        progress: show a progress bar for each step on stderr.

    Raises:
        SpecError: the task is wrong, or an argument is.
        StepError: a step cannot make its table. Its attribute `rejected` has the rejected items.
        EndpointError: the endpoint cannot be used.
        BudgetError: the budget is used up.
        StoreError: the completion store cannot be used.
    """
    from targen.operators import made_by, step_digest  # noqa: PLC0415 - slow to import
    from targen.operators.in_memory import live_settings, run_live  # noqa: PLC0415

    spec = load_task(task, rows)
    if for_reports_only(spec):
        raise SpecError(f"{spec.name} is for reports only (`report_only`); it cannot make rows.")
    given = _given(model, base_url, api_key, budget_usd, concurrency)
    live = live_settings(spec, _settings(spec, given))
    simulated = any(one.embedded for one in live.values())
    if simulated and model is None:
        message = "No model is set, so the simulator makes these rows; they are not training data."
        hint = f'Pass model="...", or model="{SIMULATOR}" to ask for it.'
        warnings.warn(f"{message} {hint}", SimulatorWarning, stacklevel=1)
    made: dict[str, Stored] = {}
    usage: dict[str, Stats] = {}
    warned: list[str] = []
    with _shown(spec.name, progress):
        for step in UPSTREAM:
            tables = {name: stored.table for name, stored in made.items()}
            try:
                output, usage[step] = await run_live(step, spec, tables, live)
            except StepError as error:
                raise StepError(f"{spec.name}, {step}: {error}", error.rejected) from None
            made[step] = Stored(
                output.table,
                output.rejected,
                output.asked,
                step_digest(step, spec),
                planted=output.planted,
                made_by=made_by(step, spec),
            )
            warned += output.warnings
    return Generated(spec, made, usage, simulated, warned)


def generate_sync(task: Task, rows: int | None = None, **options: Any) -> Generated:
    """Run `generate` where `await` is not possible, such as in a script.

    Args:
        task: see `load_task`.
        rows: number of rows.
        options: the other arguments of `generate`.

    Raises:
        TargenError: see `generate`.
    """
    return _waited(generate(task, rows, **options))


def _given(
    model: str | None,
    base_url: str | None,
    api_key: str | None,
    budget_usd: float | None,
    concurrency: int | None,
) -> "Callable[[EngineSettings], EngineSettings]":
    """Return a function that puts the arguments of `generate` into the default settings."""
    if model == SIMULATOR and (base_url or api_key):
        raise SpecError(f'model="{SIMULATOR}" has no endpoint; leave out base_url and api_key.')
    if model is not None and not model.strip():
        raise SpecError("`model` is empty; name a model of the endpoint.")
    if model is None and base_url and not base.settings().model:
        raise SpecError('`base_url` needs a model: pass model="..." or set TARGEN_MODEL.')
    if budget_usd is not None and not 0 <= budget_usd < float("inf"):
        raise SpecError(f"`budget_usd` must be an amount such as 2.50, not {budget_usd!r}.")
    if concurrency is not None and concurrency < 1:
        raise SpecError(f"`concurrency` must be at least 1, not {concurrency!r}.")
    values = {
        "base_url": base_url,
        "api_key": api_key,
        "budget_usd": budget_usd,
        "concurrency": concurrency,
        "model": model,
    }
    found: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
    if model == SIMULATOR:
        found["model"] = None
    return lambda settings: replace(settings, **found)


def _settings(spec: TaskSpec, given: "Callable[[EngineSettings], EngineSettings]") -> "SettingsOf":
    """Return the settings of a step's engine, with the arguments of `generate`."""
    run_id = f"python-{uuid.uuid4().hex}"
    return base.settings_of(
        spec, lambda step: replace(given(base.engine_settings(spec.name, step)), run_id=run_id)
    )


@contextmanager
def _shown(task: str, progress: bool) -> Iterator[None]:
    """Show a progress bar for each step of a task."""
    if not progress:
        yield
        return
    from tqdm.std import tqdm  # noqa: PLC0415 - only for a bar

    bars: dict[str, Any] = {}

    def watch(now: Progress) -> None:
        # Other tasks can run in the same process.
        if now.task != task or not (now.done or now.total):
            return
        if now.step not in bars:
            bars[now.step] = tqdm(desc=now.step, unit="request")
        bar = bars[now.step]
        bar.total, bar.n = now.total, now.done
        cost = "" if now.cost_usd is None else f"${now.cost_usd:.4f}"
        bar.set_postfix_str(cost, refresh=False)
        bar.refresh()
        if now.ended:
            bar.close()

    try:
        with watched(watch):
            yield
    finally:
        for bar in bars.values():
            bar.close()


def _waited(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine to its end, in a thread of its own if an event loop runs (a notebook)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    done: list[Result] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(asyncio.run(work))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="targen")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return done[0]


@dataclass(frozen=True)
class QualityReport:
    """A quality report; a notebook shows its page.

    Attributes:
        made: the computed report.
    """

    made: "Report" = field(repr=False)

    @property
    def json(self) -> dict[str, Any]:
        """Everything that the page shows, JSON-like."""
        return self.made.json

    @property
    def figures(self) -> pl.DataFrame:
        """All figures: one row per metric and slice."""
        return self.made.table

    @property
    def faults(self) -> pl.DataFrame:
        """The rows that have a fault, and which it is."""
        return self.made.marked

    @property
    def verdict(self) -> str:
        """The verdict in one sentence or two."""
        return str(self.json["verdict"]["text"])

    @property
    def findings(self) -> list[str]:
        """What needs attention, most important first."""
        return [str(one["text"]) for one in self.json["findings"]]

    def value(self, metric: str, slice: str = "all") -> float | None:  # noqa: A002
        """Return one figure; None if it is absent or unknown."""
        return self.made.value(metric, slice)

    def html(self) -> str:
        """Return the page: self-contained HTML without script."""
        from targen.cli.report import today  # noqa: PLC0415 - only for the page
        from targen.quality import first_screen, page  # noqa: PLC0415

        return page.render(self.made, first_screen.Origin(today()))

    def write(self, path: str | Path) -> None:
        """Write the page to a file.

        Raises:
            TableError: the file cannot be written.
        """
        from targen.tables.storage import write_file  # noqa: PLC0415

        write_file(Path(path), self.html().encode(), "path")

    def __repr__(self) -> str:
        """Return the verdict."""
        return f"<report: {self.json['verdict']['short']}>"

    def _repr_html_(self) -> str:
        return _framed(self.html())


def report(
    data: Generated | pl.DataFrame | str | Path,
    *,
    task: Task | None = None,
    text: str | Sequence[str] = (),
    label: str | None = None,
    columns: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    language: str | None = None,
    reference: str | Path | None = None,
) -> QualityReport:
    """Measure the quality of rows.

    Args:
        data: the result of `generate`, a Polars frame, or the path of a Parquet, JSON, CSV or TSV
            file.
        task: the task of the rows, see `load_task`; it may be for reports only. The result of
            `generate` has its own.
        text: without a task, the columns with text.
        label: the column of the label; by default `label`, if there is one.
        columns: field of the task, or `label` -> its column.
        labels: label of the task -> its value in the rows.
        language: without a task, the ISO 639-1 code of the texts, such as `de`; English by default.
        reference: file of gold rows to compare with.

    Raises:
        SpecError: the task is wrong.
        TableError: the rows cannot be read, or do not match the task.
    """
    names = (text,) if isinstance(text, str) else tuple(text)
    if isinstance(data, Generated):
        if task or names or label or columns or labels or language or reference:
            raise TableError("The result of `generate` has its task: give no other argument.")
        return QualityReport(_waited(_measured_of(data)))
    if task is not None and (names or language):
        raise TableError("Give `task`, or `text` with `label` and `language`, not both.")
    with _in_python():
        inputs = _inputs(data, task, names, label, columns, labels, language, reference)
        from targen.cli.report import measured  # noqa: PLC0415 - slow to import

        return QualityReport(_waited(measured(inputs)))


def _inputs(
    data: pl.DataFrame | str | Path,
    task: Task | None,
    text: tuple[str, ...],
    label: str | None,
    columns: Mapping[str, str] | None,
    labels: Mapping[str, str] | None,
    language: str | None,
    reference: str | Path | None,
) -> "ReportInputs":
    from targen.cli.report import Options, of_rows  # noqa: PLC0415 - slow to import
    from targen.tasks import import_files  # noqa: PLC0415

    options = Options(
        # The command line has them in the order of the file.
        columns={column: name for name, column in (columns or {}).items()},
        labels={str(value): name for name, value in (labels or {}).items()},
        label=label,
        text=text,
        language=language,
    )
    if task is None and not text:
        raise TableError('Name the columns with text, such as text=["subject", "body"], or a task.')
    if isinstance(data, pl.DataFrame):
        file, read = Path("frame"), import_files.of_frame("the frame", data)
        if not data.height:
            raise TableError("The frame has no rows.")
    elif isinstance(data, str | Path):
        file = Path(data)
        read = import_files.read(file)
    else:
        raise TableError(
            "A report takes a Polars frame, the path of a file or the result of `generate`, not "
            f"{type(data).__module__}.{type(data).__name__}."
        )
    spec = None if task is None else load_task(task)
    gold = None if reference is None else Path(reference)
    return of_rows(read, file, spec, gold, options)


async def _measured_of(data: Generated) -> "Report":
    from targen.cli.report import measured  # noqa: PLC0415 - slow to import
    from targen.quality import own_tables  # noqa: PLC0415

    with closing(base.store()) as store:
        inputs = own_tables.gather(data.task, data.steps, store)
    return await measured(inputs)


@contextmanager
def _in_python() -> Iterator[None]:
    """Name arguments instead of the command line's options in errors."""
    try:
        yield
    except TableError as error:
        raise TableError(re.sub(r"--(text|label|column|language)\b", r"`\1`", str(error))) from None


@dataclass(frozen=True)
class RowAudit:
    """The audit of one row; a notebook shows its page.

    Attributes:
        facts: the row, its sources, calls and findings, JSON-like, as `targen audit ID --json`.
    """

    facts: Mapping[str, Any] = field(repr=False)

    @property
    def verdict(self) -> str:
        """`verified`, `unverifiable` or `wrong`."""
        return str(self.facts["verdict"])

    @property
    def story(self) -> list[str]:
        """How the row was made, as sentences."""
        return list(self.facts["story"])

    @property
    def findings(self) -> list[str]:
        """What the audit found: level, place and problem."""
        return [f"{one['level']}: {one['where']}: {one['what']}" for one in self.facts["findings"]]

    def html(self) -> str:
        """Return the page with all prompts and answers: self-contained HTML without script."""
        from targen.cli.audit_report import render  # noqa: PLC0415 - only for the page

        return render(self.facts)

    def __repr__(self) -> str:
        """Return the verdict."""
        return f"<{self.facts['task']} {self.facts['item_id'][:16]}: {self.verdict}>"

    def _repr_html_(self) -> str:
        return _framed(self.html())


def audit(row: str | Mapping[str, Any], data: Generated | None = None) -> RowAudit:
    """Trace a row to the calls that produced it, and recompute everything that leads to it.

    Args:
        row: its `instance_id`, or a row with it, such as `data.rows.row(0, named=True)`.
        data: the result of `generate`; None for rows of the data folder.

    Raises:
        TargenError: no table has the row, or the result of `generate` was made by another version.
        StoreError: the completion store cannot be read.
    """
    from targen.cli.audit import open_auditor  # noqa: PLC0415 - slow to import
    from targen.cli.audit_report import facts  # noqa: PLC0415

    item = row.get("instance_id") if isinstance(row, Mapping) else row
    if not isinstance(item, str):
        raise TargenError("Give a row's `instance_id`, or a row that has this column.")
    with ExitStack() as stack:
        auditor = open_auditor(stack)
        if data is None:
            tasks = auditor.tasks()
        else:
            tasks = [data.task.name]
            frames, made_by = dict(data.frames), {}
            for step in ROW_STEPS:
                stored = data.steps[step]
                made_by[step] = stored.made_by
                if stored.rejected is not None:
                    frames[f"rejected/{step}"] = stored.rejected
                    made_by[f"rejected/{step}"] = stored.made_by
            auditor.hold(data.task.name, frames, made_by)
        where = "These tables have" if data is not None else f"No table in {base.data_dir()} has"
        found = auditor.find(item, tasks)
        if not found:
            no = " no" if data is not None else " the"
            raise TargenError(f"{where}{no} id {item!r}. Use an id from the column `instance_id`.")
        return RowAudit(facts(auditor.audit(found[0], [item])[0]))


def _framed(page: str) -> str:
    """Return a page as a frame that cannot run script or reach the notebook."""
    inner = html.escape(page, quote=True)
    return f'<iframe sandbox srcdoc="{inner}" width="100%" height="600"></iframe>'
