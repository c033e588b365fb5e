import logging
from typing import Any

import pytest

from targen.llm.engine import Engine
from targen.llm.estimate import estimate
from targen.llm.progress import Progress

from .endpoint import Endpoint, ask, requests


async def test_an_estimate_bounds_the_cost_and_knows_the_store(
    settings: Any, prices: float
) -> None:
    async with Endpoint() as endpoint:
        made = settings(endpoint)
        await ask(made, requests(4))
        told = await estimate(made, requests(10))
        assert (told.requests, told.stored) == (10, 4)
        assert told.output_tokens == 6 * 64
        assert told.cost_usd is not None
        assert told.cost_usd >= 6 * prices
        assert len(endpoint.bodies) == 4
        _, engine = await ask(made, requests(10))
        assert engine.stats.cost_usd is not None
        assert engine.stats.cost_usd <= told.cost_usd
        nothing = await estimate(made, requests(10))
        assert (nothing.stored, nothing.cost_usd) == (10, 0.0)


async def test_progress_is_logged_and_reported(
    settings: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("targen.llm.engine.EVERY_S", 0.1)
    caplog.set_level(logging.INFO, logger="targen")
    seen: list[Progress] = []
    async with Endpoint(delay=0.3) as endpoint:
        async with Engine(settings(endpoint, concurrency=4), report=seen.append) as llm:
            outcomes = [outcome async for outcome in llm.run(requests(12))]
        assert len(outcomes) == 12
        assert seen[-1].total == 12
        assert seen[-1].done >= 4
        assert "12 done" in caplog.text
        assert "secret-key" not in caplog.text
