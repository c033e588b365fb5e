"""Reads the results of an ended batch and returns each reply to the call that waits for it."""

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from targen.llm.adaptation import Adapter
from targen.llm.batch_wire import Service, read_line
from targen.llm.prices import bound
from targen.llm.progress import Stats
from targen.llm.reply import MOST_BYTES, Reply
from targen.llm.runs import Call
from targen.llm.settings import EngineSettings
from targen.llm.wire import Profile
from targen.store.batches import BatchRegistry
from targen.store.writer import Writer

if TYPE_CHECKING:
    from openai.types import Batch

LOGGER = logging.getLogger("targen")

SLICE = 256
"""Jobs that are handled in one transaction."""

TRIES = 5
"""Number of batches that a request goes out in before it counts as failed."""


@dataclass(slots=True, eq=False)
class Open:
    """A batch under way and the calls of this process that wait for it.

    `profile` is that of its bodies, None if another process made them.
    """

    key: str
    calls: dict[str, Call]
    file_id: str | None = None
    batch_id: str | None = None
    profile: Profile | None = None
    task: asyncio.Task[None] | None = None
    since: float = field(default_factory=time.monotonic)


class Results:
    """Reads the results of batches for the calls of one engine."""

    def __init__(
        self,
        settings: EngineSettings,
        endpoint: str,
        service: Service,
        registry: BatchRegistry,
        writer: Writer,
        adapter: Adapter,
        stats: Stats,
    ) -> None:
        self._settings, self._endpoint = settings, endpoint
        self._service, self._registry, self._writer = service, registry, writer
        self._adapter, self._stats = adapter, stats

    def bound(self, call: Call) -> float:
        """Return the most a call can cost in a batch, in US dollars; 0 if the price is unknown."""
        price = self._settings.price_of(call.request.model, self._endpoint)
        return 0.0 if price is None else bound(call.request, price, batch=True)

    async def read(self, batch: Open, ended: "Batch | None") -> None:
        """Return the replies of an ended batch to its calls; the rest is claimed anew.

        Args:
            batch: the batch; its calls are taken out of it.
            ended: how it ended; None if the endpoint does not know it any more.

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
                lines: list[tuple[Call, Reply]] = []
                # Of a longer line, the pieces are no JSON.
                for line in iter(partial(content.readline, MOST_BYTES), b""):
                    read = read_line(line)
                    # Lines of other processes are left for them.
                    call = batch.calls.pop(read[0], None) if read else None
                    if read and call:
                        lines.append((call, read[1]))
                    if len(lines) == SLICE:
                        await self._settle(batch, lines)
                        lines = []
                await self._settle(batch, lines)
        state = ended.status if ended else "gone"
        # Results that can no longer be read may have been paid for.
        left = Reply("transient", words=f"left out by a batch that is {state}", ambiguous=lost)
        for part in parts(list(batch.calls.values())):
            await self._settle(batch, [(call, left) for call in part])

    async def _settle(self, batch: Open, lines: Sequence[tuple[Call, Reply]]) -> None:
        """Return replies to their calls, wait until they are stored, then end their charges."""
        seconds = time.monotonic() - batch.since
        refunds: dict[str, float] = {}
        again: list[Call] = []
        waiting: list[tuple[str, float, asyncio.Future[bool]]] = []
        for call, reply in lines:
            # Only what is known replaces the most it could have cost.
            counted = reply.answer is None or None not in (
                reply.answer.prompt_tokens,
                reply.answer.completion_tokens,
            )
            settled = counted and not reply.ambiguous
            refund = self.bound(call) if settled else 0.0
            call.tries += 1
            if self._again(batch, call, reply):
                refunds[call.request_id] = refund
                again.append(call)
                continue
            if reply.kind in ("throttled", "transient"):
                words = f"{reply.words} (in {call.tries} batches)"
                reply = replace(reply, kind="failed", words=words)  # noqa: PLW2901
            call.settled = asyncio.get_running_loop().create_future()
            if resolve(call, (reply, seconds)):
                waiting.append((call.request_id, refund, call.settled))
        # The charges end after the answers are stored: a kill between the two pays nothing twice.
        # What was not stored stays in the batch, and the next run reads it.
        for request_id, refund, stored in waiting:
            if await stored:
                refunds[request_id] = refund
        if refunds:
            await self._writer.call(self._registry.forget(batch.key, refunds))
        if again:
            LOGGER.info("%d requests of batch %s go out again", len(again), batch.batch_id)
        claim_anew(again)

    def _again(self, batch: Open, call: Call, reply: Reply) -> bool:
        """Return whether a call goes out again."""
        if reply.kind in ("throttled", "transient"):
            self._stats.retried += call.tries < TRIES
            return call.tries < TRIES
        profile = batch.profile or self._adapter.body(call.request)[1]
        return self._adapter.adapt(call.request, profile, reply)

    async def forget(self, batch: Open, calls: list[Call]) -> None:
        """Take calls out of a batch that came to nothing."""
        for part in parts(calls):
            refunds = {call.request_id: self.bound(call) for call in part}
            await self._writer.call(self._registry.forget(batch.key, refunds))


def resolve(call: Call, reply: tuple[Reply, float] | None) -> bool:
    """Return a reply to the call that waits for it; False if the call has ended meanwhile."""
    if call.reply is None or call.reply.done():
        return False
    # From here on a run that ends waits for it.
    call.state = "answered" if reply else "waiting"
    call.reply.set_result(reply)
    return True


def claim_anew(calls: Iterable[Call]) -> None:
    """Send calls back to their claim: they may be answered, and need their own reservation."""
    for call in calls:
        resolve(call, None)


def parts(calls: list[Call]) -> Iterable[list[Call]]:
    """Cut calls into lists of at most `SLICE`."""
    return (calls[start : start + SLICE] for start in range(0, len(calls), SLICE))
