"""Whether an endpoint as a whole is down, and how long to wait for it."""

import logging
import math

from targen.errors import EndpointError
from targen.llm.reply import Reply

LOGGER = logging.getLogger("targen")

FRESH_S = 3.0
"""How long an endpoint that never took a call may refuse connections. One that answers with an
error of its own (500) gets three times as long."""

THROTTLED_S = 300.0
"""How long an endpoint may refuse every call because of its rate limit."""

ALONE_S = 120.0
"""How long the last few requests of a run may fail before the fault is taken to be theirs."""

MAX_ATTEMPTS = 6
"""Failed tries of one request while the endpoint answers others, before it is given up."""

_AWAY = frozenset({502, 503, 504, 520, 521, 522, 523, 524, 529})
"""Statuses of a gateway without its server, and of a server that starts or is overloaded."""
_WORKED_S = 3.0
_DOWN_AFTER = 4
_FEW = 4
_FIRST_PAUSE_S = 0.5
_MOST_PAUSE_S = 10.0
_REMIND_S = 30.0


class Outage:
    """Follows the failures of one endpoint.

    While the endpoint answers nothing it is probed with one call at growing intervals, and no
    request is given up. A request's failures count against it only if the endpoint answered
    another one meanwhile.
    """

    def __init__(
        self,
        address: str,
        patience_s: float,
        problem: str = "The model endpoint cannot be used",
    ) -> None:
        """Make it.

        Args:
            address: the endpoint, for messages.
            patience_s: how long an endpoint that is down may stay silent.
            problem: what its errors begin with.
        """
        self._address, self._patience_s, self._problem = address, patience_s, problem
        self.answered = False
        self._reached = False
        self._answered_at = -math.inf
        self._since: float | None = None
        self._throttled_since: float | None = None
        self._timeouts_since: float | None = None
        self._failures = 0
        self._failed: set[str] = set()
        self._pause_s = 0.0
        self._probe_at = 0.0
        self._reminded_at = -math.inf
        # Answers between the refusals do not reset it.
        self._limit_told_at = -math.inf

    @property
    def down(self) -> bool:
        """True while the endpoint as a whole does not answer."""
        return self._since is not None and self._failures >= _DOWN_AFTER

    def wait(self, now: float) -> float:
        """Return the seconds until the next call may be sent; 0 while the endpoint answers."""
        return max(0.0, self._probe_at - now) if self.down else 0.0

    def sent(self, now: float) -> None:
        """Note that a call left; while the endpoint is down the next one has to wait longer."""
        if self.down:
            self._pause_s = min(max(2 * self._pause_s, _FIRST_PAUSE_S), _MOST_PAUSE_S)
            self._probe_at = now + self._pause_s

    def good(self, now: float, answered: bool = True) -> None:
        """Note an answer, or (`answered` false) a refusal that proves that the endpoint is up."""
        if self.down and self._since is not None and self._reminded_at > -math.inf:
            LOGGER.warning("%s answers again after %.0f s", self._address, now - self._since)
        self.answered, self._answered_at = self.answered or answered, now
        self._since = self._throttled_since = self._timeouts_since = None
        self._failures, self._pause_s, self._reminded_at = 0, 0.0, -math.inf
        self._failed.clear()

    def throttled(self, now: float, reply: Reply) -> None:
        """Note a refusal because of the rate.

        Raises:
            EndpointError: the endpoint has refused every call for minutes.
        """
        self._throttled_since = self._throttled_since or now
        lasted = now - self._throttled_since
        if lasted > max(THROTTLED_S, self._patience_s, 1.5 * (reply.retry_after or 0.0)):
            raise EndpointError(
                f"{self._problem}: {self._address} has refused every call because of "
                f"its rate limit for {lasted:.0f} s: {_short(reply.words)}."
            )
        wait = max(lasted, reply.retry_after or 0.0)
        if wait >= _REMIND_S and now - self._limit_told_at >= _REMIND_S:
            self._limit_told_at = now
            LOGGER.warning(
                "%s has a rate limit (%s): waiting for it", self._address, _short(reply.words)
            )

    def failed(
        self, request_id: str, sent_at: float, now: float, reply: Reply, timed_out: bool
    ) -> bool:
        """Note a call without an answer; return whether the failure counts against its request.

        Args:
            request_id: id of the call's request.
            sent_at: when the call was sent, in monotonic seconds.
            now: the current time.
            reply: the failure.
            timed_out: True if the endpoint took the call and did not answer in time. That says
                nothing about the endpoint while it accepts connections.

        Raises:
            EndpointError: the endpoint has not answered anything for too long.
        """
        unreached = reply.code == 0 and not reply.ambiguous
        # It took the call and worked on it, as a slow server does that then restarts.
        self._reached = self._reached or (not unreached and now - sent_at > _WORKED_S)
        if timed_out:
            self._timeouts_since = min(self._timeouts_since or sent_at, sent_at)
            silent = now - self._timeouts_since
            if self._answered_at < self._timeouts_since and silent > max(
                self._patience_s, 1.2 * (now - sent_at)
            ):
                raise EndpointError(
                    f"{self._problem}: {self._address} has answered no call "
                    f"for {silent:.0f} s. If its answers take longer, raise TARGEN_TIMEOUT_S."
                )
            return self._answered_at > sent_at
        self._since = self._since or now
        self._failures += 1
        self._failed.add(request_id)
        if self._failures == _DOWN_AFTER:
            self._pause_s = _FIRST_PAUSE_S
            self._probe_at = now + self._pause_s
        lasted = now - self._since
        patience = self._patience(reply)
        if lasted > patience and self._failures >= _DOWN_AFTER:
            words = reply.message(self._address)
            raise EndpointError(
                f"{self._problem}: {words}; {self._failures} calls failed in a "
                f"row in {lasted:.0f} s."
            )
        if self._answered_at > sent_at:
            return True
        self._say(now, reply, lasted, patience)
        return not unreached and len(self._failed) < _FEW and lasted > ALONE_S

    def _patience(self, reply: Reply) -> float:
        if self.answered or self._reached or reply.code in _AWAY:
            return self._patience_s
        return FRESH_S if reply.code == 0 else 3 * FRESH_S

    def _say(self, now: float, reply: Reply, lasted: float, patience: float) -> None:
        if not self.down or patience < _REMIND_S or now - self._reminded_at < _REMIND_S:
            return
        self._reminded_at = now
        LOGGER.warning(
            "The endpoint does not answer (%s): waiting for it, for %.0f s more at most",
            _short(reply.message(self._address)),
            max(0.0, patience - lasted),
        )


def _short(words: str) -> str:
    return " ".join(words.split()).rstrip(".")[:200]
