"""Batch mode: requests go out in files and come back within a day, at half the price.

Requests that are repeated after an unusable answer go out in a batch, too: at the same half price,
and a killed run finds them again in the same way.
"""

import asyncio
import json
import logging
import tempfile
import time
from collections.abc import Coroutine, Iterable, Mapping
from typing import IO, TYPE_CHECKING, Any

from targen.errors import EndpointError
from targen.hashing import sha256_of
from targen.llm.adaptation import Adapter
from targen.llm.batch_results import SLICE, Open, Results, claim_anew, parts
from targen.llm.batch_wire import ENDED, RefusedError, Service
from targen.llm.client import Client
from targen.llm.progress import Stats
from targen.llm.reply import Reply
from targen.llm.runs import Call
from targen.llm.settings import EngineSettings
from targen.store.batches import BatchRegistry, Submission
from targen.store.budgets import BudgetLedger
from targen.store.ledger import Ledger
from targen.store.writer import Writer

if TYPE_CHECKING:
    from openai.types import Batch

LOGGER = logging.getLogger("targen")

MOST_REQUESTS = 50_000
MOST_BYTES = 200_000_000
"""What the service takes in one batch. Source: OpenAI's API reference, "Create batch"."""

MOST_OPEN = 2 * MOST_REQUESTS
"""Requests of one run that are open at once: while one full batch waits, the next fills."""

_QUIET_S = 1.0
_POLL_LEAST_S = 0.5
_POLL_MOST_S = 60.0
_LOG_S = 60.0
_GRACE_S = 3.0


class Batches:
    """Collects the calls of one engine into batches and returns their replies."""

    def __init__(
        self,
        settings: EngineSettings,
        endpoint: str,
        client: Client,
        writer: Writer,
        ledger: Ledger,
        budget: BudgetLedger | None,
        adapter: Adapter,
        stats: Stats,
    ) -> None:
        """Make it; must be called on a running event loop.

        In live mode it only waits for batches that were submitted earlier.
        """
        self._attach = settings.mode != "batch"
        self._writer, self._ledger, self._budget = writer, ledger, budget
        self._adapter = adapter
        self._service = Service(client)
        self._registry = BatchRegistry(endpoint, ledger)
        self._results = Results(
            settings, endpoint, self._service, self._registry, writer, adapter, stats
        )
        self._loop = asyncio.get_running_loop()
        self._most = MOST_REQUESTS
        self._count = 0
        self._submitting = asyncio.Lock()
        self._waiting: list[Call] = []
        self._last = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._under_way: set[Open] = set()

    async def send(self, call: Call, submitted: bool) -> tuple[Reply, float] | None:
        """Return the reply to a claimed call and the seconds it took; None: claim it again.

        A batch goes out when it is full, or when no more calls come for a moment: the source of
        the requests may be waiting for answers.

        Args:
            call: the call.
            submitted: True if it is part of a batch that was submitted earlier.

        Raises:
            EndpointError: the endpoint does not take batches, or cannot be reached.
        """
        if submitted:
            call.run.widen(MOST_OPEN)
        call.reply = self._loop.create_future()
        self._waiting.append(call)
        self._last = self._loop.time()
        if len(self._waiting) >= self._most:
            self._flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(_QUIET_S, self._quiet)
        return await call.reply

    @property
    def busy(self) -> bool:
        """True while a batch is collected or under way."""
        return bool(self._waiting or self._tasks)

    def _quiet(self) -> None:
        self._timer = None
        left = self._last + _QUIET_S - self._loop.time()
        if left > 0.01:
            self._timer = self._loop.call_later(left, self._quiet)
        elif self._waiting:
            self._flush()

    def _flush(self) -> None:
        calls, self._waiting = self._waiting, []
        self._spawn(self._submit(calls), calls)

    def _spawn(self, work: Coroutine[Any, Any, None], calls: Iterable[Call]) -> asyncio.Task[None]:
        """Do `work` in the background; its error reaches the first of `calls`."""
        waiting = list(calls)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if task.cancelled() or (error := task.exception()) is None:
                return
            for call in waiting:
                if call.reply is not None and not call.reply.done():
                    call.reply.set_exception(error)

        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(ended)
        return task

    async def close(self) -> None:
        """Stop waiting. Batches go on at the endpoint, and the next run finds them by their ids."""
        if self._timer:
            self._timer.cancel()
        end = time.monotonic() + _GRACE_S
        # An id that is just coming is worth a moment.
        while any(b.batch_id is None for b in self._under_way) and time.monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # Submitting.

    async def _submit(self, calls: list[Call]) -> None:
        """Wait for calls that are in a batch already; put the others into new batches."""
        calls = [call for call in calls if call.reply is not None and not call.reply.done()]
        found: dict[str, Submission] = {}
        for part in parts(calls):
            found |= await self._writer.call(
                self._registry.find([call.request_id for call in part])
            )
        again: dict[str, Open] = {}
        models: dict[str, list[Call]] = {}
        for call in calls:
            known = found.get(call.request_id)
            if known is None:
                # A batch takes one model only.
                models.setdefault(call.request.model or "", []).append(call)
                continue
            since = time.monotonic() - known.age_s
            fresh = Open(known.key, {}, known.file_id, known.batch_id, since=since)
            again.setdefault(known.key, fresh).calls[call.request_id] = call
        for batch in again.values():
            LOGGER.info("Batch %s is under way for %d requests", batch.batch_id, len(batch.calls))
            self._follow_soon(batch, None)
        for group in models.values():
            if self._attach:
                # Read or given up meanwhile.
                claim_anew(group)
            else:
                await self._submit_new(group)

    async def _submit_new(self, calls: list[Call]) -> None:
        """Cut calls of one model into batches within the limits, and begin each."""
        content: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed by the sender)
        batch: Open | None = None
        size = 0
        for count, call in enumerate(calls, 1):
            if self._budget is not None and not call.reserved_usd and self._results.bound(call):
                # Its money was given back, or was thought to be in a batch: it must be had first.
                claim_anew([call])
                continue
            body, profile = self._adapter.body(call.request)
            line = _line(call.request_id, body)
            if batch and (len(batch.calls) >= self._most or size + len(line) > MOST_BYTES):
                await self._begin(batch, content)
                batch, size, content = None, 0, tempfile.TemporaryFile()  # noqa: SIM115
            if batch is None:
                self._count += 1
                name = f"{self._ledger.owner} {self._count}".encode()
                batch = Open(sha256_of(name), {}, profile=profile)
            batch.calls[call.request_id] = call
            content.write(line)
            size += len(line)
            if count % SLICE == 0:
                await asyncio.sleep(0)
        if batch:
            await self._begin(batch, content)
        else:
            content.close()

    async def _begin(self, batch: Open, content: IO[bytes]) -> None:
        charges = {name: self._results.bound(call) for name, call in batch.calls.items()}
        reserved = 0.0
        for call in batch.calls.values():
            reserved += call.reserved_usd
            call.reserved_usd = 0.0
        await self._writer.call(self._registry.open(batch.key, charges, self._budget, reserved))
        self._follow_soon(batch, content)

    def _follow_soon(self, batch: Open, content: IO[bytes] | None) -> None:
        self._under_way.add(batch)
        batch.task = self._spawn(self._follow(batch, content), batch.calls.values())

    async def _follow(self, batch: Open, content: IO[bytes] | None) -> None:
        """Follow one batch from its current state to its end."""
        try:
            if batch.batch_id is None:
                # Other processes are kept out by a lease, other tasks of this one by a lock.
                async with self._submitting:
                    begun = await self._hand_in(batch, content)
                if not begun:
                    # Whoever began it died before anything was sent.
                    calls = list(batch.calls.values())
                    await self._results.forget(batch, calls)
                    claim_anew(calls)
                    return
            ended = await self._wait(batch)
            if ended is not None and ended.status == "failed":
                await self._not_begun(batch, ended)
            else:
                await self._results.read(batch, ended)
        except RefusedError as error:
            if not self._attach:
                raise
            if batch.batch_id is not None:
                # It may have been paid, and each new claim would lead back to it.
                raise EndpointError(
                    f"Batch {batch.batch_id}, which contains requests of this step, cannot be "
                    f"retrieved: {error}"
                ) from error
            claim_anew(list(batch.calls.values()))
        finally:
            self._under_way.discard(batch)
            if content is not None:
                content.close()

    async def _hand_in(self, batch: Open, content: IO[bytes] | None) -> bool:
        """Upload and create a batch; False where there is nothing to upload any more.

        Only one process does so at a time: it holds a lease on the batch's name.
        """
        claim = self._ledger.find_or_claim([batch.key])
        while not (await self._writer.call(claim)).claimed:  # noqa: ASYNC110 (another process)
            await asyncio.sleep(_POLL_LEAST_S)
        try:
            if content is None:
                known = await self._writer.call(self._registry.read(batch.key))
                if known is None or known.file_id is None:
                    return False
                batch.file_id, batch.batch_id = known.file_id, known.batch_id
            if batch.batch_id is None:
                await self._create(batch, content)
        except RefusedError:
            # Nothing was begun, so nothing is owed.
            await self._results.forget(batch, list(batch.calls.values()))
            raise
        finally:
            self._writer.submit(self._ledger.release([batch.key]))
        return True

    async def _create(self, batch: Open, content: IO[bytes] | None) -> None:
        key = batch.key
        if batch.file_id is None:
            assert content is not None
            batch.file_id = await self._service.upload(content, key)
            await self._writer.call(self._registry.note(key, "uploaded", file_id=batch.file_id))
        made = await self._service.create(batch.file_id, key, first=content is not None)
        await self._writer.call(self._registry.note(key, "submitted", batch_id=made))
        batch.batch_id = made
        LOGGER.info("Batch %s has %d requests", made, len(batch.calls))

    # Waiting and reading.

    async def _wait(self, batch: Open) -> "Batch | None":
        """Look at a batch until it has ended; None where the endpoint does not know it.

        The interval is a tenth of the batch's age, between half a second and a minute.
        """
        assert batch.batch_id is not None
        said = float("-inf")
        while True:
            found = await self._service.retrieve(batch.batch_id)
            now = time.monotonic()
            if found is None:
                LOGGER.warning("Batch %s no longer exists at the endpoint", batch.batch_id)
                return None
            if found.status in ENDED or now - said >= _LOG_S:
                said = now
                counts = found.request_counts
                done = f"{counts.completed + counts.failed} of {counts.total}" if counts else "?"
                words = "Batch %s is %s: %s done, %.0f s"
                LOGGER.info(words, batch.batch_id, found.status, done, now - batch.since)
            if found.status in ENDED:
                return found
            pause = min(_POLL_MOST_S, max(_POLL_LEAST_S, (now - batch.since) / 10))
            await asyncio.sleep(pause)

    async def _not_begun(self, batch: Open, ended: "Batch") -> None:
        """Deal with a batch that the endpoint took no request of."""
        faults = ended.errors.data or [] if ended.errors else []
        calls = list(batch.calls.values())
        self._under_way.discard(batch)
        others = set(self._under_way)
        if self._attach:
            await self._results.forget(batch, calls)
            claim_anew(calls)
            return
        if all(fault.code != "token_limit_exceeded" for fault in faults) or (
            len(calls) == 1 and not others
        ):
            await self._results.forget(batch, calls)
            said = "; ".join(str(fault.message)[:300] for fault in faults[:3]) or "no reason given"
            raise EndpointError(
                f"The endpoint accepted no request of batch {batch.batch_id}: {said}. Fix that, "
                "or use live mode."
            )
        if not others:
            self._most = max(1, len(calls) // 2)
        LOGGER.info("Batch %s is more than the account may have queued", batch.batch_id)
        if others:
            waited = [other.task for other in others if other.task]
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        await self._results.forget(batch, calls)
        claim_anew(calls)


def _line(name: str, body: Mapping[str, Any]) -> bytes:
    made = {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body}
    # ASCII: a lone surrogate in a prompt must not spoil the file.
    return json.dumps(made).encode() + b"\n"
