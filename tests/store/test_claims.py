"""Claims on requests, with a store of their own."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from targen.store.budgets import BudgetLedger
from targen.store.claims import Claims, put_rows
from targen.store.completions import Store
from targen.store.ledger import Ledger
from targen.store.writer import Writer

FIRST, SECOND = "a" * 64, "b" * 64


@pytest.fixture
def budget() -> BudgetLedger:
    return BudgetLedger("me", {"*": 1.0})


@pytest.fixture
async def writer(tmp_path: Path, budget: BudgetLedger) -> AsyncIterator[Writer]:
    store = Store(f"sqlite:///{tmp_path}/s.db")
    ledger = Ledger("me", "r", "t", "s")
    made = Writer(store, partial(put_rows, ledger, budget), ledger.beat, 0.001)
    yield made
    await made.close()
    store.close()


@pytest.fixture
async def claims(writer: Writer, budget: BudgetLedger) -> AsyncIterator[Claims]:
    made = Claims(writer, Ledger("me", "r", "t", "s"), budget, 0.05)
    yield made
    await made.close()


async def test_a_claim_that_is_cancelled_as_it_is_granted_reserves_nothing(
    claims: Claims, writer: Writer, budget: BudgetLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    granted = claims._answer

    def granted_and_cancelled(*found: Any) -> None:
        granted(*found)
        task.cancel()

    task = asyncio.create_task(claims.claim(FIRST, 0.7))
    monkeypatch.setattr(claims, "_answer", granted_and_cancelled)
    with pytest.raises(asyncio.CancelledError):
        await task
    monkeypatch.undo()
    assert (await claims.claim(SECOND, 0.7)).ours
    assert (await writer.call(budget.state))["*"] == (0.0, pytest.approx(0.7))


async def test_a_call_that_has_its_money_does_not_wait_behind_one_that_lacks_it(
    claims: Claims,
) -> None:
    assert (await claims.claim(FIRST, 0.7)).ours
    lacking, again = await asyncio.gather(claims.claim(SECOND, 0.7), claims.claim(FIRST, 0.0))
    assert again.ours and not lacking.ours


async def test_what_costs_nothing_is_granted_where_more_is_spent_than_allowed(
    claims: Claims, writer: Writer
) -> None:
    """Another run with a higher budget may have spent it."""
    await writer.call(lambda connection: claims._ledger.charge(connection, 2.0))
    assert (await claims.claim(FIRST, 0.0)).ours
    assert not (await claims.claim(SECOND, 0.1)).ours


def test_new_stores_can_be_opened_at_the_same_time(tmp_path: Path) -> None:
    def opened(number: int) -> None:
        folder = tmp_path / f"50% {number}"
        folder.mkdir()
        Store(f"sqlite:///{folder}/s.db").close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(opened, range(16)))
