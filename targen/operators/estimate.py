"""Dry run of a task on the embedded model: calls, tokens and cost of each step."""

import json
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from targen.errors import StepError
from targen.llm import reply as replies
from targen.llm import structured
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


@dataclass(slots=True)
class Asked:
    """Requests to one model, counted with the embedded model's tokens (four bytes each).

    Attributes:
        model: model name sent to the endpoint; `endpoint`: its logical name.
        calls: requests that would be paid.
        stored: requests answered from the store.
        prompt_tokens, output_tokens: totals of the calls.
        cost_usd: total of the calls; `batch_usd`: in batch mode; `most_usd`: if every answer had
            the maximum length. None if the price is unknown.
    """

    model: str
    endpoint: str
    calls: int = 0
    stored: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0
    batch_usd: float | None = 0.0
    most_usd: float | None = 0.0


class Rehearsal:
    """Replaces the engine in a dry run; sends, stores and pays nothing.

    It uses the stored answers of the real model. A step whose answers are all stored yields its
    real rows, so the next step's requests are also the real ones.
    """

    def __init__(self, settings: EngineSettings, store: Store, complete: Complete) -> None:
        """Create a dry-run engine.

        Args:
            settings: the settings of the real run.
            store: stored answers are not counted as calls.
            complete: chat completion request body -> reply body (the simulator).
        """
        self._complete = complete
        self._settings, self._store = settings, store
        self._endpoint = settings.endpoint(settings.base_url or DEFAULT_BASE_URL)
        self._known: dict[str, Outcome] = {}
        self._asked: dict[str, Asked] = {}

    @property
    def asked(self) -> list[Asked]:
        """The requests so far, one entry per model."""
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
        open_ = [(request, request) for request in given]
        for asks in range(ASK_AGAIN + 1):
            again = []
            for (root, request), outcome in self._answers(open_):
                asked = follow_up(request, reading_of(outcome), outcome.raw or "", asks)
                if asked is None:
                    yield _for(root, outcome)
                else:
                    again.append((root, asked))
            open_ = again

    def _answers(
        self, pairs: list[tuple[Request, Request]]
    ) -> Iterable[tuple[tuple[Request, Request], Outcome]]:
        names = [identify(r, self._settings.model_name, self._endpoint)[0] for _, r in pairs]
        new = [name for name in names if name not in self._known]
        stored = {row["request_id"]: row for row in _readable(self._store.completions(new))}
        for pair, name in zip(pairs, names, strict=True):
            if name not in self._known:
                row = stored.get(name)
                request = pair[1]
                made = self._rehearse(request, name) if row is None else _stored(request, row)
                self._known[name] = made
                counts = self._counts(request)
                counts.stored += row is not None
            yield pair, self._known[name]

    def _counts(self, request: Request) -> Asked:
        model = request.model or self._settings.model_name
        return self._asked.setdefault(model, Asked(model, self._endpoint))

    def _rehearse(self, request: Request, name: str) -> Outcome:
        # Drop parameters that the embedded model does not know.
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
        counts.prompt_tokens += prompt
        counts.output_tokens += output
        price = self._settings.price_of(request.model, self._endpoint)
        if price is None:
            counts.cost_usd = counts.batch_usd = counts.most_usd = None
            return
        most = price.cost(prompt_bound(request), request.sampling.max_output_tokens)
        counts.cost_usd = (counts.cost_usd or 0.0) + price.cost(prompt, output)
        counts.batch_usd = (counts.batch_usd or 0.0) + price.cost(prompt, output, batch=True)
        counts.most_usd = (counts.most_usd or 0.0) + most


def _readable(found: pl.DataFrame) -> list[dict[str, Any]]:
    # The next run repeats failed requests.
    return found.filter(pl.col("status") != "failed").to_dicts()


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


def _for(root: Request, outcome: Outcome) -> Outcome:
    value = None if outcome.value is None else dict(outcome.value)
    return Outcome(
        request=root,
        request_id=outcome.request_id,
        status=outcome.status,
        value=value,
        raw=outcome.raw,
        error=outcome.error,
        from_store=outcome.from_store,
        mean_logprob=outcome.mean_logprob,
    )


@dataclass(frozen=True, slots=True)
class Estimate:
    """Estimate of a task.

    Attributes:
        steps: table -> its step's requests, one entry per model; omits steps without any.
        problem: why the dry run stopped early; None if it finished.
    """

    steps: dict[str, list[Asked]]
    problem: str | None = None


async def rehearse(
    spec: TaskSpec, settings: Callable[[str], EngineSettings], store: Store, complete: Complete
) -> Estimate:
    """Run a task on the embedded model and count its requests.

    Args:
        spec: the task.
        settings: table -> the settings of its step in a real run.
        store: requests with stored answers are not counted as calls.
        complete: chat completion request body -> reply body (the simulator).

    Raises:
        StoreError: the completion store cannot be read.
        SpecError: the price file cannot be read.
    """
    tables: dict[str, pl.DataFrame] = {}
    steps: dict[str, list[Asked]] = {}
    for step, upstream in UPSTREAM.items():
        model = Rehearsal(settings(step), store, complete)
        try:
            output = await run_step(step, spec, {name: tables[name] for name in upstream}, model)
        except StepError as error:
            return Estimate(_with(steps, step, model), f"{step}: {error}")
        tables[step] = output.table
        steps = _with(steps, step, model)
    return Estimate(steps)


def _with(steps: dict[str, list[Asked]], step: str, model: Rehearsal) -> dict[str, list[Asked]]:
    return {**steps, step: model.asked} if model.asked else steps
