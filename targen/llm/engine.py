"""The engine: requests in, outcomes out, everything paid for stored before it is handed on."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Mapping,
    Sequence,
    Sized,
)
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa

from targen.errors import StoreError, TargenError
from targen.llm import retry
from targen.llm.adaptation import Adapter
from targen.llm.batch import MOST_OPEN, Batches
from targen.llm.batch_results import Hooks
from targen.llm.budget import Budget
from targen.llm.client import Client
from targen.llm.embeddings import Embeddings, Floats
from targen.llm.lookup import GROUP, Lookup
from targen.llm.prices import price_of
from targen.llm.progress import EVERY_S, Clock, Progress, Stats
from targen.llm.rate_limiter import RateLimiter
from targen.llm.reply import Answer, Reply
from targen.llm.runs import Job, Run
from targen.llm.sending import Sender
from targen.llm.settings import EngineSettings
from targen.llm.storing import Storing
from targen.llm.tokens import TokenLimit
from targen.llm.types import Outcome, Request, identify
from targen.llm.wire import Profile
from targen.store.completions import Store
from targen.store.ledger import Found, Ledger
from targen.store.writer import Writer

__all__ = ["Engine", "EngineSettings"]

_AWAIT_OTHERS_S = 0.25
_AWAIT_BATCHES_S = 2.0
_LOG_BATCHES_S = 60.0
_COMMIT_PAUSE_S = 0.003
_TICK_S = 0.02


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
        self.total: int | None = None
        self.stats = Stats(model=settings.model_name, simulated=settings.embedded)
        self._runs: set[Run] = set()
        self._open: dict[str, Job] = {}
        self._fatal: TargenError | None = None

    async def __aenter__(self) -> Self:
        """Open the store and the client.

        Raises:
            StoreError: the store cannot be used.
            EndpointError: no key, or no proper base URL.
            SpecError: the file of prices cannot be read.
        """
        self._started = time.monotonic()
        self._loop = asyncio.get_running_loop()
        self._client = Client(self.settings)
        try:
            self._endpoint = self.settings.endpoint(self._client.base_url)
            if not self.settings.embedded:
                # To read prices takes a tenth of a second, in which a kill would lose answers.
                await asyncio.to_thread(price_of, self.settings.model_name, self._endpoint)
            self._store = await asyncio.to_thread(Store, self.settings.store_url)
        except BaseException:
            await self._client.close()
            raise
        self._make_parts()
        every_s = _LOG_BATCHES_S if self._batches else EVERY_S
        self._clock = Clock(self._progress, self._report, every_s)
        self._tick = self._loop.call_later(_TICK_S, self._watch, time.monotonic() + _TICK_S)
        return self

    def _make_parts(self) -> None:
        settings, owner = self.settings, uuid.uuid4().hex
        self._ledger = Ledger(owner, settings.run_id, settings.task, settings.step)
        self._writer = Writer(self._store, self._put, self._ledger.beat, _COMMIT_PAUSE_S)
        self._budget = Budget(settings, self._endpoint, self._writer, self._ledger, self._room)
        # The embedded model has no limit to find.
        name = f"{self._endpoint} {settings.model_name}"
        shared = None if settings.embedded else (self._writer, name, owner)
        self._limiter = RateLimiter(
            settings.concurrency, shared, self._pump, settings.requests_per_minute
        )
        self._health = retry.Health()
        self._adapter = Adapter(settings, self._client.base_url)
        self._storing = Storing(
            settings,
            self._endpoint,
            self._writer,
            self._budget,
            self.stats,
            closed=self._forget,
            ask=self._enqueue,
            relieved=self._pump,
            stop=self.stop,
        )
        self._sender = Sender(
            self,
            self._client,
            self._limiter,
            self._budget,
            self._storing,
            self._adapter,
            self._health,
            self.stats,
        )
        if settings.tokens_per_minute is not None and shared is not None:
            per_minute = settings.tokens_per_minute
            self._sender.tokens = TokenLimit(per_minute, self._writer, name, self._pump)
        self._attached: Batches | None = None
        self._batches = self._batched() if settings.mode == "batch" else None
        if self._batches:
            self._sender.instead = self._batches.take
        self._lookup = Lookup(
            self,
            self._writer,
            self._budget,
            self._storing.known,
            self._sender.enough,
            # In batch mode other processes wait for hours.
            _AWAIT_BATCHES_S if self._batches else _AWAIT_OTHERS_S,
        )

    def _put(self, connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        self._budget.put(connection, rows)

    def _pump(self) -> None:
        self._sender.pump()

    def _room(self) -> None:
        self._lookup.ask_elsewhere()

    def _forget(self, job: Job) -> None:
        self._open.pop(job.request_id, None)

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
            await self.drain(None)
            for batches in (self._batches, self._attached):
                if batches:
                    await batches.close()
        finally:
            self._sender.close()
            self._tick.cancel()
            self._clock.stop()
            await self._lookup.close()
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
        most = MOST_OPEN if self._batches else 2 * self.settings.concurrency + GROUP
        run = Run(self, requests, most)
        self._runs.add(run)
        try:
            async for outcome in run.outcomes():
                yield outcome
        finally:
            await run.close()
            self._runs.discard(run)

    # Called by the runs.

    def accept(self, run: Run, request: Request) -> None:
        """Take a request that a run has drawn."""
        self.stats.requests += 1
        self._enqueue(Job(run, request, request))

    def _enqueue(self, job: Job) -> None:
        job.request_id, job.identity = identify(
            job.request, self.settings.model_name, self._endpoint
        )
        duplicate = self._open.get(job.request_id)
        if duplicate is not None:
            duplicate.duplicates.append(job)
            return
        self._open[job.request_id] = job
        self._lookup.add([job])

    @property
    def fatal(self) -> TargenError | None:
        """Why the engine has stopped, or None."""
        return self._fatal

    async def drain(self, run: Run | None) -> None:
        """Wait for the calls of `run` (None: of all) for a moment, then cancel them; flush."""
        await self._sender.drain(run)
        # A store that fails has been reported to every run already.
        with contextlib.suppress(StoreError):
            await self._writer.call(lambda connection: None)

    # Called by the look-up and the sender.

    def keep(self, job: Job) -> bool:
        """Tell whether anybody still wants `job`; else forget it and give its lease back."""
        if not job.run.closed or any(not duplicate.run.closed for duplicate in job.duplicates):
            return True
        self._forget(job)
        self._budget.give_back(job)
        self.release(job)
        return False

    def claimed(self, jobs: list[Job]) -> None:
        """Take jobs that are now ours to ask."""
        self._sender.add(jobs)

    def batched(self, jobs: list[Job]) -> None:
        """Take jobs that are now ours and have gone out in a batch already: wait for that."""
        if self._batches is None and self._attached is None:
            self._attached = self._batched(attach=True)
        takes = self._batches or self._attached
        assert takes is not None
        for job in jobs:
            job.run.widen(MOST_OPEN)
            takes.take(job)

    def short(self, found: Found) -> None:
        """Take note that the money did not suffice for all that was looked up."""
        # What an open batch may cost counts as spent, and comes back when it is read.
        waiting = any(b is not None and b.busy for b in (self._batches, self._attached))
        if found.short is None or waiting:
            return
        error = self._budget.short_error(found.short)
        if error is not None:
            self.stop(error)

    def look_for(self, jobs: Iterable[Job]) -> None:
        """Look jobs up; with none, those that wait for it."""
        self._lookup.add(jobs)

    def release(self, job: Job) -> None:
        """Give the lease on a job back."""
        self._writer.submit(self._ledger.release([job.request_id]), lambda result: None)

    def abandoned(self, job: Job) -> None:
        """Take note that a job was sent and its answer will not be waited for."""
        self._forget(job)
        # It may have been paid.
        self._budget.give_back(job, charge=job.reserved)
        self.release(job)
        for duplicate in job.duplicates:
            self._enqueue(duplicate)

    def stop(self, error: BaseException) -> None:
        """End everything because of `error`; calls under way may still bring their answers."""
        if self._fatal is None:
            if isinstance(error, TargenError):
                self._fatal = error
            else:
                self._fatal = TargenError(f"The engine failed: {error!r}")
                self._fatal.__cause__ = error
        for run in self._runs:
            run.wake()

    # Parts of its own.

    def _watch(self, expected: float) -> None:
        now = time.monotonic()
        self._limiter.lagged(now - expected, _TICK_S)
        self._tick = self._loop.call_later(_TICK_S, self._watch, now + _TICK_S)

    def _batched(self, attach: bool = False) -> Batches:
        """Return what sends jobs in batches instead of one by one.

        With `attach` it only waits for those that have gone out, and gives the others back.
        """

        def answered(job: Job, answer: Answer, seconds: float) -> None:
            self._health.good()
            self._adapter.answered()
            self._storing.answered(job, answer, seconds, batch=True)

        def adapt(job: Job, profile: Profile, reply: Reply) -> bool:
            adapted = self._sender.adapt(job, profile, reply)
            self._pump()
            return adapted

        hooks = Hooks(
            stats=self.stats,
            keep=self.keep,
            adapter=self._adapter,
            answered=answered,
            failed=self._storing.failed,
            adapt=adapt,
            look_for=self.look_for,
            stop=self.stop,
        )
        return Batches(
            self.settings,
            self._endpoint,
            self._client,
            self._writer,
            self._ledger,
            self._budget.budget,
            hooks,
            attach,
        )

    def _progress(self) -> Progress:
        stats = self.stats
        return Progress(
            task=self.settings.task,
            step=self.settings.step,
            done=self._storing.done,
            total=self.total,
            from_store=stats.from_store,
            failed=stats.failed,
            calls=stats.calls,
            limit=self._limiter.limit,
            tokens=stats.prompt_tokens + stats.completion_tokens,
            cost_usd=stats.cost_usd,
        )


class EmbeddingEngine(Engine):
    """An engine with an embedding model beside its chat model, over the same store and budget."""

    async def __aenter__(self) -> Self:
        """Open the store and the client; see `Engine`."""
        await super().__aenter__()
        self.embeddings = Embeddings(
            self.settings, self._store, self._writer, self._ledger, self._budget.budget, self.stats
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close everything; see `Engine`."""
        try:
            await super().__aexit__(kind, error, trace)
        finally:
            await self.embeddings.close()

    async def embed(self, texts: Sequence[str]) -> Floats:
        """Return one vector per text, (texts, dimensions); see `Embeddings.of`.

        Raises:
            NoEmbeddingsError: the endpoint gives none.
            EndpointError: the endpoint cannot be used at all.
            BudgetError: the budget is used up.
            StoreError: the completion store fails.
        """
        return await self.embeddings.of(texts)
