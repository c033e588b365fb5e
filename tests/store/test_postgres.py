"""The same promises with the store in PostgreSQL: set TARGEN_TEST_POSTGRES to a URL to run them."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from targen.errors import BudgetError, StoreError
from targen.llm.engine import EngineSettings
from targen.store import maintenance
from targen.store.completions import Store
from targen.store.ledger import add_spent
from targen.store.writer import Writer
from tests.support.endpoint import Endpoint, ask, requests

URL = os.environ.get("TARGEN_TEST_POSTGRES", "")
pytestmark = pytest.mark.skipif(not URL, reason="TARGEN_TEST_POSTGRES names no database")


@pytest.fixture
def postgres(settings: Any) -> Iterator[Callable[..., EngineSettings]]:
    engine = sa.create_engine(URL)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    engine.dispose()
    yield lambda endpoint, **more: settings(endpoint, store_url=URL, **more)


async def test_a_rerun_makes_no_call(postgres: Any, tmp_path: Path) -> None:
    async with Endpoint() as endpoint:
        first, _ = await ask(postgres(endpoint), requests(30))
        again, _ = await ask(postgres(endpoint), requests(31))
        assert len(endpoint.bodies) == 31
        assert {o.request_id for o in first} < {o.request_id for o in again}
    store = Store(URL)
    assert maintenance.verify(store) == []
    assert maintenance.costs(store, "day")["calls"].sum() == 31
    with (tmp_path / "backup.gz").open("wb") as file:
        maintenance.export(store, file)
    assert maintenance.drop(store, first[0].request_id) == 1
    assert maintenance.load(store, tmp_path / "backup.gz") == 2
    store.close()


async def test_engines_that_start_at_once_make_one_store_and_pay_once(postgres: Any) -> None:
    async with Endpoint(delay=0.1) as endpoint:
        made = postgres(endpoint)
        results = await asyncio.gather(*(ask(made, requests(40)) for _ in range(4)))
        assert [len(outcomes) for outcomes, _ in results] == [40] * 4
        assert len(endpoint.bodies) == 40


async def test_the_budget_is_shared(postgres: Any, prices: float) -> None:
    async with Endpoint(delay=0.02) as endpoint:
        made = postgres(endpoint, budget_usd=100 * prices, concurrency=4)
        asked = requests(200)
        results = await asyncio.gather(
            *(ask(made, asked[start::4]) for start in range(4)), return_exceptions=True
        )
        errors = [result for result in results if isinstance(result, BaseException)]
        assert errors
        assert all(isinstance(error, BudgetError) for error in errors)
        assert 0 < len(endpoint.bodies) * prices <= 100 * prices


async def test_a_wrong_password_is_hidden() -> None:
    url = sa.make_url(URL).set(database="nowhere", password="hidden-word")
    with pytest.raises(StoreError) as caught:
        Store(url.render_as_string(hide_password=False))
    assert "hidden-word" not in str(caught.value)


async def test_a_server_that_cuts_all_connections_loses_nothing(postgres: Any) -> None:
    """What a restart does to the connections that are open."""
    async with Endpoint(delay=0.05) as endpoint:
        made = postgres(endpoint, concurrency=8)
        asking = asyncio.create_task(ask(made, requests(120)))
        engine = sa.create_engine(URL)
        cut = 0
        while not asking.done():
            await asyncio.sleep(0.2)
            if len(endpoint.bodies) < 10:
                continue
            with engine.connect() as connection:
                cut += connection.exec_driver_sql(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid() "
                    "AND backend_type = 'client backend'"
                ).scalar_one()
                if cut >= 3:
                    break
        engine.dispose()
        outcomes, _ = await asking
        assert cut >= 2
        assert len(outcomes) == 120 and all(outcome.status == "ok" for outcome in outcomes)
        assert len(endpoint.bodies) == 120


async def test_transactions_of_engines_follow_each_other(postgres: Any) -> None:
    """Two that lock the same rows in another order would be a deadlock, and end a run."""
    stores = [Store(URL), Store(URL)]
    with stores[0].write() as connection:
        add_spent(connection, {"a": 1.0, "b": 1.0})

    def crossing(*scopes: str) -> Callable[[sa.Connection], None]:
        def work(connection: sa.Connection) -> None:
            for scope in scopes:
                add_spent(connection, {scope: 1.0})
                time.sleep(0.3)

        return work

    writers = [Writer(store, nothing, lambda connection: None, 0.0) for store in stores]
    with capture_deadlocks() as seen:
        await asyncio.gather(
            writers[0].call(crossing("a", "b")), writers[1].call(crossing("b", "a"))
        )
    for writer in writers:
        await writer.close()
    assert spent(stores[0]) == {"a": 3.0, "b": 3.0}
    assert seen() == 0
    for store in stores:
        store.close()


async def test_a_transaction_that_is_broken_off_is_done_again(postgres: Any) -> None:
    """As a deadlock with another program's transaction, which knows no turns."""
    store = Store(URL)
    with store.write() as connection:
        add_spent(connection, {"a": 1.0, "b": 1.0})
    other, blocked = sa.create_engine(URL), asyncio.Event()
    loop = asyncio.get_running_loop()

    def work(connection: sa.Connection) -> None:
        add_spent(connection, {"a": 1.0})
        loop.call_soon_threadsafe(blocked.set)
        add_spent(connection, {"b": 1.0})

    writer = Writer(store, nothing, lambda connection: None, 0.0)
    with capture_deadlocks() as seen:
        with other.begin() as connection:
            add_spent(connection, {"b": 1.0})
            call = asyncio.create_task(writer.call(work))
            await blocked.wait()
            # The one that has waited longest is broken off: the writer's.
            await asyncio.sleep(0.3)
            await asyncio.to_thread(add_spent, connection, {"a": 1.0})
        await call
    await writer.close()
    assert seen() == 1
    assert spent(store) == {"a": 3.0, "b": 3.0}
    store.close()
    other.dispose()


def nothing(connection: sa.Connection, rows: Any) -> None:
    """Store no rows."""


def spent(store: Store) -> dict[str, float]:
    with store.read() as connection:
        return dict(connection.exec_driver_sql("SELECT scope, spent_usd FROM budgets").all())


@contextmanager
def capture_deadlocks() -> Iterator[Callable[[], int]]:
    """Give the number of deadlocks that the server has seen since, once it has counted them."""
    engine = sa.create_engine(URL)

    def counted() -> int:
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT pg_stat_clear_snapshot()")
            return connection.exec_driver_sql(
                "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
            ).scalar_one()

    before = counted()

    def since() -> int:
        # A backend reports what it saw when it has been idle for a moment, or ends.
        time.sleep(1.2)
        return counted() - before

    yield since
    engine.dispose()
