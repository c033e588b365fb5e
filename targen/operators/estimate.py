"""A whole task played through without a cent: what each step would ask."""

import json
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from targen.errors import StepError
from targen.llm import reply as replies
from targen.llm import structured
from targen.llm.prices import prompt_bound
from targen.llm.settings import DEFAULT_BASE_URL, EMBEDDED_MODEL, EngineSettings
from targen.llm.storing import ASK_AGAIN, status_of
from targen.llm.types import Outcome, Request, identify
from targen.llm.wire import Profile, body
from targen.operators import run_step
from targen.steps import UPSTREAM
from targen.store.completions import Store
from targen.tasks.spec import TaskSpec

Complete = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(slots=True)
class Asked:
    """What was asked of one model, as the embedded model counts tokens (four bytes each).

    Attributes:
        model: as it is asked for; `endpoint`: the logical name.
        calls: requests that would have to be paid.
        stored: requests that the store answers.
        prompt_tokens, output_tokens: of the calls.
        cost_usd: of the calls; `batch_usd` in batch mode; `most_usd` if every answer were as long
            as it may be. None where the price is not known.
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
    """Stands in for an engine; nothing is sent, stored or paid.

    Stored answers are those of the real model, so that a step whose answers are all there hands
    the same rows on, and the next step's requests are the same as in a real run, too.
    """

    def __init__(self, settings: EngineSettings, store: Store, complete: Complete) -> None:
        """Make it.

        Args:
            settings: those that the real run would have.
            store: stored answers are not counted as calls.
            complete: body of a chat completion request -> the reply's body (the simulator).
        """
        self._complete = complete
        self._settings, self._store = settings, store
        self._endpoint = settings.endpoint(settings.base_url or DEFAULT_BASE_URL)
        self._known: dict[str, Outcome] = {}
        self._asked: dict[str, Asked] = {}

    @property
    def asked(self) -> list[Asked]:
        """What was asked so far, one entry a model."""
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
                broken = outcome.status in ("malformed", "truncated") and outcome.value is None
                if broken and asks < ASK_AGAIN:
                    error = outcome.error or "it is malformed"
                    asked = structured.ask_again(request, outcome.raw or "", error)
                    again.append((root, asked))
                else:
                    yield _for(root, outcome)
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
        # What the real endpoint knows and this one does not, stays out.
        plain = replace(request, sampling=replace(request.sampling, extra={}), model=None)
        sent = json.loads(json.dumps(body(plain, EMBEDDED_MODEL, Profile())))
        content = json.dumps(self._complete(sent)).encode()
        answer = replies.read(200, {}, content).answer
        assert answer is not None
        parsed = structured.parse(answer.text, request.schema)
        status, error = status_of(answer, parsed.error)
        prompt, output = answer.prompt_tokens or 0, answer.completion_tokens or 0
        self._count(request, prompt, output)
        value = parsed.value if status in ("ok", "malformed", "truncated") else None
        return Outcome(
            request, name, status, value, answer.text, error, mean_logprob=answer.logprob
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
    # A failure is asked again by the next run.
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
    """What a task would need.

    Attributes:
        steps: table -> what its step asks, one entry a model; steps that ask nothing are left out.
        problem: why the rest could not be played through; None where all of it was.
    """

    steps: dict[str, list[Asked]]
    problem: str | None = None


async def rehearse(
    spec: TaskSpec, settings: Callable[[str], EngineSettings], store: Store, complete: Complete
) -> Estimate:
    """Play a task through on the embedded model and count.

    Args:
        spec: the task.
        settings: table -> the settings that its step would have in a real run.
        store: what is in it is not counted as a call.
        complete: body of a chat completion request -> the reply's body (the simulator).

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
