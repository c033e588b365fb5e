"""What an endpoint's reply means: an answer, a reason to wait, to retry, to adapt or to stop."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from targen.llm.completion import INTERRUPTED, Answer, first_choice, read_completion
from targen.llm.failure import Failure, decoded, is_failure, read_failure, retry_after
from targen.llm.sanitize import storable
from targen.llm.stream import assembled, is_stream
from targen.redaction import redacted

__all__ = ["MOST_BYTES", "Answer", "Kind", "Reply", "read", "redacted", "retry_after"]

Kind = Literal["answer", "filtered", "throttled", "transient", "refused", "endpoint", "failed"]

MOST_BYTES = 16 * 1024 * 1024
"""The longest reply that is read into memory, before and after decompression."""
_SHOWN = 80
_READ_BYTES = 2000


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply and its meaning.

    Attributes:
        kind: `answer`; `filtered` (refused by a content filter); `throttled` (rate limit: wait);
            `transient` (try again); `refused` (a parameter or format that may be adapted, else a
            failure); `endpoint` (nothing will ever be answered); `failed` (this request will not be
            answered).
        words: what the endpoint said, for the user.
        param: the parameter that it named, or ''.
        code: HTTP status; of an error inside a reply with status 200, the status that it names;
            0 where none came.
        retry_after: seconds that the endpoint wants us to wait, or None.
        ambiguous: True where the call may have been paid although no answer came.
    """

    kind: Kind
    answer: Answer | None = None
    words: str = ""
    param: str = ""
    code: int = 0
    retry_after: float | None = None
    ambiguous: bool = False

    def message(self, address: str) -> str:
        """Return the outcome of a call to `address` in one line, without a final period."""
        words = " ".join(self.words.split()).rstrip(".")
        if self.code == 0:
            # No answer: the words name the address.
            return words
        silent = words in ("", f"HTTP {self.code}")
        return f"{address} answered {self.code}" + ("" if silent else f": {words}")


def read(code: int, headers: Mapping[str, str], content: bytes, secret: bytes = b"") -> Reply:
    """Return the meaning of an HTTP response, with nothing of `secret` in its texts. Never raises.

    Args:
        code: the status.
        headers: the response's, with names in lower case.
        content: the body.
        secret: the key that was sent; some endpoints repeat it. See `redacted`.
    """
    try:
        return _read(code, headers, content, secret)
    except RecursionError:
        # Nested so deeply that Python can read it but not write it.
        words = _no_answer(content, secret)
        if code >= 300:
            return _failed(code, headers, Failure(words))
        return Reply("transient", words=words, code=code, ambiguous=True)


def _read(code: int, headers: Mapping[str, str], content: bytes, secret: bytes) -> Reply:
    data: Any = None
    if not is_stream(content):
        data = decoded(content)
    elif (data := assembled(content.decode("utf-8", "replace"))) is None and code < 300:
        words = "the stream was cut off"
        return Reply("transient", words=words, code=code, ambiguous=True)
    if code >= 300:
        return _failed(code, headers, read_failure(data, content, secret))
    answer = read_completion(data, secret)
    error = _error_inside(data, answer)
    if error is not None:
        failure = read_failure(error, content, secret)
        return _failed(failure.status or code, headers, failure)
    if answer is None:
        words = _no_answer(content, secret)
        return Reply("transient", words=words, code=code, ambiguous=True)
    if answer.finish == INTERRUPTED:
        words = "the endpoint broke the answer off"
        return Reply("transient", words=words, code=code, ambiguous=True)
    return Reply("answer", answer=answer, code=code)


def _failed(code: int, headers: Mapping[str, str], failure: Failure) -> Reply:
    """Return what an error means; its code is below 300 where it names no status that is known."""
    kind: Kind
    if code in (400, 403, 429) and failure.status in (402, 429):
        # Some endpoints name a rate limit, or an unpaid account, in the body only.
        code = failure.status
    if failure.no_quota:
        # Final under any status, unlike a 403, which may concern one request only.
        kind, code = "endpoint", 429
    elif code == 429:
        kind = "throttled"
    elif code == 501:
        # Not implemented: a parameter, mostly.
        kind = "refused"
    elif code in (408, 409, 425) or code >= 500 or code < 300:
        kind = "transient"
    elif failure.filtered:
        kind = "filtered"
    elif code in (401, 402, 403, 404, 407) or code < 400:
        # A redirect is not followed, and comes for every request.
        kind = "endpoint"
    else:
        kind = "refused" if code in (400, 422) else "failed"
    wait = retry_after(headers)
    return Reply(
        kind,
        words=failure.words or f"HTTP {code}",
        param=failure.param,
        code=code,
        retry_after=failure.wait_s if wait is None else wait,
    )


def _error_inside(data: Any, answer: Answer | None) -> Mapping[str, Any] | None:
    """Return the error that a reply with a good status reports, None if it reports none."""
    choice = first_choice(data)
    if choice is None:
        return data if is_failure(data) else None
    if choice.get("error"):
        return {"error": choice["error"]}
    # Some gateways put a warning beside an answer that is complete.
    ended = choice.get("finish_reason") and answer and answer.finish != INTERRUPTED
    complete = ended and answer is not None and answer.text.strip()
    return data if data.get("error") and not complete and is_failure(data) else None


def _no_answer(content: bytes, secret: bytes) -> str:
    """Describe a reply that is not a chat completion."""
    if not content.strip():
        return "an empty reply"
    if content.lstrip().startswith(b"<"):
        return (
            "a web page, not a chat completion; if the base URL (OPENAI_BASE_URL) lacks /v1, add it"
        )
    shown = redacted(storable(content[:_READ_BYTES].decode("utf-8", "replace")), secret)
    return f"the reply is not a chat completion but {shown[:_SHOWN]!r}"
