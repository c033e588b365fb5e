"""SQL for many rows at once, as text made once per number of rows."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import sqlalchemy as sa

_MOST_VARIABLES = 900
"""In one statement; SQLite's oldest limit is 999."""


def insert_rows(
    connection: sa.Connection, table: sa.Table, rows: Sequence[Sequence[Any]], conflict: str
) -> None:
    """Insert rows, each with a value for every column of the table in order.

    `conflict` is the ON CONFLICT clause.
    """

    def text(dialect: str, count: int) -> str:
        return _insert(dialect, table, count, conflict)

    _in_parts(connection, text, rows, len(table.columns))


def delete_keys(
    connection: sa.Connection, table: sa.Table, keys: Sequence[str], owner: str
) -> None:
    """Delete the rows of `owner` whose `request_id` is among `keys`."""

    def text(dialect: str, count: int) -> str:
        return _delete(dialect, table, count)

    _in_parts(connection, text, [(key,) for key in keys], 1, (owner,))


def _in_parts(
    connection: sa.Connection,
    text: Callable[[str, int], str],
    rows: Sequence[Sequence[Any]],
    width: int,
    before: tuple[Any, ...] = (),
) -> None:
    most = _MOST_VARIABLES // width
    dialect = connection.dialect
    cursor = connection.connection.cursor()
    try:
        for start in range(0, len(rows), most):
            part = rows[start : start + most]
            cursor.execute(text(dialect.name, len(part)), (*before, *chain.from_iterable(part)))
    except dialect.loaded_dbapi.Error as error:
        # With neither text nor values: they hold prompts and answers.
        raise sa.exc.OperationalError("", None, error) from error
    finally:
        cursor.close()


@lru_cache(maxsize=256)
def _insert(dialect: str, table: sa.Table, count: int, conflict: str) -> str:
    names = [column.name for column in table.columns]
    row = f"({_marks(dialect, len(names))})"
    rows = ", ".join([row] * count)
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES {rows} {conflict}"  # noqa: S608


@lru_cache(maxsize=256)
def _delete(dialect: str, table: sa.Table, count: int) -> str:
    keys = _marks(dialect, count)
    # No user's words: the names are those of our own tables.
    return f"DELETE FROM {table.name} WHERE owner = {_marks(dialect, 1)} AND request_id IN ({keys})"  # noqa: S608


def _marks(dialect: str, count: int) -> str:
    """Return placeholders as the driver writes them: sqlite3 `?`, psycopg2 `%s`."""
    return ", ".join(["?" if dialect == "sqlite" else "%s"] * count)
