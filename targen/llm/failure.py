"""Reads what an endpoint says about an error: its words, its code, and how long to wait."""

import email.utils
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from targen.llm.sanitize import storable
from targen.redaction import redacted

_WORDS = 300
_READ_CHARACTERS = 20_000
_WAIT_MOST_S = 600.0
_FIELDS_MOST = 100

_NO_QUOTA = re.compile(r"insufficient_quota|exceeded_current_quota(?:_error)?")
_FILTER_CODES = re.compile(
    r"content_?(?:filter|policy|management|violation)|responsible_?ai|moderation|invalid_prompt"
    r"|safety|prohibited|block_?list|guardrail|data_inspection|sensitive_content"
)
_STATUS_OF_CODE = (
    (429, r"requests|tokens|rate_?limit.*|.*_rate_limit(?:ed|_error|_exceeded)?"
          r"|too_many_requests(?:_error)?|resource_exhausted|throttl.*|quota_exceeded"),
    (401, r"invalid_api_?key|authentication(?:_error|_failed)?|unauthenticated|unauthorized.*"
          r"|invalid_authentication(?:_error)?|incorrect_api_key.*|no_?auth.*|missing_api_key"),
    (402, r"payment_required|billing_(?:error|hard_limit_reached|not_active)|arrearage"
          r"|insufficient_(?:account_)?(?:credits?|balance|funds).*|account_overdue"),
    (403, r"permission(?:_denied|_error)?|permission_denied_error|forbidden(?:_error)?"
          r"|access_denied"),
    (404, r"(?:model_)?not_found(?:_error)?|deployment_not_found|unknown_model"),
    (413, r"request_too_large|payload_too_large"),
    (503, r".*overload.*|unavailable(?:_error)?|service_unavailable(?:_error)?|.*at_capacity"
          r"|capacity_.*|model_loading|loading"),
    (504, r"(?:gateway_)?time_?out(?:_error)?|deadline_exceeded|request_timeout"),
    (500, r"(?:internal_)?(?:server_)?error|internal(?:_server)?(?:_error)?|api_error|unknown"
          r"|server_error|upstream_error|bad_gateway|aborted|cancelled"),
    (400, r"invalid_request.*|bad_request.*|invalid_argument|failed_precondition"
          r"|context_length_exceeded|unsupported_.*|string_above_max_length|out_of_range"),
)  # fmt: skip
_CODE_PATTERNS = tuple((status, re.compile(pattern)) for status, pattern in _STATUS_OF_CODE)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_AMOUNT = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s?(ms|milli|s|m|h)?[a-z]*\s?", re.IGNORECASE)
_ASKED_TO_WAIT = re.compile(
    r"(?:try again|retry|wait)(?: in| after| for)? "
    r"((?:\d{1,9}(?:\.\d{1,9})?\s?(?:ms|milliseconds?|s|sec|seconds?|m|min|minutes?|h|hours?)\b"
    r"|\d{1,6}m(?=\d)){1,3})",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Failure:
    """What an error says about itself.

    Attributes:
        words: for the user, without the API key.
        param: the parameter that it names, or ''.
        status: the HTTP status that it names or that its code means; None if it does neither.
        filtered: a content filter refused the prompt or the answer.
        no_quota: the account's quota is used up, which waiting does not change.
        wait_s: seconds to wait before the next try, None if it does not say.
    """

    words: str
    param: str = ""
    status: int | None = None
    filtered: bool = False
    no_quota: bool = False
    wait_s: float | None = None


def decoded(content: bytes) -> Any:
    """Return the first JSON value in a body, None if it does not begin with one.

    Tolerates bytes that are not UTF-8, blank lines before the value, and text after it. Of a list,
    the first element is returned, because some endpoints wrap errors in lists.
    """
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        text = content.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
        try:
            data, _ = _LENIENT.raw_decode(text)
        except (ValueError, RecursionError):
            return None
    return data[0] if isinstance(data, list) and data and isinstance(data[0], Mapping) else data


def _integer(text: str) -> int | float:
    # Python refuses to convert more than 4,300 digits.
    return int(text) if len(text) < 100 else float("inf")


_LENIENT = json.JSONDecoder(strict=False, parse_int=_integer)


def read_failure(data: Any, content: bytes, secret: bytes) -> Failure:
    """Return what an error body says.

    Args:
        data: its JSON, None if it is not JSON.
        content: the body.
        secret: the API key, removed from the texts.
    """
    if not isinstance(data, Mapping):
        text = content[:_READ_CHARACTERS].decode("utf-8", "replace") if data is None else str(data)
        words = _plain(text, secret)
        return Failure(words, wait_s=_wait_in(words))
    error = data.get("error") or data.get("errors") or data
    if isinstance(error, list) and error:
        error = error[0]
    if not isinstance(error, Mapping):
        words = str(error)
        error = {"code": words} if re.fullmatch(r"[\w.-]{1,60}", words) else {}
    else:
        words = _words(error)
    codes = [_normalized(code) for code in _codes(data, error)]
    text = _plain(words, secret, _READ_CHARACTERS)
    filtered = any(_FILTER_CODES.search(code) for code in codes) or _flagged(error)
    no_quota = any(_NO_QUOTA.fullmatch(code) for code in codes)
    return Failure(
        words=text[:_WORDS],
        param=_plain(_param(error), secret),
        status=429 if no_quota else _status(data, error, codes) or (400 if filtered else None),
        filtered=filtered,
        no_quota=no_quota,
        wait_s=_wait(data, error, text),
    )


def is_failure(data: Any) -> bool:
    """Return whether a body without choices is the report of an error."""
    if not isinstance(data, Mapping):
        return False
    if _holds_something(data.get("error")) or "error" in (data.get("object"), data.get("type")):
        return True
    if any(data.get(name) for name in ("detail", "errors", "error_msg", "error_message")):
        return True
    return bool(data.get("message")) and any(name in data for name in ("code", "type", "status"))


def _holds_something(error: Any) -> bool:
    return any(error.values()) if isinstance(error, Mapping) else bool(error)


def _words(error: Mapping[str, Any]) -> str:
    detail = error.get("detail")
    if isinstance(detail, list) and all(isinstance(part, Mapping) for part in detail):
        # FastAPI repeats the whole request as the input of each complaint.
        told = [f"{_place(part)} {part.get('msg', '')}".strip() for part in detail]
        detail = "; ".join(filter(None, told))
    names = ("message", "msg", "error_msg", "error_message", "title")
    words = next((error[name] for name in names if error.get(name)), detail)
    return str(words or dict(error))


def _place(complaint: Mapping[str, Any]) -> str:
    place = complaint.get("loc")
    return ".".join(map(str, place)) + ":" if isinstance(place, list) and place else ""


def _param(error: Mapping[str, Any]) -> str:
    if error.get("param"):
        return str(error["param"])
    detail = error.get("detail")
    first = detail[0] if isinstance(detail, list) and detail else None
    place = first.get("loc") if isinstance(first, Mapping) else None
    if not isinstance(place, list):
        return ""
    return ".".join(str(step) for step in place if step != "body")


def _codes(data: Mapping[str, Any], error: Mapping[str, Any]) -> Iterator[str]:
    """Yield what may be the name of the kind of error."""
    inner = [error.get("innererror"), error.get("error"), error.get("metadata")]
    details = error.get("details")
    inner += details[:10] if isinstance(details, list) else []
    for part in (error, data, *inner):
        if isinstance(part, Mapping):
            for name in ("code", "type", "status", "error_code", "error_type", "reason", "__type"):
                value = part.get(name)
                if isinstance(value, str) and len(value) <= 100:
                    yield value


def _normalized(code: str) -> str:
    """Return `RateLimitError`, `rate-limit error` and `RATE_LIMIT_ERROR` as `rate_limit_error`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", code)
    return re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")


def _flagged(error: Mapping[str, Any]) -> bool:
    metadata = error.get("metadata")
    return isinstance(metadata, Mapping) and "flagged_input" in metadata


def _status(data: Mapping[str, Any], error: Mapping[str, Any], codes: list[str]) -> int | None:
    for part in (error, data):
        for name in ("code", "status", "status_code", "http_status", "error_code"):
            value = part.get(name)
            if isinstance(value, str) and re.fullmatch(r"[45]\d\d", value):
                value = int(value)
            if isinstance(value, (int, float)) and 400 <= value <= 599:
                return int(value)
    for code in codes:
        for status, pattern in _CODE_PATTERNS:
            if pattern.fullmatch(code):
                return status
    return None


def _plain(text: str, secret: bytes, most: int = _WORDS) -> str:
    return redacted(" ".join(storable(text[:_READ_CHARACTERS]).split()), secret)[:most]


def _wait(data: Mapping[str, Any], error: Mapping[str, Any], words: str) -> float | None:
    """Return the seconds that an error body asks to wait, from its fields or else its words."""
    details = error.get("details")
    metadata = error.get("metadata")
    parts = [error, data, metadata, *(details[:10] if isinstance(details, list) else [])]
    if isinstance(metadata, Mapping):
        parts.append(metadata.get("headers"))
    for part in parts:
        if not isinstance(part, Mapping):
            continue
        for name, value in islice(part.items(), _FIELDS_MOST):
            key = _normalized(str(name)).replace("_", "")
            if key in ("retrydelay", "retryafter", "retryafterseconds"):
                seconds = _seconds(value)
            elif key in ("retryafterms", "retrydelayms"):
                seconds = None if (found := _seconds(value)) is None else found / 1000
            else:
                continue
            if seconds is not None:
                return _bounded(seconds)
    return _wait_in(words)


def _wait_in(words: str) -> float | None:
    found = _ASKED_TO_WAIT.search(words)
    seconds = _seconds(found[1]) if found else None
    return None if seconds is None else _bounded(seconds)


def _seconds(value: Any) -> float | None:
    """Return a duration such as 37, "37", "1.5s", "250ms", "1m2.5s" or {"seconds": 37}."""
    if isinstance(value, Mapping):
        whole, nanos = _seconds(value.get("seconds")), _seconds(value.get("nanos"))
        return None if whole is None else whole + (nanos or 0.0) / 1e9
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e12:
        return float(value)
    if not isinstance(value, str) or len(value) > 60:
        return None
    text = value.strip()
    try:
        return float(text)
    except ValueError:
        pass
    total, at = 0.0, 0
    while at < len(text):
        found = _AMOUNT.match(text, at)
        if found is None:
            return None
        unit = (found[2] or "s").lower()
        total += float(found[1]) * _UNITS["ms" if unit == "milli" else unit]
        at = found.end()
    return total if text else None


def _bounded(seconds: float) -> float | None:
    return None if seconds != seconds else min(max(seconds, 0.0), _WAIT_MOST_S)  # noqa: PLR0124


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that `Retry-After-Ms` or `Retry-After` ask for, at most 600."""
    millis = _seconds(headers.get("retry-after-ms"))
    if millis is not None and (bounded := _bounded(millis / 1000)) is not None:
        return bounded
    text = headers.get("retry-after")
    seconds = _seconds(text)
    if seconds is None and isinstance(text, str):
        try:
            moment = email.utils.parsedate_tz(text)
            seconds = email.utils.mktime_tz(moment) - time.time() if moment else None
        except (ValueError, OverflowError, TypeError, IndexError):
            return None
    return None if seconds is None else _bounded(seconds)
