"""How long to wait before a request is tried again, and what headers say about it."""

import math
import re

from targen.hashing import rng

_FIRST_S = 0.5
_MOST_S = 20.0
_LONGEST_DURATION = 60


def backoff(request_id: str, attempt: int, retry_after: float | None) -> float:
    """Return the seconds to wait before try `attempt` + 1: exponential with full jitter.

    The endpoint's own Retry-After is the minimum. Source: "Exponential backoff and jitter",
    AWS Architecture Blog, 2015. The jitter is derived from the request, not from a clock.
    """
    ceiling = min(_MOST_S, _FIRST_S * 2.0 ** (attempt - 1))
    jitter = rng(request_id, attempt).random()
    if retry_after is None:
        return ceiling * jitter
    # Spread out after the requested moment; otherwise all would come back at once.
    return retry_after + min(ceiling, 1.0) * jitter


def header_number(text: str | None) -> float | None:
    """Return the number in a header; None if there is none, or if it is not finite."""
    try:
        found = float(text or "")
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def duration(text: str) -> float:
    """Return the seconds in `1.5`, `20ms`, `6m0s` or `1h2m3.5s`; 1 if it is none of these."""
    seconds = header_number(text)
    if seconds is not None:
        return seconds
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", text[:_LONGEST_DURATION])
    if not parts:
        return 1.0
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
    return sum(float(number) * units[unit] for number, unit in parts)
