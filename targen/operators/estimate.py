"""Dry run of a task on the simulator: calls, tokens and cost of each step."""

import json
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from targen.errors import StepError
from targen.llm import prompt_cache, structured
from targen.llm import reply as replies
from targen.llm.interpret import ASK_AGAIN, follow_up, interpret, reading_of
from targen.llm.prices import prompt_bound
from targen.llm.settings import DEFAULT_BASE_URL, EMBEDDED_MODEL, EngineSettings
from targen.llm.types import Outcome, Request, identify
from targen.llm.wire import Profile, body
from targen.operators import run_step
from targen.steps import UPSTREAM
from targen.store.completions import Store
from targen.tasks.spec import TaskSpec

Complete = Callable[[dict[str, Any]], dict[str, Any]]
SettingsOf = Callable[[str, str | None], EngineSettings]
"""Takes a step and a named endpoint, or None for the default one."""


@dataclass(slots=True)
class RequestCounts:
    """Requests to one model; tokens are estimated as four bytes each.

    Attributes:
        model: model name sent to the endpoint.
        endpoint: the endpoint's logical name.
        calls: requests that would be sent.
        stored: requests answered from the store.
        prompt_tokens, output_tokens: totals of the calls.
        prefix_tokens: tokens with which all of the calls' prompts begin.
        cacheable_tokens: prompt tokens that OpenAI's prompt cache could read; see
            `prompt_cache.cached_tokens`.
        cache_saves_usd: what reading them from the cache would save of `cost_usd`; None if the
            price is unknown.
        cost_usd, batch_usd, most_usd: cost of the calls, live, in batch mode, and if every answer
            had the maximum length; None if the price is unknown.
    """

    model: str
    endpoint: str
    calls: int = 0
    stored: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    prefix_tokens: int = 0
    cacheable_tokens: int = 0
    cache_saves_usd: float | None = 0.0
    cost_usd: float | None = 0.0
    batch_usd: float | None = 0.0
    most_usd: float | None = 0.0


class Rehearsal:
    """Replaces the engine in a dry run: nothing is sent, stored or paid.

    Stored answers of the real model are used. If all answers of a step are stored, the step yields
    its real rows, and the next step's requests are the real ones.
    """

    def __init__(self, settings: EngineSettings, store: Store, complete: Complete) -> None:
        """Take the arguments of `rehearse`."""
        self._complete = complete
        self._settings, self._store = settings, store
        self._endpoint = settings.endpoint(settings.base_url or DEFAULT_BASE_URL)
        self._known: dict[str, Outcome] = {}
        self._asked: dict[str, RequestCounts] = {}
        self._prompts: dict[str, list[bytes]] = {}

    @property
    def asked(self) -> list[RequestCounts]:
        """The requests so far, one entry per model."""
        for model, prompts in self._prompts.items():
            counts = self._asked[model]
            price = self._settings.price_of(model, self._endpoint)
            counts.prefix_tokens = prompt_cache.static_tokens(prompts)
            counts.cacheable_tokens = prompt_cache.cached_tokens(prompts)
            saved = None if price is None else price.saved(counts.cacheable_tokens)
            counts.cache_saves_usd = saved
        return list(self._asked.values())

    async def run(
        self, requests: Iterable[Request] | AsyncIterable[Request]
    ) -> AsyncIterator[Outcome]:
        """Answer every request once.

        Raises:
            StoreError: the completion store cannot be read.
            SpecError: the price file cannot be read.
        """
        if isinstance(requests, AsyncIterable):
            given = [request async for request in requests]
        else:
            given = list(requests)
        pending = [(request, request) for request in given]
        for asks in range(ASK_AGAIN + 1):
            again = []
            for (root, request), outcome in self._answers(pending):
                asked = follow_up(request, reading_of(outcome), outcome.raw or "", asks)
                if asked is None:
                    value = None if outcome.value is None else dict(outcome.value)
                    yield replace(outcome, request=root, value=value)
                else:
                    again.append((root, asked))
            pending = again

    def _answers(
        self, pairs: list[tuple[Request, Request]]
    ) -> Iterable[tuple[tuple[Request, Request], Outcome]]:
        names = [identify(r, self._settings.model_name, self._endpoint)[0] for _, r in pairs]
        new = [name for name in names if name not in self._known]
        # The next run repeats failed requests.
        usable = self._store.completions(new).filter(pl.col("status") != "failed")
        stored = {row["request_id"]: row for row in usable.to_dicts()}
        for pair, name in zip(pairs, names, strict=True):
            if name not in self._known:
                row = stored.get(name)
                request = pair[1]
                outcome = self._rehearse(request, name) if row is None else _stored(request, row)
                self._known[name] = outcome
                self._counts(request).stored += row is not None
            yield pair, self._known[name]

    def _counts(self, request: Request) -> RequestCounts:
        model = request.model or self._settings.model_name
        return self._asked.setdefault(model, RequestCounts(model, self._endpoint))

    def _rehearse(self, request: Request, name: str) -> Outcome:
        # Without parameters that the simulator does not know.
        plain = replace(request, sampling=replace(request.sampling, extra={}), model=None)
        sent = json.loads(json.dumps(body(plain, EMBEDDED_MODEL, Profile())))
        content = json.dumps(self._complete(sent)).encode()
        answer = replies.read(200, {}, content).answer
        assert answer is not None
        reading = interpret(answer, request)
        prompt, output = answer.prompt_tokens or 0, answer.completion_tokens or 0
        self._count(request, prompt, output)
        status = reading.status
        value = reading.parsed.value if status in ("ok", "malformed", "truncated") else None
        return Outcome(
            request, name, status, value, answer.text, reading.error, mean_logprob=answer.logprob
        )

    def _count(self, request: Request, prompt: int, output: int) -> None:
        counts = self._counts(request)
        counts.calls += 1
        self._prompts.setdefault(counts.model, []).append(prompt_cache.prompt_of(request))
        counts.prompt_tokens += prompt
        counts.output_tokens += output
        price = self._settings.price_of(request.model, self._endpoint)
        if price is None:
            counts.cost_usd = counts.batch_usd = counts.most_usd = None
            return
        most = price.cost(prompt_bound(request), request.sampling.output_bound)
        counts.cost_usd = (counts.cost_usd or 0.0) + price.cost(prompt, output)
        counts.batch_usd = (counts.batch_usd or 0.0) + price.cost(prompt, output, batch=True)
        counts.most_usd = (counts.most_usd or 0.0) + most


def _stored(request: Request, row: dict[str, Any]) -> Outcome:
    value = None
    if row["status"] in ("ok", "malformed", "truncated") and row["raw"]:
        value = structured.parse(row["raw"], request.schema).value
    return Outcome(
        request=request,
        request_id=row["request_id"],
        status=row["status"],
        value=value,
        raw=row["raw"],
        error=row["error"],
        from_store=True,
        mean_logprob=row["mean_logprob"],
    )


@dataclass(frozen=True, slots=True)
class Estimate:
    """Estimate of a task.

    Attributes:
        steps: step -> its requests, one entry per model; steps without requests are left out.
        problem: why the dry run stopped early; None if it finished.
    """

    steps: dict[str, list[RequestCounts]]
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
    """Sums of estimates.

    Attributes:
        calls: requests to send.
        tokens: prompt and output tokens.
        cost_usd: None if a price is unknown.
        simulated: whether the simulator answers any of them.
    """

    calls: int = 0
    tokens: int = 0
    cost_usd: float | None = 0.0
    simulated: bool = False

    def __add__(self, other: "Totals") -> "Totals":
        """Return the sums of both."""
        known = self.cost_usd is not None and other.cost_usd is not None
        return Totals(
            self.calls + other.calls,
            self.tokens + other.tokens,
            (self.cost_usd or 0.0) + (other.cost_usd or 0.0) if known else None,
            self.simulated or other.simulated,
        )


async def rehearse(
    spec: TaskSpec, settings: SettingsOf, store: Store, complete: Complete
) -> Estimate:
    """Run a task on the simulator and count its requests.

    Args:
        spec: the task.
        settings: (step, named endpoint) -> the settings of its engine in a real run.
        store: requests with stored answers do not count as calls.
        complete: chat completion request body -> reply body (the simulator).

    Raises:
        StoreError: the completion store cannot be read.
        SpecError: the price file cannot be read.
    """
    tables: dict[str, pl.DataFrame] = {}
    steps: dict[str, list[RequestCounts]] = {}
    for step, upstream in UPSTREAM.items():
        names = [spec.recipe.endpoints.get(step), *spec.recipe.reader_endpoints(step)]
        models = {
            name: Rehearsal(settings(step, name), store, complete) for name in dict.fromkeys(names)
        }
        readers = {name: model for name, model in models.items() if name is not None}
        try:
            inputs = {name: tables[name] for name in upstream}
            output = await run_step(step, spec, inputs, models[names[0]], readers)
            tables[step] = output.table
        except StepError as error:
            return Estimate(steps, f"{step}: {error}")
        finally:
            asked = [counts for model in models.values() for counts in model.asked]
            if asked:
                steps[step] = asked
    return Estimate(steps)
