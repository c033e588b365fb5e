"""Damaged SQLite stores: what is lost is named, the rest is saved, and a backup restores it all."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from targen.errors import StoreError
from targen.hashing import digest, sha256_of
from targen.store import maintenance, salvage
from targen.store.completions import Store, checksum, pack
from targen.store.ledger import insert
from targen.store.schema import BUDGETS, COMPLETIONS, USES

ROWS = 400


def fill(file: Path) -> list[str]:
    """Make a store of completions of one page each and close it."""
    rows = []
    for number in range(ROWS):
        identity = f'{{"messages": [], "number": {number}}}'.encode()
        row = dict.fromkeys(column.name for column in COMPLETIONS.columns)
        row |= {"request_id": sha256_of(identity), "identity": pack(identity), "status": "ok"}
        # Digests, because repeated text would be compressed.
        row |= {"raw": pack("".join(digest([number, n]) for n in range(40)).encode())}
        row |= {"endpoint": "e", "model": "m", "simulated": False, "attempts": 1, "mode": "live"}
        row |= {"cost_usd": 0.01}
        row |= {"run_id": "r", "project_version": "v", "created_at": 1.0}
        rows.append({**row, "checksum": checksum(row)})
    with closing(Store(f"sqlite:///{file}")) as store, store.write() as connection:
        connection.execute(insert(connection, COMPLETIONS), rows)
        use = {"run_id": "r", "task": "t", "step": "s", "paid": True, "used_at": 1.0}
        uses = [{"request_id": row["request_id"], **use} for row in rows]
        connection.execute(insert(connection, USES), uses)
    return [row["request_id"] for row in rows]


def damage(file: Path, first: float, last: float) -> None:
    """Overwrite a part of a file, given as shares of its length."""
    size = file.stat().st_size
    with file.open("r+b") as content:
        content.seek(int(size * first))
        content.write(os.urandom(int(size * (last - first))))


def test_lost_rows_are_named_and_the_rest_is_saved(tmp_path: Path) -> None:
    file, new = tmp_path / "s.db", tmp_path / "new.db"
    names = fill(file)
    damage(file, 0.5, 0.55)
    before = file.read_bytes()
    found = salvage.salvage(file, new)
    assert 0.85 * ROWS < found.rows["completions"] < ROWS
    with closing(Store(f"sqlite:///{new}")) as store:
        kept = store.known(names)
        assert maintenance.verify(store) == []
    assert kept | found.damaged.keys() == set(names) and not kept & found.damaged.keys()
    assert file.read_bytes() == before
    lines = salvage.verify(file)
    assert lines[0].startswith("SQLite says: ")
    assert {line.partition(":")[0] for line in lines if line[:64] in names} == set(found.damaged)
    with pytest.raises(StoreError, match=r"new\.db exists"):
        salvage.salvage(file, new)


@pytest.mark.parametrize(
    "spent", [[], [("*", -3.0), ("task:t", float("inf"))], [("*", 1.0)], [("*", 9.5)]]
)
def test_a_lost_or_damaged_budget_has_spent_what_the_answers_cost(
    spent: list[tuple[str, float]], tmp_path: Path
) -> None:
    file, new = tmp_path / "s.db", tmp_path / "new.db"
    fill(file)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.executemany("INSERT INTO budgets VALUES (?, ?)", spent)
    salvage.salvage(file, new)
    with closing(Store(f"sqlite:///{new}")) as store, store.read() as connection:
        found = dict(connection.execute(sa.select(BUDGETS)).all())
    # What was spent on lost answers stays spent.
    total = max([0.01 * ROWS, *(amount for scope, amount in spent if scope == "*")])
    assert found == pytest.approx({"*": total, "task:t": 0.01 * ROWS})


def test_a_huge_rowid_takes_no_time(tmp_path: Path) -> None:
    file = tmp_path / "s.db"
    fill(file)
    with closing(sqlite3.connect(file)) as raw, raw:
        for table in ("completions", "uses"):
            raw.execute(f"UPDATE {table} SET rowid = ? WHERE rowid = ?", (2**62, ROWS))
    found = salvage.salvage(file, tmp_path / "new.db")
    assert found.rows["completions"] == found.rows["uses"] == ROWS


def test_a_damaged_rowid_does_not_end_the_reading(tmp_path: Path) -> None:
    file = tmp_path / "s.db"
    name = fill(file)[199].encode()
    content = bytearray(file.read_bytes())
    page = next(
        start
        for start in range(0, len(content), 4096)
        if content[start] == 13 and name in content[start : start + 4096]
    )
    cell = page + int.from_bytes(content[page + 8 : page + 10], "big")
    # The cell of row 200 or the one before: its length takes two bytes, and so does its number.
    assert content[cell] & content[cell + 2] & 0x80
    content[cell + 2 : cell + 4] = b"\xff\x7f"
    file.write_bytes(content)
    assert salvage.salvage(file, tmp_path / "new.db").rows["completions"] >= ROWS - 2


def test_names_that_are_no_names_are_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "s.db"
    fill(file)
    with closing(sqlite3.connect(file)) as raw, raw:
        raw.execute("UPDATE uses SET request_id = CAST(x'ff80' AS TEXT) WHERE rowid = 3")
    found = salvage.salvage(file, tmp_path / "new.db")
    assert (found.rows["completions"], found.rows["uses"]) == (ROWS, ROWS - 1)


def test_a_file_that_was_cut_off_is_read_up_to_there(tmp_path: Path) -> None:
    file = tmp_path / "s.db"
    names = fill(file)
    with file.open("r+b") as content:
        content.truncate(file.stat().st_size * 6 // 10)
    found = salvage.salvage(file, tmp_path / "new.db")
    assert 0.4 * ROWS < found.rows["completions"] < 0.8 * ROWS
    assert len(salvage.verify(file)) > 1
    with closing(Store(f"sqlite:///{tmp_path}/new.db")) as store:
        assert len(store.known(names)) == found.rows["completions"]


def test_a_changed_answer_is_not_saved(tmp_path: Path) -> None:
    file = tmp_path / "s.db"
    names = fill(file)
    with closing(sqlite3.connect(file)) as raw, raw:
        raw.execute("UPDATE completions SET raw = 7 WHERE request_id = ?", (names[3],))
        raw.execute("UPDATE completions SET model = 'n' WHERE request_id = ?", (names[4],))
    with closing(Store(f"sqlite:///{file}")) as store:
        found = maintenance.verify(store)
    assert {line.partition(":")[0] for line in found} == {names[3], names[4]}
    assert salvage.salvage(file, tmp_path / "new.db").damaged.keys() == {names[3], names[4]}


@pytest.mark.parametrize("content", [b"", b"x" * 50, os.urandom(9000)])
def test_what_is_no_store_is_one_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "s.db").write_bytes(content)
    if not content:
        assert salvage.salvage(tmp_path / "s.db", tmp_path / "new.db").rows == {}
        return
    with pytest.raises(StoreError, match="Restore a backup"):
        salvage.salvage(tmp_path / "s.db", tmp_path / "new.db")


def test_a_store_is_lost_and_restored_from_the_backup(tmp_path: Path) -> None:
    """The commands of docs/operations.md, in processes of their own."""
    file, backup = tmp_path / "s.db", tmp_path / "backup.gz"
    names = fill(file)
    environment = {**os.environ, "TARGEN_STORE_URL": f"sqlite:///{file}"}

    def run(*arguments: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "targen.cli", "store", *arguments]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path
        )
        return done.returncode, done.stdout + done.stderr

    assert run("export", str(backup))[0] == 0
    damage(file, 0.3, 0.6)
    status, text = run("verify")
    assert status == 1 and "targen store salvage NEW" in text
    status, text = run("salvage", str(tmp_path / "saved.db"))
    assert status == 0 and "could not be copied" in text
    (tmp_path / "saved.db").replace(file)
    # The backup adds what the salvaged store lacks.
    assert run("import", str(backup))[0] == 0
    assert run("verify")[0] == 0
    with closing(Store(f"sqlite:///{file}")) as store:
        assert store.known(names) == set(names)
