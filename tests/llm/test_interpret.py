"""What an answer is worth, and what is asked next."""

import json
from typing import Any

import pytest
from aiohttp import web

from targen.llm.interpret import ASK_AGAIN, Reading, follow_up, interpret
from targen.llm.prices import Price, bound
from targen.llm.reply import Answer
from targen.llm.structured import Parsed
from targen.llm.types import Request, Sampling
from tests.support.endpoint import GOOD, Endpoint, ask, completion, failure, request

HALF = GOOD[:-2] + ', {"te'


@pytest.mark.parametrize(
    ("answer", "status", "usable"),
    [
        (Answer(GOOD, "stop"), "ok", True),
        (Answer(GOOD, "length"), "ok", True),
        (Answer(GOOD, "language"), "ok", True),
        (Answer(HALF, "length"), "truncated", True),
        (Answer(HALF, "stop"), "malformed", True),
        (Answer('{"items": [{"te', "length"), "truncated", False),
        (Answer(f"<think>{GOOD}", "length"), "truncated", False),
        (Answer("Sorry?", "stop"), "malformed", False),
        (Answer("", "stop"), "malformed", False),
        (Answer("", "content_filter"), "filtered", False),
        (Answer(GOOD, "content_filter"), "filtered", True),
        (Answer("", "stop", refusal="I cannot."), "refused", False),
    ],
)
def test_every_answer_has_its_status(answer: Answer, status: str, usable: bool) -> None:
    reading = interpret(answer, request(1))
    assert reading.status == status
    assert (reading.error is None) == (status == "ok")
    assert (reading.parsed.value is not None) == usable


def reading(status: Any, value: Any = None) -> Reading:
    return Reading(status, "it is wrong", Parsed(value, "it is wrong"))


@pytest.mark.parametrize("status", ["ok", "refused", "filtered", "failed"])
def test_only_what_is_broken_is_asked_again(status: str) -> None:
    assert follow_up(request(1), reading(status), "x", 0) is None


@pytest.mark.parametrize("status", ["malformed", "truncated"])
def test_what_can_be_used_in_part_is_not_asked_again(status: str) -> None:
    assert follow_up(request(1), reading(status, {"items": [1]}), "x", 0) is None
    assert follow_up(request(1), reading(status), "x", ASK_AGAIN) is None


def test_a_malformed_answer_is_shown_with_its_error() -> None:
    first = request(1)
    again = follow_up(first, reading("malformed"), "Sorry?", 0)
    assert again is not None
    assert again.messages[: len(first.messages)] == first.messages
    answer, question = again.messages[len(first.messages) :]
    assert answer == {"role": "assistant", "content": "Sorry?"}
    assert question["content"].startswith("That answer cannot be used: it is wrong.")
    assert again.sampling == first.sampling
    silent = follow_up(first, reading("malformed"), " ", 1)
    assert silent is not None and len(silent.messages) == len(first.messages) + 1


def test_a_cut_off_answer_is_asked_for_once_briefer_with_twice_the_bound() -> None:
    first = request(1, sampling=Sampling(temperature=0.5, max_output_tokens=100))
    again = follow_up(first, reading("truncated"), "a long broken text", 0)
    assert again is not None
    assert again.sampling == Sampling(temperature=0.5, max_output_tokens=200)
    assert again.messages[:-1] == first.messages
    assert again.messages[-1]["role"] == "user"
    assert "brief" in again.messages[-1]["content"]
    assert "broken text" not in str(again.messages)
    assert (again.schema, again.sample) == (first.schema, first.sample)
    assert follow_up(again, reading("truncated"), "still too long", 1) is None
    assert follow_up(again, reading("malformed"), "Sorry?", 1) is not None


def test_the_two_ways_to_ask_again_share_one_bound() -> None:
    asked: Request | None = request(1)
    for asks, status in enumerate(("malformed", "truncated", "malformed")):
        assert asked is not None
        asked = follow_up(asked, reading(status), "x", asks)
    assert asked is None


async def test_the_engine_asks_once_with_a_wider_bound(settings: Any) -> None:
    def answer(body: dict[str, Any], endpoint: Endpoint) -> Any:
        return completion(GOOD) if body["max_tokens"] > 64 else completion("{", finish="MAX_TOKENS")

    async with Endpoint(answer) as endpoint:
        outcomes, _ = await ask(settings(endpoint), [request(1)])
        assert [body["max_tokens"] for body in endpoint.bodies] == [64, 128]
        assert outcomes[0].status == "ok"
        assert outcomes[0].completion_tokens == 10
        again, _ = await ask(settings(endpoint), [request(1)])
        assert len(endpoint.bodies) == 2
    assert (again[0].value, again[0].from_store) == (outcomes[0].value, True)


async def test_an_answer_that_is_cut_off_twice_is_truncated(settings: Any) -> None:
    async with Endpoint(lambda body, endpoint: completion("{", finish="max_tokens")) as endpoint:
        outcomes, _ = await ask(settings(endpoint), [request(1)])
        assert len(endpoint.bodies) == 2
    assert (outcomes[0].status, outcomes[0].value) == ("truncated", None)


async def test_a_bound_that_the_endpoint_refuses_leaves_the_first_outcome(settings: Any) -> None:
    def answer(body: dict[str, Any], endpoint: Endpoint) -> Any:
        small = body["max_tokens"] <= 64
        return completion("{", finish="length") if small else failure(400, "too many tokens")

    async with Endpoint(answer) as endpoint:
        outcomes, _ = await ask(settings(endpoint), [request(1)])
    assert outcomes[0].status == "truncated"
    assert outcomes[0].completion_tokens == 5


@pytest.mark.parametrize("bad", ["\ud83d", "\0"])
async def test_an_answer_that_is_no_text_is_stored_and_read_again(settings: Any, bad: str) -> None:
    written = json.dumps({"items": [{"text": f"a{bad}b"}]})

    async with Endpoint(lambda body, endpoint: completion(written)) as endpoint:
        first, _ = await ask(settings(endpoint), [request(1)])
        again, _ = await ask(settings(endpoint), [request(1)])
        assert len(endpoint.bodies) == 1
    assert first[0].status == again[0].status == "ok"
    assert first[0].value == again[0].value
    json.dumps(first[0].value, ensure_ascii=False).encode()
    assert "\0" not in str(first[0].value)


async def test_a_stream_that_was_not_asked_for_is_read(settings: Any) -> None:
    async def answer(body: dict[str, Any], endpoint: Endpoint) -> Any:
        halves = [{"content": GOOD[:9]}, {"content": GOOD[9:]}]
        chunks = [{"choices": [{"index": 0, "delta": half}]} for half in halves]
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        text = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
        return web.Response(text=text, content_type="text/event-stream")

    async with Endpoint(answer) as endpoint:
        outcomes, _ = await ask(settings(endpoint), [request(1)])
        assert len(endpoint.bodies) == 1
    assert (outcomes[0].status, outcomes[0].value) == ("ok", json.loads(GOOD))


async def test_nothing_is_charged_for_an_error_inside_a_200(settings: Any) -> None:
    seen = 0

    def answer(body: dict[str, Any], endpoint: Endpoint) -> Any:
        nonlocal seen
        seen += 1
        inside = {"code": 429, "message": "slow down", "retry_after_ms": 10}
        return failure(200, **inside) if seen <= 3 else completion(GOOD)

    price = Price(1.0, 1.0)
    room = 1.5 * bound(request(1), price)
    async with Endpoint(answer) as endpoint:
        limited = settings(endpoint, price=price, budget_usd=room)
        outcomes, engine = await ask(limited, [request(1)])
    assert outcomes[0].status == "ok"
    assert engine.stats.throttled == 3
