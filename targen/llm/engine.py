"""The engine: requests in, outcomes out, everything paid for stored before it is handed on.

Here belongs the way of a request: look-up, claim, gate, call, storing, asking again. Each step's
know-how is in a module of its own; the drawing and handing on of one `run` is in `runs`.
"""

import asyncio
import contextlib
import heapq
import time
import uuid
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sized
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from targen.errors import EndpointError, StoreError, TargenError
from targen.llm import retry, structured, wire
from targen.llm.batch import MOST_OPEN, Batches
from targen.llm.batch_results import Hooks
from targen.llm.client import Client
from targen.llm.gate import Gate
from targen.llm.identity import identify
from targen.llm.ledger import Found, Ledger, Record
from targen.llm.outcomes import outcome_of, record_of, row_of, status_of
from targen.llm.progress import EVERY_S, Clock, Progress
from targen.llm.purse import Purse
from targen.llm.refusals import Refusals
from targen.llm.reply import Answer, Reply
from targen.llm.runs import Job, Run
from targen.llm.settings import EngineSettings
from targen.llm.stats import Stats
from targen.llm.store import Store
from targen.llm.types import Outcome, Request, Status
from targen.llm.writer import Writer

__all__ = ["Engine", "EngineSettings"]

LOOKUP = 64
ASK_AGAIN = 2
GRACE_S = 4.0
_AWAIT_OTHERS_S = 0.25
_AWAIT_BATCHES_S = 2.0
_LOG_BATCHES_S = 60.0
_COMMIT_PAUSE_S = 0.003
_TICK_S = 0.02
_UNSAVED_MOST = 8


@dataclass(slots=True)
class _Sent:
    """A call under way."""

    job: Job
    at: float


class Engine:
    """One model at one endpoint, over one completion store. An async context manager."""

    def __init__(
        self, settings: EngineSettings, report: Callable[[Progress], None] | None = None
    ) -> None:
        """Make an engine; nothing is opened before `async with`.

        Args:
            settings: see there.
            report: gets the progress every few seconds, on the event loop; the log gets it too.
        """
        self.settings = settings
        self._report = report
        self._done = self._calls_before = 0
        self.total: int | None = None
        self.stats = Stats(model=settings.model_name, simulated=settings.embedded)
        self._runs: set[Run] = set()
        self._open: dict[str, Job] = {}
        self._pending: deque[Job] = deque()
        self._ready: deque[Job] = deque()
        self._delayed: list[tuple[float, int, Job]] = []
        self._elsewhere: list[Job] = []
        self._calls: dict[asyncio.Task[None], _Sent] = {}
        self._order = 0
        self._unsaved = 0
        self._fatal: TargenError | None = None
        self._closing = False
        self._timer: asyncio.TimerHandle | None = None
        self._looking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Open the store and the client.

        Raises:
            StoreError: the store cannot be used.
            EndpointError: no key, or no proper base URL.
        """
        self._started = time.monotonic()
        self._loop = asyncio.get_running_loop()
        self._client = Client(self.settings)
        try:
            self._endpoint = self.settings.endpoint(self._client.base_url)
            self._store = await asyncio.to_thread(Store, self.settings.store_url)
        except BaseException:
            await self._client.close()
            raise
        owner = uuid.uuid4().hex
        settings = self.settings
        self._ledger = Ledger(owner, settings.run_id, settings.task, settings.step)
        self._writer = Writer(self._store, self._ledger.put, self._ledger.beat, _COMMIT_PAUSE_S)
        # The embedded model has no limit to find.
        name = f"{self._endpoint} {settings.model_name}"
        shared = None if settings.embedded else (self._writer, name, owner)
        self._purse = Purse(
            settings, self._endpoint, self._writer, self._ledger, self._ask_elsewhere
        )
        self._gate = Gate(settings.concurrency, shared, self._pump, settings.requests_per_minute)
        self._health = retry.Health()
        self._refusals = Refusals(settings, self._client.base_url, self._health, self._stop)
        self._batches = self._batched() if settings.mode == "batch" else None
        every_s = _LOG_BATCHES_S if self._batches else EVERY_S
        self._clock = Clock(self._progress, self._report, every_s)
        self._tick = self._loop.call_later(_TICK_S, self._watch, time.monotonic() + _TICK_S)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait briefly for calls under way, store what they bring, close everything."""
        try:
            for run in list(self._runs):
                await run.close()
            await self._drain(None)
            if self._batches:
                await self._batches.close()
        finally:
            self._closing = True
            self._tick.cancel()
            self._clock.stop()
            if self._timer:
                self._timer.cancel()
            if self._looking:
                self._looking.cancel()
                await asyncio.gather(self._looking, return_exceptions=True)
            self._writer.submit(self._ledger.leave, lambda result: None)
            await self._writer.close()
            await self._client.close()
            self._store.close()
            self.stats.seconds = time.monotonic() - self._started

    async def run(
        self, requests: Iterable[Request] | AsyncIterable[Request]
    ) -> AsyncIterator[Outcome]:
        """Answer every request once, in the order in which the answers arrive.

        Requests are drawn as they are needed, and no faster than outcomes are taken.

        Raises:
            EndpointError: the endpoint cannot be used at all.
            BudgetError: the budget is used up.
            StoreError: the completion store fails.
        """
        if isinstance(requests, Sized):
            self.total = (self.total or 0) + len(requests)
        most = MOST_OPEN if self._batches else 2 * self.settings.concurrency + LOOKUP
        run = Run(self, requests, most)
        self._runs.add(run)
        try:
            async for outcome in run.outcomes():
                yield outcome
        finally:
            await run.close()
            self._runs.discard(run)

    # Drawing: called by the run.

    def accept(self, run: Run, request: Request) -> None:
        """Take a request that a run has drawn."""
        self.stats.requests += 1
        self._enqueue(Job(run, request, request))

    def _enqueue(self, job: Job) -> None:
        job.request_id, job.identity = identify(
            job.request, self.settings.model_name, self._endpoint
        )
        twin = self._open.get(job.request_id)
        if twin is not None:
            twin.twins.append(job)
            return
        self._open[job.request_id] = job
        self._look_for([job])

    def _look_for(self, jobs: Iterable[Job]) -> None:
        self._pending.extend(jobs)
        if self._due() and (self._looking is None or self._looking.done()):
            self._looking = self._loop.create_task(self._look_up())

    def _due(self) -> bool:
        # While enough is ready, look-ups wait until they fill a transaction.
        wait = len(self._ready) >= LOOKUP // 2 and len(self._pending) < LOOKUP
        return bool(self._pending) and not wait

    async def _look_up(self) -> None:
        while self._due() and not self._fatal:
            jobs = [self._pending.popleft() for _ in range(min(LOOKUP, len(self._pending)))]
            try:
                found = await self._writer.call(self._purse.claim(jobs))
            except TargenError as error:
                self._stop(error)
                return
            self._sort(jobs, found)

    def _sort(self, jobs: list[Job], found: Found) -> None:
        for job in jobs:
            record = found.known.get(job.request_id)
            if record is not None:
                self._conclude(job, record, from_store=True)
            elif job.request_id in found.claimed:
                self._ready.append(job)
            else:
                if not self._elsewhere:
                    # Where others wait for hours, there is no hurry.
                    wait = _AWAIT_BATCHES_S if self._batches else _AWAIT_OTHERS_S
                    self._loop.call_later(wait, self._ask_elsewhere)
                self._elsewhere.append(job)
        # What an open batch may cost counts as spent, and comes back when it is read.
        waiting = self._batches is not None and self._batches.busy
        if found.short is not None and not waiting:
            error = self._purse.short_error(found.short)
            if error is not None:
                self._stop(error)
        self._pump()

    def _ask_elsewhere(self) -> None:
        if self._closing:
            return
        jobs, self._elsewhere = self._elsewhere, []
        self._look_for([job for job in jobs if self._keep(job)])

    def _watch(self, expected: float) -> None:
        now = time.monotonic()
        self._gate.lagged(now - expected, _TICK_S)
        self._tick = self._loop.call_later(_TICK_S, self._watch, now + _TICK_S)

    # Sending.

    def _pump(self) -> None:
        """Send whatever may be sent now, and set the timer for what may be sent later."""
        if self._closing or self._fatal:
            return
        now = time.monotonic()
        while self._delayed and self._delayed[0][0] <= now:
            job = heapq.heappop(self._delayed)[2]
            if self._purse.budget is not None and not job.reserved:
                self._writer.submit(self._ledger.release([job.request_id]), lambda result: None)
                self._look_for([job])
            else:
                self._ready.appendleft(job)
        wait = float("inf")
        while self._ready:
            if not self._keep(self._ready[0]):
                self._ready.popleft()
                continue
            if self._batches:
                self._batches.take(self._ready.popleft())
                continue
            if self._unsaved >= _UNSAVED_MOST:
                # A kill now would lose these: let the writer catch up before paying for more.
                wait = float("inf")
                break
            wait = self._gate.wait(now)
            if wait > 0:
                break
            self._send(self._ready.popleft(), now)
        self._look_for(())
        if self._delayed:
            wait = min(wait, self._delayed[0][0] - now)
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if wait != float("inf"):
            self._timer = self._loop.call_later(max(wait, 0.001), self._pump)

    def _keep(self, job: Job) -> bool:
        """Tell whether anybody still wants `job`; else forget it and give its lease back."""
        if job.run.closed:
            heir = next((twin for twin in job.twins if not twin.run.closed), None)
            if heir is None:
                self._open.pop(job.request_id, None)
                self._purse.give_back(job)
                self._writer.submit(self._ledger.release([job.request_id]), lambda result: None)
                return False
        return True

    def _send(self, job: Job, now: float) -> None:
        self._gate.sent(now)
        sent = _Sent(job, now)
        task = self._loop.create_task(self._call(sent))
        self._calls[task] = sent
        task.add_done_callback(self._ended)

    def _batched(self) -> Batches:
        """Return what sends jobs in batches instead of one by one."""

        def answered(job: Job, answer: Answer, seconds: float) -> None:
            self._health.good()
            self._answered(job, answer, seconds)

        def adapt(job: Job, profile: wire.Profile, reply: Reply) -> bool:
            adapted = self._adapt(job, profile, reply)
            self._pump()
            return adapted

        hooks = Hooks(
            stats=self.stats,
            keep=self._keep,
            body=self._refusals.body,
            answered=answered,
            failed=self._store_failure,
            adapt=adapt,
            dead=self._refusals.dead,
            look_for=self._look_for,
            stop=self._stop,
        )
        return Batches(
            self.settings,
            self._endpoint,
            self._client,
            self._writer,
            self._ledger,
            self._purse.budget,
            hooks,
        )

    def _ended(self, task: asyncio.Task[None]) -> None:
        job = self._calls.pop(task).job
        if task.cancelled():
            self._gate.lost()
            self._open.pop(job.request_id, None)
            # Sent and abandoned: it may have been paid.
            self._purse.give_back(job, charge=job.reserved)
            self._writer.submit(self._ledger.release([job.request_id]), lambda result: None)
            for twin in job.twins:
                self._enqueue(twin)
        elif (error := task.exception()) is not None:
            self._stop(error)
        self._pump()

    async def _call(self, sent: _Sent) -> None:
        job = sent.job
        body, profile = self._refusals.body(job)
        reply, headers = await self._client.chat(body, f"targen-{job.request_id[:40]}")
        now = time.monotonic()
        self._gate.replied(now, sent.at, reply, headers)
        if reply.kind in ("throttled", "transient"):
            self._again(job, reply, now)
            return
        job.attempts += 1
        if reply.kind == "refused" and self._adapt(job, profile, reply):
            return
        if reply.kind == "endpoint" and self._refusals.dead(reply):
            return
        self._health.good()
        if reply.answer is not None:
            self._answered(job, reply.answer, now - sent.at)
        else:
            status: Status = "filtered" if reply.kind == "filtered" else "failed"
            self._store_failure(job, status, reply.words)

    def _again(self, job: Job, reply: Reply, now: float) -> None:
        """Put a job back that got no answer, or give it up."""
        dead = self._health.bad(now, reply, len(self._calls) - 1)
        if dead:
            self._stop(EndpointError(f"The model endpoint cannot be used: {dead}."))
        if reply.kind == "throttled":
            self.stats.throttled += 1
            job.throttled += 1
            attempt = min(job.throttled, 4)
        else:
            job.attempts += 1
            attempt = job.attempts
            if attempt >= retry.MAX_ATTEMPTS:
                self._store_failure(job, "failed", f"{reply.words} (tried {attempt} times)")
                return
            self.stats.retried += 1
        if reply.ambiguous and job.reserved:
            # It may have been paid: the next try needs money of its own.
            self._purse.give_back(job, charge=job.reserved)
        wait = retry.backoff(job.request_id, attempt, reply.retry_after)
        self._order += 1
        heapq.heappush(self._delayed, (now + wait, self._order, job))

    def _adapt(self, job: Job, profile: wire.Profile, reply: Reply) -> bool:
        """Make a refused job ready again where another body may be taken; False if not."""
        if not self._refusals.adapt(job, profile, reply):
            return False
        if not self._fatal:
            job.attempts -= 1
            self._ready.appendleft(job)
        return True

    # Answers.

    def _answered(self, job: Job, answer: Answer, latency: float) -> None:
        prompt, completion = answer.prompt_tokens, answer.completion_tokens
        cost = self._purse.cost(job.request, prompt, completion)
        self.stats.paid(prompt or 0, completion or 0, cost, latency)
        parsed = structured.parse(answer.text, job.request.schema)
        status, error = status_of(answer, parsed.error)
        self._write(
            job,
            status,
            error,
            parsed=parsed,
            raw=answer.refusal if answer.refusal and not answer.text else answer.text,
            served_model=answer.model,
            fingerprint=answer.fingerprint,
            provider_id=answer.provider_id,
            finish=answer.finish[:32],
            prompt_tokens=prompt,
            completion_tokens=completion,
            cost_usd=cost,
            mean_logprob=answer.logprob,
            latency=latency,
        )

    def _store_failure(self, job: Job, status: Status, words: str) -> None:
        if status == "failed":
            self.stats.failed += 1
        self._write(job, status, words, cost_usd=0.0)

    def _write(self, job: Job, status: Status, error: str | None, **answer: Any) -> None:
        raw, parsed = answer.pop("raw", None), answer.pop("parsed", None)
        row = row_of(job, status, error, raw, self._endpoint, self.settings, **answer)
        record = record_of(row, raw, parsed)
        self._unsaved += 1

        def stored(result: Any) -> None:
            self._unsaved -= 1
            if self._unsaved == _UNSAVED_MOST - 1:
                self._loop.call_soon(self._pump)
            if isinstance(result, BaseException):
                self._stop(result)
            else:
                self._conclude(job, record, from_store=False)

        cost = row["cost_usd"]
        # What the endpoint did not count is taken to have cost the most it could.
        row["charge_usd"] = job.reserved if cost is None else cost
        self._writer.put(row, stored)
        # After the charge: the other way round there would be room for a moment that is not there.
        self._purse.give_back(job)

    def _conclude(self, job: Job, record: Record, from_store: bool) -> None:
        """Hand a stored completion on, or ask again where nothing of it can be used."""
        self._open.pop(job.request_id, None)
        outcome = outcome_of(job, record, from_store)
        broken = outcome.status in ("malformed", "truncated") and outcome.value is None
        for twin in (job, *job.twins):
            mine = outcome if twin is job else outcome_of(twin, record, from_store=True)
            if mine.from_store and twin.asks == 0:
                self.stats.from_store += 1
            if broken and twin.asks < ASK_AGAIN and not twin.run.closed:
                error = record.error or "it is malformed"
                again = structured.ask_again(twin.request, record.raw or "", error)
                self._enqueue(Job(twin.run, twin.root, again, twin.request_id, twin.asks + 1, mine))
            else:
                self._done += 1
                twin.run.hand_on(mine)

    def _progress(self, seconds: float) -> Progress:
        stats = self.stats
        per_s = (stats.calls - self._calls_before) / seconds
        self._calls_before = stats.calls
        left = None if self.total is None or per_s <= 0 else (self.total - self._done) / per_s
        return Progress(
            done=self._done,
            total=self.total,
            from_store=stats.from_store,
            failed=stats.failed,
            calls=stats.calls,
            per_s=per_s,
            limit=self._gate.limit,
            tokens=stats.prompt_tokens + stats.completion_tokens,
            cost_usd=stats.cost_usd,
            left_s=left,
        )

    # Stopping.

    def _stop(self, error: BaseException) -> None:
        """End everything because of `error`; calls under way may still bring their answers."""
        if self._fatal is None:
            if isinstance(error, TargenError):
                self._fatal = error
            else:
                self._fatal = TargenError(f"The engine failed: {error!r}")
                self._fatal.__cause__ = error
        for run in self._runs:
            run.wake()

    @property
    def fatal(self) -> TargenError | None:
        """Why the engine has stopped, or None."""
        return self._fatal

    async def drain(self, run: Run | None) -> None:
        """Wait for the calls of `run` (None: of all) for a moment, then cancel them; flush."""
        await self._drain(run)

    async def _drain(self, run: Run | None) -> None:
        def mine() -> list[asyncio.Task[None]]:
            return [
                task for task, sent in self._calls.items() if run is None or sent.job.run is run
            ]

        if tasks := mine():
            await asyncio.wait(tasks, timeout=GRACE_S)
        for task in (left := mine()):
            task.cancel()
        if left:
            await asyncio.gather(*left, return_exceptions=True)
        # A store that fails has been reported to every run already.
        with contextlib.suppress(StoreError):
            await self._writer.call(lambda connection: None)
