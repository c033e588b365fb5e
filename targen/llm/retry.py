"""How long to wait before a request is tried again, and for its answer."""

from targen.hashing import rng
from targen.llm.settings import EngineSettings
from targen.llm.types import Request

_FIRST_S = 0.5
_MOST_S = 20.0

_LEAST_TIMEOUT_S = 120.0
_MOST_TIMEOUT_S = 1800.0
_START_S = 60.0
_TOKENS_PER_S = 5.0
"""A slow server's speed for one answer; a small model on two cores writes 10 to 25."""


def backoff(request_id: str, attempt: int, retry_after: float | None) -> float:
    """Return the seconds to wait before try `attempt` + 1: exponential with full jitter.

    The endpoint's own Retry-After is the minimum. Source: "Exponential backoff and jitter",
    AWS Architecture Blog, 2015. The jitter follows from the request, not from a clock.
    """
    ceiling = min(_MOST_S, _FIRST_S * 2.0 ** (attempt - 1))
    jitter = rng(request_id, attempt).random()
    if retry_after is None:
        return ceiling * jitter
    # Spread behind the requested moment, or all come back in the same instant.
    return retry_after + min(ceiling, 1.0) * jitter


def timeout_of(request: Request, settings: EngineSettings, timeouts: int = 0) -> float:
    """Return the seconds after which a call is given up, doubled for each time-out before.

    Without a setting it is a minute to start and the time that a slow server needs to write the
    longest answer that the request allows.
    """
    first = settings.timeout_s
    if first is None:
        writing = request.sampling.max_output_tokens / _TOKENS_PER_S
        first = min(max(_START_S + writing, _LEAST_TIMEOUT_S), _MOST_TIMEOUT_S)
    return min(first * 2.0**timeouts, max(first, _MOST_TIMEOUT_S))
