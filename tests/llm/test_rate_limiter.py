"""When a call may leave, with a store of its own and a clock that the test turns."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from targen.llm.rate_limiter import RateLimiter, duration
from targen.llm.reply import Reply
from targen.store.completions import Store
from targen.store.ledger import Ledger
from targen.store.writer import Writer

ANSWER = Reply("answer", code=200)


@pytest.fixture
async def writer(tmp_path: Path) -> AsyncIterator[Writer]:
    store = Store(f"sqlite:///{tmp_path}/s.db")
    ledger = Ledger("me", "r", "t", "s")
    made = Writer(store, ledger.put, ledger.beat, 0.001)
    yield made
    await made.close()
    store.close()


async def send(limiter: RateLimiter, seconds: float, headers: dict[str, str] | None = None) -> int:
    """Send whenever the limiter lets, each call answered at once; return how many left."""
    count, end = 0, time.monotonic() + seconds
    while (now := time.monotonic()) < end:
        if limiter.wait(now) <= 0:
            limiter.sent(now)
            limiter.replied(now, now, ANSWER, headers or {})
            count += 1
        else:
            await asyncio.sleep(0.002)
    return count


async def test_no_more_are_in_flight_than_asked_for() -> None:
    limiter = RateLimiter(3, None, lambda: None)
    for _ in range(3):
        assert limiter.wait(0.0) == 0
        limiter.sent(0.0)
    assert limiter.wait(0.0) == float("inf")
    limiter.replied(0.0, 0.0, ANSWER, {})
    assert limiter.wait(0.0) == 0
    limiter.sent(0.0)
    limiter.lost()
    assert limiter.in_flight == 2


async def test_the_user_s_own_limit_holds(writer: Writer) -> None:
    limiter = RateLimiter(100, (writer, "endpoint", "me"), lambda: None, per_minute=1200)
    # Twenty a second; a tenth of a second's calls may leave at once.
    assert 10 <= await send(limiter, 1.0) <= 24


async def test_an_overloaded_endpoint_gets_fewer_at_a_time(writer: Writer) -> None:
    limiter = RateLimiter(10, (writer, "endpoint", "me"), lambda: None)
    now = time.monotonic()
    for _ in range(8):
        limiter.sent(now)
    for _ in range(8):
        # All of one round trip are one cut.
        limiter.replied(now, now, Reply("transient", code=503), {})
    assert limiter._window == pytest.approx(7.0)
    limiter.sent(now + 1)
    limiter.replied(now + 1, now + 1, ANSWER, {})
    assert 7 < limiter._window < 8


async def test_calls_that_lie_unread_make_the_window_smaller(writer: Writer) -> None:
    limiter = RateLimiter(100, (writer, "endpoint", "me"), lambda: None)
    before = limiter._own
    for _ in range(20):
        limiter.sent(0.0)
    for _ in range(20):
        limiter.replied(0.0, 0.0, ANSWER, {})
    limiter.lagged(0.02, 0.02)
    assert limiter._own < before
    for _ in range(100):
        limiter.lagged(0.0, 0.02)
    assert limiter._own == 100


async def test_what_the_headers_leave_is_not_exceeded(writer: Writer) -> None:
    limiter = RateLimiter(100, (writer, "endpoint", "me"), lambda: None)
    headers = {
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-reset-requests": "1s",
    }
    limiter.sent(time.monotonic())
    limiter.replied(time.monotonic(), time.monotonic(), ANSWER, headers)
    # One call's worth comes back in a tenth of a second.
    assert 2 <= await send(limiter, 0.5, headers) <= 6


async def test_refusals_that_no_rate_avoids_are_told_once(
    writer: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    limiter = RateLimiter(100, (writer, "endpoint", "me"), lambda: None)
    for _ in range(2):
        grant: Any = type("Grant", (), {"rate": 9.0, "cuts": 3, "chance": 0.3})
        limiter._granted(([], grant, 1))
    told = [record.message for record in caplog.records if "30%" in record.message]
    assert len(told) == 1
    assert limiter.limit is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1.5", 1.5), ("20ms", 0.02), ("6m0s", 360.0), ("1h2m3.5s", 3723.5), ("soon", 1.0)],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == pytest.approx(seconds)
