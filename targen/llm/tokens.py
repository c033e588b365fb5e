"""A limit on tokens a minute, beside the limiter that limits calls."""

import asyncio
import json
import time
from collections.abc import Callable

import sqlalchemy as sa

from targen.llm.reply import Answer
from targen.llm.types import Request
from targen.store.completions import now as store_now
from targen.store.ledger import insert
from targen.store.schema import GATES
from targen.store.writer import Writer

_BURST_S = 5.0
"""The bucket holds what comes in this time. It is filled more slowly, so that bucket and inflow
together stay below the limit in any minute."""

_PORTION_S = 0.25
_BYTES_PER_TOKEN = 3.0
"""Fewer than the rule of thumb of four, so that the first estimates are high rather than low."""

_SMOOTH = 0.1

NEVER = float("inf")
"""Seconds to wait if a callback, not a timer, ends the wait."""


class TokenLimit:
    """Tokens a minute, prompt and output together."""

    def __init__(self, per_minute: float, writer: Writer, name: str) -> None:
        """Make it.

        Args:
            per_minute: the limit.
            writer: of the engine.
            name: of the endpoint and model; processes with one store and name share the bucket.
        """
        self._size = per_minute * _BURST_S / 60
        self._per_s = (per_minute - self._size) / 60
        self._portion = self._per_s * _PORTION_S
        self._writer, self._name = writer, f"tokens {name}"
        self._have = 0.0
        self._asking: asyncio.Task[None] | None = None
        self._under_way: dict[str, float] = {}
        self._per_byte = 1 / _BYTES_PER_TOKEN
        self._output: float | None = None
        self._again_at = 0.0
        self._wake: Callable[[], None] | None = None
        self._error: Exception | None = None

    def wait(self, request: Request, now: float, dispatch: Callable[[], None]) -> float:
        """Return the seconds until `request` may leave; NEVER: `dispatch` will be called.

        Raises:
            StoreError: the store failed, so no more tokens will come.
        """
        # What is more than the bucket holds goes when it is full, and the next wait longer.
        missing = min(self.estimate(request), self._size) - self._have
        if missing <= 0:
            return 0.0
        if self._error is not None:
            raise self._error
        self._wake = dispatch
        if self._asking:
            return NEVER
        if self._again_at > now:
            return self._again_at - now
        self._take(missing, min(missing + self._portion, self._size))
        return NEVER

    def estimate(self, request: Request) -> float:
        """Return the tokens that `request` will probably use, by what others have used."""
        most = request.sampling.output_bound
        output = most if self._output is None else min(most, self._output)
        return _bytes(request) * self._per_byte + output

    def sent(self, key: str, request: Request) -> None:
        """Take a request out of the bucket as it leaves; `key` is its id."""
        estimate = self.estimate(request)
        self._have -= estimate
        self._under_way[key] = estimate

    def settle(self, key: str, request: Request, answer: Answer | None) -> None:
        """Correct the estimate; without an answer it may have counted, and stays as it is."""
        estimate = self._under_way.pop(key, 0.0)
        if answer is None or answer.prompt_tokens is None or answer.completion_tokens is None:
            return
        used = answer.prompt_tokens + answer.completion_tokens
        self._have += estimate - used
        # The first answer takes the place of the guess: what an estimate lacks is owed, and spent
        # above the limit, until the answers are there.
        weight = 1.0 if self._output is None else _SMOOTH
        size = _bytes(request)
        if size:
            self._per_byte += weight * (answer.prompt_tokens / size - self._per_byte)
        before = self._output or 0.0
        self._output = before + weight * (answer.completion_tokens - before)
        if self._have > self._portion and not self._asking:
            # Not hoarded here: the others may have it, and a full bucket lets it run over.
            self._take(0.0, -self._have)

    def _take(self, missing: float, wanted: float) -> None:
        async def take() -> None:
            try:
                given, seconds = await self._writer.call(self._taken(missing, wanted))
            except Exception as error:
                # For the next that waits: nothing else may be on its way to the store.
                self._error = error
            else:
                self._have += given
                self._again_at = time.monotonic() + seconds if seconds else 0.0
            finally:
                self._asking = None
            wake, self._wake = self._wake, None
            if wake is not None:
                wake()

        self._asking = asyncio.create_task(take())

    def _taken(
        self, missing: float, wanted: float
    ) -> Callable[[sa.Connection], tuple[float, float]]:
        """Return the work that takes tokens, or returns them if `wanted` is negative.

        The work returns the number it took, and the seconds until the missing ones are there.
        """

        def work(connection: sa.Connection) -> tuple[float, float]:
            moment = store_now(connection)
            found = sa.select(GATES.c.state).where(GATES.c.endpoint == self._name)
            row = connection.execute(found).scalar()
            level, at = json.loads(row) if row else (self._size, moment)
            level = min(self._size, level + max(0.0, moment - at) * self._per_s)
            given = min(wanted, level)
            state = json.dumps([min(self._size, level - given), moment])
            connection.execute(
                insert(connection, GATES)
                .values(endpoint=self._name, state=state)
                .on_conflict_do_update(index_elements=["endpoint"], set_={"state": state})
            )
            return given, max(0.0, missing - given) / self._per_s

        return work


def _bytes(request: Request) -> int:
    return sum(len(message["content"].encode("utf-8", "replace")) for message in request.messages)
