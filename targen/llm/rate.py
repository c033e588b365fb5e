"""How many calls may be under way, and when the next may leave.

Here belongs the gate in front of one endpoint. It looks at replies only; time is handed in, so
that it can be tested without waiting.
"""

from collections.abc import Mapping

from targen.llm.reply import Reply

_FIRST_WINDOW = 8.0


class Gate:
    """A window of calls in flight that grows with answers and shrinks with refusals (AIMD)."""

    def __init__(self, concurrency: int) -> None:
        self._most = float(concurrency)
        self._window = min(_FIRST_WINDOW, self._most)
        self._shrunk_at = -1.0
        self._held_until = 0.0
        self._in_flight = 0

    def wait(self, now: float) -> float:
        """Return the seconds until the next call may leave: 0 now, infinity not before a reply."""
        if self._in_flight >= int(self._window):
            return float("inf")
        return max(0.0, self._held_until - now)

    def sent(self) -> None:
        """Note that a call has left."""
        self._in_flight += 1

    def replied(self, now: float, sent_at: float, reply: Reply, headers: Mapping[str, str]) -> None:
        """Note the reply to a call that left at `sent_at`."""
        del headers
        self._in_flight -= 1
        if reply.kind == "throttled" or reply.code in (0, 503):
            # One cut per round trip: the calls sent before the last cut say nothing new.
            if sent_at > self._shrunk_at:
                self._window = max(1.0, self._window * 0.7)
                self._shrunk_at = now
                self._held_until = now + min(reply.retry_after or 0.2, 1.0)
        elif reply.kind == "answer":
            self._window = min(self._most, self._window + 1.0)

    def lost(self) -> None:
        """Note that a call was abandoned without a reply."""
        self._in_flight -= 1
