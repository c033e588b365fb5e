"""Batch mode: requests go out in files and come back within a day, at half the price.

Here belong the collecting of requests into batches, waiting for them, and sending again what a
batch left out. What an answer means, and storing it, belongs to the engine; the statements to
`batch_store`, the calls to `batch_wire`.

Questions that are asked again after an answer that cannot be used go out in a batch, too: at the
same half price, and a killed run finds them again in the same way.
"""

import asyncio
import hashlib
import json
import logging
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from openai.types import Batch

from targen.errors import EndpointError
from targen.llm.batch_store import Book, Submission
from targen.llm.batch_wire import ENDED, RefusedError, Service, read_line
from targen.llm.budget import Budget, bound
from targen.llm.client import Client
from targen.llm.ledger import Ledger
from targen.llm.prices import price_of
from targen.llm.reply import Answer, Reply
from targen.llm.runs import Job
from targen.llm.settings import EngineSettings
from targen.llm.stats import Stats
from targen.llm.types import Status
from targen.llm.wire import Profile
from targen.llm.writer import Writer

LOGGER = logging.getLogger("targen")

MOST_REQUESTS = 50_000
MOST_BYTES = 200_000_000
"""What the service takes in one batch. Source: OpenAI's API reference, "Create batch"."""

MOST_OPEN = 2 * MOST_REQUESTS
"""Requests of one run that are open at once: while one full batch waits, the next fills."""

TRIES = 5
"""Batches that one request goes out with before it has failed."""

_QUIET_S = 1.0
_POLL_LEAST_S = 0.5
_POLL_MOST_S = 60.0
_LOG_S = 60.0
_GRACE_S = 3.0
_SLICE = 256


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the engine does for a batch.

    Attributes:
        stats: the engine's counts.
        keep: tells whether anybody still wants a job; else it is forgotten.
        body: returns a job's body and the profile that it was made with.
        answered: stores an answer and hands it on; gets the seconds it took.
        failed: stores that there is none, with the status and the words.
        adapt: changes the model's profile after a refusal and makes the job ready again; False
            where that is no help.
        dead: stops the engine where a reply says that nothing will ever be answered.
        look_for: looks a job up anew, claims it and reserves its money.
        stop: ends everything because of an error.
    """

    stats: Stats
    keep: Callable[[Job], bool]
    body: Callable[[Job], tuple[Mapping[str, Any], Profile]]
    answered: Callable[[Job, Answer, float], None]
    failed: Callable[[Job, Status, str], None]
    adapt: Callable[[Job, Profile, Reply], bool]
    dead: Callable[[Reply], bool]
    look_for: Callable[[Iterable[Job]], None]
    stop: Callable[[BaseException], None]


@dataclass(slots=True, eq=False)
class _Open:
    """A batch under way and the jobs of this process that wait for it.

    `profile` is that of its bodies, None where another process made them.
    """

    key: str
    jobs: dict[str, Job]
    file_id: str | None = None
    batch_id: str | None = None
    profile: Profile | None = None
    task: asyncio.Task[None] | None = None
    since: float = field(default_factory=time.monotonic)


class Batches:
    """Collects the jobs of one engine into batches and brings their answers."""

    def __init__(
        self,
        settings: EngineSettings,
        endpoint: str,
        client: Client,
        writer: Writer,
        ledger: Ledger,
        budget: Budget | None,
        hooks: Hooks,
    ) -> None:
        """Make it; must be called on a running event loop. `endpoint` is the logical name."""
        self._settings, self._endpoint = settings, endpoint
        self._writer, self._ledger, self._budget = writer, ledger, budget
        self._hooks = hooks
        self._service = Service(client.sdk, client.base_url)
        self._book = Book(endpoint, ledger)
        self._loop = asyncio.get_running_loop()
        self._most = MOST_REQUESTS
        self._count = 0
        self._handing_in = asyncio.Lock()
        self._waiting: list[Job] = []
        self._last = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._under_way: set[_Open] = set()

    def take(self, job: Job) -> None:
        """Take a claimed job.

        A batch goes out when it is full, or when no more come for a moment: what draws the
        requests may be waiting for answers.
        """
        self._waiting.append(job)
        self._last = self._loop.time()
        if len(self._waiting) >= self._most:
            self._flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(_QUIET_S, self._quiet)

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
        jobs, self._waiting = self._waiting, []
        self._spawn(self._send(jobs))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._hooks.stop(error)

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

    # Handing in.

    async def _send(self, jobs: list[Job]) -> None:
        """Wait for jobs that are in a batch already; put the others into new batches."""
        jobs = [job for job in jobs if self._hooks.keep(job)]
        found: dict[str, Submission] = {}
        for part in _parts(jobs):
            found |= await self._writer.call(self._book.find([job.request_id for job in part]))
        again: dict[str, _Open] = {}
        models: dict[str, list[Job]] = {}
        for job in jobs:
            known = found.get(job.request_id)
            if known is None:
                # A batch takes one model only.
                models.setdefault(job.request.model or "", []).append(job)
                continue
            since = time.monotonic() - known.age_s
            fresh = _Open(known.key, {}, known.file_id, known.batch_id, since=since)
            again.setdefault(known.key, fresh).jobs[job.request_id] = job
        for batch in again.values():
            LOGGER.info("Batch %s is under way for %d requests", batch.batch_id, len(batch.jobs))
            self._follow_soon(batch, None)
        for group in models.values():
            await self._send_new(group)

    async def _send_new(self, jobs: list[Job]) -> None:
        """Cut jobs of one model into batches within the limits, and begin each."""
        content: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed by whoever sends it)
        batch: _Open | None = None
        size = 0
        for count, job in enumerate(jobs, 1):
            if self._budget is not None and not job.reserved and self._bound(job):
                # Its money was given back, or was thought to be in a batch: it must be had first.
                self._return([job])
                continue
            body, profile = self._hooks.body(job)
            line = _line(job.request_id, body)
            if batch and (len(batch.jobs) >= self._most or size + len(line) > MOST_BYTES):
                await self._begin(batch, content)
                batch, size, content = None, 0, tempfile.TemporaryFile()  # noqa: SIM115
            if batch is None:
                self._count += 1
                name = f"{self._ledger.owner} {self._count}".encode()
                batch = _Open(hashlib.sha256(name).hexdigest(), {}, profile=profile)
            batch.jobs[job.request_id] = job
            content.write(line)
            size += len(line)
            if count % _SLICE == 0:
                await asyncio.sleep(0)
        if batch:
            await self._begin(batch, content)
        else:
            content.close()

    async def _begin(self, batch: _Open, content: IO[bytes]) -> None:
        charges = {name: self._bound(job) for name, job in batch.jobs.items()}
        reserved = 0.0
        for job in batch.jobs.values():
            reserved += job.reserved
            job.reserved = 0.0
        await self._writer.call(self._book.open(batch.key, charges, self._budget, reserved))
        self._follow_soon(batch, content)

    def _bound(self, job: Job) -> float:
        """Return the most that a job can cost in a batch; 0 where the price is not known."""
        if self._settings.embedded:
            return 0.0
        price = price_of(job.request.model or self._settings.model_name, self._endpoint)
        return 0.0 if price is None else bound(job.request, price, batch=True)

    def _follow_soon(self, batch: _Open, content: IO[bytes] | None) -> None:
        self._under_way.add(batch)
        batch.task = self._spawn(self._follow(batch, content))

    async def _follow(self, batch: _Open, content: IO[bytes] | None) -> None:
        """Bring one batch from wherever it stands to its end."""
        try:
            if batch.batch_id is None:
                # Other processes are kept out by a lease, other tasks of this one by a lock.
                async with self._handing_in:
                    begun = await self._hand_in(batch, content)
                if not begun:
                    # Whoever began it died before anything was sent.
                    await self._forget(batch, list(batch.jobs.values()))
                    return
            await self._read(batch, await self._wait(batch))
        finally:
            self._under_way.discard(batch)
            if content is not None:
                content.close()

    async def _hand_in(self, batch: _Open, content: IO[bytes] | None) -> bool:
        """Upload and create a batch; False where there is nothing to upload any more.

        Only one process does so at a time: it holds a lease on the batch's name.
        """
        claim = self._ledger.find_or_claim([batch.key])
        while not (await self._writer.call(claim)).claimed:  # noqa: ASYNC110 (another process)
            await asyncio.sleep(_POLL_LEAST_S)
        try:
            if content is None:
                known = await self._writer.call(self._book.read(batch.key))
                if known is None or known.file_id is None:
                    return False
                batch.file_id, batch.batch_id = known.file_id, known.batch_id
            if batch.batch_id is None:
                await self._create(batch, content)
        except RefusedError:
            # Nothing was begun, so nothing is owed.
            jobs = list(batch.jobs.values())
            for part in _parts(jobs):
                await self._writer.call(self._book.forget(batch.key, self._refunds(part)))
            raise
        finally:
            self._writer.submit(self._ledger.release([batch.key]), _ignore)
        return True

    async def _create(self, batch: _Open, content: IO[bytes] | None) -> None:
        key = batch.key
        if batch.file_id is None:
            assert content is not None
            batch.file_id = await self._service.upload(content, key)
            await self._writer.call(self._book.note(key, "uploaded", file_id=batch.file_id))
        made = await self._service.create(batch.file_id, key, first=content is not None)
        await self._writer.call(self._book.note(key, "submitted", batch_id=made))
        batch.batch_id = made
        LOGGER.info("Batch %s has %d requests", made, len(batch.jobs))

    # Waiting and reading.

    async def _wait(self, batch: _Open) -> Batch | None:
        """Look at a batch until it has ended; None where the endpoint does not know it.

        Between two looks lies a tenth of the batch's age, from half a second to a minute.
        """
        assert batch.batch_id is not None
        said = float("-inf")
        while True:
            found = await self._service.retrieve(batch.batch_id)
            now = time.monotonic()
            if found is None:
                LOGGER.warning("Batch %s is gone at the endpoint", batch.batch_id)
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

    async def _read(self, batch: _Open, ended: Batch | None) -> None:
        """Store what an ended batch has brought and send the rest again."""
        if ended is not None and ended.status == "failed":
            await self._not_begun(batch, ended)
            return
        files = (ended.output_file_id, ended.error_file_id) if ended else ()
        for file_id in files:
            content = await self._service.download(file_id) if file_id else None
            if content is None:
                continue
            with content:
                lines: list[tuple[Job, Reply]] = []
                for line in content:
                    read = read_line(line)
                    # Others' lines stay for those who ask for them.
                    job = batch.jobs.pop(read[0], None) if read else None
                    if read and job:
                        lines.append((job, read[1]))
                    if len(lines) == _SLICE:
                        await self._settle(batch, lines)
                        lines = []
                await self._settle(batch, lines)
        state = ended.status if ended else "gone"
        # Of a batch that nobody can see any more, the money may be spent.
        left = Reply("transient", words=f"left out by a batch that is {state}", ambiguous=not ended)
        for part in _parts(list(batch.jobs.values())):
            await self._settle(batch, [(job, left) for job in part])

    async def _settle(self, batch: _Open, lines: Sequence[tuple[Job, Reply]]) -> None:
        """Store the replies to some jobs; look those up again that have to be asked again."""
        refunds: dict[str, float] = {}
        again = []
        for job, reply in lines:
            # Only what is known replaces the most it could have cost.
            counted = reply.answer is None or None not in (
                reply.answer.prompt_tokens,
                reply.answer.completion_tokens,
            )
            settled = counted and not reply.ambiguous
            refunds[job.request_id] = self._bound(job) if settled else 0.0
            if not self._settle_one(batch, job, reply):
                again.append(job)
        if refunds:
            # After the answers, in the same queue: a kill between the two asks for nothing twice.
            await self._writer.call(self._book.forget(batch.key, refunds))
        if again:
            LOGGER.info("%d requests of batch %s go out again", len(again), batch.batch_id)
        self._return(again)

    def _settle_one(self, batch: _Open, job: Job, reply: Reply) -> bool:
        """Store one reply; False where the job has to be asked again."""
        hooks = self._hooks
        job.attempts += 1
        if reply.answer is not None:
            hooks.answered(job, reply.answer, time.monotonic() - batch.since)
            return True
        if reply.kind in ("throttled", "transient"):
            if job.attempts < TRIES:
                hooks.stats.retried += 1
                return False
            hooks.failed(job, "failed", f"{reply.words} (in {job.attempts} batches)")
            return True
        profile = batch.profile or hooks.body(job)[1]
        if reply.kind == "refused" and hooks.adapt(job, profile, reply):
            return True
        if reply.kind == "endpoint" and hooks.dead(reply):
            return True
        hooks.failed(job, "filtered" if reply.kind == "filtered" else "failed", reply.words)
        return True

    async def _not_begun(self, batch: _Open, ended: Batch) -> None:
        """Deal with a batch that the endpoint took no request of."""
        faults = ended.errors.data or [] if ended.errors else []
        jobs = list(batch.jobs.values())
        self._under_way.discard(batch)
        others = set(self._under_way)
        if all(fault.code != "token_limit_exceeded" for fault in faults) or (
            len(jobs) == 1 and not others
        ):
            for part in _parts(jobs):
                await self._writer.call(self._book.forget(batch.key, self._refunds(part)))
            said = "; ".join(str(fault.message)[:300] for fault in faults[:3]) or "no reason given"
            raise EndpointError(
                f"The endpoint took nothing of batch {batch.batch_id}: {said}. Put that right, "
                "or use the live mode."
            )
        if not others:
            self._most = max(1, len(jobs) // 2)
        LOGGER.info("Batch %s is more than the account may have queued", batch.batch_id)
        if others:
            waited = [other.task for other in others if other.task]
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        await self._forget(batch, jobs)

    def _refunds(self, jobs: Iterable[Job]) -> dict[str, float]:
        return {job.request_id: self._bound(job) for job in jobs}

    async def _forget(self, batch: _Open, jobs: list[Job]) -> None:
        """Take jobs out of a batch that came to nothing, and look them up again."""
        for part in _parts(jobs):
            await self._writer.call(self._book.forget(batch.key, self._refunds(part)))
        self._return(jobs)

    def _return(self, jobs: list[Job]) -> None:
        """Look jobs up again: they may have been answered, and need money of their own."""
        for part in _parts(jobs):
            names = [job.request_id for job in part]
            self._writer.submit(self._ledger.release(names), _ignore)
        self._hooks.look_for(jobs)


def _line(name: str, body: Mapping[str, Any]) -> bytes:
    made = {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body}
    # ASCII: a lone surrogate in a prompt must not spoil the file.
    return json.dumps(made).encode() + b"\n"


def _parts(jobs: list[Job]) -> Iterable[list[Job]]:
    return (jobs[start : start + _SLICE] for start in range(0, len(jobs), _SLICE))


def _ignore(result: Any) -> None:
    """A store that fails is noticed where answers are written."""
