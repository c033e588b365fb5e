"""How long to wait before a request is tried again."""

from targen.hashing import rng

_FIRST_S = 0.5
_MOST_S = 20.0


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
