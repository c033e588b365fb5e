"""When a request is retried or given up, and when an endpoint counts as dead."""

from targen.hashing import rng
from targen.llm.reply import Reply

MAX_ATTEMPTS = 6
"""Tries of one request; being throttled does not count as one."""

_FIRST_S = 0.5
_MOST_S = 20.0


def backoff(request_id: str, attempt: int, retry_after: float | None) -> float:
    """Return the seconds to wait before try `attempt` + 1: exponential with full jitter.

    The endpoint's own wish is the least that is waited. Source: "Exponential backoff and jitter",
    AWS Architecture Blog, 2015. The jitter follows from the request, not from a clock.
    """
    ceiling = min(_MOST_S, _FIRST_S * 2.0 ** (attempt - 1))
    jitter = rng(request_id, attempt).random()
    if retry_after is None:
        return ceiling * jitter
    # Spread behind the wished moment, or all come back in the same instant.
    return retry_after + min(ceiling, 1.0) * jitter


class Health:
    """Tells when an endpoint is dead: failures only, over enough time.

    An endpoint that has never answered is given up within seconds, one that has answered before
    gets half a minute to come back, and one that only throttles five minutes.
    """

    def __init__(self, fresh_s: float = 3.0, known_s: float = 30.0, throttled_s: float = 300.0):
        self.answered = False
        self._fresh_s, self._known_s, self._throttled_s = fresh_s, known_s, throttled_s
        self._since: float | None = None
        self._failures = 0
        self._throttled_since: float | None = None

    def good(self) -> None:
        """Record an answer, or a refusal that proves that the endpoint is up."""
        self.answered = True
        self._since = self._throttled_since = None
        self._failures = 0

    def bad(self, now: float, reply: Reply, still_open: int, address: str) -> str | None:
        """Note a failed call; return why the endpoint is dead, or None while there is hope.

        Args:
            now: monotonic seconds.
            reply: the failure.
            still_open: calls in flight, any of which may still be answered.
            address: the endpoint, as it is to be named.
        """
        if reply.kind == "throttled":
            self._throttled_since = self._throttled_since or now
            if now - self._throttled_since > self._throttled_s:
                return f"{address} refuses every call for its rate since {self._throttled_s:.0f} s"
            return None
        self._since = self._since or now
        self._failures += 1
        lasted = now - self._since
        if self.answered:
            hopeless = lasted > self._known_s and self._failures >= 10
        else:
            # A server that answers with errors may be starting up: wait longer than for a dead one.
            patience = self._fresh_s if reply.code == 0 else 3 * self._fresh_s
            hopeless = lasted > patience and self._failures >= 4 and still_open == 0
            hopeless = hopeless or (lasted > 2 * patience and self._failures >= 20)
        told = reply.message(address)
        return f"{told}; {self._failures} calls failed in a row" if hopeless else None
