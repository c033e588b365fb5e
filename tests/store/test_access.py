"""Access to a store by several processes: engines together, maintenance alone."""

import asyncio
import gzip
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from targen.cli import app
from targen.errors import StoreError
from targen.llm.types import identify
from targen.store import access, maintenance
from targen.store.access import enter, exclusive
from targen.store.completions import Store
from targen.store.schema import HOLDS, LEASES, OWNERS
from targen.tables.locks import FileLock, held
from targen.tables.storage import LocalStorage
from tests.support.endpoint import Endpoint, ask, requests

OTHER = """
import sys, time
from pathlib import Path
from targen.store.access import enter, exclusive
from targen.store.completions import Store
from targen.tables.locks import FileLock
from targen.tables.storage import LocalStorage
url, folder, kind = sys.argv[1:]
def stay():
    print("in", flush=True)
    time.sleep(600)
if kind == "maintenance":
    with exclusive(Store(url), "`targen store prune`", 1.0):
        stay()
if kind == "engine":
    enter(Store(url), "b" * 32, "run-1", 600.0)
    stay()
lock = FileLock(LocalStorage(folder), "rte", "run-1")
stay()
"""


@contextmanager
def other(url: str, folder: Path, kind: str) -> Iterator[int]:
    """Yield the id of a process that has the store or a partition."""
    words = [sys.executable, "-c", OTHER, url, str(folder), kind]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "in\n"
            yield process.pid
        finally:
            process.kill()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/completions.db"


def command(url: str, folder: Path, *words: str) -> tuple[int, str]:
    """Run `targen store`; return its exit status and its output as one line."""
    environment = {"TARGEN_STORE_URL": url, "TARGEN_DATA_DIR": str(folder)}
    result = CliRunner().invoke(app, ["store", *words], env=environment)
    assert "Traceback" not in result.output
    return result.exit_code, " ".join(result.output.split())


async def test_an_engine_waits_for_maintenance_of_another_process(
    url: str, tmp_path: Path, settings: Any
) -> None:
    async with Endpoint() as endpoint:
        ours = settings(endpoint, store_url=url)
        with closing(Store(url)) as store, other(url, tmp_path, "maintenance") as process:
            with pytest.raises(StoreError) as error:
                enter(store, "a" * 32, "run-2", 6.0, wait_s=0.2)
            assert f"`targen store prune` (process {process} on " in str(error.value)
            assert "Start the run again when that has ended" in str(error.value)
            with (
                pytest.raises(StoreError, match=f"store prune` .process {process} on"),
                exclusive(store, "`targen store drop`", wait_s=0.2),
            ):
                raise AssertionError
            asked = asyncio.create_task(ask(ours, requests(1)))
            await asyncio.sleep(0.5)
            assert not asked.done() and not endpoint.bodies
            os.kill(process, signal.SIGKILL)
            with store.write() as connection:
                # As if the time of the killed command had run out.
                connection.execute(sa.update(HOLDS).values(expires_at=0.0))
            outcomes, _ = await asked
    assert len(outcomes) == 1


async def test_no_command_changes_the_store_under_a_run(
    url: str, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("targen.cli.store.WAIT_S", 0.2)
    backup = tmp_path / "backup.gz"
    async with Endpoint() as endpoint:
        outcomes, _ = await ask(settings(endpoint, store_url=url), requests(2))
    with closing(Store(url)) as store, backup.open("wb") as file:
        maintenance.export(store, file)
    first = outcomes[0].request_id
    commands = (["drop", first], ["prune", "--yes"], ["import", str(backup)])
    with other(url, tmp_path, "engine") as process:
        for words in commands:
            status, output = command(url, tmp_path, *words)
            assert status == 1
            assert f"Run run-1 (process {process} on " in output
            assert "is using the completion store" in output and "changed nothing" in output
            assert f"`targen store {words[0]}`" in output
    with closing(Store(url)) as store:
        assert maintenance.stats(store)["completions"] == {"ok": 2}
        # As if the time of the killed engine had run out.
        with store.write() as connection:
            connection.execute(sa.update(HOLDS).values(expires_at=0.0))
        assert command(url, tmp_path, "drop", first)[0] == 0
        assert command(url, tmp_path, "import", str(backup))[0] == 0
        assert maintenance.stats(store)["completions"] == {"ok": 2}
        with store.read() as connection:
            assert not connection.execute(sa.select(HOLDS)).all()


async def test_two_imports_at_once_lose_nothing(url: str, tmp_path: Path, settings: Any) -> None:
    async with Endpoint() as endpoint:
        await ask(settings(endpoint, store_url=url), requests(30))
    backup = tmp_path / "backup.gz"
    with closing(Store(url)) as store, backup.open("wb") as file:
        lines = maintenance.export(store, file)
    merged = f"sqlite:///{tmp_path}/merged.db"
    words = [sys.executable, "-m", "targen.cli", "store", "import", str(backup)]
    environment = {**os.environ, "TARGEN_STORE_URL": merged}
    both = [
        subprocess.Popen(  # noqa: ASYNC220 - nothing else runs
            words, env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [one.communicate(timeout=300)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert sorted(int(text.split(": ")[-1].split()[0]) for text in said) == [0, lines]
    again = tmp_path / "again.gz"
    with closing(Store(merged)) as store, again.open("wb") as file:
        assert maintenance.export(store, file) == lines
    old, new = (sorted(gzip.decompress(path.read_bytes()).splitlines()) for path in (backup, again))
    assert old == new


async def test_a_partition_whose_answers_are_in_no_table_yet_keeps_them(
    url: str, tmp_path: Path, settings: Any
) -> None:
    """Between the engine and the table of a step, only the partition's lock tells of the run."""
    async with Endpoint() as endpoint:
        await ask(settings(endpoint, store_url=url), requests(2))
    with other(url, tmp_path, "partition") as process:
        status, output = command(url, tmp_path, "prune", "--yes")
    assert status == 1
    assert f"Partition rte is being made by run run-1 (process {process})" in output
    with closing(Store(url)) as store:
        assert maintenance.stats(store)["completions"] == {"ok": 2}
    assert "2 completions deleted" in command(url, tmp_path, "prune", "--yes")[1]


def test_looking_for_locks_does_not_fail_a_run_that_starts(tmp_path: Path) -> None:
    storage = LocalStorage(str(tmp_path))
    FileLock(storage, "rte", "run-1").release()
    probe = FileLock(storage, "rte", "probe")
    started = time.monotonic()

    async def run() -> None:
        asyncio.get_running_loop().call_later(0.05, probe.release)
        (await asyncio.to_thread(FileLock, storage, "rte", "run-2")).release()

    asyncio.run(run())
    assert time.monotonic() - started < 1
    assert held(storage) is None
    lock = FileLock(storage, "rte", "run-3")
    assert "run-3" in str(held(storage))
    lock.release()


async def test_no_lease_lasts_until_a_clock_that_was_set_back_is_there_again(
    url: str, settings: Any
) -> None:
    """A run was killed, and then a time server corrected the clock by a day."""
    asked = requests(1)
    async with Endpoint() as endpoint:
        one = settings(endpoint, store_url=url)
        request_id, _ = identify(asked[0], one.model_name, "test")
        with closing(Store(url)) as store, store.write() as connection:
            tomorrow = time.time() + 86_400
            connection.execute(sa.insert(OWNERS).values(owner="d" * 32, expires_at=tomorrow))
            connection.execute(sa.insert(LEASES).values(request_id=request_id, owner="d" * 32))
            access.renew(connection, "d" * 32, "dead", tomorrow)
        outcomes, _ = await asyncio.wait_for(ask(one, asked), 30)
    assert [outcome.status for outcome in outcomes] == ["ok"]
    with closing(Store(url)) as store, exclusive(store, "`targen store drop`", wait_s=15):
        pass


def test_the_row_of_a_killed_engine_does_not_stay(url: str) -> None:
    with closing(Store(url)) as store:
        enter(store, "a" * 32, "dead", 0.3)
        with exclusive(store, "`targen store drop`", wait_s=5):
            with store.read() as connection:
                rows = connection.execute(sa.select(HOLDS)).mappings().all()
            assert [row["task"] for row in rows] == [access.MAINTENANCE]
