"""A live run that meets requests under way in a batch: it waits for them and pays nothing twice."""

import asyncio
import logging
from typing import Any

import pytest
from aiohttp import web

from targen.errors import BudgetError, EndpointError
from targen.llm import batch
from targen.store.completions import Store
from tests.support.batch_endpoint import BatchEndpoint, good
from tests.support.endpoint import ask, failure, number, requests


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "_QUIET_S", 0.1)
    monkeypatch.setattr(batch, "_POLL_LEAST_S", 0.02)


async def left_behind(settings: Any, endpoint: BatchEndpoint, count: int) -> None:
    """Hand a batch in and be cancelled while it is under way."""
    endpoint.holding = True
    task = asyncio.create_task(ask(settings(endpoint.url, mode="batch"), requests(count)))
    async with asyncio.timeout(20):
        while not endpoint.looks:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    endpoint.looks = 0


def spent(settings: Any, endpoint: BatchEndpoint) -> float:
    store = Store(settings(endpoint.url).store_url)
    with store.read() as connection:
        found = connection.exec_driver_sql("SELECT spent_usd FROM budgets WHERE scope = '*'")
        amount = float(found.scalar_one())
    store.close()
    return amount


async def test_it_waits_for_the_batch_and_asks_the_rest_live(
    settings: Any, prices: float, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="targen")
    async with BatchEndpoint() as endpoint:
        await left_behind(settings, endpoint, 300)
        live = asyncio.create_task(ask(settings(endpoint.url, concurrency=4), requests(310)))
        async with asyncio.timeout(20):
            while endpoint.looks < 2 or len(endpoint.live) < 10:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert not live.done()
        assert "under way in a batch that was submitted earlier" in caplog.text
        assert "batch-0" in caplog.text
        endpoint.holding = False
        outcomes, engine = await live
        assert [outcome.status for outcome in outcomes] == ["ok"] * 310
        assert sorted(endpoint.live) == list(range(300, 310))
        assert len(endpoint.batches) == 1
        # What came from the batch costs what a batch costs.
        assert engine.stats.cost_usd == pytest.approx(300 * prices / 2 + 10 * prices)
        assert spent(settings, endpoint) == pytest.approx(300 * prices / 2 + 10 * prices)


async def test_what_the_batch_left_out_is_asked_live(settings: Any, prices: float) -> None:
    def answer(line: dict[str, Any], n: int) -> dict[str, Any] | None:
        return None if number(line["body"]) < 5 else good(line["custom_id"])

    async with BatchEndpoint(answer, ends=lambda n: "cancelled") as endpoint:
        await left_behind(settings, endpoint, 20)
        endpoint.holding = False
        outcomes, _ = await ask(settings(endpoint.url), requests(20))
        assert [outcome.status for outcome in outcomes] == ["ok"] * 20
        assert sorted(endpoint.live) == [0, 1, 2, 3, 4]
        assert len(endpoint.batches) == 1
        assert spent(settings, endpoint) == pytest.approx(15 * prices / 2 + 5 * prices)


@pytest.mark.parametrize("ends", ["failed", "gone"])
async def test_a_batch_that_came_to_nothing_is_asked_live(
    settings: Any, prices: float, ends: str
) -> None:
    async with BatchEndpoint(ends=lambda n: ends) as endpoint:
        await left_behind(settings, endpoint, 8)
        endpoint.holding = False
        if ends == "gone":
            endpoint.batches.clear()
        outcomes, _ = await ask(settings(endpoint.url), requests(8))
        assert [outcome.status for outcome in outcomes] == ["ok"] * 8
        assert sorted(endpoint.live) == list(range(8))


async def test_a_batch_that_cannot_be_looked_at_is_an_error(
    settings: Any, prices: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(self: BatchEndpoint, incoming: web.Request) -> web.Response:
        return failure(403, "not yours")

    async with BatchEndpoint() as endpoint:
        await left_behind(settings, endpoint, 8)
    monkeypatch.setattr(BatchEndpoint, "_batch", refuse)
    async with BatchEndpoint() as endpoint, asyncio.timeout(10):
        with pytest.raises(EndpointError, match=r"batch-0.* cannot be retrieved: .*not yours"):
            await ask(settings(endpoint.url), requests(8))
        assert not endpoint.live


async def test_a_budget_that_the_batch_fills_lets_its_answers_be_fetched(
    settings: Any, prices: float
) -> None:
    async with BatchEndpoint() as endpoint:
        await left_behind(settings, endpoint, 20)
        full = spent(settings, endpoint)
        endpoint.holding = False
        outcomes, _ = await ask(settings(endpoint.url, budget_usd=full), requests(20))
        assert [outcome.status for outcome in outcomes] == ["ok"] * 20
        assert not endpoint.live
        with pytest.raises(BudgetError):
            await ask(settings(endpoint.url, budget_usd=20 * prices / 2), requests(30))
        assert not endpoint.live


async def test_it_waits_for_a_batch_that_another_run_waits_for(
    settings: Any, prices: float, caplog: pytest.LogCaptureFixture
) -> None:
    async with BatchEndpoint(holding=True) as endpoint:
        first = asyncio.create_task(ask(settings(endpoint.url, mode="batch"), requests(6)))
        async with asyncio.timeout(20):
            while not endpoint.looks:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        second = asyncio.create_task(ask(settings(endpoint.url), requests(6)))
        await asyncio.sleep(0.6)
        assert "under way in a batch" in caplog.text
        endpoint.holding = False
        for outcomes, _ in await asyncio.gather(first, second):
            assert [outcome.status for outcome in outcomes] == ["ok"] * 6
        assert not endpoint.live
        assert len(endpoint.batches) == 1
