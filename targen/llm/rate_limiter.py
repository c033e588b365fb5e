"""The limiter in front of one endpoint: when the next call may be sent."""

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from targen.llm.concurrency import FIRST_WINDOW, ConcurrencyController
from targen.llm.outage import Outage
from targen.llm.rate_model import Grant, Limit
from targen.llm.reply import Reply
from targen.llm.retry import duration, header_number
from targen.llm.tokens import NEVER, TokenLimit
from targen.llm.types import Request
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
_LATELY_S = 600.0
"""An endpoint that answered another engine in this time is waited for like one that answered this
engine: the steps of a run have an engine each."""

_LONG_WAIT_S = 5.0
"""A Retry-After of at least this stops all calls, not only the one that was refused."""

_LEAST_GUESS_S = 0.1
_MOST_GUESS_S = 2.0
"""How long to wait if the headers say that no call is left, but not when there will be one."""

UNSAVED_MOST = 8
"""Maximum number of answers not yet stored; sending pauses beyond it, since a kill loses them."""


@dataclass(slots=True, eq=False)
class Slot:
    """Permission to send one call.

    Attributes:
        request: what is sent.
        key: its id.
        sent_at: when permission was given, in monotonic seconds.
        in_flight: calls in flight then, this one included.
    """

    request: Request | None
    key: str
    sent_at: float = 0.0
    in_flight: int = 0


class RateLimiter:
    """Bounds calls in flight, their rate, their tokens, and the answers that wait to be stored.

    If `shared` is None (the simulator), only the calls in flight are limited.
    """

    def __init__(
        self,
        concurrency: int,
        shared: tuple[Writer, str, str] | None,
        outage: Outage,
        per_minute: float | None = None,
        tokens: TokenLimit | None = None,
    ) -> None:
        """Make the limiter; must be called on a running event loop.

        Args:
            concurrency: the most calls in flight.
            shared: the writer, the name of the limiter's row, and this process's name.
            outage: the endpoint's outage; while it is down, single calls probe it.
            per_minute: the user's own limit in calls per minute.
            tokens: the user's limit on tokens per minute.
        """
        self._loop = asyncio.get_running_loop()
        self._most = float(concurrency)
        self._shared = shared
        self._outage = outage
        self._tokens = tokens
        self._most_rate = NEVER if per_minute is None else per_minute / 60
        self._controller = ConcurrencyController(self._most, FIRST_WINDOW if shared else self._most)
        self._overload = self._most
        self._own = min(_FIRST_OWN, self._most)
        self._shrunk_at = -1.0
        self._replies = 0
        self._answering = 0.0
        self._pace = _FIRST_PACE
        self._next_at = 0.0
        self._paused_until = 0.0
        self._waiting: deque[tuple[Slot, asyncio.Future[None]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._sent_at: dict[Slot, float] = {}
        self._unsaved = 0
        self._stopped = False
        self._grants: deque[float] = deque()
        self._few = 0.0
        self._cuts = 0
        self._asking: asyncio.Task[None] | None = None
        self._unused = 0
        self._refusals: list[float] = []
        self._left: float | None = None
        self._reset_at = 0.0
        self._guess_s = _LEAST_GUESS_S
        self._sharers = 1
        self._warned = self._found = False
        self.limit: float | None = None

    @property
    def in_flight(self) -> int:
        """Calls sent and not answered."""
        return len(self._sent_at)

    @property
    def window(self) -> int:
        """Calls that may be in flight now."""
        return max(1, int(min(self._controller.window, self._overload, self._own)))

    def oldest_s(self, now: float) -> float:
        """Return the age in seconds of the oldest call in flight; 0 if there is none."""
        return now - next(iter(self._sent_at.values()), now)

    # What the pipeline calls.

    async def acquire(self, key: str, request: Request | None = None, first: bool = False) -> Slot:
        """Wait until a call may be sent, and count it as sent.

        Args:
            key: the request's id.
            request: what will be sent; None for texts to embed, which no token limit counts.
            first: True for a retry, which does not queue behind new requests.

        Raises:
            StoreError: the store failed, which holds the limits that all processes share.
        """
        slot, future = Slot(request, key), self._loop.create_future()
        (self._waiting.appendleft if first else self._waiting.append)((slot, future))
        self.dispatch()
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self.lost(slot)
            raise
        return slot

    def replied(self, slot: Slot, now: float, reply: Reply, headers: Mapping[str, str]) -> None:
        """Note the reply to a call; an answer then counts as unsaved until `stored`."""
        self._sent_at.pop(slot, None)
        self._replies += 1
        if reply.answer is not None:
            self._unsaved += 1
        if self._tokens and slot.request:
            self._tokens.settle(slot.key, slot.request, reply.answer)
        if self._shared is not None:
            self._read(now, headers)
            self._adjust(slot, now, reply)
        self.dispatch()

    def stored(self) -> None:
        """Note that an answer is stored."""
        self._unsaved -= 1
        if self._unsaved == UNSAVED_MOST - 1:
            self.dispatch()

    def lost(self, slot: Slot) -> None:
        """Note that a call was abandoned without a reply."""
        self._sent_at.pop(slot, None)
        self.dispatch()

    def stop(self) -> None:
        """Let no more calls be sent."""
        self._stopped = True
        if self._timer:
            self._timer.cancel()

    async def close(self) -> None:
        """Stop, and end what runs in the background."""
        self.stop()
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        if self._shared is not None and self._found and self._outage.answered:
            # The next engine need not start from scratch.
            writer, name, _ = self._shared
            window = round(self._controller.window, 1)

            def work(connection: sa.Connection) -> None:
                state = json.dumps([window, store_now(connection)])
                _save(connection, _window(name), state)

            writer.submit(work)

    def dispatch(self) -> None:
        """Release the calls that may be sent now, and set a timer for the rest."""
        while self._waiting and not self._stopped:
            slot, future = self._waiting[0]
            if future.done():
                self._waiting.popleft()
                continue
            now = time.monotonic()
            try:
                wait = self._wait(now, slot.request)
            except Exception as error:
                self._fail(error)
                return
            if wait > 0:
                self._wake_in(now, wait)
                return
            self._waiting.popleft()
            self._send(slot, now)
            future.set_result(None)

    def _fail(self, error: Exception) -> None:
        """Let all that wait fail: nothing else may be under way that would meet the error."""
        waiting, self._waiting = self._waiting, deque()
        for _, future in waiting:
            if not future.done():
                future.set_exception(error)

    # When a call may be sent.

    def _wait(self, now: float, request: Request | None) -> float:
        """Return the seconds until the next call may be sent; NEVER: `dispatch` will be called."""
        # With many unsaved answers: a kill now would lose them. The writer catches up first.
        if self._unsaved >= UNSAVED_MOST or self.in_flight >= self.window:
            return NEVER
        if self._shared is None:
            return 0.0
        until = max(self._paused_until, self._next_at, now + self._outage.wait(now))
        if until > now:
            return until - now
        if self._exhausted(now):
            return NEVER if self.in_flight else max(0.0, self._reset_at - now)
        grant = self._next_grant(now)
        if len(self._grants) <= self._few:
            self._ask()
        wait = NEVER if grant is None else max(0.0, grant - now)
        if wait or self._tokens is None or request is None:
            return wait
        return self._tokens.wait(request, now, self.dispatch)

    def _next_grant(self, now: float) -> float | None:
        # What was not used in time is given back; otherwise it would go out in a burst.
        while self._grants and self._grants[0] < now - _STALE_S:
            self._grants.popleft()
            self._unused += 1
        return self._grants[0] if self._grants else None

    def _wake_in(self, now: float, wait: float) -> None:
        if wait == NEVER:
            return
        at = now + max(wait, 0.001)
        # A timer that fires too early just checks again; resetting it would cost more.
        if self._timer is None or not now < self._timer_at <= at:
            if self._timer:
                self._timer.cancel()
            self._timer = self._loop.call_later(at - now, self.dispatch)
            self._timer_at = at

    def _send(self, slot: Slot, now: float) -> None:
        self._sent_at[slot] = slot.sent_at = now
        slot.in_flight = len(self._sent_at)
        self._next_at = max(self._next_at, now - _LEEWAY_S) + 1 / self._pace
        if self._grants:
            self._grants.popleft()
        if self._left is not None:
            self._left -= 1
        if self._tokens and slot.request:
            self._tokens.sent(slot.key, slot.request)
        self._outage.sent(now)

    # What replies say about the endpoint.

    def _adjust(self, slot: Slot, now: float, reply: Reply) -> None:
        if reply.kind == "throttled":
            self._refusals.append(slot.sent_at)
            self._ask()
            if reply.retry_after and (self._left is not None or reply.retry_after >= _LONG_WAIT_S):
                # The endpoint counts for all processes; until then it would refuse every call.
                self._paused_until = max(self._paused_until, now + reply.retry_after)
                self._left = None
                self._guess_s = min(2 * self._guess_s, _MOST_GUESS_S)
        elif reply.code == 503 or (reply.kind == "transient" and reply.code == 0):
            # Overload, not a rate: fewer at a time. One cut per round trip.
            if slot.sent_at > self._shrunk_at:
                self._overload = max(1.0, min(self._overload, self.window) * 0.7)
                self._shrunk_at = now
        elif reply.kind == "answer":
            self._overload = min(self._most, self._overload + 4 / self._overload)
            tokens = reply.answer.completion_tokens if reply.answer else None
            self._controller.answered(slot.sent_at, now, tokens, slot.in_flight)

    def lagged(self, seconds: float, every_s: float) -> None:
        """Note how late the event loop is; called some fifty times a second.

        A loop that is late has answers that it has not read: more calls in flight would only wait
        longer, and a kill would lose more of them. So the window follows our own speed, too.

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

    def _read(self, now: float, headers: Mapping[str, str]) -> None:
        left = header_number(
            headers.get("x-ratelimit-remaining-requests") or headers.get("x-ratelimit-remaining")
        )
        if left is None:
            return
        # Calls in flight may or may not have been counted; assume that they were not.
        self._left = left - self.in_flight
        reset = headers.get("x-ratelimit-reset-requests") or headers.get("x-ratelimit-reset") or ""
        limit = header_number(
            headers.get("x-ratelimit-limit-requests") or headers.get("x-ratelimit-limit")
        )
        if not reset:
            # Unknown: a guess that refusals double.
            self._reset_at = now + self._guess_s
            if self._left < 1:
                self._guess_s = max(0.98 * self._guess_s, _LEAST_GUESS_S)
            return
        seconds = duration(reset)
        # The reset is for the whole bucket: one call's worth comes back sooner.
        share = seconds / limit if limit is not None and limit >= 1 else seconds
        self._reset_at = now + min(max(share, 0.02), 60.0)

    def _exhausted(self, now: float) -> bool:
        if self._left is None:
            return False
        return self._left < 1 + (self._sharers - 1) * (self.in_flight + 3) and not (
            self.in_flight == 0 and now >= self._reset_at
        )

    # The estimate of the rate, shared between processes.

    def _ask(self) -> None:
        if self._asking is None and self._shared is not None and not self._stopped:
            self._asking = self._loop.create_task(self._refill(*self._shared))

    async def _refill(self, writer: Writer, name: str, owner: str) -> None:
        """Get permission for the next calls, and report refusals, in one transaction."""
        unused, self._unused = self._unused, 0
        refusals, self._refusals = self._refusals, []
        most = int(2 * self._most)

        known, self._found = self._found, True

        def work(connection: sa.Connection) -> tuple[list[float], Grant, int, float | None, bool]:
            row = None if known else connection.execute(_STATE, {"name": _window(name)}).scalar()
            window, at = json.loads(row) if row else (None, 0.0)
            clock = store_now(connection)
            lately = clock - at < _LATELY_S
            offset = clock - time.monotonic()
            row = connection.execute(_STATE, {"name": name}).scalar()
            limit = Limit.load(row)
            refused = [at + offset for at in refusals]
            grant = limit.ask(
                offset + time.monotonic(), owner, unused, refused, most, self._most_rate
            )
            _save(connection, name, limit.dump())
            slots = [grant.start - offset + n / grant.rate for n in range(grant.count)]
            return slots, grant, len(limit.seen), window, lately

        try:
            result = await writer.call(work)
        except Exception as error:
            self._fail(error)
            return
        finally:
            self._asking = None
        self._granted(*result)

    def _granted(
        self,
        grants: list[float],
        grant: Grant,
        sharers: int,
        window: float | None = None,
        lately: bool = False,
    ) -> None:
        self._sharers = sharers
        if window is not None:
            self._controller.resume(window)
            self._outage.answered |= lately
        # While the rate is still rising, no limit has been met.
        self.limit = grant.rate if grant.cuts and grant.chance is None else None
        if grant.chance is not None and not self._warned:
            self._warned = True
            LOGGER.warning(
                "The endpoint refuses some %.0f%% of the calls at any rate. They are tried again, "
                "and the run is not slowed down further.",
                100 * grant.chance,
            )
        if grant.cuts != self._cuts:
            self._unused += len(self._grants)
            self._grants.clear()
            self._cuts = grant.cuts
        self._grants.extend(grants)
        self._few = 0.4 * len(grants)
        if self._refusals:
            self._ask()
        elif not grants:
            # The others have the next slots; ask again when theirs are nearly used.
            self._loop.call_later(_RETRY_S, self.dispatch)
        self.dispatch()


def _window(name: str) -> str:
    """Return the key under which the concurrency of an endpoint and model is stored."""
    return f"window {name}"


def _save(connection: sa.Connection, name: str, state: str) -> None:
    connection.execute(
        insert(connection, GATES)
        .values(endpoint=name, state=state)
        .on_conflict_do_update(index_elements=["endpoint"], set_={"state": state})
    )
