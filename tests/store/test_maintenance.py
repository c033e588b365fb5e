import gzip
import json
import os
import sqlite3
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from aiohttp import web

from targen.errors import StoreError
from targen.store import completions, maintenance, migrations, schema
from targen.store.completions import Store, pack
from tests.support.endpoint import GOOD, Endpoint, ask, completion, number, requests


@pytest.fixture
def store(settings: Any) -> Iterator[Store]:
    made = Store(settings("http://127.0.0.1:9/v1").store_url)
    yield made
    made.close()


async def fill(settings: Any, count: int = 5) -> list[str]:
    """Answer `count` requests, the first only after having been asked again."""

    def answer(body: dict[str, Any], endpoint: Endpoint) -> Any:
        first = number(body) == 0 and len(body["messages"]) == 1
        return completion("what?" if first else GOOD)

    async with Endpoint(answer) as endpoint:
        outcomes, _ = await ask(settings(endpoint), requests(count))
    return [outcome.request_id for outcome in sorted(outcomes, key=lambda o: str(o.request))]


async def test_figures_and_costs(settings: Any, store: Store, prices: float) -> None:
    await fill(settings)
    found = maintenance.stats(store)
    assert found["completions"] == {"malformed": 1, "ok": 5}
    assert found["cost_usd"] == pytest.approx(6 * prices)
    assert found["spent_usd"] == pytest.approx({"*": 6 * prices, "task:t": 6 * prices})
    for key, value in (("task", "t"), ("step", "s"), ("model", "m"), ("run", "r")):
        row = maintenance.costs(store, key).row(0, named=True)  # type: ignore[arg-type]
        assert (row[key], row["calls"], row["prompt_tokens"]) == (value, 6, 42)
        assert row["cost_usd"] == pytest.approx(6 * prices) and not row["simulated"]
    assert maintenance.costs(store, "day")["day"][0].startswith("20")


async def test_steps_stand_in_the_order_in_which_they_are_made(settings: Any, store: Store) -> None:
    steps = ["instances", "another", "corrected_set", "contexts", "labels", "seeds"]
    async with Endpoint() as endpoint:
        for n, step in enumerate(steps):
            await ask(settings(endpoint, step=step), [requests(9)[n]])
    found = maintenance.costs(store, "step")["step"].to_list()
    assert found == ["contexts", "seeds", "instances", "labels", "corrected_set", "another"]


async def test_an_unknown_price_is_unknown_in_the_sum(settings: Any, store: Store) -> None:
    await fill(settings)
    assert maintenance.costs(store, "task")["cost_usd"].to_list() == [None]
    assert maintenance.stats(store)["unpriced"] == 6


async def test_verify_finds_what_was_changed(settings: Any, store: Store, tmp_path: Path) -> None:
    ids = await fill(settings)
    assert maintenance.verify(store) == []
    with sqlite3.connect(tmp_path / "s.db") as raw:
        raw.execute("UPDATE completions SET raw = x'00' WHERE request_id = ?", (ids[1],))
        raw.execute(
            "UPDATE completions SET identity = (SELECT identity FROM completions "
            "WHERE request_id = ?) WHERE request_id = ?",
            (ids[2], ids[3]),
        )
    raw.close()
    found = maintenance.verify(store)
    assert sorted(line.split(":")[0] for line in found) == sorted([ids[1], ids[3]])


@pytest.mark.parametrize("column", ["raw", "run_id", "cost_usd", "created_at", "served_model"])
async def test_verify_finds_a_value_that_still_makes_sense(
    settings: Any, store: Store, tmp_path: Path, column: str
) -> None:
    ids = await fill(settings)
    other = {
        "raw": pack(GOOD.encode() + b" "),
        "run_id": "another",
        "cost_usd": 0.25,
        "created_at": 1e9,
        "served_model": "x",
    }[column]
    with sqlite3.connect(tmp_path / "s.db") as raw:
        raw.execute(f"UPDATE completions SET {column} = ? WHERE request_id = ?", (other, ids[1]))
    raw.close()
    assert maintenance.verify(store) == [f"{ids[1]}: it is not what was stored (checksum)"]


async def test_a_changed_answer_is_not_used(settings: Any, store: Store, tmp_path: Path) -> None:
    (name, *_) = await fill(settings)
    with store.write() as connection:
        other = sa.update(schema.COMPLETIONS).where(schema.COMPLETIONS.c.request_id == name)
        connection.execute(other.values(raw=pack(GOOD.replace("1", "2").encode() + b" ")))
    with pytest.raises(StoreError, match=f"answer to request {name} was changed or damaged"):
        await fill(settings)
    maintenance.drop(store, name)
    assert name in await fill(settings)


async def test_a_store_of_the_first_version_is_brought_up(settings: Any, tmp_path: Path) -> None:
    from alembic import command
    from alembic.config import Config

    engine = sa.create_engine(f"sqlite:///{tmp_path}/s.db")
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(Path(migrations.__file__).parent))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    store = Store(f"sqlite:///{tmp_path}/s.db")
    ids = await fill(settings)
    with sqlite3.connect(tmp_path / "s.db") as raw:
        # As an older version left it: nobody wrote a checksum.
        raw.execute("UPDATE completions SET checksum = NULL WHERE request_id = ?", (ids[0],))
    raw.close()
    assert maintenance.verify(store) == []
    store.close()


async def test_a_backup_restores_everything(settings: Any, store: Store, tmp_path: Path) -> None:
    ids = await fill(settings)
    with (tmp_path / "backup.gz").open("wb") as file:
        lines = maintenance.export(store, file)
    other = Store(f"sqlite:///{tmp_path}/other.db")
    assert maintenance.load(other, tmp_path / "backup.gz") == lines
    assert maintenance.load(other, tmp_path / "backup.gz") == 0
    assert maintenance.verify(other) == []
    assert (
        other.completions(ids).sort("request_id").equals(store.completions(ids).sort("request_id"))
    )
    other.close()
    (tmp_path / "bad.gz").write_bytes(b"no gzip")
    with pytest.raises(StoreError, match=r"bad\.gz"):
        maintenance.load(store, tmp_path / "bad.gz")


async def test_pruning_keeps_what_is_needed_with_its_chain(settings: Any, store: Store) -> None:
    ids = await fill(settings)
    assert maintenance.prune(store, ids[:2]) == 3
    assert set(ids[:2]) <= store.known(ids)
    assert len(store.with_chain(ids[:2])) == 3


async def test_what_is_dropped_is_asked_anew(settings: Any, store: Store) -> None:
    ids = await fill(settings)
    assert maintenance.drop(store, ids[0]) == 2
    with pytest.raises(StoreError, match="has no request"):
        maintenance.drop(store, ids[0])
    async with Endpoint() as endpoint:
        await ask(settings(endpoint), requests(5))
        assert len(endpoint.bodies) == 1


def test_a_store_from_the_future_is_left_alone(settings: Any, store: Store, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "s.db") as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.close()
    with pytest.raises(StoreError, match="version 9999"):
        Store(f"sqlite:///{tmp_path}/s.db")


def test_what_is_no_store_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("This is no database. " * 100)
    with pytest.raises(StoreError, match="cannot be"):
        Store(f"sqlite:///{tmp_path}/text.db")
    with sqlite3.connect(tmp_path / "other.db") as raw:
        raw.execute("CREATE TABLE mine (x)")
    raw.close()
    with pytest.raises(StoreError, match="not a completion store"):
        Store(f"sqlite:///{tmp_path}/other.db")


def test_the_migrations_make_the_schema_that_the_code_has(store: Store) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with store.read() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, schema.METADATA) == []
        assert context.get_current_revision() == schema.VERSION


def cached(body: dict[str, Any], endpoint: Endpoint) -> Any:
    """A good answer; 4 of its 7 prompt tokens came from the endpoint's cache."""
    made = json.loads(completion(GOOD).body)  # type: ignore[arg-type]
    made["usage"]["prompt_tokens_details"] = {"cached_tokens": 4}
    return web.json_response(made)


async def test_cached_tokens_are_stored_and_priced(
    settings: Any, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text("models:\n- {model: m, prompt: 1000, cached: 100, completion: 2000}\n")
    monkeypatch.setenv("TARGEN_PRICES", str(file))
    async with Endpoint(cached) as endpoint:
        outcomes, engine = await ask(settings(endpoint, budget_usd=10), requests(3))
    cost = (3 * 1000 + 4 * 100 + 5 * 2000) / 1e6
    assert engine.stats.as_dict()["cached_tokens"] == 12
    assert engine.stats.cost_usd == pytest.approx(3 * cost)
    frame = store.completions(outcome.request_id for outcome in outcomes)
    assert frame["cached_tokens"].to_list() == [4, 4, 4]
    assert frame["cost_usd"].to_list() == pytest.approx([cost] * 3)
    found = maintenance.stats(store)
    assert (found["cached_tokens"], found["prompt_tokens"]) == (12, 21)
    assert found["spent_usd"]["*"] == pytest.approx(3 * cost)
    assert maintenance.costs(store, "step")["cached_tokens"].to_list() == [12]
    assert maintenance.verify(store) == []
    with store.write() as connection:
        connection.exec_driver_sql("UPDATE completions SET cached_tokens = NULL")
    assert len(maintenance.verify(store)) == 3


async def test_a_store_from_before_cached_tokens_keeps_its_rows(
    settings: Any, store: Store, tmp_path: Path
) -> None:
    ids = await fill(settings)
    with store.write() as connection:
        connection.exec_driver_sql("ALTER TABLE completions DROP COLUMN cached_tokens")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0004'")
    upgraded = Store(f"sqlite:///{tmp_path}/s.db")
    assert upgraded.completions(ids)["cached_tokens"].to_list() == [None] * 5
    # Their checksums were taken without the column.
    assert maintenance.verify(upgraded) == []
    async with Endpoint() as endpoint:
        await ask(settings(endpoint), requests(5))
        assert endpoint.bodies == []
    upgraded.close()


async def test_a_backup_from_before_cached_tokens_is_imported(
    settings: Any, store: Store, tmp_path: Path
) -> None:
    await fill(settings)
    with (tmp_path / "backup.gz").open("wb") as file:
        lines = maintenance.export(store, file)
    with gzip.open(tmp_path / "backup.gz", "rt") as file:
        rows = [json.loads(line) for line in file]
    with gzip.open(tmp_path / "old.gz", "wt") as file:
        for row in rows:
            row.pop("cached_tokens", None)
            file.write(json.dumps(row) + "\n")
    other = Store(f"sqlite:///{tmp_path}/other.db")
    assert maintenance.load(other, tmp_path / "old.gz") == lines
    assert maintenance.verify(other) == []
    other.close()


@pytest.mark.parametrize(
    "line",
    [
        '{"table": "budgets", "scope": "*", "spent_usd": -1e9}',
        '{"table": "budgets", "scope": "*", "spent_usd": NaN}',
        '{"table": "budgets", "scope": "*", "spent_usd": true}',
        '{"table": "budgets", "scope": {"zstd": 5}, "spent_usd": 1}',
        '{"table": "budgets", "scope": {}, "spent_usd": 1}',
        '{"table": []}',
        '{"table":' * 100_000,
    ],
)
def test_a_backup_that_was_made_up_is_one_error(line: str, store: Store, tmp_path: Path) -> None:
    (tmp_path / "backup.gz").write_bytes(gzip.compress(line.encode()))
    with pytest.raises(StoreError, match="Nothing was imported"):
        maintenance.load(store, tmp_path / "backup.gz")
    assert maintenance.stats(store)["spent_usd"] == {}


def test_a_backup_that_is_a_pipe(store: Store, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "backup.gz")
    with pytest.raises(StoreError, match="pipe, socket or device"):
        maintenance.load(store, tmp_path / "backup.gz")


def test_a_link_of_another_user_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "victim")
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    of_another = os.stat_result([0o120777, 0, 0, 1, 8, *[0] * 5])
    monkeypatch.setattr(Path, "lstat", lambda path: of_another)
    with pytest.raises(StoreError, match="symbolic link of another user"):
        Store(f"sqlite:///{tmp_path / 'link.db'}")
    monkeypatch.undo()
    assert not (tmp_path / "victim").exists()
    Store(f"sqlite:///{tmp_path / 'link.db'}").close()
    assert (tmp_path / "victim").exists()


def test_an_impossible_size_is_damage_and_takes_no_memory() -> None:
    claims = b"\x28\xb5\x2f\xfd\xe0" + (1 << 60).to_bytes(8, "little") + b"\x01\x00\x00"
    for data in (claims, pack(bytes(completions.LONGEST + 1)), b"", b"\x28\xb5"):
        tracemalloc.start()
        with pytest.raises(StoreError, match="is damaged"):
            completions.unpack(data)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
        tracemalloc.stop()
