"""One call of `Engine.run`: drawing its requests and handing on its outcomes."""

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from targen.errors import TargenError
from targen.llm.types import Outcome, Request

_DRAW = 64


class Host(Protocol):
    """What a run needs of its engine."""

    @property
    def fatal(self) -> TargenError | None:
        """Why the engine has stopped, or None."""
        ...

    def accept(self, run: "Run", request: Request) -> None:
        """Take a drawn request."""
        ...

    async def drain(self, run: "Run | None") -> None:
        """Wait for the run's calls, store what they bring."""
        ...


@dataclass(slots=True, eq=False)
class Job:
    """A request on its way.

    Attributes:
        run: who wants it.
        root: the request as the caller gave it.
        request: the one to send; another than `root` where it is asked again.
        parent_id: id of the request whose bad answer it was asked again for.
        asks: how often it has been asked again.
        before: outcome of the request before, where it is asked again.
        duplicates: jobs with the same identity, answered together with this one.
        attempts: tries so far; `throttled`: how often the rate limit sent it back.
        reserved: US dollars set aside for it.
    """

    run: "Run"
    root: Request
    request: Request
    parent_id: str | None = None
    asks: int = 0
    before: Outcome | None = None
    request_id: str = ""
    identity: bytes = b""
    duplicates: "list[Job]" = field(default_factory=list)
    attempts: int = 0
    throttled: int = 0
    reserved: float = 0.0


class Run:
    """Draws requests while fewer than `most` are open, and yields outcomes as they arrive."""

    def __init__(
        self, host: Host, requests: Iterable[Request] | AsyncIterable[Request], most: int
    ) -> None:
        self._host = host
        self._most = most
        self._open = 0
        self._drawn = False
        self._error: BaseException | None = None
        self._outcomes: deque[Outcome] = deque()
        self._event = asyncio.Event()
        self._room = asyncio.Event()
        self.closed = False
        self._feeder = asyncio.get_running_loop().create_task(self._feed(requests))

    async def _feed(self, requests: Iterable[Request] | AsyncIterable[Request]) -> None:
        try:
            if isinstance(requests, AsyncIterable):
                async for request in requests:
                    await self._take(request)
            else:
                for count, request in enumerate(requests, 1):
                    await self._take(request)
                    if count % _DRAW == 0:
                        await asyncio.sleep(0)
        except Exception as error:
            self._error = error
        finally:
            self._drawn = True
            self._event.set()

    async def _take(self, request: Request) -> None:
        while self._open >= self._most:
            self._room.clear()
            await self._room.wait()
        self._open += 1
        self._host.accept(self, request)

    def widen(self, most: int) -> None:
        """Let up to `most` requests be open: those that wait for a batch keep nothing busy."""
        self._most = max(self._most, most)
        self._room.set()

    def hand_on(self, outcome: Outcome) -> None:
        """Put an outcome where the caller will find it."""
        self._outcomes.append(outcome)
        self._event.set()

    def wake(self) -> None:
        """Make the caller look whether the engine has stopped."""
        self._event.set()

    async def outcomes(self) -> AsyncIterator[Outcome]:
        """Yield outcomes until every drawn request has one.

        Raises:
            TargenError: the engine has stopped; all stored outcomes were yielded before.
        """
        while True:
            while self._outcomes:
                outcome = self._outcomes.popleft()
                self._open -= 1
                self._room.set()
                yield outcome
            if self._error is not None:
                raise self._error
            if self._host.fatal is not None:
                await self._host.drain(self)
                if not self._outcomes:
                    raise self._host.fatal
                continue
            if self._drawn and self._open == 0:
                return
            self._event.clear()
            await self._event.wait()

    async def close(self) -> None:
        """Draw no more, and let what was paid for be stored."""
        if self.closed:
            return
        self.closed = True
        self._feeder.cancel()
        await asyncio.gather(self._feeder, return_exceptions=True)
        if self._open:
            await self._host.drain(self)
