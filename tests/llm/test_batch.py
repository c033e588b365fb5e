import asyncio
import gzip
import os
import signal
import sys
from dataclasses import asdict
from itertools import chain
from typing import Any

import pytest
import sqlalchemy as sa
from aiohttp import web

import simulator
from targen.errors import BudgetError, EndpointError
from targen.llm import batch, batch_results, batch_wire, transport
from targen.llm import engine as engines
from targen.llm.batch_results import TRIES
from targen.llm.engine import Engine, EngineSettings
from targen.llm.prices import bound, price_of
from targen.store.completions import Store
from tests.support.batch_endpoint import BatchEndpoint, bad, expired, good
from tests.support.endpoint import Endpoint, ask, number, requests


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    # Long enough for the claims of one batch on a busy machine.
    monkeypatch.setattr(batch, "_QUIET_S", 0.3)
    monkeypatch.setattr(batch, "_POLL_LEAST_S", 0.02)
    monkeypatch.setattr(engines, "_POLL_BATCHES_S", 0.2)


@pytest.fixture
def batched(settings: Any) -> Any:
    def make(endpoint: BatchEndpoint | str, **more: Any) -> EngineSettings:
        url = endpoint if isinstance(endpoint, str) else endpoint.url
        return settings(url, mode="batch", **more)

    return make


def rows(settings: EngineSettings, query: str) -> list[Any]:
    store = Store(settings.store_url)
    with store.read() as connection:
        found = list(connection.exec_driver_sql(query))
    store.close()
    return found


async def test_a_batch_answers_all_at_the_batch_price(
    batched: Any, settings: Any, prices: float
) -> None:
    async with BatchEndpoint() as endpoint:
        outcomes, engine = await ask(batched(endpoint), requests(30))
        assert {o.status for o in outcomes} == {"ok"}
        assert len(outcomes) == 30
        assert sorted(endpoint.sent()[0]) == list(range(30))
        assert len(endpoint.batches) == 1
        assert engine.stats.cost_usd == pytest.approx(30 * prices / 2)
        found = rows(batched(endpoint), "SELECT DISTINCT mode, cost_usd FROM completions")
        assert found == [("batch", pytest.approx(prices / 2))]
        # What counted as spent while it waited has become what it cost.
        (spent,) = rows(batched(endpoint), "SELECT spent_usd FROM budgets WHERE scope = '*'")
        assert spent[0] == pytest.approx(30 * prices / 2)
        assert rows(batched(endpoint), "SELECT * FROM batches") == []
        assert rows(batched(endpoint), "SELECT * FROM batch_items") == []
    async with Endpoint() as live:
        again, engine = await ask(settings(live), requests(30))
        assert (engine.stats.from_store, live.bodies) == (30, [])
        assert {o.request_id for o in again} == {o.request_id for o in outcomes}


async def test_results_in_any_order_find_their_requests(batched: Any) -> None:
    def answer(line: Any, n: int) -> Any:
        return good(line["custom_id"], f'{{"items": [{{"text": "{number(line["body"])}"}}]}}')

    async with BatchEndpoint(answer) as endpoint:
        outcomes, _ = await ask(batched(endpoint), requests(20))
        for outcome in outcomes:
            asked = outcome.request.messages[0]["content"].split()[1]
            assert outcome.value == {"items": [{"text": asked}]}


async def test_failed_lines_are_submitted_again_alone(batched: Any) -> None:
    def answer(line: Any, n: int) -> Any:
        if n == 0 and number(line["body"]) % 10 == 3:
            return bad(line["custom_id"], 500)
        return good(line["custom_id"])

    async with BatchEndpoint(answer) as endpoint:
        outcomes, engine = await ask(batched(endpoint), requests(50))
        assert [o.status for o in outcomes] == ["ok"] * 50
        assert list(map(sorted, endpoint.sent())) == [list(range(50)), [3, 13, 23, 33, 43]]
        assert (engine.stats.calls, engine.stats.retried) == (50, 5)


async def test_a_line_that_always_fails_ends(batched: Any, prices: float) -> None:
    def answer(line: Any, n: int) -> Any:
        name = line["custom_id"]
        return {0: bad(name, 500), 1: bad(name, 400, "bad luck")}.get(
            number(line["body"]), good(name)
        )

    async with BatchEndpoint(answer) as endpoint:
        outcomes, _ = await ask(batched(endpoint), requests(3))
        by = {number_of(o): o for o in outcomes}
        assert [by[n].status for n in range(3)] == ["failed", "failed", "ok"]
        assert by[1].error == "bad luck"
        assert list(map(sorted, endpoint.sent())) == [[0, 1, 2]] + [[0]] * (TRIES - 1)
        (spent,) = rows(batched(endpoint), "SELECT spent_usd FROM budgets WHERE scope = '*'")
        assert spent[0] == pytest.approx(prices / 2)


def number_of(outcome: Any) -> int:
    return int(outcome.request.messages[0]["content"].split()[1])


@pytest.mark.parametrize("status", ["expired", "cancelled"])
async def test_what_an_ended_batch_finished_is_kept_and_the_rest_sent_again(
    batched: Any, status: str
) -> None:
    def answer(line: Any, n: int) -> Any:
        if n == 0 and number(line["body"]) >= 6:
            return expired(line["custom_id"]) if status == "expired" else None
        return good(line["custom_id"])

    ends = [status, "completed"]
    async with BatchEndpoint(answer, ends=lambda n: ends[n]) as endpoint:
        outcomes, _ = await ask(batched(endpoint), requests(10))
        assert [o.status for o in outcomes] == ["ok"] * 10
        assert list(map(sorted, endpoint.sent())) == [list(range(10)), [6, 7, 8, 9]]


async def test_chunks_keep_the_limits_and_one_model_each(
    batched: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "MOST_REQUESTS", 8)
    async with BatchEndpoint() as endpoint:
        outcomes, _ = await ask(batched(endpoint), requests(20) + requests(3, model="other"))
        assert len(outcomes) == 23
        assert max(map(len, endpoint.sent())) <= 8
        for file in (endpoint.files[b["input_file_id"]] for b in endpoint.batches.values()):
            assert (b'"other"' in file) != (b'"model": "m"' in file)
    monkeypatch.setattr(batch, "MOST_REQUESTS", 1000)
    monkeypatch.setattr(batch, "MOST_BYTES", 2000)
    async with BatchEndpoint() as endpoint:
        await ask(batched(endpoint, endpoint_name="bytes"), requests(20))
        sizes = [len(endpoint.files[b["input_file_id"]]) for b in endpoint.batches.values()]
        assert len(sizes) > 1
        assert max(sizes) <= 2000
        assert sum(map(len, endpoint.sent())) == 20


async def test_what_cannot_be_used_is_asked_again_in_a_batch(batched: Any) -> None:
    def answer(line: Any, n: int) -> Any:
        poor = n == 0 and number(line["body"]) == 1
        return good(line["custom_id"], "Sorry?") if poor else good(line["custom_id"])

    async with BatchEndpoint(answer) as endpoint:
        outcomes, engine = await ask(batched(endpoint), requests(4))
        assert {o.status for o in outcomes} == {"ok"}
        assert list(map(sorted, endpoint.sent())) == [[0, 1, 2, 3], [1]]
        assert engine.stats.calls == 5


async def test_a_refused_parameter_changes_the_whole_next_batch(batched: Any) -> None:
    def answer(line: Any, n: int) -> Any:
        if "response_format" in line["body"]:
            return bad(line["custom_id"], 400, "'response_format' is not supported")
        return good(line["custom_id"])

    async with BatchEndpoint(answer) as endpoint:
        outcomes, _ = await ask(batched(endpoint, budget_usd=None), requests(5))
        assert {o.status for o in outcomes} == {"ok"}
        assert list(map(len, endpoint.sent())) == [5, 5, 5]


async def test_an_account_that_may_queue_less_gets_smaller_batches(batched: Any) -> None:
    endpoint = BatchEndpoint()
    endpoint.ends = lambda n: "failed" if len(endpoint.sent()[n]) > 6 else "completed"
    async with endpoint:
        outcomes, _ = await ask(batched(endpoint), requests(20))
        assert [o.status for o in outcomes] == ["ok"] * 20
        assert sum(len(sent) for sent in endpoint.sent() if len(sent) <= 6) == 20


@pytest.mark.parametrize("fault", ["before", "after"])
async def test_a_batch_whose_creation_was_not_confirmed_is_not_made_twice(
    batched: Any, fault: str
) -> None:
    async with BatchEndpoint() as endpoint:
        endpoint.fail_create = [fault]
        outcomes, _ = await ask(batched(endpoint), requests(5))
        assert len(outcomes) == 5
        assert len(endpoint.batches) == 1


async def test_an_endpoint_without_batches_is_one_error(batched: Any, prices: float) -> None:
    async with BatchEndpoint(without=True) as endpoint:
        with pytest.raises(EndpointError, match="has no batch API"):
            await ask(batched(endpoint), requests(5))
        assert rows(batched(endpoint), "SELECT * FROM batches") == []
        found = rows(batched(endpoint), "SELECT spent_usd FROM budgets WHERE spent_usd > 1e-9")
        assert found == []


CHILD = """
import asyncio, sys
import targen.store.ledger
targen.store.ledger.LEASE_S = 2.0
from targen.llm import batch
batch._QUIET_S, batch._POLL_LEAST_S = 0.1, 0.02
from tests.support.endpoint import ask, requests
from targen.llm.engine import EngineSettings
asyncio.run(ask(EngineSettings(**eval(sys.argv[1])), requests(int(sys.argv[2]))))
"""


def bounded(count: int) -> float:
    """Return the most that `count` requests can cost in a batch."""
    price = price_of("m", "test")
    assert price is not None
    return sum(bound(one, price, batch=True) for one in requests(count))


async def test_killed_while_waiting_the_rerun_submits_nothing_again(
    batched: Any, prices: float
) -> None:
    async with BatchEndpoint(holding=True) as endpoint:
        most = bounded(40)
        # With a budget that the batch fills: its answers must be fetched all the same.
        made = batched(endpoint, budget_usd=most * 1.01)
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CHILD, repr({**asdict(made), "simulator": None}), "40"
        )
        async with asyncio.timeout(20):
            while endpoint.looks < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        child.send_signal(signal.SIGKILL)
        assert await child.wait() == -signal.SIGKILL
        (stored,) = rows(made, "SELECT batch_id, file_id FROM batches")
        assert stored == ("batch-0", "file-0")
        endpoint.holding = False
        outcomes, engine = await ask(made, requests(40))
        assert [o.status for o in outcomes] == ["ok"] * 40
        assert len(endpoint.batches) == 1
        assert engine.stats.calls == 40
        (spent,) = rows(made, "SELECT spent_usd FROM budgets WHERE scope = '*'")
        assert spent[0] == pytest.approx(40 * prices / 2)


async def test_killed_while_reading_the_rerun_reads_the_rest(batched: Any, prices: float) -> None:
    async with BatchEndpoint() as endpoint:
        made = batched(endpoint)
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CHILD, repr({**asdict(made), "simulator": None}), "1500"
        )
        async with asyncio.timeout(20):
            while not endpoint.looks or not stored(made):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        child.send_signal(signal.SIGKILL)
        assert await child.wait() == -signal.SIGKILL
        before = stored(made)
        assert 0 < before < 1500
        outcomes, engine = await ask(made, requests(1500))
        assert [o.status for o in outcomes] == ["ok"] * 1500
        assert (engine.stats.from_store, engine.stats.calls) == (before, 1500 - before)
        assert list(map(len, endpoint.sent())) == [1500]
        (spent,) = rows(made, "SELECT spent_usd FROM budgets WHERE scope = '*'")
        assert spent[0] >= 1500 * prices / 2 * 0.999


def stored(settings: EngineSettings) -> int:
    count = rows(settings, "SELECT count(*) FROM completions")[0][0]
    return int(count)


async def test_a_cancelled_run_leaves_its_batch_and_the_next_takes_it_up(batched: Any) -> None:
    async with BatchEndpoint(holding=True) as endpoint:
        task = asyncio.create_task(ask(batched(endpoint), requests(12)))
        while not endpoint.looks:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        task.cancel()
        async with asyncio.timeout(5):
            with pytest.raises(asyncio.CancelledError):
                await task
        assert endpoint.batches["batch-0"]["status"] == "in_progress"
        endpoint.holding = False
        # Only some of it is wanted now; the rest stays to be fetched later, and is then.
        some, _ = await ask(batched(endpoint), requests(5))
        rest, engine = await ask(batched(endpoint), requests(14))
        assert (len(some), len(rest), engine.stats.from_store) == (5, 14, 5)
        assert list(map(sorted, endpoint.sent())) == [list(range(12)), [12, 13]]
        assert rows(batched(endpoint), "SELECT * FROM batch_items") == []


@pytest.mark.parametrize("stage", ["new", "uploaded"])
async def test_a_run_that_died_while_handing_in_is_taken_up(batched: Any, stage: str) -> None:
    async with BatchEndpoint(holding=True) as endpoint:
        made = batched(endpoint)
        task = asyncio.create_task(ask(made, requests(6)))
        while not endpoint.looks:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        store = Store(made.store_url)
        with store.write() as connection:
            # As if the process had died before it heard of its batch, or of its file.
            gone = "batch_id = NULL" if stage == "uploaded" else "batch_id = NULL, file_id = NULL"
            connection.exec_driver_sql(f"UPDATE batches SET {gone}, state = '{stage}'")
        store.close()
        if stage == "new":
            endpoint.batches.clear()
        endpoint.holding = False
        outcomes, _ = await ask(made, requests(6))
        assert [o.status for o in outcomes] == ["ok"] * 6
        assert len(endpoint.batches) == 1


async def test_a_batch_that_the_endpoint_has_lost_is_submitted_again(batched: Any) -> None:
    async with BatchEndpoint() as endpoint:
        endpoint.holding = True
        task = asyncio.create_task(ask(batched(endpoint), requests(4)))
        while not endpoint.looks:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        endpoint.batches.clear()
        endpoint.holding = False
        outcomes, _ = await task
        assert [o.status for o in outcomes] == ["ok"] * 4


async def test_a_budget_holds_for_batches(batched: Any, prices: float) -> None:
    async with BatchEndpoint() as endpoint:
        one = bounded(1)
        made = batched(endpoint, budget_usd=one + 2.5 * prices / 2)
        got = []
        with pytest.raises(BudgetError, match="budget does not allow"):
            async with Engine(made) as llm:
                async for outcome in llm.run(requests(10)):
                    got.append(outcome)
        # Room for one at a time, until what three have cost leaves too little for a fourth.
        assert list(map(len, endpoint.sent())) == [1, 1, 1]
        assert len(got) == 3


async def test_the_embedded_model_works_in_batches(settings: Any, tmp_path: Any) -> None:
    live, _ = await ask(settings("x", model=None), requests(12))
    made = EngineSettings(
        simulator=simulator.application, mode="batch", store_url=f"sqlite:///{tmp_path}/batch.db"
    )
    outcomes, engine = await ask(made, requests(12))
    assert sorted(o.raw for o in outcomes) == sorted(o.raw for o in live)
    assert {o.request_id for o in outcomes} == {o.request_id for o in live}
    assert engine.stats.cost_usd == 0.0
    assert {row[0] for row in rows(made, "SELECT mode FROM completions")} == {"batch"}


async def test_two_runs_at_once_share_one_batch(batched: Any) -> None:
    async with BatchEndpoint() as endpoint:
        made = batched(endpoint)
        results = await asyncio.gather(*(ask(made, requests(15)) for _ in range(2)))
        assert [len(outcomes) for outcomes, _ in results] == [15, 15]
        assert sum(map(len, endpoint.sent())) == 15


async def test_an_answer_is_stored_before_it_is_handed_on(batched: Any) -> None:
    async with BatchEndpoint() as endpoint:
        made = batched(endpoint)
        async with Engine(made) as llm:
            async for outcome in llm.run(requests(600)):
                (found,) = rows(
                    made,
                    f"SELECT count(*) FROM completions WHERE request_id = '{outcome.request_id}'",
                )
                assert found[0] == 1
                break
        assert rows(made, "SELECT count(*) FROM completions")[0][0] >= 1
        again, _ = await ask(made, requests(600))
        assert len(again) == 600
        assert list(map(len, endpoint.sent())) == [600]


@pytest.mark.skipif(
    not os.environ.get("TARGEN_TEST_POSTGRES"), reason="TARGEN_TEST_POSTGRES names no database"
)
async def test_a_cancelled_run_is_taken_up_in_postgres(batched: Any, prices: float) -> None:
    url = os.environ["TARGEN_TEST_POSTGRES"]
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    engine.dispose()
    async with BatchEndpoint(holding=True) as endpoint:
        most = bounded(30)
        made = batched(endpoint, store_url=url, budget_usd=most * 1.01)
        task = asyncio.create_task(ask(made, requests(30)))
        while not endpoint.looks:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        endpoint.holding = False
        outcomes, _ = await ask(made, requests(30))
        assert [o.status for o in outcomes] == ["ok"] * 30
        # A slow database may spread the requests over several batches, but none is sent twice.
        assert sorted(chain.from_iterable(endpoint.sent())) == list(range(30))
        (spent,) = rows(made, "SELECT spent_usd FROM budgets WHERE scope = '*'")
        assert spent[0] == pytest.approx(30 * prices / 2)
        assert rows(made, "SELECT * FROM batches") == []


async def test_an_error_of_a_line_is_stored_without_the_key(batched: Any) -> None:
    key = "sk-canary-4711-0815"

    def answer(line: Any, n: int) -> Any:
        return {"custom_id": line["custom_id"], "error": {"message": f"You sent {key}.\0"}}

    async with BatchEndpoint(lambda line, n: {"response": None, **answer(line, n)}) as endpoint:
        made = batched(endpoint, api_key=key)
        outcomes, _ = await ask(made, requests(1))
        (stored,) = rows(made, "SELECT error FROM completions")
    assert outcomes[0].error == stored[0]
    assert stored[0].startswith("You sent [the API key].")


@pytest.mark.parametrize("bound", ["bytes", "seconds"])
async def test_results_without_end_are_given_up(
    batched: Any, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    async def endless(self: BatchEndpoint, incoming: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse()
        await reply.prepare(incoming)
        while True:
            await reply.write(b"x" * 1000)
            await asyncio.sleep(0.01)

    monkeypatch.setattr(BatchEndpoint, "_content", endless)
    name, value = ("MOST_BYTES", 9000) if bound == "bytes" else ("_MOST_S", 0.5)
    monkeypatch.setattr(batch_wire, name, value)
    async with BatchEndpoint() as endpoint:
        with pytest.raises(EndpointError, match="results of a batch without end"):
            await asyncio.wait_for(ask(batched(endpoint), requests(1)), 20)


@pytest.mark.parametrize("kind", ["endless", "compressed"])
@pytest.mark.parametrize("status", [302, 500])
async def test_an_error_or_redirect_in_place_of_results_has_bounds(
    batched: Any, monkeypatch: pytest.MonkeyPatch, status: int, kind: str
) -> None:
    monkeypatch.setattr(transport, "MOST_BYTES", 100_000)
    bomb = gzip.compress(bytes(10_000_000))
    sent = 0

    async def flood(self: BatchEndpoint, incoming: web.Request) -> web.StreamResponse:
        nonlocal sent
        headers = {"Location": "/v1/elsewhere"} if status == 302 else {}
        headers |= {"Content-Encoding": "gzip"} if kind == "compressed" else {}
        reply = web.StreamResponse(status=status, headers=headers)
        await reply.prepare(incoming)
        while sent < 100_000_000:
            piece = bomb if kind == "compressed" else b"x" * 10_000
            await reply.write(piece)
            sent += len(piece)
        return reply

    monkeypatch.setattr(BatchEndpoint, "_content", flood)
    async with BatchEndpoint() as endpoint:
        asked = asyncio.wait_for(ask(batched(endpoint), requests(1)), 20)
        if status == 302:
            # Nobody needs the body of a redirect.
            assert (await asked)[0][0].status == "failed"
        else:
            with pytest.raises(EndpointError, match="longer than 16 MB"):
                await asked
        assert sent < 50_000_000


async def test_an_upload_has_a_deadline(batched: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_UPLOAD_S", 0.3)
    monkeypatch.setattr(batch_wire, "_PATIENCE_S", 0.1)

    async def drip(self: BatchEndpoint, incoming: web.Request) -> web.StreamResponse:
        await incoming.read()
        reply = web.StreamResponse()
        await reply.prepare(incoming)
        while True:
            await reply.write(b" ")
            await asyncio.sleep(0.05)

    monkeypatch.setattr(BatchEndpoint, "_upload", drip)
    async with BatchEndpoint() as endpoint:
        with pytest.raises(EndpointError, match="no complete answer"):
            await asyncio.wait_for(ask(batched(endpoint), requests(1)), 20)


@pytest.mark.parametrize("code", ["1e999", "NaN", '"x"', "[1]"])
async def test_a_status_that_is_none_is_no_line(code: str) -> None:
    line = f'{{"custom_id": "a", "response": {{"status_code": {code}, "body": {{}}}}}}'
    assert batch_wire.read_line(line.encode()) is None


async def test_a_line_without_end_is_no_line(batched: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_results, "MOST_BYTES", 1000)
    long = f'{{"items": [{{"text": "{"x" * 3000}"}}]}}'

    def answer(line: Any, n: int) -> Any:
        return good(line["custom_id"], *([long] if number(line["body"]) == 1 else []))

    async with BatchEndpoint(answer) as endpoint:
        outcomes, _ = await ask(batched(endpoint), requests(3))
    assert [o.status for o in sorted(outcomes, key=number_of)] == ["ok", "failed", "ok"]
