"""What an ended batch has brought: each line stored, and the rest looked up again."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from openai.types import Batch

from targen.llm.adaptation import Adapter
from targen.llm.batch_wire import Service, read_line
from targen.llm.prices import bound
from targen.llm.progress import Stats
from targen.llm.reply import Answer, Reply
from targen.llm.runs import Job
from targen.llm.settings import EngineSettings
from targen.llm.wire import Profile
from targen.store.batches import BatchRegistry
from targen.store.ledger import Ledger
from targen.store.schema import Status
from targen.store.writer import Writer

LOGGER = logging.getLogger("targen")

SLICE = 256
"""Jobs that are handled in one transaction."""

TRIES = 5
"""Batches that one request goes out with before it has failed."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the engine does for a batch.

    Attributes:
        stats: the engine's counts.
        keep: tells whether anybody still wants a job; else it is forgotten.
        adapter: the engine's.
        answered: stores an answer and returns it to its run; gets the seconds it took.
        failed: stores that there is none, with the status and the words.
        adapt: changes the model's profile after a refusal and makes the job ready again; False
            where that is no help.
        look_for: looks a job up anew, claims it and reserves its money.
        stop: ends everything because of an error.
    """

    stats: Stats
    keep: Callable[[Job], bool]
    adapter: Adapter
    answered: Callable[[Job, Answer, float], None]
    failed: Callable[[Job, Status, str], None]
    adapt: Callable[[Job, Profile, Reply], bool]
    look_for: Callable[[Iterable[Job]], None]
    stop: Callable[[BaseException], None]


@dataclass(slots=True, eq=False)
class Open:
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


class Results:
    """Stores what batches bring for the jobs of one engine."""

    def __init__(
        self,
        settings: EngineSettings,
        endpoint: str,
        service: Service,
        book: BatchRegistry,
        writer: Writer,
        ledger: Ledger,
        hooks: Hooks,
    ) -> None:
        self._settings, self._endpoint = settings, endpoint
        self._service, self._book = service, book
        self._writer, self._ledger = writer, ledger
        self._hooks = hooks

    def bound(self, job: Job) -> float:
        """Return the most that a job can cost in a batch; 0 where the price is not known."""
        price = self._settings.price_of(job.request.model, self._endpoint)
        return 0.0 if price is None else bound(job.request, price, batch=True)

    async def read(self, batch: Open, ended: Batch | None) -> None:
        """Store what an ended batch has brought, and look up again what it left out.

        Args:
            batch: the batch; its jobs are taken out of it.
            ended: how it ended; None where the endpoint does not know it any more.

        Raises:
            EndpointError: its results cannot be fetched.
        """
        lost = ended is None
        files = (ended.output_file_id, ended.error_file_id) if ended else ()
        for file_id in files:
            content = await self._service.download(file_id) if file_id else None
            if content is None:
                lost = lost or file_id is not None
                continue
            with content:
                lines: list[tuple[Job, Reply]] = []
                for line in content:
                    read = read_line(line)
                    # Others' lines stay for those who ask for them.
                    job = batch.jobs.pop(read[0], None) if read else None
                    if read and job:
                        lines.append((job, read[1]))
                    if len(lines) == SLICE:
                        await self._settle(batch, lines)
                        lines = []
                await self._settle(batch, lines)
        state = ended.status if ended else "gone"
        # Results that can no longer be read may have been paid for.
        left = Reply("transient", words=f"left out by a batch that is {state}", ambiguous=lost)
        for part in parts(list(batch.jobs.values())):
            await self._settle(batch, [(job, left) for job in part])

    async def _settle(self, batch: Open, lines: Sequence[tuple[Job, Reply]]) -> None:
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
            refunds[job.request_id] = self.bound(job) if settled else 0.0
            if not self._settle_one(batch, job, reply):
                again.append(job)
        if refunds:
            # After the answers, in the same queue: a kill between the two asks for nothing twice.
            await self._writer.call(self._book.forget(batch.key, refunds))
        if again:
            LOGGER.info("%d requests of batch %s go out again", len(again), batch.batch_id)
        self.look_again(again)

    def _settle_one(self, batch: Open, job: Job, reply: Reply) -> bool:
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
        profile = batch.profile or hooks.adapter.body(job.request)[1]
        if hooks.adapt(job, profile, reply):
            return True
        if fatal := hooks.adapter.fatal_error(job.request, reply):
            hooks.stop(fatal)
            return True
        words = hooks.adapter.reason(job.request, reply)
        hooks.failed(job, "filtered" if reply.kind == "filtered" else "failed", words)
        return True

    async def forget(self, batch: Open, jobs: list[Job]) -> None:
        """Take jobs out of a batch that came to nothing."""
        for part in parts(jobs):
            refunds = {job.request_id: self.bound(job) for job in part}
            await self._writer.call(self._book.forget(batch.key, refunds))

    def look_again(self, jobs: list[Job]) -> None:
        """Look jobs up again: they may have been answered, and need money of their own."""
        for part in parts(jobs):
            names = [job.request_id for job in part]
            self._writer.submit(self._ledger.release(names), ignore)
        self._hooks.look_for(jobs)


def parts(jobs: list[Job]) -> Iterable[list[Job]]:
    """Cut jobs into lists of at most `SLICE`."""
    return (jobs[start : start + SLICE] for start in range(0, len(jobs), SLICE))


def ignore(result: Any) -> None:
    """Take no notice: a store that fails is noticed where answers are written."""
