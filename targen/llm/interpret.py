"""What an answer is worth, and what to ask next."""

from dataclasses import dataclass

from targen.llm import structured
from targen.llm.reply import Answer
from targen.llm.structured import Parsed
from targen.llm.types import Request
from targen.store.schema import Status

ASK_AGAIN = 2
"""How often a request is asked again where nothing of its answer can be used."""


@dataclass(frozen=True, slots=True)
class Reading:
    status: Status
    error: str | None
    parsed: Parsed


def interpret(answer: Answer, request: Request) -> Reading:
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


def follow_up(request: Request, reading: Reading, raw: str | None, asks: int) -> Request | None:
    if reading.status not in ("malformed", "truncated") or asks >= ASK_AGAIN:
        return None
    return structured.ask_again(request, raw or "", reading.error or "it is malformed")
