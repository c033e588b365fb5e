"""Claims on requests: who asks, and with what money, in one grouped transaction."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from targen.store import batches
from targen.store.budgets import BudgetLedger
from targen.store.ledger import Found, Ledger, Record
from targen.store.writer import Writer

GROUP = 64
"""Requests that are looked up in one transaction."""

_LINGER_S = 0.01
"""How long a lookup waits for its group to fill."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What the store says about a request.

    Attributes:
        record: the stored completion, None if there is none yet.
        ours: True if this process has the lease and must ask. False without a record: another
            process is asking, or the budget is too small.
        reserved_usd: US dollars reserved for the request by this claim.
        batched: True if the request is part of a submitted batch whose answers have not been read.
        short: for each budget, what is spent and what is reserved, if it is too small.
    """

    record: Record | None = None
    ours: bool = False
    reserved_usd: float = 0.0
    batched: bool = False
    short: Mapping[str, tuple[float, float]] | None = None


@dataclass(slots=True, eq=False)
class _Question:
    request_id: str
    bound_usd: float
    future: "asyncio.Future[Claim]"


class Claims:
    """The store as the pipeline of one engine sees it: claim a request, store its answer.

    Look-ups are grouped: one transaction serves up to `GROUP` waiting callers.
    """

    def __init__(
        self, writer: Writer, ledger: Ledger, budget: BudgetLedger | None, poll_s: float
    ) -> None:
        """Make it on a running event loop; other processes' requests are polled every `poll_s`."""
        self._writer, self._ledger, self._budget = writer, ledger, budget
        self._poll_s = poll_s
        self._pending: list[_Question] = []
        self._task: asyncio.Task[None] | None = None
        self._given_back = asyncio.Event()
        self._refunds: set[asyncio.Task[None]] = set()

    async def claim(self, request_id: str, bound_usd: float) -> Claim:
        """Return the stored completion, or lease the request and reserve what it may cost.

        Args:
            request_id: 64 hex digits.
            bound_usd: the most the request can cost; 0 reserves nothing.

        Raises:
            StoreError: the store fails.
        """
        question = _Question(request_id, bound_usd, asyncio.get_running_loop().create_future())
        self._pending.append(question)
        if self._task is None:
            self._task = asyncio.create_task(self._look_up())
        try:
            return await question.future
        except asyncio.CancelledError:
            # The claim may have been granted in the moment before.
            future = question.future
            if future.done() and not future.cancelled() and future.exception() is None:
                claim = future.result()
                if claim.ours:
                    self.give_back(claim.reserved_usd)
                    self.release([request_id])
            raise

    async def wait(self) -> None:
        """Wait until a claim that was not granted may be: after a moment, or a refund."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._given_back.wait(), self._poll_s)

    async def put(self, row: Mapping[str, Any]) -> None:
        """Store what became of a request; its lease and reservation (`back_usd`) end with it.

        Raises:
            StoreError: the store fails.
        """
        await self._writer.put(row)
        if row["back_usd"]:
            self._wake()

    def give_back(self, reserved_usd: float, charge_usd: float = 0.0) -> None:
        """End a reservation; `charge_usd` counts as spent although no answer came."""
        budget = self._budget
        if budget is None or not reserved_usd:
            return

        def work(connection: sa.Connection) -> None:
            budget.give_back(connection, reserved_usd)
            self._ledger.charge(connection, charge_usd)

        async def commit() -> None:
            with contextlib.suppress(Exception):
                await self._writer.call(work)
                self._wake()

        # Kept until it is done: the loop holds tasks by weak references only.
        task = asyncio.create_task(commit())
        self._refunds.add(task)
        task.add_done_callback(self._refunds.discard)

    def release(self, request_ids: Sequence[str]) -> None:
        """End leases without an answer."""
        self._writer.submit(self._ledger.release(request_ids))

    async def close(self) -> None:
        """Commit refunds under way and end all leases and reservations of this process."""
        await asyncio.gather(*self._refunds)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._writer.submit(self._ledger.leave)

    def _wake(self) -> None:
        self._given_back.set()
        self._given_back.clear()

    async def _look_up(self) -> None:
        try:
            while self._pending:
                if len(self._pending) < GROUP:
                    await asyncio.sleep(_LINGER_S)
                group, self._pending = self._pending[:GROUP], self._pending[GROUP:]
                group = [question for question in group if not question.future.done()]
                try:
                    found = await self._writer.call(self._work(group))
                except Exception as error:
                    for question in group:
                        if not question.future.done():
                            question.future.set_exception(error)
                else:
                    self._answer(group, *found)
        finally:
            self._task = None

    def _answer(
        self, group: Sequence[_Question], found: Found, reserved: Mapping[str, float]
    ) -> None:
        for question in group:
            name = question.request_id
            ours = name in found.claimed
            if question.future.done():
                # Its caller is gone.
                if ours:
                    self.give_back(reserved.get(name, 0.0))
                    self.release([name])
                continue
            question.future.set_result(
                Claim(
                    found.known.get(name),
                    ours,
                    reserved.get(name, 0.0),
                    name in found.batched,
                    None if ours else found.short,
                )
            )

    def _work(
        self, group: Sequence[_Question]
    ) -> Callable[[sa.Connection], tuple[Found, dict[str, float]]]:
        names = [question.request_id for question in group]
        look_up = self._ledger.find_or_claim(names)
        budget = self._budget
        bounds = {question.request_id: question.bound_usd for question in group}

        def work(connection: sa.Connection) -> tuple[Found, dict[str, float]]:
            found = look_up(connection)
            missing = sorted(set(names) - set(found.known))
            batched = batches.under_way(connection, missing)
            found = replace(found, batched=batched)
            if budget is None:
                return found, {}
            # What is part of a batch counts as spent already, and a call that is tried again has
            # its reservation. They come first: they must not wait behind what lacks the money.
            amounts = bounds | dict.fromkeys(batched, 0.0)
            claimed = [name for name in names if name in found.claimed]
            claimed.sort(key=lambda name: amounts[name] > 0)
            fit = budget.reserve(connection, [amounts[name] for name in claimed])
            granted = {name: amounts[name] for name in claimed[:fit]}
            self._ledger.release(claimed[fit:])(connection)
            if not claimed[fit:]:
                return found, granted
            state = budget.state(connection)
            return replace(found, claimed=frozenset(granted), short=state), granted

        return work


def put_rows(
    ledger: Ledger,
    budget: BudgetLedger | None,
    connection: sa.Connection,
    rows: Sequence[Mapping[str, Any]],
) -> None:
    """Store rows (see `Ledger.put`) and end the reservations that they name in `back_usd`."""
    ledger.put(connection, rows)
    back = sum(row["back_usd"] for row in rows)
    if budget is not None and back:
        budget.give_back(connection, back)
