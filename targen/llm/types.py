"""What goes into the engine and what comes out: requests and outcomes."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from targen.hashing import canonical, sha256_of
from targen.store.schema import Status


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling parameters as the user wants them; the engine adapts them to the endpoint.

    `max_output_tokens` is always sent: without a bound there is no budget. `extra` holds parameters
    that are passed on unchanged (such as `reasoning_effort`). `reasoning_tokens` are what a
    thinking model may write before its answer; the limit that is sent is the sum.
    """

    temperature: float | None = 1.0
    top_p: float | None = None
    max_output_tokens: int = 2048
    logprobs: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)
    reasoning_tokens: int = 0

    @property
    def output_bound(self) -> int:
        """The most tokens that an answer can have, with its reasoning."""
        return self.max_output_tokens + self.reasoning_tokens


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a model.

    Attributes:
        messages: chat messages, each {"role": ..., "content": ...}.
        schema: JSON schema of the answer, an object type.
        schema_name: its name on the wire, [a-z_]+.
        sampling: see `Sampling`.
        sample: sends the same question again: part of the identity, sent as `seed`.
        edition: the task's edition, part of the identity.
        model: another model than the engine's default, or None.
        tag: the caller's own; comes back with the outcome and is not part of the identity.
    """

    messages: tuple[Mapping[str, str], ...]
    schema: Mapping[str, Any]
    schema_name: str = "answer"
    sampling: Sampling = Sampling()
    sample: int = 0
    edition: int = 0
    model: str | None = None
    tag: Any = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request.

    Attributes:
        request: as it was given.
        request_id: 64 hex digits; of the last request where the answer had to be asked again.
        status: `ok` only if the whole answer matches the schema.
        value: the parsed object. With `malformed` and `truncated` it holds what could be salvaged,
            each list item whole and valid by itself, or is None if nothing could be.
        raw: the model's text as it came, None if none came.
        error: what was wrong, in words; None when ok.
        prompt_tokens, completion_tokens: as the endpoint counted them.
        cost_usd: at the price when it was first paid; None if the price is unknown.
        from_store: True if no call was made for it now.
        mean_logprob: mean log-probability of the tokens of the answer's string values, where asked
            for and given.
    """

    request: Request
    request_id: str
    status: Status
    value: dict[str, Any] | None
    raw: str | None = None
    error: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None
    from_store: bool = False
    mean_logprob: float | None = None


class LLM(Protocol):
    """The part of the engine that operators use."""

    def run(self, requests: Iterable[Request] | AsyncIterable[Request]) -> AsyncIterator[Outcome]:
        """Answer every request once, in the order in which the answers arrive.

        Raises:
            EndpointError: the endpoint cannot be used at all.
            BudgetError: the budget is used up.
            StoreError: the completion store fails.
        """
        ...


SCHEME = 1
"""Raised when the identity is built differently; every older completion is then requested again."""


def content(request: Request, model: str, endpoint: str) -> dict[str, Any]:
    """Return what the identity of `request` consists of, as JSON-like content."""
    sampling = request.sampling
    # Left out if there is none, so that the ids of other requests stay as they were.
    thinking = sampling.reasoning_tokens
    reasoning = {"reasoning_tokens": thinking} if thinking else {}
    return {
        "scheme": SCHEME,
        "endpoint": endpoint,
        "model": request.model or model,
        "messages": [dict(message) for message in request.messages],
        "schema": request.schema,
        "schema_name": request.schema_name,
        "sampling": {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_output_tokens": sampling.max_output_tokens,
            "logprobs": sampling.logprobs,
            "extra": dict(sampling.extra),
            **reasoning,
        },
        "sample": request.sample,
        "edition": request.edition,
    }


def identify(request: Request, model: str, endpoint: str) -> tuple[str, bytes]:
    """Return the request's id (sha256, 64 hex digits) and the canonical bytes behind it."""
    text = canonical(content(request, model, endpoint)).encode("utf-8", "surrogatepass")
    return sha256_of(text), text
