"""The limiter in front of one endpoint: when the next call may leave this process."""

import asyncio
import logging
import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from targen.llm.rate_model import Grant, Limit
from targen.llm.reply import Reply
from targen.store.completions import now as store_now
from targen.store.ledger import insert
from targen.store.schema import GATES
from targen.store.writer import Writer

LOGGER = logging.getLogger("targen")

_STALE_S = 0.15
_RETRY_S = 0.02
_STATE = sa.select(GATES.c.state).where(GATES.c.endpoint == sa.bindparam("name"))
_UNREAD = 4.0
_FIRST_PACE = 256.0
_PACE_OVER_REPLIES = 1.5
_LEEWAY_S = 0.003
_FIRST_OWN = 48.0
_LEAST_OWN = 24.0
NEVER = float("inf")
"""Until `pump` is called."""


class RateLimiter:
    """Bounds calls in flight and their rate for one process; `pump` is called when leave comes.

    With `shared` None nothing is limited but the calls in flight: the embedded model.
    """

    def __init__(
        self,
        concurrency: int,
        shared: tuple[Writer, str, str] | None,
        pump: Callable[[], None],
        per_minute: float | None = None,
    ) -> None:
        """Make the limiter.

        Args:
            concurrency: calls in flight at most.
            shared: the writer, the name of the limiter's row, and this process's name.
            pump: called on the event loop when a call may leave.
            per_minute: the user's own limit in calls per minute.
        """
        self._most = float(concurrency)
        self._window = float(concurrency)
        self._shared = shared
        self._pump = pump
        self._most_rate = NEVER if per_minute is None else per_minute / 60
        self._own = min(_FIRST_OWN, float(concurrency))
        self._shrunk_at = -1.0
        self._replies = 0
        self._answering = 0.0
        self._pace = _FIRST_PACE
        self._next_at = 0.0
        self.in_flight = 0
        self._slots: deque[float] = deque()
        self._few = 0.0
        self._cuts = 0
        self._asking = False
        self._unused = 0
        self._refusals: list[float] = []
        self._left: dict[str, float] = {}
        self._reset_at = 0.0
        self._sharers = 1
        self._told = False
        self.limit: float | None = None

    def wait(self, now: float) -> float:
        """Return the seconds until the next call may leave; infinity: `pump` will be called."""
        if self.in_flight >= max(1, int(min(self._window, self._own))):
            return NEVER
        if self._shared is None:
            return 0.0
        if self._next_at > now:
            return self._next_at - now
        if self._exhausted():
            return NEVER if self.in_flight else max(0.0, self._reset_at - now)
        slot = self._next_slot(now)
        if len(self._slots) <= self._few:
            self._ask()
        return NEVER if slot is None else max(0.0, slot - now)

    def _next_slot(self, now: float) -> float | None:
        # What was not used in time is given back, or it would leave as a burst.
        while self._slots and self._slots[0] < now - _STALE_S:
            self._slots.popleft()
            self._unused += 1
        return self._slots[0] if self._slots else None

    def sent(self, now: float) -> None:
        """Note that a call has left."""
        self.in_flight += 1
        self._next_at = max(self._next_at, now - _LEEWAY_S) + 1 / self._pace
        if self._slots:
            self._slots.popleft()
        for name in self._left:
            self._left[name] -= 1

    def replied(self, now: float, sent_at: float, reply: Reply, headers: Mapping[str, str]) -> None:
        """Note the reply to a call that left at `sent_at`; times are monotonic seconds."""
        self.in_flight -= 1
        self._replies += 1
        if self._shared is None:
            return
        self._read(now, headers)
        if reply.kind == "throttled":
            self._refusals.append(sent_at)
            self._ask()
        elif reply.code == 503 or (reply.kind == "transient" and reply.code == 0):
            # Overload, not a rate: fewer at a time. One cut per round trip.
            if sent_at > self._shrunk_at:
                self._window = max(1.0, self._window * 0.7)
                self._shrunk_at = now
        elif reply.kind == "answer":
            self._window = min(self._most, self._window + 4 / self._window)

    def lagged(self, seconds: float, every_s: float) -> None:
        """Note how late the event loop is; called some fifty times a second.

        A loop that is late has answers lying unread: more calls in flight would only wait longer,
        and a kill would lose more of them. So the window follows our own speed, too.

        Args:
            seconds: how late this call is.
            every_s: how often it should be made.
        """
        unread = self._replies * seconds / (seconds + every_s)
        self._answering += 0.2 * (self._replies / (seconds + every_s) - self._answering)
        # Calls sent together are answered together, and their replies queue up together.
        self._pace = max(_FIRST_PACE, _PACE_OVER_REPLIES * self._answering)
        self._replies = 0
        if unread > _UNREAD:
            self._own = max(_LEAST_OWN, self._own * 0.85)
        elif unread < _UNREAD / 2:
            self._own = min(self._most, self._own + 2.0)

    def lost(self) -> None:
        """Note that a call was abandoned without a reply."""
        self.in_flight -= 1

    # The endpoint's own word.

    def _read(self, now: float, headers: Mapping[str, str]) -> None:
        left = headers.get("x-ratelimit-remaining-requests") or headers.get("x-ratelimit-remaining")
        if left is None:
            return
        try:
            # Calls that are under way may have been counted or not: take it that they were not.
            self._left["requests"] = float(left) - self.in_flight
        except ValueError:
            return
        reset = headers.get("x-ratelimit-reset-requests") or headers.get("x-ratelimit-reset") or ""
        limit = headers.get("x-ratelimit-limit-requests") or headers.get("x-ratelimit-limit") or ""
        seconds = duration(reset)
        # The reset is that of the whole bucket: one call's worth comes back sooner.
        share = seconds / float(limit) if limit.isdigit() and int(limit) else seconds
        self._reset_at = now + min(max(share, 0.02), 60.0)

    def _exhausted(self) -> bool:
        left = self._left.get("requests")
        if left is None:
            return False
        return left < 1 + (self._sharers - 1) * (self.in_flight + 3) and not (
            self.in_flight == 0 and time.monotonic() >= self._reset_at
        )

    # The shared estimate.

    def _ask(self) -> None:
        if self._asking or self._shared is None:
            return
        self._asking = True
        writer, name, owner = self._shared
        unused, self._unused = self._unused, 0
        most = int(2 * self._most)
        refusals, self._refusals = self._refusals, []

        def work(connection: sa.Connection) -> tuple[list[float], Grant, int]:
            offset = store_now(connection) - time.monotonic()
            row = connection.execute(_STATE, {"name": name}).scalar()
            limit = Limit.load(row)
            refused = [at + offset for at in refusals]
            grant = limit.ask(
                offset + time.monotonic(), owner, unused, refused, most, self._most_rate
            )
            values = {"endpoint": name, "state": limit.dump()}
            connection.execute(
                insert(connection, GATES).on_conflict_do_update(
                    index_elements=["endpoint"], set_={"state": values["state"]}
                ),
                values,
            )
            slots = [grant.start - offset + n / grant.rate for n in range(grant.count)]
            return slots, grant, len(limit.seen)

        writer.submit(work, self._granted)

    def _granted(self, result: Any) -> None:
        self._asking = False
        if isinstance(result, BaseException):
            # The store's failure stops the engine where completions are written.
            return
        slots, grant, self._sharers = result
        # While the rate is still rising, no limit has been met.
        self.limit = grant.rate if grant.cuts and grant.chance is None else None
        if grant.chance is not None and not self._told:
            self._told = True
            LOGGER.warning(
                "The endpoint refuses some %.0f%% of the calls whatever their rate: they are tried "
                "again, but the run is not slowed down any more",
                100 * grant.chance,
            )
        if grant.cuts != self._cuts:
            self._unused += len(self._slots)
            self._slots.clear()
            self._cuts = grant.cuts
        self._slots.extend(slots)
        self._few = 0.4 * len(slots)
        if self._refusals:
            self._ask()
        elif not slots:
            # The others have the next slots; ask again when theirs are nearly used.
            asyncio.get_running_loop().call_later(_RETRY_S, self._pump)
        self._pump()


def duration(text: str) -> float:
    """Return the seconds in `1.5`, `20ms`, `6m0s` or `1h2m3.5s`; 1 where it is none of these."""
    try:
        return float(text)
    except ValueError:
        pass
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", text)
    if not parts:
        return 1.0
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
    return sum(float(number) * units[unit] for number, unit in parts)
