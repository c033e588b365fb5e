"""Sends claimed requests within the rate limit."""

import asyncio
import heapq
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from targen.errors import EndpointError, TargenError
from targen.llm import retry
from targen.llm.adaptation import Adapter
from targen.llm.budget import Budget
from targen.llm.client import Client
from targen.llm.progress import Stats
from targen.llm.rate_limiter import RateLimiter
from targen.llm.reply import Reply
from targen.llm.runs import Job, Run
from targen.llm.settings import timeout_of
from targen.llm.storing import Storing
from targen.llm.tokens import TokenLimit
from targen.llm.wire import Profile
from targen.store.schema import Status

GRACE_S = 4.0
ENOUGH_READY = 32
_NEVER = float("inf")


class Desk(Protocol):
    """What the sender needs of its engine."""

    @property
    def fatal(self) -> TargenError | None:
        """Why the engine has stopped, or None."""
        ...

    def keep(self, job: Job) -> bool:
        """Tell whether anybody still wants a job; else forget it."""
        ...

    def look_for(self, jobs: Iterable[Job]) -> None:
        """Look jobs up; with none, those that wait for it."""
        ...

    def release(self, job: Job) -> None:
        """Give the lease on a job back."""
        ...

    def abandoned(self, job: Job) -> None:
        """Take note that a job was sent and its answer will not be waited for."""
        ...

    def stop(self, error: BaseException) -> None:
        """End everything because of an error."""
        ...


@dataclass(slots=True, eq=False)
class _Sent:
    """A call under way."""

    job: Job
    at: float


class Sender:
    """The calls of one engine."""

    def __init__(
        self,
        desk: Desk,
        client: Client,
        limiter: RateLimiter,
        budget: Budget,
        storing: Storing,
        adapter: Adapter,
        health: retry.Health,
        stats: Stats,
    ) -> None:
        """Make it; must be called on a running event loop. All arguments are the engine's.

        `instead` may be set to what takes jobs that are not to be sent one by one, `tokens` to a
        limit beside the limiter.
        """
        self._desk, self._client, self._limiter, self._budget = desk, client, limiter, budget
        self._storing, self._adapter = storing, adapter
        self._health, self._stats = health, stats
        self.instead: Callable[[Job], None] | None = None
        self.tokens: TokenLimit | None = None
        self._loop = asyncio.get_running_loop()
        self._ready: deque[Job] = deque()
        self._delayed: list[tuple[float, int, Job]] = []
        self._order = 0
        self._calls: dict[_Sent, asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._closed = False

    def add(self, jobs: Iterable[Job]) -> None:
        """Send jobs as soon as they may be sent."""
        self._ready.extend(jobs)
        self.pump()

    def enough(self) -> bool:
        """Return whether enough requests are ready to send."""
        return len(self._ready) >= ENOUGH_READY

    def pump(self) -> None:
        """Send what the rate limit allows now, and set a timer for the rest."""
        if self._closed or self._desk.fatal:
            return
        now = time.monotonic()
        self._bring_back(now)
        wait = self._send_ready(now)
        self._desk.look_for(())
        if self._delayed:
            wait = min(wait, self._delayed[0][0] - now)
        if wait == _NEVER:
            return
        at = now + max(wait, 0.001)
        # A timer that goes off too early only looks again: to set it anew costs more.
        if self._timer is None or not now < self._timer_at <= at:
            if self._timer:
                self._timer.cancel()
            self._timer = self._loop.call_later(at - now, self.pump)
            self._timer_at = at

    def _bring_back(self, now: float) -> None:
        """Make ready what has been held back long enough."""
        while self._delayed and self._delayed[0][0] <= now:
            job = heapq.heappop(self._delayed)[2]
            if self._budget.budget is not None and not job.reserved:
                self._desk.release(job)
                self._desk.look_for([job])
            else:
                self._ready.appendleft(job)

    def _send_ready(self, now: float) -> float:
        """Send what may be sent; return the seconds until the next may, infinity if none waits."""
        while self._ready:
            if not self._desk.keep(self._ready[0]):
                self._ready.popleft()
            elif self.instead is not None:
                self.instead(self._ready.popleft())
            elif self._storing.full:
                # A kill now would lose these: let the writer catch up before paying for more.
                return _NEVER
            elif (wait := self._wait(now)) > 0:
                return wait
            else:
                sent = _Sent(self._ready.popleft(), now)
                self._limiter.sent(now)
                if self.tokens:
                    self.tokens.sent(sent.job.request_id, sent.job.request)
                self._calls[sent] = self._loop.create_task(self._call(sent))
        return _NEVER

    def _wait(self, now: float) -> float:
        """Return the seconds until the next ready job may leave."""
        wait = self._limiter.wait(now)
        if self.tokens and wait <= 0:
            return self.tokens.wait(self._ready[0].request, now)
        return wait

    async def _call(self, sent: _Sent) -> None:
        try:
            await self._ask(sent)
        except Exception as error:
            self._desk.stop(error)
        # Not where it is cancelled: `drain` sees to that.
        del self._calls[sent]
        self.pump()

    async def _ask(self, sent: _Sent) -> None:
        job = sent.job
        body, profile = self._adapter.body(job.request)
        timeout_s = timeout_of(job.request, self._client.settings)
        key = f"targen-{job.request_id[:40]}"
        reply, headers = await self._client.chat(body, key, timeout_s)
        now = time.monotonic()
        self._limiter.replied(now, sent.at, reply, headers)
        if self.tokens:
            self.tokens.settle(job.request_id, job.request, reply.answer)
        if reply.kind in ("throttled", "transient"):
            self._again(job, reply, now)
            return
        job.attempts += 1
        if self.adapt(job, profile, reply):
            return
        if fatal := self._adapter.fatal_error(job.request, reply):
            self._desk.stop(fatal)
            return
        self._health.good()
        if reply.answer is not None:
            self._adapter.answered()
            self._storing.answered(job, reply.answer, now - sent.at)
        else:
            status: Status = "filtered" if reply.kind == "filtered" else "failed"
            self._storing.failed(job, status, self._adapter.reason(job.request, reply))

    def _again(self, job: Job, reply: Reply, now: float) -> None:
        """Put a job back that got no answer, or give it up."""
        dead = self._health.bad(now, reply, len(self._calls) - 1, self._adapter.base_url)
        if dead:
            self._desk.stop(EndpointError(f"The model endpoint cannot be used: {dead}."))
        if reply.kind == "throttled":
            self._stats.throttled += 1
            job.throttled += 1
            attempt = min(job.throttled, 4)
        else:
            job.attempts += 1
            attempt = job.attempts
            if attempt >= retry.MAX_ATTEMPTS:
                self._storing.failed(job, "failed", f"{reply.words} (tried {attempt} times)")
                return
            self._stats.retried += 1
        if reply.ambiguous and job.reserved:
            # It may have been paid: the next try needs money of its own.
            self._budget.give_back(job, charge=job.reserved)
        wait = retry.backoff(job.request_id, attempt, reply.retry_after)
        self._order += 1
        heapq.heappush(self._delayed, (now + wait, self._order, job))

    def adapt(self, job: Job, profile: Profile, reply: Reply) -> bool:
        """Make a refused job ready again where another body may be taken; False if not."""
        if not self._adapter.adapt(job.request, profile, reply):
            return False
        job.attempts -= 1
        self._ready.appendleft(job)
        return True

    async def drain(self, run: Run | None) -> None:
        """Wait for the calls of `run` (None: of all) for a moment, then abandon them."""

        def mine() -> dict[_Sent, asyncio.Task[None]]:
            return {
                sent: task
                for sent, task in self._calls.items()
                if run is None or sent.job.run is run
            }

        if calls := mine():
            await asyncio.wait(calls.values(), timeout=GRACE_S)
        left = mine()
        for task in left.values():
            task.cancel()
        await asyncio.gather(*left.values(), return_exceptions=True)
        for sent in left:
            if self._calls.pop(sent, None):
                self._limiter.lost()
                self._desk.abandoned(sent.job)
        self.pump()

    def close(self) -> None:
        """Send no more."""
        self._closed = True
        if self._timer:
            self._timer.cancel()
