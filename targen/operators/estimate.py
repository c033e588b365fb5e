"""The estimate of a task: calls from its plan, tokens from its prompts, and what they cost.

The task is rehearsed on the simulator with few rows, with the real prompts and with every stored
answer. The plan then gives the number of calls for all rows. Tokens per call follow from the
rehearsal, by the number of items that a call asks for.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import polars as pl
import sqlalchemy as sa

from targen.errors import StepError
from targen.llm import prompt_cache
from targen.llm.prices import Price
from targen.llm.settings import EMBEDDED_MODEL, EngineSettings
from targen.operators import run_step
from targen.operators.planning import Planned, plan
from targen.operators.rehearsal import Call, Calls, Complete, Rehearsal
from targen.steps import CORRECTED_SET, INSTANCES, LABELS, ROW_STEPS, UPSTREAM, VOCABULARIES
from targen.store.completions import Store
from targen.store.schema import USES
from targen.tasks.spec import TaskSpec

REHEARSED: Final = 120
REHEARSED_AT_MOST: Final = 480
REHEARSED_CALLS: Final = 60
"""Rows of the rehearsal, if the task wants more. It is doubled while the plan has fewer calls than
this, as that of a recipe that writes several rows a call and reads none."""

EXPECTED: Final = 0.1
AT_MOST: Final = 0.5
"""Share of the items that a real model's answers lose, if no run of it is stored: a guess, and what
a model of 1.5 billion parameters lost in its worst step (docs/real-models.md)."""
DISPUTED_AT_MOST: Final = 0.5
"""Share of disputed rows of a weak annotator."""
GROWTH_AT_MOST: Final = 1.5
_HISTORY: Final = 0.8
"""Share of a step's requests in the store from which on they count as its history."""

Basis = Literal["simulator", "history", "assumption"]
SettingsOf = Callable[[str, str | None], EngineSettings]
"""Takes a step and a named endpoint, or None for the default one."""
Models = dict[str | None, Rehearsal]
"""Named endpoint, or None for the default one -> the requests to it."""


@dataclass(frozen=True, slots=True)
class RequestCounts:
    """The requests of one step to one model.

    Attributes:
        model: model name sent to the endpoint.
        endpoint: the endpoint's logical name.
        planned: requests if every answer were usable.
        calls: requests that would be sent, with those that replace rejected items.
        stored: requests answered from the store.
        calls_low, calls_high: a range for `calls`.
        basis: where the number of rejected items comes from.
        prompt_tokens, output_tokens: totals of the calls.
        prefix_tokens: tokens with which all of the calls' prompts begin.
        cacheable_tokens: prompt tokens that OpenAI's prompt cache could read; see
            `prompt_cache.cached_tokens`.
        cache_saves_usd: what reading them from the cache would save of `cost_usd`; None if the
            price is unknown.
        cost_usd, batch_usd, most_usd: cost of the calls, live, in batch mode, and if every answer
            had the maximum length; None if the price is unknown.
        low_usd, high_usd: live cost for the range of calls.
    """

    model: str
    endpoint: str
    planned: int
    calls: int
    stored: int
    calls_low: int
    calls_high: int
    basis: Basis
    prompt_tokens: int
    output_tokens: int
    prefix_tokens: int
    cacheable_tokens: int
    cache_saves_usd: float | None
    cost_usd: float | None
    batch_usd: float | None
    most_usd: float | None
    low_usd: float | None
    high_usd: float | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """Estimate of a task.

    Attributes:
        steps: step -> its requests, one entry per model; steps without requests are left out.
        rehearsed: rows of the rehearsal.
        problem: why the rehearsal stopped early; None if it finished.
    """

    steps: dict[str, list[RequestCounts]]
    rehearsed: int
    problem: str | None = None

    def totals(self) -> "Totals":
        """Return the sums over all steps."""
        counts = [one for asked in self.steps.values() for one in asked]
        costs = [one.cost_usd for one in counts]
        return Totals(
            sum(one.calls for one in counts),
            sum(one.prompt_tokens + one.output_tokens for one in counts),
            None if None in costs else sum(cost or 0.0 for cost in costs),
            any(one.model == EMBEDDED_MODEL for one in counts),
        )


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums of estimates."""

    calls: int = 0
    tokens: int = 0
    cost_usd: float | None = 0.0
    simulated: bool = False

    def __add__(self, other: "Totals") -> "Totals":
        known = self.cost_usd is not None and other.cost_usd is not None
        return Totals(
            self.calls + other.calls,
            self.tokens + other.tokens,
            (self.cost_usd or 0.0) + (other.cost_usd or 0.0) if known else None,
            self.simulated or other.simulated,
        )


async def estimate(
    spec: TaskSpec,
    settings: SettingsOf,
    store: Store,
    complete: Complete,
    rehearsed: int | None = None,
) -> Estimate:
    """Estimate the requests of a task.

    Args:
        spec: the task.
        settings: (step, named endpoint) -> the settings of its engine in a real run.
        store: requests with stored answers do not count as calls.
        complete: chat completion request body -> reply body (the simulator).
        rehearsed: rows to rehearse with, if the task wants more: those of the last run, if its
            answers are to be the history. By default, few.

    Raises:
        StoreError: the completion store cannot be read.
        SpecError: the price file cannot be read.
    """
    small = _small(spec, rehearsed or REHEARSED)
    tables: dict[str, pl.DataFrame] = {}
    models: dict[str, Models] = {}
    problem = None
    for step, upstream in UPSTREAM.items():
        models[step] = _models(spec, step, settings, store, complete)
        try:
            above = {name: tables[name] for name in upstream}
            tables[step] = await _rehearsed(step, small, above, models[step])
        except StepError as error:
            problem = f"{step}: {error}"
            break
    growth = 1.0
    if INSTANCES in tables and small.rows < spec.rows:
        growth = await _growth(small, tables, models[INSTANCES], settings, store, complete)
    disputed = _disputed(tables)
    rehearsal = {one.step: one for one in plan(small, disputed)}
    whole = {one.step: one for one in plan(spec, disputed)}
    most = {one.step: one for one in plan(spec, max(disputed, DISPUTED_AT_MOST))}
    steps = {}
    for step in ROW_STEPS:
        asked = [
            (model.settings, name, calls)
            for model in models.get(step, {}).values()
            for name, calls in model.asked.items()
        ]
        if asked:
            scale = _Scale(spec, small, step, rehearsal[step], whole[step], most[step], growth)
            total = sum(len(calls.calls) for _, _, calls in asked)
            steps[step] = [
                _counts(scale.part(len(calls.calls) / total), name, calls, chosen, store)
                for chosen, name, calls in asked
            ]
    return Estimate(steps, small.rows, problem)


def _small(spec: TaskSpec, rows: int) -> TaskSpec:
    """Return the task with as many rows as the rehearsal has."""
    while True:
        small = spec.model_copy(update={"rows": min(spec.rows, rows)})
        calls = sum(one.total for one in plan(small))
        if small.rows == spec.rows or calls >= REHEARSED_CALLS or 2 * rows > REHEARSED_AT_MOST:
            return small
        rows *= 2


def _models(
    spec: TaskSpec, step: str, settings: SettingsOf, store: Store, complete: Complete
) -> Models:
    """Return the models of a step; the first one is the step's own, the others are readers."""
    names = [spec.recipe.endpoints.get(step), *spec.recipe.reader_endpoints(step)]
    return {name: Rehearsal(settings(step, name), store, complete) for name in dict.fromkeys(names)}


async def _rehearsed(
    step: str, spec: TaskSpec, above: dict[str, pl.DataFrame], models: Models
) -> pl.DataFrame:
    readers = {name: model for name, model in models.items() if name is not None}
    output = await run_step(step, spec, above, next(iter(models.values())), readers)
    return output.table


async def _growth(
    small: TaskSpec,
    tables: dict[str, pl.DataFrame],
    whole: Models,
    settings: SettingsOf,
    store: Store,
    complete: Complete,
) -> float:
    """Return p, if calls grow with the p-th power of the rows; 1 for plans with fixed groups.

    Where rows grow until enough of them are new, more rows leave less that is new. Half of the
    rehearsal shows how much less.
    """
    planned = next(one for one in plan(small) if one.step == INSTANCES)
    if not planned.note or planned.items < 2:
        return 1.0
    half = small.model_copy(update={"rows": -(-small.rows // 2)})
    models = _models(small, INSTANCES, settings, store, complete)
    above = {name: tables[name] for name in UPSTREAM[INSTANCES]}
    await _rehearsed(INSTANCES, half, above, models)
    more, fewer = (
        sum(len(calls.calls) for one in found.values() for calls in one.asked.values())
        for found in (whole, models)
    )
    rows = planned.items / max(1, half.wanted_instances)
    if not fewer or rows <= 1:
        return 1.0
    return min(GROWTH_AT_MOST, max(1.0, math.log(more / fewer) / math.log(rows)))


def _disputed(tables: dict[str, pl.DataFrame]) -> float:
    """Return the share of rows that the rehearsal's corrector was asked about as disputed."""
    if CORRECTED_SET not in tables or not tables[LABELS].height:
        return 0.0
    asked = tables[CORRECTED_SET].filter(pl.col("correction_asked") == "disputed").height
    kept = max(1, tables[CORRECTED_SET].height)
    return asked / kept


@dataclass(frozen=True)
class _Scale:
    """A step's plan for the rehearsal, for all rows, and with many disputed rows.

    Attributes:
        growth: see `_growth`.
    """

    spec: TaskSpec
    small: TaskSpec
    step: str
    rehearsed: Planned
    whole: Planned
    most: Planned
    growth: float

    @property
    def same(self) -> bool:
        """Whether the rehearsal has all rows, or the step does not depend on them."""
        return self.small.rows == self.spec.rows or self.step == VOCABULARIES

    def part(self, share: float) -> "_Scale":
        """Return the scale of one of several models of the step, by its share of the calls."""
        if share == 1:
            return self
        rehearsed, whole = _part(self.rehearsed, share), _part(self.whole, share)
        return replace(self, rehearsed=rehearsed, whole=whole, most=_part(self.most, share))

    def with_rejected(self, share: float) -> int:
        """Return the calls if this share of the items is rejected and asked for again."""
        total, again = self.whole.total, share / (1 - share)
        if self.step in (LABELS, CORRECTED_SET):
            # Readers' answers are rarely unusable. Disputed rows are part of the plan.
            return total
        if self.step == INSTANCES and not self.whole.note:
            # A rejected slot is asked for again in a call of its own.
            return total + round(again * self.whole.items)
        return round(total * (1 + again))


def _part(planned: Planned, share: float) -> Planned:
    calls = Counter({size: round(count * share) for size, count in planned.calls.items()})
    return replace(planned, calls=calls, items=round(planned.items * share))


def _counts(
    scale: _Scale, model: str, asked: Calls, settings: EngineSettings, store: Store
) -> RequestCounts:
    calls = asked.calls
    found = sum(call.stored for call in calls)
    if settings.embedded:
        basis: Basis = "simulator"
    else:
        basis = "history" if found >= _HISTORY * len(calls) else "assumption"
    planned = scale.whole.total
    if basis == "assumption":
        total, low = scale.with_rejected(EXPECTED), planned
        high = max(scale.with_rejected(AT_MOST), scale.most.total)
    else:
        ratio = len(calls) / max(1, scale.rehearsed.total)
        if scale.step == INSTANCES:
            ratio *= (planned / max(1, scale.rehearsed.total)) ** (scale.growth - 1)
        total = len(calls) if scale.same else round(ratio * planned)
        low = high = total
    stored = found
    if not scale.same and calls and found == len(calls):
        stored = max(found, _uses(store, scale.spec.name, scale.step))
    stored = min(stored, total)
    sent = total - stored
    prompt, output = _tokens(scale, calls, total)
    price = settings.price_of(model if model != settings.model_name else None, asked.endpoint)
    share = sent / total if total else 0.0
    prompts = [call.prompt for call in calls]
    cached = prompt_cache.cached_tokens(prompts) / max(1, len(calls) - 1) * max(0, sent - 1)
    usd = _usd(price, prompt * share, output * share)
    return RequestCounts(
        model=model,
        endpoint=asked.endpoint,
        planned=planned,
        calls=sent,
        stored=stored,
        calls_low=max(0, min(low, total) - stored),
        calls_high=max(0, max(high, total) - stored),
        basis=basis,
        prompt_tokens=round(prompt * share),
        output_tokens=round(output * share),
        prefix_tokens=prompt_cache.static_tokens(prompts),
        cacheable_tokens=round(cached),
        cache_saves_usd=None if price is None else price.saved(round(cached)),
        cost_usd=usd,
        batch_usd=_usd(price, prompt * share, output * share, batch=True),
        most_usd=_most(price, calls, sent),
        low_usd=None if usd is None else usd * _ratio(min(low, total) - stored, sent),
        high_usd=None if usd is None else usd * _ratio(max(high, total) - stored, sent),
    )


def _ratio(calls: int, of: int) -> float:
    return max(0, calls) / of if of else 1.0


def _usd(price: Price | None, prompt: float, output: float, batch: bool = False) -> float | None:
    return None if price is None else price.cost(round(prompt), round(output), batch=batch)


def _most(price: Price | None, calls: Sequence[Call], sent: int) -> float | None:
    if price is None:
        return None
    most = sum(price.cost(call.prompt_most, call.most_tokens) for call in calls)
    return most / max(1, len(calls)) * sent


def _tokens(scale: _Scale, calls: Sequence[Call], total: int) -> tuple[float, float]:
    """Return prompt and output tokens of `total` calls.

    The tokens of a call are fitted as a constant and a multiple of its items, by least squares. The
    calls beyond the plan replace rejected items; for instances, they ask for one slot each.
    """
    if scale.same and total == len(calls):
        prompt = sum(call.prompt_tokens for call in calls)
        return prompt, sum(call.output_tokens for call in calls)
    stored = [call for call in calls if call.stored]
    # Where real answers are stored, they say how many tokens a prompt's bytes are.
    prompts: list[float] = [call.prompt_tokens for call in calls]
    if stored:
        factor = sum(call.prompt_tokens for call in stored) / sum(call.guess for call in stored)
        prompts = [call.prompt_tokens if call.stored else call.guess * factor for call in calls]
    sizes = Counter(scale.whole.calls)
    more = max(0, total - scale.whole.total)
    sizes[1 if scale.step == INSTANCES else round(_mean(sizes))] += more
    items = [call.items for call in calls]
    fitted = (
        _fitted(items, prompts, sizes),
        _fitted(items, [call.output_tokens for call in calls], sizes),
    )
    count = max(1, sizes.total())
    return fitted[0] / count * total, fitted[1] / count * total


def _mean(sizes: Counter[int]) -> float:
    return sum(size * n for size, n in sizes.items()) / max(1, sizes.total())


def _fitted(items: Sequence[int], tokens: Sequence[float], sizes: Counter[int]) -> float:
    """Return the tokens of `sizes[n]` calls of n items each, for all n."""
    slope, constant = 0.0, float(np.mean(tokens))
    if len(set(items)) > 1:
        slope, constant = map(float, np.polyfit(items, tokens, 1))
    return sum(n * max(0.0, constant + slope * size) for size, n in sizes.items())


def _uses(store: Store, task: str, step: str) -> int:
    """Return how many stored requests the runs of a task have used in a step."""
    counted = sa.select(sa.func.count(sa.distinct(USES.c.request_id)))
    with store.read() as connection:
        wanted = counted.where(USES.c.task == task, USES.c.step == step)
        return int(connection.execute(wanted).scalar_one())
