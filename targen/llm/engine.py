"""The engine: requests in, outcomes out. The path of a request is in `pipeline`."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence, Sized
from functools import partial
from types import TracebackType
from typing import Self

from targen.errors import StoreError, TargenError
from targen.llm.adaptation import Adapter
from targen.llm.batch import MOST_OPEN, Batches
from targen.llm.client import Client
from targen.llm.embeddings import Embeddings, Floats
from targen.llm.outage import Outage
from targen.llm.pipeline import Pipeline
from targen.llm.prices import price_of
from targen.llm.progress import EVERY_S, Clock, Progress, Stats
from targen.llm.rate_limiter import RateLimiter
from targen.llm.runs import Run
from targen.llm.settings import EngineSettings
from targen.llm.tokens import TokenLimit
from targen.llm.types import Outcome, Request
from targen.store import access
from targen.store.budgets import BudgetLedger
from targen.store.claims import GROUP, Claims, put_rows
from targen.store.completions import Store
from targen.store.ledger import ALL, LEASE_S, Ledger
from targen.store.writer import Writer

__all__ = ["Engine", "EngineSettings"]

_POLL_S = 0.25
_POLL_BATCHES_S = 2.0
"""In batch mode, other processes wait for hours."""
_LOG_BATCHES_S = 60.0
_COMMIT_PAUSE_S = 0.003
_TICK_S = 0.02
_GRACE_S = 4.0
"""How long calls in flight may still return answers when a run ends early."""
_DRAWN_AT_ONCE = 64


class Engine:
    """One model at one endpoint, over one completion store. An async context manager."""

    def __init__(
        self, settings: EngineSettings, report: Callable[[Progress], None] | None = None
    ) -> None:
        """Make an engine; nothing is opened before `async with`.

        Args:
            settings: see `EngineSettings`.
            report: gets the progress every few seconds, on the event loop; the log gets it too.
        """
        self.settings = settings
        self._report = report
        self.total: int | None = None
        self.stats = Stats(model=settings.model_name, simulated=settings.embedded)
        self._runs: set[Run] = set()
        self._fatal: TargenError | None = None

    async def __aenter__(self) -> Self:
        """Open the store and the client.

        Raises:
            StoreError: the store cannot be used.
            EndpointError: no key, or no valid base URL.
            SpecError: the file of prices cannot be read.
        """
        self._started = time.monotonic()
        self._loop = asyncio.get_running_loop()
        self._client = Client(self.settings)
        try:
            self._endpoint = self.settings.endpoint(self._client.base_url)
            if not self.settings.embedded:
                # Reading prices takes a tenth of a second, during which a kill would lose answers.
                await asyncio.to_thread(price_of, self.settings.model_name, self._endpoint)
            self._owner = uuid.uuid4().hex
            self._store = await asyncio.to_thread(self._open_store)
        except BaseException:
            await self._client.close()
            raise
        self._make_parts()
        every_s = _LOG_BATCHES_S if self.settings.mode == "batch" else EVERY_S
        self._clock = Clock(self._progress, self._report, every_s)
        self._tick = self._loop.call_later(_TICK_S, self._watch, time.monotonic() + _TICK_S)
        return self

    def _open_store(self) -> Store:
        store = Store(self.settings.store_url)
        try:
            access.enter(store, self._owner, self.settings.run_id, LEASE_S)
        except StoreError:
            store.close()
            raise
        return store

    def _make_parts(self) -> None:
        settings, owner = self.settings, self._owner
        batch = settings.mode == "batch"
        self._ledger = Ledger(
            owner, settings.run_id, settings.task, settings.step, settings.replace_damaged
        )
        limits = {ALL: settings.budget_usd, f"task:{settings.task}": settings.task_budget_usd}
        known = {scope: usd for scope, usd in limits.items() if usd is not None}
        self._budget = BudgetLedger(owner, known) if known else None
        put = partial(put_rows, self._ledger, self._budget)
        self._writer = Writer(self._store, put, self._ledger.beat, _COMMIT_PAUSE_S)
        self._claims = Claims(
            self._writer, self._ledger, self._budget, _POLL_BATCHES_S if batch else _POLL_S
        )
        self._outage = Outage(self._client.base_url, settings.patience_s)
        # The simulator has no limit to find.
        name = f"{self._endpoint} {settings.model_name}"
        shared = None if settings.embedded else (self._writer, name, owner)
        tokens = None
        if settings.tokens_per_minute is not None and shared is not None:
            tokens = TokenLimit(settings.tokens_per_minute, self._writer, name)
        self._limiter = RateLimiter(
            settings.concurrency, shared, self._outage, settings.requests_per_minute, tokens
        )
        adapter = Adapter(settings, self._client.base_url)
        self._batches = Batches(
            settings,
            self._endpoint,
            self._client,
            self._writer,
            self._ledger,
            self._budget,
            adapter,
            self.stats,
        )
        self._pipeline = Pipeline(
            settings,
            self._endpoint,
            self._claims,
            self._budget,
            self._limiter,
            self._client,
            adapter,
            self._outage,
            self._batches,
            self.stats,
        )

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait briefly for calls in flight, store their answers, and close everything."""
        try:
            for run in list(self._runs):
                await self._close(run)
            await self._batches.close()
        finally:
            self._tick.cancel()
            self._clock.stop()
            await self._limiter.close()
            await self._claims.close()
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
        batch = self.settings.mode == "batch"
        run = Run(MOST_OPEN if batch else 2 * self.settings.concurrency + GROUP)
        self._runs.add(run)
        run.drawing = self._loop.create_task(self._draw(run, requests))
        try:
            while True:
                while run.outcomes:
                    outcome = run.outcomes.popleft()
                    run.open -= 1
                    run.room.set()
                    yield outcome
                if run.error is not None:
                    raise run.error
                if self._fatal is not None:
                    await run.drain(_GRACE_S)
                    if not run.outcomes:
                        raise self._fatal
                    continue
                if run.drawn and run.open == 0:
                    return
                run.changed.clear()
                await run.changed.wait()
        finally:
            await self._close(run)

    async def _draw(self, run: Run, requests: Iterable[Request] | AsyncIterable[Request]) -> None:
        """Start the requests of a run while fewer than `run.most` are open."""

        async def start(request: Request) -> None:
            while run.open >= run.most:
                run.room.clear()
                await run.room.wait()
            run.open += 1
            task = self._loop.create_task(self._answer(run, request))
            run.tasks.add(task)
            task.add_done_callback(run.tasks.discard)

        try:
            if isinstance(requests, AsyncIterable):
                async for request in requests:
                    await start(request)
            else:
                for count, request in enumerate(requests, 1):
                    await start(request)
                    if count % _DRAWN_AT_ONCE == 0:
                        await asyncio.sleep(0)
        except Exception as error:
            run.error = error
        except asyncio.CancelledError as error:
            if not run.closed and self._fatal is None:
                # Not by us: the source has waited for something that was canceled.
                run.error = error
            raise
        finally:
            run.drawn = True
            run.changed.set()

    async def _answer(self, run: Run, request: Request) -> None:
        try:
            outcome = await self._pipeline.answer(run, request)
        except Exception as error:
            self._stop(error)
            return
        if outcome is not None:
            run.outcomes.append(outcome)
            run.changed.set()

    async def _close(self, run: Run) -> None:
        """Draw no more, and store what was paid for."""
        run.closed = True
        await run.drain(_GRACE_S)
        if run not in self._runs:
            return
        # A store that fails has been reported already.
        with contextlib.suppress(StoreError):
            await self._writer.call(lambda connection: None)
        # Only now: an engine that is closed meanwhile must wait for this, too.
        self._runs.discard(run)

    def _stop(self, error: Exception) -> None:
        """End every run because of an error; calls in flight may still return answers."""
        if self._fatal is None:
            if isinstance(error, TargenError):
                self._fatal = error
            else:
                self._fatal = TargenError(f"The engine failed: {error!r}")
                self._fatal.__cause__ = error
        self._limiter.stop()
        for run in self._runs:
            run.changed.set()

    def _watch(self, expected: float) -> None:
        now = time.monotonic()
        self._limiter.lagged(now - expected, _TICK_S)
        self._tick = self._loop.call_later(_TICK_S, self._watch, now + _TICK_S)

    def _progress(self) -> Progress:
        stats = self.stats
        return Progress(
            task=self.settings.task,
            step=self.settings.step,
            done=self._pipeline.done,
            total=self.total,
            from_store=stats.from_store,
            failed=stats.failed,
            calls=stats.calls,
            limit=self._limiter.limit,
            tokens=stats.prompt_tokens + stats.completion_tokens,
            cost_usd=stats.cost_usd,
            output_tokens=stats.completion_tokens,
            in_flight=self._limiter.in_flight,
            oldest_s=self._limiter.oldest_s(time.monotonic()),
            down=self._outage.down,
        )


class EmbeddingEngine(Engine):
    """An engine with an embedding model beside its chat model, over the same store and budget."""

    async def __aenter__(self) -> Self:
        """Open the store and the client; see `Engine`."""
        await super().__aenter__()
        self.embeddings = Embeddings(
            self.settings, self._store, self._writer, self._ledger, self._budget, self.stats
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
            # First: it leaves in the store what it has found out about the endpoint.
            await self.embeddings.close()
        finally:
            await super().__aexit__(kind, error, trace)

    async def embed(self, texts: Sequence[str]) -> Floats:
        """Return one vector per text, (texts, dimensions); see `Embeddings.of`.

        Raises:
            NoEmbeddingsError: the endpoint has none.
            EndpointError: the endpoint cannot be used at all.
            BudgetError: the budget is used up.
            StoreError: the completion store fails.
        """
        return await self.embeddings.of(texts)
