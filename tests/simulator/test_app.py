"""The HTTP interface, through the official SDK and by hand."""

import json
import math
import time
from collections.abc import AsyncIterator

import httpx2
import openai
import pytest
import pytest_asyncio

from simulator.app import MODEL, create_app, embed
from simulator.errors import NONE
from tests.support.simulated import items_schema, request

ROW = {"premise": "It rained in Leeds.", "hypothesis": "Leeds got wet."}
BLOCK = {
    "task": {"name": "x", "title": "t", "description": "d", "fields": dict.fromkeys(ROW, "text")},
    "labels": {"entailment": "follows", "not_entailment": "does not follow"},
    "rows": [{"row": 1, **ROW}],
}
SCHEMA = items_schema({"label": {"enum": ["entailment", "not_entailment"]}}, 1)


@pytest_asyncio.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=create_app(NONE))
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as one:
        yield one


@pytest_asyncio.fixture
async def sdk() -> AsyncIterator[openai.AsyncOpenAI]:
    transport = httpx2.ASGITransport(app=create_app(NONE))
    async with httpx2.AsyncClient(transport=transport) as http:
        yield openai.AsyncOpenAI(
            base_url="http://test/v1", api_key="none", http_client=http, max_retries=0
        )


async def test_the_sdk_gets_a_completion_with_usage_and_a_simulated_fingerprint(
    sdk: openai.AsyncOpenAI,
) -> None:
    answer = await sdk.chat.completions.create(**request(BLOCK, SCHEMA, seed=3))
    choice = answer.choices[0]
    assert json.loads(choice.message.content or "")["items"][0]["label"] in BLOCK["labels"]
    assert choice.finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.usage.prompt_tokens > 50
    assert "simulated" in (answer.system_fingerprint or "")


async def test_equal_requests_get_equal_bytes(client: httpx2.AsyncClient) -> None:
    bodies = [(await client.post("/v1/chat/completions", json=request(BLOCK, SCHEMA))).content]
    other = httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=create_app(NONE)), base_url="http://elsewhere"
    )
    async with other:
        bodies.append(
            (await other.post("/v1/chat/completions", json=request(BLOCK, SCHEMA))).content
        )
    assert bodies[0] == bodies[1]


async def test_a_bound_on_tokens_cuts_the_answer(client: httpx2.AsyncClient) -> None:
    body = {**request(BLOCK, SCHEMA), "max_completion_tokens": 2}
    choice = (await client.post("/v1/chat/completions", json=body)).json()["choices"][0]
    assert choice["finish_reason"] == "length"
    assert len(choice["message"]["content"]) == 8


async def test_n_gives_as_many_choices_each_with_its_own_seed(client: httpx2.AsyncClient) -> None:
    body = {**request(BLOCK, SCHEMA, seed=5), "n": 3}
    choices = (await client.post("/v1/chat/completions", json=body)).json()["choices"]
    assert [choice["index"] for choice in choices] == [0, 1, 2]


async def test_the_models_are_listed(sdk: openai.AsyncOpenAI) -> None:
    assert [model.id async for model in await sdk.models.list()] == [MODEL]
    assert (await sdk.models.retrieve(MODEL)).id == MODEL


async def test_an_unknown_model_is_a_404_that_names_it(sdk: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await sdk.chat.completions.create(**{**request(BLOCK, SCHEMA), "model": "gpt-9"})
    assert caught.value.code == "model_not_found"
    assert "gpt-9" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"content": "no role"}]}, "messages"),
        ({"stream": True}, "stream"),
        ({"seed": "one"}, "seed"),
        ({"n": 0.5}, "n"),
        ({"model": None}, "model"),
    ],
)
async def test_bad_requests_say_which_parameter_is_wrong(
    client: httpx2.AsyncClient, change: dict[str, object], param: str
) -> None:
    answer = await client.post("/v1/chat/completions", json={**request(BLOCK, SCHEMA), **change})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["param"], error["type"]) == (param, "invalid_request_error")


async def test_invalid_json_and_unknown_routes_get_an_error(
    client: httpx2.AsyncClient,
) -> None:
    broken = await client.post("/v1/chat/completions", content=b"{nonsense")
    assert (broken.status_code, "JSON" in broken.json()["error"]["message"]) == (400, True)
    nowhere = await client.get("/v1/nowhere")
    assert (nowhere.status_code, "error" in nowhere.json()) == (404, True)


def test_a_long_word_is_embedded_in_linear_time() -> None:
    started = time.perf_counter()
    embed("a" * 400_000)
    assert time.perf_counter() - started < 5


async def test_embeddings_are_unit_vectors_close_for_similar_texts(sdk: openai.AsyncOpenAI) -> None:
    texts = ["the ferry left Leeds", "the ferries left Leeds", "prices of wool went up"]
    answer = await sdk.embeddings.create(model=MODEL, input=texts)
    a, b, c = (one.embedding for one in answer.data)
    assert len(a) == 256
    assert math.isclose(math.fsum(x * x for x in a), 1, rel_tol=1e-5)
    likeness = [sum(x * y for x, y in zip(a, other, strict=True)) for other in (b, c)]
    assert likeness[0] > 0.5 > likeness[1]
    assert a == pytest.approx(embed(texts[0]), abs=1e-6)


async def test_a_batch_completes(sdk: openai.AsyncOpenAI) -> None:
    lines = [
        {
            "custom_id": f"row-{n}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {**request(BLOCK, SCHEMA, seed=n), **({"model": "gpt-9"} if n == 2 else {})},
        }
        for n in range(3)
    ]
    content = "\n".join(map(json.dumps, lines)).encode()
    upload = await sdk.files.create(file=("in.jsonl", content), purpose="batch")
    assert (await sdk.files.content(upload.id)).content == content
    batch = await sdk.batches.create(
        input_file_id=upload.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    batch = await sdk.batches.retrieve(batch.id)
    assert batch.status == "completed"
    assert batch.request_counts is not None
    assert (batch.request_counts.completed, batch.request_counts.failed) == (2, 1)
    assert batch.output_file_id is not None
    assert batch.error_file_id is not None
    good = (await sdk.files.content(batch.output_file_id)).text.splitlines()
    direct = await sdk.chat.completions.create(**request(BLOCK, SCHEMA, seed=1))
    second = json.loads(good[1])
    assert second["custom_id"] == "row-1"
    assert second["response"]["body"]["choices"][0]["message"]["content"] == (
        direct.choices[0].message.content
    )
    (bad,) = (await sdk.files.content(batch.error_file_id)).text.splitlines()
    assert json.loads(bad)["response"]["status_code"] == 404
    assert [one.id async for one in await sdk.batches.list()] == [batch.id]
    with pytest.raises(openai.ConflictError):
        await sdk.batches.cancel(batch.id)


async def test_a_slow_batch_can_be_cancelled_and_a_broken_one_fails() -> None:
    transport = httpx2.ASGITransport(app=create_app(NONE, batch_seconds=3600))
    async with httpx2.AsyncClient(transport=transport) as http:
        slow = openai.AsyncOpenAI(base_url="http://test/v1", api_key="none", http_client=http)
        upload = await slow.files.create(file=("in.jsonl", b"{}\n"), purpose="batch")
        batch = await slow.batches.create(
            input_file_id=upload.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        assert batch.status == "in_progress"
        assert (await slow.batches.cancel(batch.id)).status == "cancelled"
        assert (await slow.batches.retrieve(batch.id)).output_file_id is None


async def test_an_invalid_batch_file_fails_with_line_numbers(sdk: openai.AsyncOpenAI) -> None:
    upload = await sdk.files.create(file=("in.jsonl", b'{"custom_id": "a"}\n'), purpose="batch")
    batch = await sdk.batches.create(
        input_file_id=upload.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    assert batch.status == "failed"
    assert batch.errors is not None
    assert batch.errors.data is not None
    assert batch.errors.data[0].line == 1
    with pytest.raises(openai.NotFoundError):
        await sdk.files.retrieve("file-unknown")
