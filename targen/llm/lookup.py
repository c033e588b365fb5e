"""Finding out of each job whether it is answered already, ours to ask, or another process's."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from targen.errors import TargenError
from targen.llm.budget import Budget
from targen.llm.runs import Job
from targen.store.ledger import Found, Record
from targen.store.writer import Writer

LOGGER = logging.getLogger("targen")

GROUP = 64
"""Jobs that are looked up in one transaction."""


class Desk(Protocol):
    """What the look-up needs of its engine."""

    @property
    def fatal(self) -> TargenError | None:
        """Why the engine has stopped, or None."""
        ...

    def keep(self, job: Job) -> bool:
        """Tell whether anybody still wants a job; else forget it."""
        ...

    def claimed(self, jobs: list[Job]) -> None:
        """Take jobs that are now ours to ask."""
        ...

    def batched(self, jobs: list[Job]) -> None:
        """Take jobs that are now ours and have gone out in a batch already."""
        ...

    def short(self, found: Found) -> None:
        """Take note that the money did not suffice for all."""
        ...

    def stop(self, error: BaseException) -> None:
        """End everything because of an error."""
        ...


class Lookup:
    """The jobs of one engine on their way to being ours, or answered."""

    def __init__(
        self,
        desk: Desk,
        writer: Writer,
        budget: Budget,
        known: Callable[[Job, Record], None],
        enough: Callable[[], bool],
        elsewhere_s: float,
    ) -> None:
        """Make it; must be called on a running event loop.

        Args:
            desk: the engine.
            writer: of the engine.
            budget: of the engine.
            known: takes the stored answer to a job.
            enough: tells whether so much is ready that look-ups may wait to be many.
            elsewhere_s: seconds between two looks at what another process is asking.
        """
        self._desk, self._writer, self._budget = desk, writer, budget
        self._known, self._enough, self._elsewhere_s = known, enough, elsewhere_s
        self._loop = asyncio.get_running_loop()
        self._pending: deque[Job] = deque()
        self._elsewhere: list[Job] = []
        self._looking: asyncio.Task[None] | None = None
        self._closed = self._told = False

    def add(self, jobs: Iterable[Job]) -> None:
        """Look jobs up soon."""
        self._pending.extend(jobs)
        self.go()

    def go(self) -> None:
        """Begin a look-up where one is due."""
        if self._due() and (self._looking is None or self._looking.done()):
            self._looking = self._loop.create_task(self._look_up())

    def _due(self) -> bool:
        waits = self._enough() and len(self._pending) < GROUP
        return bool(self._pending) and not waits

    async def _look_up(self) -> None:
        while self._due() and not self._desk.fatal:
            jobs = [self._pending.popleft() for _ in range(min(GROUP, len(self._pending)))]
            try:
                found = await self._writer.call(self._budget.claim(jobs))
            except TargenError as error:
                self._desk.stop(error)
                return
            self._sort(jobs, found)

    def _sort(self, jobs: list[Job], found: Found) -> None:
        ours: list[Job] = []
        batched: list[Job] = []
        for job in jobs:
            record = found.known.get(job.request_id)
            if record is not None:
                self._known(job, record)
            elif job.request_id in found.claimed:
                (batched if job.request_id in found.batched else ours).append(job)
            else:
                if not self._elsewhere:
                    self._loop.call_later(self._elsewhere_s, self.ask_elsewhere)
                self._elsewhere.append(job)
        if found.batched and not self._told:
            self._told = True
            LOGGER.warning(
                "Requests of this step are under way in a batch that was handed in before: they "
                "are waited for and not paid again. To have the rest of them asked live, cancel "
                "that batch at the endpoint."
            )
        if batched:
            self._desk.batched(batched)
        if found.short is not None:
            self._desk.short(found)
        self._desk.claimed(ours)

    def ask_elsewhere(self) -> None:
        """Look again for what another process was asking, or what lacked the money."""
        if self._closed:
            return
        jobs, self._elsewhere = self._elsewhere, []
        self.add([job for job in jobs if self._desk.keep(job)])

    async def close(self) -> None:
        """Look no more."""
        self._closed = True
        if self._looking:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
