import logging
from typing import Any

import pytest

from targen.llm.engine import Engine
from targen.llm.progress import Progress, watched
from tests.support.endpoint import Endpoint, requests


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


async def test_who_watches_sees_each_step_and_its_end(settings: Any) -> None:
    seen: list[Progress] = []
    async with Endpoint(delay=0.3) as endpoint:
        with watched(seen.append):
            async with Engine(settings(endpoint, concurrency=4)) as llm:
                assert len([outcome async for outcome in llm.run(requests(12))]) == 12
        count = len(seen)
        async with Engine(settings(endpoint)) as llm:
            assert len([outcome async for outcome in llm.run(requests(12))]) == 12
    assert count == len(seen) >= 3
    assert (seen[0].task, seen[0].step, seen[0].total) == ("t", "s", 12)
    assert [one.ended for one in seen].index(True) == len(seen) - 1
    assert any(one.per_s > 0 and one.left_s is not None for one in seen)
    assert seen[-1].done == 12
