"""Reading of damaged SQLite stores: everything that can be read, and the names of the rest."""

import math
import re
import shutil
import sqlite3
import struct
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from targen import files
from targen.errors import StoreError
from targen.store.budgets import DOLLAR_DUST
from targen.store.completions import Store
from targen.store.ledger import ALL, add_spent, insert
from targen.store.maintenance import KEPT, problem_of
from targen.store.schema import BUDGETS, COMPLETIONS, USES

_CHUNK: Final = 500
_LEAST_ROW: Final = 256
"""Bytes that a row and its part of the indexes usually take at least. Larger rowids than the file
has room for are read, too, but not around damage."""
_ROWID: Final = "salvaged_rowid"
_MOST_ROWID: Final = 2**63 - 1
_NAME: Final = re.compile(r"[0-9a-f]{64}")
_HEADER: Final = struct.Struct(">16sH")
_PAGES_AT: Final = 28


@dataclass
class Salvaged:
    """What could be read of a store.

    Attributes:
        rows: table -> rows that were copied.
        damaged: request id -> why its completion was not copied.
    """

    rows: dict[str, int] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)


def salvage(source: Path, target: Path) -> Salvaged:
    """Copy what can be read of a SQLite store to a new one; the source is not changed.

    Completions that are not what was stored are not copied.

    Args:
        source: the damaged file.
        target: the new file, which must not exist.

    Raises:
        StoreError: the target exists or cannot be written, or nothing can be read.
    """
    if not source.is_file():
        raise StoreError(f"There is no file {source}.")
    found = Salvaged()
    # Elsewhere first, so that a part of the store is never taken for the whole.
    with files.draft_folder(target, "NEW") as draft:
        if target.exists():
            raise StoreError(f"{target} exists. Name a new file.")
        _salvage(source, draft / target.name, found)
        files.move(draft / target.name, target, "NEW")
    return found


def _salvage(source: Path, target: Path, found: Salvaged) -> None:
    with _copy(source) as connection, closing(Store(f"sqlite:///{target}")) as store:
        try:
            names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"{source}: the list of its tables cannot be read ({error}). Restore a backup: "
                "targen store import FILE."
            ) from error
        most = source.stat().st_size // _LEAST_ROW
        listed = ids(connection, most) if {USES.name, COMPLETIONS.name} <= names else set()
        for table in KEPT:
            if table.name in names:
                found.rows[table.name] = _copied(connection, store, table, source, found)
        _charge(store)
        kept = store.known(listed) | _failed(store)
    for name in listed - kept - found.damaged.keys():
        found.damaged[name] = "its row cannot be read"


def verify(file: Path) -> list[str]:
    """Return the problems of a damaged SQLite store, one line each, going on past the damage.

    Raises:
        StoreError: nothing in it can be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        found = salvage(file, Path(folder) / "salvaged.db")
    with _copy(file) as connection:
        try:
            says = [str(row[0]) for row in connection.execute("PRAGMA quick_check(5)")]
        except sqlite3.DatabaseError as error:
            says = [str(error)]
    problems = [f"{name}: {problem}" for name, problem in sorted(found.damaged.items())]
    return [f"SQLite says: {line}" for line in says if line != "ok"] + problems


def _failed(store: Store) -> set[str]:
    with store.read() as connection:
        wanted = sa.select(COMPLETIONS.c.request_id).where(COMPLETIONS.c.status == "failed")
        return set(connection.execute(wanted).scalars())


def _copied(
    connection: sqlite3.Connection, store: Store, table: sa.Table, source: Path, found: Salvaged
) -> int:
    count = 0
    most = source.stat().st_size // _LEAST_ROW
    columns = {column.name for column in table.columns}
    for rows in rows_of(connection, table.name, most):
        good = []
        for row in rows:
            values = {name: value for name, value in row.items() if name in columns}
            if table is COMPLETIONS and (problem := problem_of(values)):
                found.damaged[str(values["request_id"])[:64]] = problem
                continue
            if table is BUDGETS and _is_damaged_budget(values):
                continue
            good.append(values)
        count += _inserted(store, table, good)
    return count


def _is_damaged_budget(values: Mapping[str, Any]) -> bool:
    spent = values.get("spent_usd")
    return not isinstance(spent, int | float) or not math.isfinite(spent) or spent < 0


def _charge(store: Store) -> None:
    """Raise what each budget has spent to the cost of the salvaged completions, if it is less."""
    cost = sa.func.coalesce(sa.func.sum(COMPLETIONS.c.cost_usd), 0.0)
    of_task = (
        sa.select(sa.literal("task:") + USES.c.task, cost)
        .join(COMPLETIONS, COMPLETIONS.c.request_id == USES.c.request_id)
        .where(USES.c.paid)
        .group_by(USES.c.task)
    )
    with store.write() as connection:
        known = dict(connection.execute(sa.select(BUDGETS.c.scope, BUDGETS.c.spent_usd)).all())
        paid = connection.execute(sa.select(sa.literal(ALL), cost).union_all(of_task)).all()
        more = {scope: amount - known.get(scope, 0.0) for scope, amount in paid}
        add_spent(connection, {scope: one for scope, one in more.items() if one > DOLLAR_DUST})


def _inserted(store: Store, table: sa.Table, rows: list[dict[str, Any]]) -> int:
    """Insert rows, one by one if one of them is no row of this table."""
    if not rows:
        return 0
    try:
        with store.write() as connection:
            statement = insert(connection, table).on_conflict_do_nothing()
            return int(connection.execute(statement, rows).rowcount)
    except (StoreError, ValueError, TypeError, AttributeError):
        if len(rows) == 1:
            return 0
        return sum(_inserted(store, table, [row]) for row in rows)


def rows_of(
    connection: sqlite3.Connection, table: str, most: int
) -> Iterator[list[Mapping[str, Any]]]:
    """Yield the readable rows of a table in groups, around damaged pages.

    Args:
        connection: of the file.
        table: its name.
        most: number of rowids that are read one by one where there is damage.
    """
    last = _MOST_ROWID
    with suppress(sqlite3.DatabaseError):
        last = connection.execute(f"SELECT max(rowid) FROM {table}").fetchone()[0] or 0  # noqa: S608
    seen: set[int] = set()
    for start in range(1, min(last, most) + 1, _CHUNK):
        yield [row for row in _from(connection, table, start, _CHUNK) if _is_new(row, seen)]
    # Damage can make a rowid as large as any.
    start = (most // _CHUNK + 1) * _CHUNK + 1
    while start <= last:
        end = min(2 * start, _MOST_ROWID)
        with suppress(sqlite3.DatabaseError):
            for rows in _selected(connection, table, "rowid BETWEEN ? AND ?", start, end):
                yield [row for row in rows if _is_new(row, seen)]
        start = end + 1


def _from(
    connection: sqlite3.Connection, table: str, first: int, count: int
) -> Iterator[Mapping[str, Any]]:
    """Yield so many readable rows from a rowid on; damaged ones are narrowed down by halving.

    There is no last rowid, because reading would then end at the first damaged rowid.
    """
    try:
        found = list(_selected(connection, table, "rowid >= ? LIMIT ?", first, count))
        yield from [row for rows in found for row in rows]
    except sqlite3.DatabaseError:
        if count > 1:
            half = count // 2
            yield from _from(connection, table, first, half)
            yield from _from(connection, table, first + half, count - half)


def _selected(
    connection: sqlite3.Connection, table: str, where: str, *values: int
) -> Iterator[list[Mapping[str, Any]]]:
    sql = f"SELECT rowid AS {_ROWID}, * FROM {table} WHERE {where}"  # noqa: S608
    cursor = connection.execute(sql, values)
    names = [column[0] for column in cursor.description]
    while rows := cursor.fetchmany(_CHUNK):
        yield [dict(zip(names, row, strict=True)) for row in rows]


def _is_new(row: Mapping[str, Any], seen: set[int]) -> bool:
    """Return whether a row comes for the first time, and remember it."""
    known = row[_ROWID] in seen
    seen.add(row[_ROWID])
    return not known


def ids(connection: sqlite3.Connection, most: int) -> set[str]:
    """Return the request ids that the file names beside the completions themselves.

    They are in the index of the completions and among their uses.
    """
    found: set[str] = set()
    for rows in rows_of(connection, USES.name, most):
        found.update(str(row["request_id"]) for row in rows)
    for number in range(256):
        start, end = f"{number:02x}", f"{number + 1:02x}" if number < 255 else "g"
        try:
            named = connection.execute(
                "SELECT request_id FROM completions WHERE request_id >= ? AND request_id < ?",
                (start, end),
            ).fetchall()
        except sqlite3.DatabaseError:
            continue
        found.update(str(row[0]) for row in named)
    return {name for name in found if _NAME.fullmatch(name)}


@contextmanager
def _copy(source: Path) -> Iterator[sqlite3.Connection]:
    """Yield a connection to a copy, filled up to its full length if it was cut off."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.db"
        for suffix in ("", "-wal"):
            part = source.with_name(source.name + suffix)
            if part.is_file():
                shutil.copyfile(part, copy.with_name(copy.name + suffix))
        _fill_up(copy)
        with closing(opened(copy)) as connection:
            yield connection


def _fill_up(file: Path) -> None:
    with file.open("r+b") as content:
        head = content.read(100)
        if len(head) < 100:
            return
        _, size = _HEADER.unpack_from(head)
        (pages,) = struct.unpack_from(">I", head, _PAGES_AT)
        whole = pages * (65536 if size == 1 else size)
        # A damaged header must not fill the disk.
        if file.stat().st_size < whole <= 100 * file.stat().st_size:
            content.truncate(whole)


def opened(file: Path) -> sqlite3.Connection:
    """Return a connection to a file that may be damaged."""
    connection = sqlite3.connect(file)
    # Damaged text must not stop the reading.
    connection.text_factory = lambda content: content.decode("utf-8", "surrogateescape")
    return connection
