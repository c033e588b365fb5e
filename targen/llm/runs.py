"""One call of `Engine.run`, and the calls that it makes."""

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from targen.llm.reply import Reply
from targen.llm.types import Outcome, Request
from targen.llm.wire import Profile

_LOOK_S = 0.05


@dataclass(slots=True, eq=False)
class Run:
    """The requests of one `Engine.run` that are open, and the outcomes that are ready.

    Attributes:
        most: requests that may be open at once.
        open: requests drawn whose outcome the caller has not taken.
        drawn: True once the source has no more requests.
        closed: True once the caller has stopped taking outcomes.
        error: what the source of the requests raised.
        tasks: one for each request that has no outcome yet.
        calls: those under way.
        changed: set when there is something new for the caller; `room`: for the source.
        drawing: the task that draws requests from the source.
    """

    most: int
    open: int = 0
    drawn: bool = False
    closed: bool = False
    error: BaseException | None = None
    outcomes: "deque[Outcome]" = field(default_factory=deque)
    tasks: "set[asyncio.Task[None]]" = field(default_factory=set)
    calls: "set[Call]" = field(default_factory=set)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    room: asyncio.Event = field(default_factory=asyncio.Event)
    drawing: "asyncio.Task[None] | None" = None

    def widen(self, most: int) -> None:
        """Let up to `most` requests be open: those that wait for a batch keep nothing busy."""
        self.most = max(self.most, most)
        self.room.set()

    async def drain(self, grace_s: float) -> None:
        """Draw no more, cancel what has not been sent, and wait up to `grace_s` for the rest."""
        if self.drawing is not None:
            self.drawing.cancel()
            await asyncio.gather(self.drawing, return_exceptions=True)
        end = time.monotonic() + grace_s
        while self.tasks and (left := end - time.monotonic()) > 0:
            # Again and again: a call that fails now would be tried again.
            under_way = {call.task for call in self.calls if call.state != "waiting"}
            for task in self.tasks - under_way:
                task.cancel()
            await asyncio.wait(self.tasks, timeout=min(left, _LOOK_S))
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@dataclass(slots=True, eq=False)
class Call:
    """A request on its way to a stored completion.

    Attributes:
        run: the run that wants it.
        request: what is sent; not the caller's own request if it is a follow-up.
        request_id, identity: see `types.identify`.
        parent_id: id of the request that it follows up.
        batched: True if it is part of a batch.
        reserved_usd: US dollars set aside for it.
        tries: calls sent; `throttled`: those refused because of the rate; `timeouts`: those not
            answered in time; `attempts`: failures that count against the request.
        state: `sent` from the moment it leaves until its reply has come.
        profile: the profile that its body was made with.
        task: the coroutine that makes it.
        reply: what a batch returned; None means that the call must be claimed again.
        settled: for a batch: whether its answer was stored, once that is decided.
    """

    run: Run
    request: Request
    request_id: str
    identity: bytes
    parent_id: str | None
    batched: bool = False
    reserved_usd: float = 0.0
    tries: int = 0
    throttled: int = 0
    timeouts: int = 0
    attempts: int = 0
    state: Literal["waiting", "sent", "answered"] = "waiting"
    profile: Profile | None = None
    task: "asyncio.Task[None] | None" = field(default_factory=asyncio.current_task)
    reply: "asyncio.Future[tuple[Reply, float] | None] | None" = None
    settled: "asyncio.Future[bool] | None" = None

    def settle(self, stored: bool) -> None:
        """Tell the batch that waits for it, if there is one, whether its answer was stored."""
        if self.settled is not None and not self.settled.done():
            self.settled.set_result(stored)
