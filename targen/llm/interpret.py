"""Decides whether an answer can be used, and what to ask next if none of it can."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from targen.llm import structured
from targen.llm.reply import Answer
from targen.llm.structured import Parsed
from targen.llm.types import Outcome, Request
from targen.store.ledger import Record
from targen.store.schema import Status

ASK_AGAIN = 2
"""How many times a request is asked again if none of its answer can be used."""

_READABLE: tuple[Status, ...] = ("ok", "malformed", "truncated")
_QUOTED_CHARACTERS = 20_000
_BRIEFER = (
    "Your last answer was cut off because it was too long. Answer again, as briefly as the task "
    "allows, with the whole JSON object as the schema wants it and nothing else."
)


@dataclass(frozen=True, slots=True)
class Reading:
    """Whether an answer can be used.

    Attributes:
        status: `ok` only if the whole answer matches the schema.
        error: what is wrong, in words; None if it is ok.
        parsed: the object, or what could be salvaged of it.
    """

    status: Status
    error: str | None
    parsed: Parsed


def interpret(answer: Answer, request: Request) -> Reading:
    """Read an answer to `request`."""
    parsed = structured.parse(answer.text, request.schema)
    status, error = status_of(answer, parsed.error)
    return Reading(status, error, parsed)


def status_of(answer: Answer, error: str | None) -> tuple[Status, str | None]:
    """Return what kind of answer this is, and what is wrong with it."""
    if answer.refusal:
        return "refused", answer.refusal[:500]
    if answer.finish == "content_filter":
        return "filtered", "the endpoint's content filter stopped the answer"
    if error is None:
        return "ok", None
    if answer.finish == "length":
        return "truncated", f"the answer was cut off at its greatest length ({error})"
    return "malformed", error


def follow_up(request: Request, reading: Reading, raw: str, asks: int) -> Request | None:
    """Return the request to ask next; None if the answer can be used, or asking does not help.

    A malformed answer is shown to the model with its error. One that was cut off is requested
    once more, shorter and with twice the limit; the broken text would only lengthen the prompt.
    """
    if asks >= ASK_AGAIN or reading.parsed.value is not None:
        return None
    if reading.status == "malformed":
        return _ask_again(request, raw, reading.error or "it is malformed")
    if reading.status == "truncated" and not _is_briefer(request):
        return _ask_briefer(request)
    return None


def _ask_again(request: Request, raw: str, error: str) -> Request:
    """Return the request that shows the model its bad answer and the validation error."""
    again = [
        {
            "role": "user",
            "content": f"That answer cannot be used: {error}. Answer again, with the whole JSON "
            "object as the schema wants it and nothing else.",
        }
    ]
    if raw.strip():
        again.insert(0, {"role": "assistant", "content": raw[:_QUOTED_CHARACTERS]})
    return replace(request, messages=(*request.messages, *again))


def _is_briefer(request: Request) -> bool:
    return any(message["content"] == _BRIEFER for message in request.messages)


def _ask_briefer(request: Request) -> Request:
    sampling = request.sampling
    wider = replace(sampling, max_output_tokens=2 * sampling.max_output_tokens)
    message = {"role": "user", "content": _BRIEFER}
    return replace(request, messages=(*request.messages, message), sampling=wider)


def reading_of(outcome: Outcome) -> Reading:
    """Return the reading that an outcome holds."""
    return Reading(outcome.status, outcome.error, Parsed(outcome.value, outcome.error))


def outcome_of(
    request: Request, request_id: str, record: Record, from_store: bool, before: Outcome | None
) -> Outcome:
    """Return the outcome of a request.

    Args:
        request: as the caller gave it.
        request_id: of the last request, if it was followed up.
        record: the completion of the last request.
        from_store: True if no call was made for it this time.
        before: outcome of the request that the last one follows up; its cost is added.
    """
    value: Mapping[str, Any] | None = None
    if record.status in _READABLE and record.raw:
        value = (record.parsed or structured.parse(record.raw, request.schema)).value
    made = Outcome(
        request=request,
        request_id=request_id,
        status=record.status,
        value=None if value is None else dict(value),
        raw=record.raw,
        error=record.error,
        prompt_tokens=record.prompt_tokens,
        completion_tokens=record.completion_tokens,
        cost_usd=record.cost_usd,
        from_store=from_store,
        mean_logprob=record.mean_logprob,
    )
    if before is None:
        return made
    if made.status == "failed" and before.status == "truncated":
        # The endpoint rejects the higher limit, so the truncated answer is the one that counts.
        return before
    known = made.cost_usd is not None and before.cost_usd is not None
    return replace(
        made,
        prompt_tokens=made.prompt_tokens + before.prompt_tokens,
        completion_tokens=made.completion_tokens + before.completion_tokens,
        cost_usd=(made.cost_usd or 0) + (before.cost_usd or 0) if known else None,
        from_store=from_store and before.from_store,
    )
