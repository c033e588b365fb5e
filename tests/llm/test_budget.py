import asyncio
from typing import Any

import pytest

from targen.errors import BudgetError, EndpointError
from targen.llm import outage
from tests.support.endpoint import GOOD, Endpoint, ask, completion, requests


async def test_the_sum_spent_never_exceeds_the_budget_and_a_higher_one_goes_on(
    settings: Any, prices: float
) -> None:
    async with Endpoint(delay=0.0) as endpoint:
        budget = 70 * prices
        with pytest.raises(BudgetError, match="raise the budget"):
            await ask(settings(endpoint, budget_usd=budget), requests(100))
        first = len(endpoint.bodies)
        # A call must fit with its upper bound, far above its price here: some room is left.
        assert 0 < first * prices <= budget
        with pytest.raises(BudgetError):
            await ask(settings(endpoint, budget_usd=budget), requests(100))
        assert len(endpoint.bodies) == first
        outcomes, engine = await ask(settings(endpoint, budget_usd=1000), requests(100))
        assert len(outcomes) == len(endpoint.bodies) == 100
        assert engine.stats.from_store == first
        assert engine.stats.cost_usd == pytest.approx((100 - first) * prices)


async def test_engines_that_share_a_store_share_the_budget(settings: Any, prices: float) -> None:
    async with Endpoint(delay=0.0) as endpoint:
        made = settings(endpoint, budget_usd=70 * prices, concurrency=4)
        asked = requests(150)
        results = await asyncio.gather(
            *(ask(made, asked[start::4]) for start in range(4)), return_exceptions=True
        )
        assert any(isinstance(result, BudgetError) for result in results)
        assert 0 < len(endpoint.bodies) * prices <= 70 * prices


async def test_what_was_spent_without_a_budget_counts(settings: Any, prices: float) -> None:
    async with Endpoint() as endpoint:
        await ask(settings(endpoint), requests(20))
        with pytest.raises(BudgetError, match="spent"):
            await ask(settings(endpoint, budget_usd=10 * prices), requests(30))
        assert len(endpoint.bodies) == 20
        with pytest.raises(BudgetError, match="task:t"):
            await ask(settings(endpoint, task_budget_usd=10 * prices), requests(30))
        outcomes, _ = await ask(
            settings(endpoint, task="other", task_budget_usd=10.0), requests(30)
        )
        assert len(outcomes) == 30


async def test_without_a_price_nothing_is_sent(settings: Any) -> None:
    async with Endpoint() as endpoint:
        with pytest.raises(BudgetError, match="price of m at test is not known"):
            await ask(settings(endpoint, budget_usd=1.0), requests(3))
        assert not endpoint.bodies


async def test_a_lost_call_counts_as_spent(settings: Any, prices: float) -> None:
    async def answer(body: dict[str, Any], endpoint: Endpoint) -> Any:
        if len(endpoint.bodies) == 1:
            raise ConnectionResetError
        return completion(GOOD)

    async with Endpoint(answer) as endpoint:
        outcomes, _ = await ask(settings(endpoint, budget_usd=20.0), requests(1))
        assert outcomes[0].status == "ok"
        with pytest.raises(BudgetError) as caught:
            await ask(settings(endpoint, budget_usd=0.0), requests(2))
        assert f"spent ${prices:.4f}" not in str(caught.value)


async def test_an_endpoint_that_takes_no_call_costs_nothing(
    settings: Any, prices: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage, "FRESH_S", 0.05)
    with pytest.raises(EndpointError, match="cannot reach"):
        await ask(settings("http://127.0.0.1:9/v1", budget_usd=1000.0), requests(8))
    with pytest.raises(BudgetError, match=r"spent \$0\.0000"):
        await ask(settings("http://127.0.0.1:9/v1", budget_usd=0.0), requests(1))
