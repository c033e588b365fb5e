import asyncio
import gc
import json
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from targen.errors import EndpointError, StoreError
from targen.llm import outage
from targen.llm.client import Client
from targen.llm.engine import Engine
from targen.llm.reply import Reply
from targen.llm.types import Outcome, Request, Sampling
from targen.store.completions import Store
from tests.support.endpoint import (
    GOOD,
    Endpoint,
    ask,
    completion,
    failure,
    number,
    request,
    requests,
)


async def test_every_request_gets_one_outcome_and_a_rerun_makes_no_call(settings: Any) -> None:
    async with Endpoint() as endpoint:
        first, engine = await ask(settings(endpoint), requests(50))
        assert sorted(number_of(outcome) for outcome in first) == list(range(50))
        assert {outcome.status for outcome in first} == {"ok"}
        assert first[0].value == {"items": [{"text": "a"}]}
        assert engine.stats.calls == len(endpoint.bodies) == 50
        assert engine.stats.prompt_tokens == 350
        again, engine = await ask(settings(endpoint), requests(51))
        assert len(endpoint.bodies) == 51
        assert (engine.stats.calls, engine.stats.from_store) == (1, 50)
        assert sum(outcome.from_store for outcome in again) == 50
        assert {o.request_id for o in first} < {o.request_id for o in again}


def number_of(outcome: Outcome) -> int:
    return int(outcome.request.messages[0]["content"].split()[1])


async def test_anything_that_decides_the_answer_is_part_of_the_identity(settings: Any) -> None:
    base = request(0)
    schema = {**base.schema, "description": "other"}
    system = {"role": "system", "content": "Be brief."}
    variants = [
        base,
        request(1),
        Request(base.messages, schema, sampling=base.sampling),
        Request((system, *base.messages), base.schema, sampling=base.sampling),
        request(0, sample=1),
        request(0, edition=1),
        request(0, model="other"),
        request(0, schema_name="other"),
        request(0, sampling=Sampling(temperature=0.5, max_output_tokens=64)),
        request(0, sampling=Sampling(max_output_tokens=65)),
        request(0, sampling=Sampling(max_output_tokens=64, extra={"reasoning_effort": "low"})),
    ]
    async with Endpoint() as endpoint:
        outcomes, _ = await ask(settings(endpoint), variants)
        assert len({outcome.request_id for outcome in outcomes}) == len(variants)
        assert len(endpoint.bodies) == len(variants)
        await ask(settings(endpoint, endpoint_name="elsewhere"), [base])
        await ask(settings(endpoint, model="m2"), [base])
        assert len(endpoint.bodies) == len(variants) + 2
        tagged, _ = await ask(settings(endpoint, run_id="x", task="y"), [request(0, tag=object())])
        assert tagged[0].from_store
        assert tagged[0].request.tag is not None


async def test_the_same_request_twice_is_paid_once(settings: Any) -> None:
    async with Endpoint(delay=0.05) as endpoint:
        outcomes, engine = await ask(settings(endpoint), requests(5) * 3)
        assert len(endpoint.bodies) == 5
        assert len(outcomes) == 15
        assert (engine.stats.calls, engine.stats.from_store) == (5, 10)


async def test_two_engines_that_want_the_same_at_once_pay_once(settings: Any) -> None:
    async with Endpoint(delay=0.1) as endpoint:
        results = await asyncio.gather(*(ask(settings(endpoint), requests(20)) for _ in range(2)))
        assert len(endpoint.bodies) == 20
        assert [len(outcomes) for outcomes, _ in results] == [20, 20]


async def test_concurrency_is_bounded_and_reached(settings: Any) -> None:
    async with Endpoint(delay=0.25) as endpoint:
        await ask(settings(endpoint, concurrency=12), requests(120))
        assert 10 <= endpoint.most <= 12


async def test_requests_are_drawn_no_faster_than_outcomes_are_taken(settings: Any) -> None:
    drawn = 0

    def many() -> Iterator[Request]:
        nonlocal drawn
        for n in range(100_000):
            drawn += 1
            yield request(n)

    async with Endpoint() as endpoint, Engine(settings(endpoint, concurrency=4)) as llm:
        stream = llm.run(many())
        await anext(stream)
        await asyncio.sleep(0.2)
        assert drawn < 150
        assert len(endpoint.bodies) < 150
        await stream.aclose()


async def test_an_async_source_that_waits_for_outcomes_is_served(settings: Any) -> None:
    got: asyncio.Queue[Outcome] = asyncio.Queue()

    async def chain() -> AsyncIterator[Request]:
        for n in range(3):
            yield request(n)
            await got.get()

    async with Endpoint() as endpoint, Engine(settings(endpoint)) as llm:
        count = 0
        async for outcome in llm.run(chain()):
            count += 1
            got.put_nowait(outcome)
        assert count == 3


async def test_an_error_of_the_source_reaches_the_caller(settings: Any) -> None:
    def source() -> Iterator[Request]:
        yield request(0)
        raise ValueError("mine")

    async with Endpoint() as endpoint:
        with pytest.raises(ValueError, match="mine"):
            await ask(settings(endpoint), source())


async def test_a_source_that_is_cancelled_does_not_count_as_finished(settings: Any) -> None:
    async def source() -> AsyncIterator[Request]:
        yield request(0)
        raise asyncio.CancelledError

    async with Endpoint() as endpoint:
        with pytest.raises(asyncio.CancelledError):
            await ask(settings(endpoint), source())


async def test_transient_failures_are_tried_again(settings: Any) -> None:
    seen: dict[int, int] = {}
    kinds = (429, 500, 503, 408, 409, "cut", "html", "empty")

    async def answer(body: dict[str, Any], endpoint: Endpoint) -> web.StreamResponse:
        n = number(body)
        seen[n] = seen.get(n, 0) + 1
        kind = kinds[n % len(kinds)]
        if seen[n] > 1:
            return completion(GOOD)
        if kind == "cut":
            raise ConnectionResetError
        if kind == "html":
            return web.Response(text="<html>gateway</html>", content_type="text/html")
        if kind == "empty":
            return web.Response(body=b"")
        return failure(int(kind), headers={"Retry-After-Ms": "50"})

    async with Endpoint(answer) as endpoint:
        outcomes, engine = await ask(settings(endpoint), requests(16))
        assert {outcome.status for outcome in outcomes} == {"ok"}
        assert set(seen.values()) == {2}
        assert (engine.stats.retried, engine.stats.throttled) == (14, 2)


async def test_a_hanging_call_is_given_up_and_tried_again(settings: Any) -> None:
    async def answer(body: dict[str, Any], endpoint: Endpoint) -> web.StreamResponse:
        if len(endpoint.bodies) == 1:
            await asyncio.sleep(3)
        return completion(GOOD)

    async with Endpoint(answer) as endpoint:
        outcomes, _ = await ask(settings(endpoint, timeout_s=0.2), requests(1))
        assert [outcome.status for outcome in outcomes] == ["ok"]


async def test_permanent_failures_are_tried_once_and_spoil_nothing(settings: Any) -> None:
    def answer(body: dict[str, Any], endpoint: Endpoint) -> web.StreamResponse:
        return failure(400, "bad luck") if number(body) % 10 == 0 else completion(GOOD)

    async with Endpoint(answer) as endpoint:
        outcomes, engine = await ask(settings(endpoint), requests(50))
        bad = [outcome for outcome in outcomes if outcome.status == "failed"]
        assert sorted(map(number_of, bad)) == [0, 10, 20, 30, 40]
        assert bad[0].error == "bad luck"
        assert len(endpoint.bodies) == 50
        assert engine.stats.failed == 5


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (lambda b, e: failure(400, "flagged", code="content_filter"), "filtered"),
        (lambda b, e: completion("", finish="content_filter"), "filtered"),
        (lambda b, e: completion(None, refusal="I cannot."), "refused"),
        (lambda b, e: completion('{"items": [{"text": "a"}, {"te', finish="length"), "truncated"),
        (lambda b, e: completion('{"items": [{"text": "a"}, {"text": 3}]}'), "malformed"),
    ],
)
async def test_what_is_not_ok_says_what_it_is(settings: Any, answer: Any, status: str) -> None:
    async with Endpoint(answer) as endpoint:
        (outcome,), _ = await ask(settings(endpoint), requests(1))
        assert outcome.status == status
        assert outcome.error
        assert len(endpoint.bodies) == 1
        if status in ("truncated", "malformed"):
            assert outcome.value == {"items": [{"text": "a"}]}
        (again,), _ = await ask(settings(endpoint), requests(1))
        assert again.from_store
        assert (again.status, again.value) == (status, outcome.value)


async def test_what_cannot_be_saved_is_asked_again_with_the_error(settings: Any) -> None:
    def answer(body: dict[str, Any], endpoint: Endpoint) -> web.StreamResponse:
        return completion("Sorry?" if len(endpoint.bodies) < 3 else GOOD)

    async with Endpoint(answer) as endpoint:
        (outcome,), engine = await ask(settings(endpoint), requests(1))
        assert outcome.status == "ok"
        assert outcome.prompt_tokens == 21
        assert engine.stats.calls == len(endpoint.bodies) == 3
        last = endpoint.bodies[-1]["messages"]
        assert [message["role"] for message in last] == ["user", *["assistant", "user"] * 2]
        assert "no whole JSON object" in last[-1]["content"]
        store = Store(settings(endpoint).store_url)
        assert len(store.with_chain([outcome.request_id])) == 3
        (again,), _ = await ask(settings(endpoint), requests(1))
        assert again.request_id == outcome.request_id
        assert again.from_store
        assert len(endpoint.bodies) == 3
        store.close()


async def test_asking_again_ends(settings: Any) -> None:
    async with Endpoint(lambda b, e: completion("no")) as endpoint:
        (outcome,), _ = await ask(settings(endpoint), requests(1))
        assert (outcome.status, outcome.value) == ("malformed", None)
        assert len(endpoint.bodies) == 3


async def test_structured_output_steps_down_to_what_the_endpoint_takes(settings: Any) -> None:
    def answer(body: dict[str, Any], endpoint: Endpoint) -> web.StreamResponse:
        if "response_format" in body:
            return failure(400, "'response_format' of this type is not supported")
        if "seed" in body:
            return failure(422, "Extra inputs are not permitted", param="seed")
        return completion(f"Here you are:\n```json\n{GOOD}\n```")

    async with Endpoint(answer) as endpoint:
        outcomes, _ = await ask(settings(endpoint), requests(40))
        assert {outcome.status for outcome in outcomes} == {"ok"}
        assert len(endpoint.bodies) <= 40 + 3 * 8
        assert "JSON schema" in endpoint.bodies[-1]["messages"][-1]["content"]


async def test_a_refused_parameter_of_the_user_s_own_is_named(settings: Any) -> None:
    def answer(body: dict[str, Any], endpoint: Endpoint) -> web.StreamResponse:
        return failure(400, "Unsupported value: 'reasoning_effort' does not support 'huge'.")

    async with Endpoint(answer) as endpoint:
        own = Sampling(max_output_tokens=9, extra={"reasoning_effort": "huge"})
        with pytest.raises(EndpointError, match="parameter 'reasoning_effort'"):
            await ask(settings(endpoint), requests(20, sampling=own))
        assert len(endpoint.bodies) <= 8


async def test_a_model_that_takes_no_temperature_is_left_its_own(settings: Any) -> None:
    def answer(body: dict[str, Any], endpoint: Endpoint) -> web.StreamResponse:
        for name in ("temperature", "top_p"):
            if name in body:
                return failure(400, f"Unsupported value: {name!r} is not supported", param=name)
        return completion(GOOD)

    async with Endpoint(answer) as endpoint:
        asked = requests(20, sampling=Sampling(temperature=0.3, top_p=0.9, max_output_tokens=9))
        outcomes, _ = await ask(settings(endpoint), asked)
        assert {outcome.status for outcome in outcomes} == {"ok"}


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (lambda: failure(401, "Incorrect API key"), "check the API key"),
        (lambda: failure(404, "no such model"), "model name 'm'"),
        (lambda: failure(403, "not yours"), "rights"),
        (lambda: failure(429, "You exceeded", code="insufficient_quota"), "quota"),
    ],
)
async def test_an_endpoint_that_will_never_answer_is_one_error(
    settings: Any, reply: Any, words: str
) -> None:
    async with Endpoint(lambda b, e: reply()) as endpoint:
        with pytest.raises(EndpointError, match=words) as caught:
            await ask(settings(endpoint), requests(500))
        assert len(endpoint.bodies) <= 8
        assert "secret-key" not in str(caught.value)


@pytest.mark.parametrize("status", [403, 429])
async def test_a_quota_used_up_in_the_middle_ends_the_run(settings: Any, status: int) -> None:
    def answer(body: Any, endpoint: Endpoint) -> Any:
        if len(endpoint.bodies) <= 20:
            return completion(GOOD)
        return failure(status, "You exceeded", code="insufficient_quota")

    async with Endpoint(answer) as endpoint:
        with pytest.raises(EndpointError, match="quota is used up"):
            await ask(settings(endpoint), requests(500))
        assert len(endpoint.bodies) < 100


@pytest.mark.parametrize(
    ("away", "status"),
    [
        (lambda: web.Response(status=404, text="404 page not found"), "ok"),
        (lambda: web.Response(status=302, headers={"Location": "https://down.example/"}), "ok"),
        (lambda: failure(404, "The model `m` does not exist"), "failed"),
    ],
)
async def test_a_proxy_whose_server_restarts_loses_no_rows(
    settings: Any, away: Any, status: str
) -> None:
    def answer(body: Any, endpoint: Endpoint) -> Any:
        return completion(GOOD) if not 20 < len(endpoint.bodies) <= 26 else away()

    async with Endpoint(answer) as endpoint:
        outcomes, _ = await ask(settings(endpoint), requests(60))
        counts = Counter(outcome.status for outcome in outcomes)
        assert counts == ({"ok": 60} if status == "ok" else {"ok": 54, "failed": 6})


async def test_a_wrong_key_names_its_variable_in_one_line(settings: Any) -> None:
    async with Endpoint(lambda b, e: failure(401, "Incorrect\nAPI key.")) as endpoint:
        for name, advice in (
            ("OPENAI_API_KEY", r"check the API key \(OPENAI_API_KEY\)"),
            ("STRONG_KEY", r"check the API key \(STRONG_KEY\)"),
            (None, "the endpoint 'test' has none, name its variable as api_key_env"),
        ):
            with pytest.raises(EndpointError, match=advice) as caught:
                await ask(settings(endpoint, key_variable=name), requests(1))
            said = str(caught.value)
            assert f"{endpoint.url} answered 401: Incorrect API key. Please" in said
            assert "secret-key" not in said


async def test_an_endpoint_that_only_fails_is_named_with_what_it_answers(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage, "FRESH_S", 0.05)
    async with Endpoint(lambda b, e: failure(500, "boom")) as endpoint:
        with pytest.raises(EndpointError, match=r"\d+ calls failed in a row in \d+ s\.$") as caught:
            await ask(settings(endpoint), requests(8))
        told = f"The model endpoint cannot be used: {endpoint.url} answered 500: boom; "
        assert str(caught.value).startswith(told)


def test_an_endpoint_that_worked_on_a_call_is_waited_for_if_it_restarts() -> None:
    cut = Reply("transient", words="cut off", ambiguous=True)
    refused = Reply("transient", words="refused")
    for worked in (True, False):
        away = outage.Outage("it", 300.0)
        away.failed("first", 0.0, 60.0 if worked else 0.1, cut, False)
        failing = partial(away.failed, "first", 61.0, reply=refused, timed_out=False)
        if worked:
            assert not any(failing(now=61.0 + n) for n in range(200))
        else:
            with pytest.raises(EndpointError, match="calls failed in a row"):
                any(failing(now=61.0 + n) for n in range(200))


async def test_a_dead_server_is_seen_within_seconds(settings: Any) -> None:
    started = time.monotonic()
    with pytest.raises(EndpointError, match=r"cannot reach http://127\.0\.0\.1:9/v1"):
        await ask(settings("http://127.0.0.1:9/v1"), requests(500))
    assert time.monotonic() - started < 10


async def test_no_key_is_one_error(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(EndpointError, match="OPENAI_API_KEY"):
        await ask(settings("http://127.0.0.1:9/v1", api_key=None), requests(1))


async def test_a_store_that_cannot_be_written_is_one_error(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for url in (f"sqlite:///{tmp_path}/file/s.db", "sqlite:////proc/s.db", "nonsense"):
        with pytest.raises(StoreError, match="completion store"):
            await ask(settings("http://127.0.0.1:9/v1", store_url=url), requests(1))


async def test_what_was_paid_for_when_the_caller_stops_is_stored(settings: Any) -> None:
    async with Endpoint(delay=0.1) as endpoint:
        async with Engine(settings(endpoint, concurrency=8)) as llm:
            async for _ in llm.run(requests(100)):
                break
        sent = len(endpoint.bodies)
        assert 0 < sent < 100
        store = Store(settings(endpoint).store_url)
        with store.read() as connection:
            kept = connection.exec_driver_sql("SELECT count(*) FROM completions").scalar()
            leases = connection.exec_driver_sql("SELECT count(*) FROM leases").scalar()
        store.close()
        assert (kept, leases) == (sent, 0)


async def test_a_run_that_is_being_closed_is_waited_for(settings: Any) -> None:
    """A loop that is left is closed in the background; the engine may be closed before it ends."""
    async with Endpoint(delay=0.5) as endpoint:
        async with Engine(settings(endpoint, concurrency=8)) as llm:
            async for _ in llm.run(requests(100)):
                break
            await asyncio.sleep(0.05)
        sent = len(endpoint.bodies)
        await ask(settings(endpoint), requests(100)[: sent + 1])
        assert len(endpoint.bodies) == sent + 1


async def test_nothing_is_tried_again_for_a_caller_that_has_stopped(settings: Any) -> None:
    async def answer(body: dict[str, Any], endpoint: Endpoint) -> web.StreamResponse:
        if number(body) == 0:
            return completion(GOOD)
        await asyncio.sleep(0.3)
        return failure(500)

    async with Endpoint(answer) as endpoint:
        async with Engine(settings(endpoint, concurrency=8)) as llm:
            async for _ in llm.run(requests(100)):
                break
            sent, started = len(endpoint.bodies), time.monotonic()
        assert time.monotonic() - started < 2
        # One may have been on its way; each of them again would be twice as many.
        assert len(endpoint.bodies) < 2 * sent


async def test_a_cancelled_task_stores_what_was_paid_for(settings: Any) -> None:
    async with Endpoint(delay=0.2) as endpoint:
        task = asyncio.create_task(ask(settings(endpoint, concurrency=8), requests(100)))
        while len(endpoint.bodies) < 12:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        task.cancel()
        started = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - started < 5
        sent = len(endpoint.bodies)
        _, engine = await ask(settings(endpoint), requests(100))
        assert engine.stats.from_store == sent
        assert len(endpoint.bodies) == 100


async def test_closing_leaves_no_task_and_no_thread(settings: Any) -> None:
    async with Endpoint() as endpoint:
        tasks, threads = len(asyncio.all_tasks()), threading.active_count()
        await ask(settings(endpoint), requests(10))
        await asyncio.sleep(0)
        gc.collect()
        # The default executor's threads stay with the loop.
        fresh = [thread.name for thread in threading.enumerate()][threads:]
        assert all(name.startswith("asyncio_") for name in fresh)
        assert len(asyncio.all_tasks()) <= tasks + 1


async def test_completions_tell_where_an_answer_came_from(settings: Any) -> None:
    async with Endpoint() as endpoint:
        outcomes, _ = await ask(settings(endpoint), requests(3))
        store = Store(settings(endpoint).store_url)
        table = store.completions([outcome.request_id for outcome in outcomes] + ["unknown"])
        store.close()
        assert table.height == 3
        row = table.row(0, named=True)
        assert json.loads(row["prompt"])[0]["content"].startswith("Question")
        assert row["raw"] == GOOD
        assert (row["model"], row["served_model"], row["run_id"]) == ("m", "served-1", "r")
        assert (row["prompt_tokens"], row["completion_tokens"]) == (7, 5)
        assert row["cost_usd"] is None
        assert row["latency"] > 0
        assert not row["simulated"]


async def test_the_key_is_nowhere_in_the_store(settings: Any, tmp_path: Path) -> None:
    async with Endpoint() as endpoint:
        made = settings(endpoint)
        await ask(made, requests(3))
    assert "secret-key" not in repr(made)
    for file in tmp_path.iterdir():  # noqa: ASYNC240
        assert b"secret-key" not in file.read_bytes()


async def test_a_root_without_a_path_stays_that_host(settings: Any) -> None:
    """Or the key would go to another: example.co and chat/completions make example.cochat."""
    async with Endpoint(lambda body, endpoint: failure(404)) as endpoint:
        root = endpoint.url.removesuffix("/v1")
        with pytest.raises(EndpointError, match=root):
            await ask(settings(root), requests(1))
    for given in ("https://gateway.example.co", "https://gateway.example.co/"):
        client = Client(settings(given))
        assert client._connection._url == "https://gateway.example.co/chat/completions"
        await client.close()


def test_a_root_with_a_password_is_one_error_without_it(settings: Any) -> None:
    with pytest.raises(EndpointError, match="http://gateway:8000/v1 contains a user name") as told:
        Client(settings("http://me:hunter2@gateway:8000/v1"))
    assert "hunter2" not in str(told.value)


async def test_an_endpoint_that_answered_an_earlier_step_is_waited_for(settings: Any) -> None:
    async with Endpoint() as endpoint:
        await ask(settings(endpoint), requests(3))
        port = int(endpoint.url.split(":")[2].split("/")[0])
        made = settings(endpoint)
    task = asyncio.create_task(ask(made, requests(6)))
    # Longer than an endpoint that never answered is waited for.
    await asyncio.sleep(outage.FRESH_S + 2)
    assert not task.done()
    async with Endpoint(port=port):
        outcomes, _ = await task
    assert {outcome.status for outcome in outcomes} == {"ok"}


@pytest.mark.parametrize(("wait", "said"), [(None, False), (5.0, False), (600.0, True)])
def test_a_long_wait_for_a_rate_limit_is_reported_once(
    caplog: pytest.LogCaptureFixture, wait: float | None, said: bool
) -> None:
    followed = outage.Outage("it", 300.0)
    reply = Reply("throttled", words="Tokens per day: try again later", code=429, retry_after=wait)
    for now in (0.5, 1.0, 2.0):
        followed.throttled(now, reply)
        followed.good(now)
    told = [record.getMessage() for record in caplog.records]
    assert told == ["it has a rate limit (Tokens per day: try again later): waiting for it"] * said
    for now in (100.0, 131.0):
        followed.throttled(now, reply)
    assert len(caplog.records) == (3 if said else 1)
