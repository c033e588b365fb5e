"""The limit on tokens a minute, as the server counts them."""

import asyncio
import json
import time
from typing import Any

from aiohttp import web

from targen.llm.types import Sampling
from tests.support.endpoint import GOOD, Endpoint, ask, completion, requests

PER_MINUTE = 24_000
PER_CALL = 200


def answer(body: dict[str, Any], endpoint: Endpoint) -> web.Response:
    del body, endpoint
    made = json.loads(str(completion(GOOD).text))
    made["usage"] = {
        "prompt_tokens": 150,
        "completion_tokens": 50,
        "total_tokens": PER_CALL,
    }
    return web.json_response(made)


async def test_tokens_stay_below_the_limit_and_come_near_it(settings: Any) -> None:
    async with Endpoint(answer, delay=0.05) as endpoint:
        asked = requests(21, sampling=Sampling(max_output_tokens=900))
        started = time.monotonic()
        made = settings(endpoint, tokens_per_minute=PER_MINUTE, concurrency=4)
        await asyncio.gather(*(ask(made, asked[start::2]) for start in range(2)))
        seconds = time.monotonic() - started
    assert len(endpoint.bodies) == 21
    # The bucket holds five seconds' worth, the inflow is what is left of the minute.
    bucket = PER_MINUTE / 12
    inflow = (PER_MINUTE - bucket) / 60
    used = 21 * PER_CALL
    # What a call uses is learned slowly, and owed until its answer is there: at the end half of the
    # tokens of each engine's four calls in flight may still be.
    assert used <= bucket + inflow * seconds + 2 * 4 * PER_CALL / 2
    assert used >= 0.6 * (bucket + inflow * seconds)


async def test_a_request_larger_than_the_bucket_goes_out_all_the_same(settings: Any) -> None:
    async with Endpoint(answer) as endpoint:
        asked = requests(1, sampling=Sampling(max_output_tokens=100_000))
        outcomes, _ = await ask(settings(endpoint, tokens_per_minute=1200), asked)
        assert outcomes[0].status == "ok"
