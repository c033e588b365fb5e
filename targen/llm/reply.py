"""What an endpoint's reply means: an answer, a reason to wait, to retry, to adapt or to stop."""

import email.utils
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["answer", "filtered", "throttled", "transient", "refused", "endpoint", "failed"]

_FILTER_CODES = re.compile(r"content_filter|content_policy|responsibleai|moderation", re.IGNORECASE)
_QUOTA_CODES = re.compile(r"insufficient_quota|billing|credit balance|payment", re.IGNORECASE)
_WORDS = 300
_SHORTEST_KEY = 12
"""Shorter ones are the words that servers without keys are given."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A chat completion, as the endpoint sent it.

    Tokens are None where the endpoint did not count them; `logprob` is the mean over the answer.
    """

    text: str
    finish: str
    refusal: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    model: str = ""
    fingerprint: str | None = None
    provider_id: str | None = None
    logprob: float | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply and its meaning.

    Attributes:
        kind: `answer`; `filtered` (refused by a content filter); `throttled` (rate limit: wait);
            `transient` (try again); `refused` (a parameter or format that may be adapted, else a
            failure); `endpoint` (nothing will ever be answered); `failed` (this request never).
        words: what the endpoint said, for the user.
        param: the parameter that it named, or ''.
        code: HTTP status; 0 where none came.
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
        """Return in one line what came of a call to `address`, without a stop at its end."""
        words = " ".join(self.words.split()).rstrip(".")
        if self.code == 0:
            # No answer: the words name the address.
            return words
        silent = words in ("", f"HTTP {self.code}")
        return f"{address} answered {self.code}" + ("" if silent else f": {words}")


def read(code: int, headers: Mapping[str, str], content: bytes, secret: bytes = b"") -> Reply:
    """Return the meaning of an HTTP response, with nothing of `secret` in its words.

    Args:
        code: the status.
        headers: the response's.
        content: the body.
        secret: the key that was sent; some endpoints repeat it in their errors. A word too short
            to be a key is not searched for.
    """
    if len(secret) >= _SHORTEST_KEY and secret in content:
        content = content.replace(secret, b"[the API key]")
    if code < 300:
        return _read_answer(code, content)
    words, param, tags = _read_error(content)
    wait = retry_after(headers)
    kind: Kind
    if code == 429:
        kind = "endpoint" if _QUOTA_CODES.search(tags) else "throttled"
    elif code in (408, 409) or code >= 500:
        kind = "transient"
    elif _FILTER_CODES.search(tags):
        kind = "filtered"
    elif code in (401, 402, 403, 404):
        kind = "endpoint"
    else:
        kind = "refused" if code in (400, 422) else "failed"
    return Reply(kind, words=words or f"HTTP {code}", param=param, code=code, retry_after=wait)


def _read_answer(code: int, content: bytes) -> Reply:
    try:
        data = json.loads(content)
        choice = data["choices"][0]
        message = choice["message"]
        text = message.get("content") or ""
        if not isinstance(text, str):
            text = json.dumps(text)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return Reply("transient", words=_no_answer(content), code=code, ambiguous=True)
    finish = choice.get("finish_reason") or "stop"
    usage = data.get("usage") or {}
    refusal = message.get("refusal")
    answer = Answer(
        text=text,
        finish=str(finish),
        refusal=str(refusal) if refusal else None,
        prompt_tokens=_count(usage, "prompt_tokens"),
        completion_tokens=_count(usage, "completion_tokens"),
        model=str(data.get("model") or ""),
        fingerprint=data.get("system_fingerprint"),
        provider_id=data.get("id"),
        logprob=_mean_logprob(choice),
    )
    return Reply("answer", answer=answer, code=code)


def _no_answer(content: bytes) -> str:
    """Return what a reply is that is no chat completion."""
    if not content.strip():
        return "an empty reply"
    if content.lstrip().startswith(b"<"):
        return "a web page, no chat completion; if the base URL (OPENAI_BASE_URL) lacks /v1, add it"
    shown = content[:80].decode("utf-8", "replace")
    return f"the reply is no chat completion but {shown!r}"


def _count(usage: Any, name: str) -> int | None:
    value = usage.get(name) if isinstance(usage, Mapping) else None
    return value if isinstance(value, int) else None


def _mean_logprob(choice: Mapping[str, Any]) -> float | None:
    tokens = (choice.get("logprobs") or {}).get("content") or []
    values = [
        token["logprob"] for token in tokens if isinstance(token.get("logprob"), (int, float))
    ]
    return sum(values) / len(values) if values else None


def _read_error(content: bytes) -> tuple[str, str, str]:
    """Return the words, the parameter and the searchable codes of an error body."""
    text = content[:20_000].decode("utf-8", "replace")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return " ".join(text.split())[:_WORDS], "", text[:_WORDS]
    error = data.get("error", data) if isinstance(data, dict) else data
    if not isinstance(error, dict):
        return str(error)[:_WORDS], "", str(error)[:_WORDS]
    words = error.get("message") or error.get("detail") or error
    tags = f"{error.get('code')} {error.get('type')} {words} {error.get('innererror', '')}"
    return str(words)[:_WORDS], str(error.get("param") or ""), tags


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that `Retry-After-Ms` or `Retry-After` ask for, at most 600."""
    millis = headers.get("retry-after-ms")
    text = headers.get("retry-after")
    seconds: float | None = None
    try:
        if millis is not None:
            seconds = float(millis) / 1000
        elif text is not None:
            seconds = float(text)
    except ValueError:
        seconds = None
    if seconds is None and text is not None:
        moment = email.utils.parsedate_tz(text)
        seconds = email.utils.mktime_tz(moment) - time.time() if moment else None
    if seconds is None or seconds != seconds:  # noqa: PLR0124 (NaN)
        return None
    return min(max(seconds, 0.0), 600.0)
