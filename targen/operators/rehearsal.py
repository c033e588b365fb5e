"""A dry run on the simulator: it counts the requests of a step and their tokens."""

import json
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from targen.llm import prompt_cache, structured
from targen.llm import reply as replies
from targen.llm.interpret import ASK_AGAIN, follow_up, interpret, reading_of
from targen.llm.prices import prompt_bound
from targen.llm.settings import DEFAULT_BASE_URL, EMBEDDED_MODEL, EngineSettings
from targen.llm.types import Outcome, Request, identify
from targen.llm.wire import Profile, body
from targen.store.completions import Store

Complete = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(slots=True)
class Call:
    """A call of the dry run.

    Attributes:
        items: rows, slots, seeds or terms that it asks for; 1 for other requests.
        prompt_tokens, output_tokens: as stored for an answer from the store, else estimated as
            four bytes each.
        guess: the prompt's tokens, estimated in any case.
        most_tokens: limit of the answer.
        prompt_most: tokens that the prompt cannot exceed.
        prompt: its messages as one text.
        stored: whether the answer is in the store.
    """

    items: int
    prompt_tokens: int
    output_tokens: int
    guess: int
    most_tokens: int
    prompt_most: int
    prompt: bytes
    stored: bool


@dataclass(slots=True)
class Calls:
    """The requests of a step to one model.

    Attributes:
        endpoint: the endpoint's logical name.
        calls: each request once, with those that are stored.
    """

    endpoint: str
    calls: list[Call] = field(default_factory=list)


class Rehearsal:
    """Replaces the engine in a dry run: nothing is sent, stored or paid.

    Stored answers of the real model are used. If all answers of a step are stored, the step yields
    its real rows, and the next step's requests are the real ones.
    """

    def __init__(self, settings: EngineSettings, store: Store, complete: Complete) -> None:
        """Take the settings of the step's engine, the store, and the simulator's answer to a body.

        `asked` has the requests so far by model.
        """
        self._complete = complete
        self.settings, self._store = settings, store
        self._endpoint = settings.endpoint(settings.base_url or DEFAULT_BASE_URL)
        self._known: dict[str, Outcome] = {}
        self.asked: dict[str, Calls] = {}

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
        names = [identify(r, self.settings.model_name, self._endpoint)[0] for _, r in pairs]
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
                if row is not None:
                    usage = (row["prompt_tokens"], row["completion_tokens"])
                    self._count(request, *usage, stored=True)
            yield pair, self._known[name]

    def _counts(self, request: Request) -> Calls:
        model = request.model or self.settings.model_name
        return self.asked.setdefault(model, Calls(self._endpoint))

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

    def _count(
        self, request: Request, prompt: int | None, output: int | None, stored: bool = False
    ) -> None:
        text = prompt_cache.prompt_of(request)
        guess = -(-len(text) // prompt_cache.BYTES_PER_TOKEN)
        call = Call(
            items_of(request.schema),
            guess if prompt is None else prompt,
            output or 0,
            guess,
            request.sampling.output_bound,
            prompt_bound(request),
            text,
            stored,
        )
        self._counts(request).calls.append(call)


def items_of(schema: Mapping[str, Any]) -> int:
    """Return how many items an answer of this schema has; 1 without a list of items."""
    items = schema.get("properties", {}).get("items", {})
    return int(items.get("minItems", 1))


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
