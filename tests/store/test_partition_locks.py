"""Leases on partitions: one holder at a time, by the store's clock, in SQLite and PostgreSQL."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from targen.store.completions import Store
from targen.store.partition_locks import HOLD_S, PartitionLease
from targen.store.schema import HOLDS

POSTGRES = os.environ.get("TARGEN_TEST_POSTGRES", "")


def own_database() -> str:
    """Make a database of our own: other tests empty the one that is named."""
    url = sa.make_url(POSTGRES)
    # By way of the server's own database: another test cuts the connections to the one named.
    server = sa.create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.exec_driver_sql("DROP DATABASE IF EXISTS holds WITH (FORCE)")
        connection.exec_driver_sql("CREATE DATABASE holds")
    server.dispose()
    return url.set(database="holds").render_as_string(hide_password=False)


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "postgres" and not POSTGRES:
        pytest.skip("TARGEN_TEST_POSTGRES names no database")
    url = own_database() if request.param == "postgres" else f"sqlite:///{tmp_path}/s.db"
    opened = Store(url)
    yield opened
    opened.close()


def hold(token: str, task: str = "rte", place: str = "s3://a/b") -> PartitionLease:
    return PartitionLease(place, task, token * 32, f"run-{token}", f"process {token}")


def test_the_first_holds_and_the_second_is_told(store: Store) -> None:
    assert hold("a").take(store) is None
    assert hold("a").take(store) is None
    assert hold("b").take(store) == "run-a (process a)"
    assert hold("b", task="copa").take(store) is None
    assert hold("b", place="s3://a/c").take(store) is None


def test_what_is_given_back_is_free_and_only_the_holder_can(store: Store) -> None:
    assert hold("a").take(store) is None
    hold("b").give_back(store)
    assert hold("b").take(store) is not None
    hold("a").give_back(store)
    assert hold("b").take(store) is None


def test_a_dead_holder_loses_its_lease_after_a_quarter_of_a_minute(store: Store) -> None:
    assert HOLD_S <= 15
    assert hold("a").take(store) is None
    with store.write() as connection:
        connection.execute(sa.update(HOLDS).values(expires_at=HOLDS.c.expires_at - HOLD_S))
    assert hold("b").take(store) is None
    assert hold("a").take(store) == "run-b (process b)"


def test_a_lease_from_before_the_clock_was_set_back_ends_like_any_other(store: Store) -> None:
    assert hold("a").take(store) is None
    with store.write() as connection:
        connection.execute(sa.update(HOLDS).values(expires_at=HOLDS.c.expires_at + 86_400))
    # Its holder may be alive, and then extends it.
    assert hold("b").take(store) == "run-a (process a)"
    with store.write() as connection:
        connection.execute(sa.update(HOLDS).values(expires_at=HOLDS.c.expires_at - HOLD_S))
    assert hold("b").take(store) is None
