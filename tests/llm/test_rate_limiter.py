"""When a call may leave, with a store of its own and a clock that the test turns."""

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from targen.errors import StoreError
from targen.llm.outage import Outage
from targen.llm.rate_limiter import UNSAVED_MOST, RateLimiter, Slot
from targen.llm.rate_model import Limit
from targen.llm.reply import Answer, Reply
from targen.llm.retry import duration
from targen.llm.tokens import TokenLimit
from targen.llm.types import Request, Sampling
from targen.store.claims import put_rows
from targen.store.completions import Store
from targen.store.ledger import Ledger
from targen.store.writer import Writer

ANSWER = Reply("answer", code=200)


@pytest.fixture
async def writer(tmp_path: Path) -> AsyncIterator[Writer]:
    store = Store(f"sqlite:///{tmp_path}/s.db")
    ledger = Ledger("me", "r", "t", "s")
    made = Writer(store, partial(put_rows, ledger, None), ledger.beat, 0.001)
    yield made
    await made.close()
    store.close()


def limiter_of(writer: Writer | None, most: int = 100, **more: Any) -> RateLimiter:
    shared = None if writer is None else (writer, "endpoint", "me")
    return RateLimiter(most, shared, Outage("endpoint", 300), **more)


async def send(limiter: RateLimiter, seconds: float, headers: dict[str, str] | None = None) -> int:
    """Send whenever the limiter lets, each call answered at once; return how many left."""
    count, end = 0, time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        try:
            slot = await asyncio.wait_for(limiter.acquire("key"), left)
        except TimeoutError:
            break
        limiter.replied(slot, time.monotonic(), ANSWER, headers or {})
        count += 1
    await limiter.close()
    return count


async def left(limiter: RateLimiter) -> Slot | None:
    """Return a slot if a call may leave at once."""
    try:
        return await asyncio.wait_for(limiter.acquire("key"), 0.05)
    except TimeoutError:
        return None


async def test_no_more_are_in_flight_than_asked_for() -> None:
    limiter = limiter_of(None, 3)
    slots = [await left(limiter) for _ in range(3)]
    assert await left(limiter) is None
    assert slots[0] and slots[1]
    limiter.replied(slots[0], 0.0, ANSWER, {})
    assert await left(limiter)
    limiter.lost(slots[1])
    assert limiter.in_flight == 2


async def test_a_call_that_is_tried_again_goes_first() -> None:
    limiter = limiter_of(None, 1)
    slot = await limiter.acquire("now")
    new = asyncio.create_task(limiter.acquire("new"))
    await asyncio.sleep(0)
    again = asyncio.create_task(limiter.acquire("again", first=True))
    await asyncio.sleep(0)
    limiter.replied(slot, 0.0, ANSWER, {})
    await asyncio.sleep(0)
    assert again.done() and not new.done()
    again.cancel()
    limiter.lost(again.result())
    assert (await new).key == "new"


async def test_nothing_is_sent_while_many_answers_are_unsaved() -> None:
    limiter = limiter_of(None, 100)
    answer = Reply("answer", answer=Answer("x", "stop"))
    for _ in range(UNSAVED_MOST):
        slot = await limiter.acquire("key")
        limiter.replied(slot, 0.0, answer, {})
    assert await left(limiter) is None
    limiter.stored()
    assert await left(limiter)


async def test_the_user_s_own_limit_holds(writer: Writer) -> None:
    limiter = limiter_of(writer, per_minute=1200)
    # Twenty a second; a tenth of a second's calls may leave at once.
    assert 10 <= await send(limiter, 1.0) <= 24


@pytest.mark.parametrize("error", [StoreError("the disk is full"), TypeError("another release")])
async def test_a_failure_of_the_store_reaches_those_who_wait(
    writer: Writer, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Or they would wait for ever: nothing else need be on its way to the store."""

    def load(text: str | None) -> Any:
        raise error

    monkeypatch.setattr(Limit, "load", load)
    limiter = limiter_of(writer)
    with pytest.raises(type(error), match=str(error)):
        await asyncio.wait_for(limiter.acquire("key"), 5)
    tokens = TokenLimit(60_000, writer, "endpoint")
    monkeypatch.undo()
    monkeypatch.setattr(tokens, "_taken", lambda missing, wanted: load)
    limiter = limiter_of(writer, tokens=tokens)
    with pytest.raises(type(error), match=str(error)):
        await asyncio.wait_for(limiter.acquire("key", asking(300, 10)), 5)
    await limiter.close()


async def test_tokens_that_are_given_back_do_not_keep_the_next_from_leaving(
    writer: Writer,
) -> None:
    limiter = limiter_of(writer, 8, tokens=TokenLimit(60_000, writer, "endpoint"))
    slot = await limiter.acquire("first", asking(300, 2000))
    await asyncio.sleep(0.06)
    # Far fewer than estimated: what is left goes back to the others, while the next one waits.
    used = Answer("x", "stop", prompt_tokens=100, completion_tokens=5)
    limiter.replied(slot, time.monotonic(), Reply("answer", answer=used), {})
    await asyncio.wait_for(limiter.acquire("next", asking(15_000, 10)), 10)
    await limiter.close()


def asking(characters: int, output: int) -> Request:
    message = {"role": "user", "content": "x" * characters}
    return Request((message,), {}, sampling=Sampling(max_output_tokens=output))


async def test_an_overloaded_endpoint_gets_fewer_at_a_time(writer: Writer) -> None:
    limiter = limiter_of(writer, 4)
    slots = [await limiter.acquire(str(n)) for n in range(4)]
    for slot in slots:
        # All of one round trip are one cut.
        limiter.replied(slot, time.monotonic(), Reply("transient", code=503), {})
    assert limiter.window == 2
    slot = await limiter.acquire("key")
    limiter.replied(slot, time.monotonic(), ANSWER, {})
    assert limiter.window == 4
    await limiter.close()


async def test_calls_that_lie_unread_make_the_window_smaller(writer: Writer) -> None:
    limiter = limiter_of(writer)
    before = limiter._own
    limiter._replies = 20
    limiter.lagged(0.02, 0.02)
    assert limiter._own < before
    for _ in range(100):
        limiter.lagged(0.0, 0.02)
    assert limiter._own == 100


async def test_what_the_headers_leave_is_not_exceeded(writer: Writer) -> None:
    limiter = limiter_of(writer)
    headers = {
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-reset-requests": "1s",
    }
    slot = await limiter.acquire("key")
    limiter.replied(slot, time.monotonic(), ANSWER, headers)
    # One call's worth comes back in a tenth of a second.
    assert 2 <= await send(limiter, 0.5, headers) <= 6


@pytest.mark.parametrize("reset", ["nan", "inf", "-1", "9" * 8000, "\u00b2s"])
@pytest.mark.parametrize("limit", ["\u00b2", "9" * 5000, "nan", "-1", "0"])
async def test_headers_that_are_no_numbers_stop_nothing(reset: str, limit: str) -> None:
    limiter = limiter_of(None)
    for left_ in ("nan", "inf", "0"):
        limiter._read(
            100.0,
            {
                "x-ratelimit-remaining-requests": left_,
                "x-ratelimit-limit-requests": limit,
                "x-ratelimit-reset-requests": reset,
            },
        )
    assert limiter._exhausted(100.0)
    assert not limiter._exhausted(161.0)


async def test_refusals_at_any_rate_are_reported_once(
    writer: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    limiter = limiter_of(writer)
    for _ in range(2):
        grant: Any = type("Grant", (), {"rate": 9.0, "cuts": 3, "chance": 0.3})
        limiter._granted([], grant, 1)
    found = [record.message for record in caplog.records if "30%" in record.message]
    assert len(found) == 1
    assert limiter.limit is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1.5", 1.5), ("20ms", 0.02), ("6m0s", 360.0), ("1h2m3.5s", 3723.5), ("soon", 1.0),
     ("nan", 1.0), ("-inf", 1.0), ("1" * 8000, 1.0)],
)  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == pytest.approx(seconds)
