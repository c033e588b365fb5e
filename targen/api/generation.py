"""Rows of a task, generated in this process."""

import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from targen.api.notebook import waited
from targen.api.tasks import Task, load_task
from targen.cli import base
from targen.errors import SpecError, StepError
from targen.llm.progress import Progress, Stats, watched
from targen.steps import CORRECTED_SET, UPSTREAM
from targen.tables.files import Stored
from targen.tasks.own_data import for_reports_only
from targen.tasks.spec import TaskSpec
from targen.wording import plural

if TYPE_CHECKING:
    from targen.llm.settings import EngineSettings
    from targen.operators.estimate import SettingsOf

SIMULATOR: Final = "simulator"
"""The `model` that asks for the simulator."""


class SimulatorWarning(UserWarning):
    """No model is set, so that the simulator makes the rows."""


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
        used = [*self.usage.values()]
        total = used[0].plus(*used[1:])
        cost = "free" if self.simulated else f"cost {base.usd(total.cost_usd)}"
        made = "simulated, not training data" if self.simulated else total.model
        return (
            f"<{self.task.name}: {self.rows.height:,} of {self.task.wanted_rows:,} rows ({made}); "
            f"{plural(total.calls, 'call')}, {total.from_store:,} from the store, {cost}>"
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
    return waited(generate(task, rows, **options))


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
    if model is not None and not (isinstance(model, str) and model.strip()):
        raise SpecError(f"`model` must name a model of the endpoint, not {model!r}.")
    if model is None and base_url and not base.settings().model:
        raise SpecError('`base_url` needs a model: pass model="..." or set TARGEN_MODEL.')
    number = isinstance(budget_usd, int | float)
    if budget_usd is not None and not (number and 0 <= budget_usd < float("inf")):
        raise SpecError(f"`budget_usd` must be an amount such as 2.50, not {budget_usd!r}.")
    if concurrency is not None and not (isinstance(concurrency, int) and concurrency >= 1):
        raise SpecError(f"`concurrency` must be a whole number of at least 1, not {concurrency!r}.")
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
            bars[now.step] = tqdm(desc=now.step, unit="req", total=now.total)
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
