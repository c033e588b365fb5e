"""Endpoints that fail in every way at once: each request still gets its right outcome."""

import asyncio
import json
import random
from collections import Counter
from typing import Any

from aiohttp import web

from targen.hashing import digest
from targen.llm.engine import Engine
from targen.operators import run_step
from targen.steps import UPSTREAM
from tests.support.endpoint import GOOD, Endpoint, ask, completion, failure, number, requests
from tests.support.models import random_value
from tests.support.specs import real_task

PASSING = (500, 503, "cut", "hang", "empty", "html", 429)
"""What is over when the same request is sent again."""

LASTING = {
    "refusal": "refused",
    "filter": "filtered",
    "cut off": "truncated",
    "fenced": "ok",
    "garbage": "ok",
    "wrong types": "malformed",
    "bad request": "failed",
}
"""What an answer is, and what must become of its request; garbage is asked again."""


async def faulty(kind: int | str, good: str) -> web.StreamResponse:
    """Answer wrongly in one way."""
    if kind == "hang":
        await asyncio.sleep(3)
    if kind in ("cut", "hang"):
        raise ConnectionResetError
    if isinstance(kind, int):
        return failure(kind, headers={"Retry-After-Ms": "50"})
    return {
        "empty": lambda: web.Response(body=b""),
        "html": lambda: web.Response(text="<html>gateway</html>", content_type="text/html"),
        "refusal": lambda: completion(None, refusal="I cannot."),
        "filter": lambda: completion("", finish="content_filter"),
        "cut off": lambda: completion(good + '{"items": [{"te', finish="length"),
        "fenced": lambda: completion(f"Here:\n```json\n{good}\n```\nEnjoy!"),
        "garbage": lambda: completion("Sorry?"),
        "wrong types": lambda: completion('{"items": [{"text": "a"}, {"text": 3}]}'),
        "bad request": lambda: failure(400, "bad luck"),
    }[kind]()


async def test_every_request_has_its_right_outcome_whatever_the_endpoint_does(
    settings: Any,
) -> None:
    kinds = [*LASTING, *PASSING]
    # Three in ten are faulty, all kinds alike. 429 comes last: after it the engine goes slowly.
    faulty_ones = [n for n in range(300) if n % 10 < 3]
    fault = {n: kinds[i * len(kinds) // len(faulty_ones)] for i, n in enumerate(faulty_ones)}
    seen: Counter[int] = Counter()

    async def answer(body: dict[str, Any], endpoint: Endpoint) -> web.StreamResponse:
        n = number(body)
        seen[n] += 1
        kind = fault.get(n)
        if kind is None or (seen[n] > 1 and kind in (*PASSING, "garbage")):
            return completion(GOOD)
        if kind == "cut off":
            return completion(GOOD[:-2] + ', {"te', finish="length")
        return await faulty(kind, GOOD)

    async with Endpoint(answer) as endpoint:
        outcomes, engine = await ask(settings(endpoint, timeout_s=0.3), requests(300))
    assert len(outcomes) == 300
    assert set(fault.values()) == set(kinds)
    for outcome in outcomes:
        n = int(outcome.request.messages[0]["content"].split()[1])
        kind = fault.get(n)
        assert outcome.status == LASTING.get(kind, "ok"), kind
        saved = outcome.status in ("ok", "truncated", "malformed")
        assert (outcome.value == {"items": [{"text": "a"}]}) == saved, kind
        assert seen[n] == (2 if kind in (*PASSING, "garbage") else 1), kind
    assert engine.stats.failed == sum(kind == "bad request" for kind in fault.values())


async def test_a_task_gets_all_its_rows_from_a_faulty_endpoint(settings: Any) -> None:
    faults = random.Random(7)
    met: Counter[int | str] = Counter()

    async def answer(body: dict[str, Any], endpoint: Endpoint) -> web.StreamResponse:
        schema = body["response_format"]["json_schema"]["schema"]
        draw = random.Random(digest([body["messages"], body.get("seed")]))
        good = json.dumps(random_value(schema, draw))
        if faults.random() < 0.3:
            kind = faults.choice([*PASSING, *LASTING])
            met[kind] += 1
            return await faulty(kind, good)
        return completion(good)

    spec = real_task("rte", 10)
    tables: dict[str, Any] = {}
    async with Endpoint(answer) as endpoint:
        for step, upstream in UPSTREAM.items():
            async with Engine(settings(endpoint, timeout_s=0.3)) as llm:
                given = {name: tables[name] for name in upstream}
                tables[step] = (await run_step(step, spec, given, llm)).table
    assert tables["corrected_set"].height == 10
    assert len(met) > 6
