import asyncio
import base64
import json
import re
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from aiohttp import web

from simulator.app import embed
from targen.errors import BudgetError, EndpointError, NoEmbeddingsError, StoreError
from targen.llm.embeddings import BYTES, TEXTS, parts, read_answer
from targen.llm.engine import EmbeddingEngine, EngineSettings
from targen.store import maintenance
from targen.store.completions import Store
from targen.store.schema import BUDGETS, EMBEDDINGS, GATES, VERSION
from tests.support.endpoint import Endpoint, ask, failure, requests


def vector(text: str) -> list[float]:
    """A vector that tells the text: its length and its first letter."""
    return [float(len(text)), float(ord(text[0])), 0.5]


def answered(body: dict[str, Any], **more: Any) -> web.Response:
    """Vectors in reverse order, 10 tokens a text."""
    data = [
        {"object": "embedding", "index": at, "embedding": vector(text)}
        for at, text in enumerate(body["input"])
    ]
    usage = {"prompt_tokens": 10 * len(data), "total_tokens": 10 * len(data)}
    return web.json_response({"data": data[::-1], "model": "e", "usage": usage} | more)


async def embedded(settings: EngineSettings, texts: list[str]) -> tuple[Any, EmbeddingEngine]:
    engine = EmbeddingEngine(settings)
    async with engine as llm:
        return await llm.embed(texts), engine


@pytest.fixture
def known(settings: Any) -> Any:
    def make(endpoint: Endpoint | str, **more: Any) -> EngineSettings:
        return settings(endpoint, **{"embedding_model": "e"} | more)

    return make


async def test_every_text_gets_its_own_vector_once_and_for_all(known: Any) -> None:
    texts = ["bb", "a", "bb", "", " \n", "ccc\udc80", "é" * 9]
    async with Endpoint(lambda body, _: answered(body)) as endpoint:
        rows, engine = await embedded(known(endpoint), texts)
        assert [body["input"] for body in endpoint.bodies] == [["bb", "a", "ccc?", "é" * 9]]
        expected = [vector("bb"), vector("a"), vector("bb"), [0, 0, 0], [0, 0, 0]]
        assert rows.tolist() == [*expected, vector("ccc?"), vector("é" * 9)]
        assert engine.stats.calls == 1
        assert engine.stats.prompt_tokens == 40
        again, engine = await embedded(known(endpoint), texts[::-1])
        assert again.tolist() == rows.tolist()[::-1]
        assert len(endpoint.bodies) == 1
        assert (engine.stats.calls, engine.stats.from_store) == (0, 4)
        await embedded(known(endpoint, embedding_model="other"), ["a"])
        assert len(endpoint.bodies) == 2
        store = Store(known(endpoint).store_url)
        with store.read() as connection:
            found = connection.execute(sa.select(GATES.c.endpoint)).scalars().all()
        store.close()
        assert {"window test e", "window test other"} <= set(found)


async def test_what_was_paid_is_stored_by_text(known: Any, monkeypatch: Any, tmp_path: Any) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text("models:\n- {model: e, prompt: 1000, completion: 0}\n")
    monkeypatch.setenv("TARGEN_PRICES", str(prices))
    async with Endpoint(lambda body, _: answered(body)) as endpoint:
        settings = known(endpoint, budget_usd=1.0)
        _, engine = await embedded(settings, ["a", "bbb"])
        assert engine.stats.cost_usd == pytest.approx(0.02)
        store = Store(settings.store_url)
        with store.read() as connection:
            of = EMBEDDINGS.c
            found = connection.execute(sa.select(of.prompt_tokens, of.cost_usd, of.model))
            assert sorted(map(tuple, found)) == [(5, pytest.approx(0.005), "e"),
                                                 (15, pytest.approx(0.015), "e")]  # fmt: skip
            spent = dict(connection.execute(sa.select(BUDGETS.c.scope, BUDGETS.c.spent_usd)).all())
        assert spent == {"*": pytest.approx(0.02), "task:t": pytest.approx(0.02)}
        # 100 bytes may be 100 tokens and more: 0.1 dollars, of which 0.03 are left.
        with pytest.raises(BudgetError, match=r"ceiling \$0.0500, spent \$0.0200"):
            await embedded(known(endpoint, budget_usd=0.05), ["c" * 100])
        assert len(endpoint.bodies) == 1
        await embedded(known(endpoint, budget_usd=0.2), ["c" * 100])
        with pytest.raises(BudgetError, match="the price of dear at test is not known"):
            await embedded(known(endpoint, budget_usd=9.0, embedding_model="dear"), ["a"])
        # Nothing stays reserved.
        await embedded(known(endpoint, budget_usd=0.2), ["d" * 100])


async def test_no_route_is_an_error_of_its_own(known: Any) -> None:
    for code in (403, 404, 405, 501):
        async with Endpoint(lambda _, __, code=code: failure(code, "no such route")) as endpoint:
            with pytest.raises(NoEmbeddingsError, match=f"gives no embeddings: it answers {code}"):
                await embedded(known(endpoint), ["a"])
            assert len(endpoint.bodies) == 1


async def test_what_passes_is_tried_again(known: Any) -> None:
    def shaky(body: dict[str, Any], endpoint: Endpoint) -> web.StreamResponse:
        turn = len(endpoint.bodies)
        if turn == 1:
            return failure(500, "a moment")
        if turn == 2:
            return failure(429, "slowly", headers={"retry-after-ms": "10"})
        if turn == 3:
            raise ConnectionResetError
        if turn == 4:
            return web.Response(text="<html>")
        return answered(body)

    async with Endpoint(shaky) as endpoint:
        rows, engine = await embedded(known(endpoint), ["a"])
    assert rows.tolist() == [vector("a")]
    assert (engine.stats.calls, engine.stats.throttled, engine.stats.retried) == (1, 1, 3)


async def test_nobody_there_is_one_clear_error(known: Any) -> None:
    with pytest.raises(EndpointError, match="cannot be embedded by e: cannot reach http"):
        await embedded(known("http://127.0.0.1:9/v1"), ["a"])


@pytest.mark.parametrize(("code", "advice"), [(401, "the API key"), (400, "EMBEDDING_MODEL")])
async def test_a_refusal_is_said_at_once(known: Any, code: int, advice: str) -> None:
    async with Endpoint(lambda _, __: failure(code, "not you")) as endpoint:
        with pytest.raises(EndpointError, match=rf"\({code}\): not you. Please check .*{advice}"):
            await embedded(known(endpoint), ["a", "b"])
        assert len(endpoint.bodies) == 1


async def test_an_endpoint_that_knows_no_base64_is_asked_for_numbers(known: Any) -> None:
    def plain(body: dict[str, Any], _: Endpoint) -> web.Response:
        if "encoding_format" in body:
            return failure(422, "extra inputs are not permitted: encoding_format")
        return answered(body)

    async with Endpoint(plain) as endpoint:
        rows, _ = await embedded(known(endpoint), [f"{n}" for n in range(3)])
    assert rows.shape == (3, 3)


async def test_too_much_at_once_goes_in_halves_and_too_long_a_text_is_cut(known: Any) -> None:
    def small(body: dict[str, Any], _: Endpoint) -> web.Response:
        if len(body["input"]) > 2:
            return failure(400, "batch size 5 > maximum allowed batch size 2")
        if max(map(len, body["input"])) > 500:
            return failure(400, "This model's maximum context length is 100 tokens")
        return answered(body)

    texts = ["a", "b" * 1600, "c", "d", "e" * 10]
    async with Endpoint(small) as endpoint:
        rows, engine = await embedded(known(endpoint), texts)
        assert rows[:, 0].tolist() == [1, 400, 1, 1, 10]
        assert rows[:, 1].tolist() == [ord(text[0]) for text in texts]
        calls = len(endpoint.bodies)
        again, _ = await embedded(known(endpoint), texts)
        assert len(endpoint.bodies) == calls
    assert (again == rows).all()
    # Four answers; what was refused cost nothing.
    assert engine.stats.calls == 4


async def test_the_half_that_was_paid_is_stored_where_the_other_is_refused(known: Any) -> None:
    def answer(body: dict[str, Any], endpoint: Endpoint) -> web.Response:
        if len(body["input"]) > 1:
            return failure(413, "too large")
        return failure(400, "flagged") if body["input"] == ["b"] else answered(body)

    async with Endpoint(answer) as endpoint:
        with pytest.raises(EndpointError, match="flagged"):
            await embedded(known(endpoint), ["a", "b"])
        calls = len(endpoint.bodies)
        rows, _ = await embedded(known(endpoint), ["a"])
        assert rows.tolist() == [vector("a")]
        assert len(endpoint.bodies) == calls


async def test_a_request_that_is_cancelled_before_it_leaves_keeps_no_money(
    known: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text("models:\n- {model: e, prompt: 1000, completion: 0}\n")
    monkeypatch.setenv("TARGEN_PRICES", str(prices))
    async with Endpoint(lambda body, _: failure(404), delay=0.3) as endpoint:
        settings = known(endpoint, budget_usd=1000.0, concurrency=1)
        async with EmbeddingEngine(settings) as llm:
            with pytest.raises(NoEmbeddingsError):
                await llm.embed([f"text {n}" for n in range(3 * TEXTS)])
            assert llm._budget is not None
            state = await llm._writer.call(llm._budget.state)
            assert state["*"] == (0.0, pytest.approx(0.0))
            asked = asyncio.create_task(llm.embed(["a"]))
            reserve = llm._budget.reserve

            def reserved_and_cancelled(*given: Any) -> int:
                llm._loop.call_soon_threadsafe(asked.cancel)
                return reserve(*given)

            monkeypatch.setattr(llm._budget, "reserve", reserved_and_cancelled)
            with pytest.raises(asyncio.CancelledError):
                await asked
            state = await llm._writer.call(llm._budget.state)
            assert state["*"] == (0.0, pytest.approx(0.0))


async def test_vectors_of_two_lengths_under_one_name_are_refused(known: Any) -> None:
    async with Endpoint(lambda body, _: answered(body)) as endpoint:
        await embedded(known(endpoint), ["a"])
        endpoint.answer = lambda *_: web.json_response({"data": [{"embedding": [1.0]}]})
        with pytest.raises(EndpointError, match="vectors of 1 and of 3 dimensions under one name"):
            await embedded(known(endpoint), ["a", "b"])


async def test_many_texts_at_once_beside_chat(known: Any) -> None:
    texts = [f"text {n}" for n in range(1000)]
    async with Endpoint(delay=0.01) as endpoint:
        endpoint.answer = lambda body, e: (
            answered(body) if "input" in body else Endpoint().answer(body, e)
        )
        async with EmbeddingEngine(known(endpoint)) as engine:

            async def chat() -> int:
                return len([outcome async for outcome in engine.run(requests(40))])

            rows, count = await asyncio.gather(engine.embed(texts), chat())
        assert count == 40
        assert rows[:, 0].tolist() == [len(text) for text in texts]
        assert engine.stats.calls == 40 + -(-1000 // TEXTS)


async def test_the_embedded_model_by_default_and_for_any_chat_model(settings: Any) -> None:
    async with Endpoint() as endpoint:
        for model in (None, "m"):
            rows, engine = await embedded(settings(endpoint, model=model), ["a cat", "two cats"])
            np.testing.assert_allclose(rows, [embed("a cat"), embed("two cats")], atol=1e-6)
            assert engine.embeddings.model == "targen-embedded"
            assert engine.embeddings.simulated
        assert endpoint.bodies == []
        assert engine.stats.calls == 0
        assert engine.stats.from_store == 2


async def test_without_the_package_it_says_what_to_install(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    name = "sentence-transformers:all-mpnet-base-v2"
    with pytest.raises(EndpointError, match=r"pip install sentence-transformers"):
        await embedded(settings("http://127.0.0.1:9", embedding_model=name), ["a"])


async def test_a_local_model_is_stored_like_any_other(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class SentenceTransformer:
        seen: list[str] = []  # noqa: RUF012

        def __init__(self, name: str) -> None:
            if name == "absent":
                raise OSError("absent is no model")

        def encode(self, texts: list[str], **_: Any) -> Any:
            self.seen.extend(texts)
            return np.array([vector(text) for text in texts])

    package = type(sys)("sentence_transformers")
    package.SentenceTransformer = SentenceTransformer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sentence_transformers", package)
    for _ in range(2):
        name = "sentence-transformers:small"
        rows, engine = await embedded(settings("x", model=None, embedding_model=name), ["a", "bb"])
        assert rows.tolist() == [vector("a"), vector("bb")]
    assert SentenceTransformer.seen == ["a", "bb"]
    assert (engine.embeddings.model, engine.embeddings.simulated) == ("small", False)
    bad = settings("x", model=None, embedding_model="sentence-transformers:absent")
    with pytest.raises(EndpointError, match="'absent' cannot be loaded: absent is no model"):
        await embedded(bad, ["c"])


def test_requests_are_bounded_in_texts_and_bytes() -> None:
    texts = {str(n): "x" for n in range(2 * TEXTS + 1)} | {"long": "é" * BYTES, "last": "y"}
    made = parts(texts)
    assert [len(part) for part in made] == [TEXTS, TEXTS, 1, 1, 1]
    assert {key: text for part in made for key, text in part.items()} == texts


def test_base64_is_read_in_the_order_of_the_index() -> None:
    packed = [base64.b64encode(struct.pack("<2f", n, 0.25)).decode() for n in (1, 2)]
    data = [{"index": 1, "embedding": packed[1]}, {"index": 0, "embedding": packed[0]}]
    read = read_answer(json.dumps({"data": data}).encode(), 2)
    assert read.rows.tolist() == [[1, 0.25], [2, 0.25]]


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"no", "Expecting value"),
        (b"[1]", "fields"),
        (b'{"data": 3}', "fields"),
        (b'{"data": []}', "contains 0 vectors for 2 texts"),
        (b'{"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [1]}]}', "indexes"),
        (b'{"data": [{"embedding": [1]}, {"embedding": [1, 2]}]}', "differ in length"),
        (b'{"data": [{"embedding": []}, {"embedding": []}]}', "differ in length"),
        (b'{"data": [{"embedding": [NaN]}, {"embedding": [1]}]}', "not finite"),
        (b'{"data": [{"embedding": "!"}, {"embedding": "!"}]}', "fields"),
        (b'{"data": [{"embedding": "AAA="}, {"embedding": "AAA="}]}', "multiple"),
        (b'{"data": [{"embedding": ["x"]}, {"embedding": [1]}]}', "could not convert"),
        (b'{"data": [{"embedding": [1%s]}, {"embedding": [1]}]}' % (b"0" * 400), "fields"),
        (
            b'{"data": [{"index": "a", "embedding": [1]}, {"index": 0, "embedding": [1]}]}',
            "indexes",
        ),
    ],
)
def test_what_is_no_embedding_is_not_taken_for_one(reply: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_answer(reply, 2)


@pytest.mark.parametrize("tokens", ["1" + "0" * 400, "1" + "0" * 30, "true", "-1", "1e999"])
async def test_a_count_that_cannot_be_one_costs_nothing(known: Any, tokens: str) -> None:
    usage = f'{{"prompt_tokens": {tokens}}}'
    content = f'{{"data": [{{"embedding": [1, 2]}}], "usage": {usage}}}'

    def answer(body: Any, endpoint: Endpoint) -> web.Response:
        return web.Response(text=content, content_type="application/json")

    async with Endpoint(answer) as endpoint:
        assert (await embedded(known(endpoint), ["a"]))[0].tolist() == [[1, 2]]
        assert len(endpoint.bodies) == 1


async def test_a_damaged_vector_is_said(known: Any) -> None:
    async with Endpoint(lambda body, _: answered(body)) as endpoint:
        settings = known(endpoint)
        await embedded(settings, ["a"])
        store = Store(settings.store_url)
        with store.write() as connection:
            connection.execute(sa.update(EMBEDDINGS).values(dimensions=7))
        with pytest.raises(StoreError, match="embedding .* is damaged.*store drop") as caught:
            await embedded(settings, ["a"])
        name = re.findall("[0-9a-f]{64}", str(caught.value))[0]
        assert maintenance.drop(store, name) == 1
        await embedded(settings, ["a"])
        assert len(endpoint.bodies) == 2


async def test_a_store_of_the_first_version_is_brought_to_this_one(
    settings: Any, tmp_path: Path
) -> None:
    async with Endpoint() as endpoint:
        made = settings(endpoint)
        await ask(made, requests(3))
        store = Store(made.store_url)
        with store.write() as connection:
            connection.exec_driver_sql("DROP TABLE embeddings")
            connection.exec_driver_sql("DROP TABLE table_digests")
            connection.exec_driver_sql("DROP TABLE holds")
            connection.exec_driver_sql("ALTER TABLE completions DROP COLUMN checksum")
            connection.exec_driver_sql("ALTER TABLE completions DROP COLUMN cached_tokens")
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
        rows, _ = await embedded(made, ["a cat"])
        assert rows.shape == (1, 256)
        await ask(made, requests(3))
        assert len(endpoint.bodies) == 3
        with Store(made.store_url).read() as connection:
            version = connection.exec_driver_sql("SELECT version_num FROM alembic_version")
            assert version.scalar() == VERSION


async def test_a_backup_holds_the_vectors_and_the_figures_count_them(
    settings: Any, tmp_path: Path
) -> None:
    made = settings("x", model=None)
    rows, _ = await embedded(made, ["a cat", "two cats"])
    store = Store(made.store_url)
    figures = maintenance.stats(store)["embeddings"]
    assert figures == {"texts": 2, "prompt_tokens": 4, "cost_usd": 0.0, "simulated": True}
    for key in ("task", "day"):
        row = maintenance.costs(store, key).to_dicts()[-1]
        assert row == {key: "(embeddings)", "calls": None, "prompt_tokens": 4,
                       "completion_tokens": 0, "cached_tokens": 0, "cost_usd": 0.0,
                       "simulated": True}  # fmt: skip
    with (tmp_path / "backup.gz").open("wb") as file:
        maintenance.export(store, file)
    url = f"sqlite:///{tmp_path}/other.db"
    maintenance.load(Store(url), tmp_path / "backup.gz")
    again, engine = await embedded(settings("x", model=None, store_url=url), ["two cats", "a cat"])
    assert (again == rows[::-1]).all()
    assert engine.stats.calls == 0
