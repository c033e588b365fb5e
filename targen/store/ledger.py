"""What the engine writes to the store: completions, uses, and leases on requests under way."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from targen.errors import StoreError
from targen.store import access
from targen.store.completions import checksum, now, unpack
from targen.store.schema import BUDGETS, COMPLETIONS, LEASES, OWNERS, RESERVATIONS, USES, Status

LOGGER = logging.getLogger("targen")

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


ALL = "*"
"""The scope of everything spent in a store."""

LEASE_S = 6.0
"""How long a silent process is believed to be alive."""


@dataclass(frozen=True, slots=True)
class Record:
    """A stored completion, as far as the engine needs it to answer a request.

    `parsed` is there where the answer has just come and was read already.
    """

    status: Status
    raw: str | None
    error: str | None
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None
    mean_logprob: float | None
    parsed: Any = None


@dataclass(frozen=True, slots=True)
class Found:
    """What a look-up of requests found: known answers, and requests that are now ours to ask.

    Whatever is in neither is being asked by another process, or lacks the money: then `short`
    holds, for each ceiling, what is spent and what is reserved. `batched` are those, ours or not,
    that were submitted in a batch whose answers have not been read yet.
    """

    known: dict[str, Record]
    claimed: frozenset[str]
    short: dict[str, tuple[float, float]] | None = None
    batched: frozenset[str] = frozenset()


# Made once: to make a statement costs more than to run it.
_IDS: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)
_FIND = sa.select(COMPLETIONS).where(
    COMPLETIONS.c.request_id.in_(_IDS), COMPLETIONS.c.status != "failed"
)
_ALIVE = sa.select(OWNERS.c.owner).where(OWNERS.c.expires_at > sa.bindparam("moment"))
_END_DEAD = sa.delete(LEASES).where(LEASES.c.request_id.in_(_IDS), LEASES.c.owner.not_in(_ALIVE))
_OURS = sa.select(LEASES.c.request_id).where(
    LEASES.c.request_id.in_(_IDS), LEASES.c.owner == sa.bindparam("holder")
)


# Only a failure is ever replaced: a stored answer stays what it was.
_KEEP_ANSWERS = (
    "ON CONFLICT (request_id) DO UPDATE SET "
    + ", ".join(f"{column.name} = excluded.{column.name}" for column in COMPLETIONS.columns)
    + " WHERE completions.status = 'failed'"
)
_KEEP = "ON CONFLICT DO NOTHING"
_ADD = "ON CONFLICT (scope) DO UPDATE SET spent_usd = budgets.spent_usd + excluded.spent_usd"
_VALUES = itemgetter(*(column.name for column in COMPLETIONS.columns))


def insert(connection: sa.Connection, table: sa.Table) -> Any:
    """Return the dialect's INSERT, which knows ON CONFLICT."""
    return (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table)


def add_spent(connection: sa.Connection, amounts: Mapping[str, float]) -> None:
    """Add to what was spent in each scope."""
    insert_rows(connection, BUDGETS, list(amounts.items()), _ADD)


def _record(row: Mapping[str, Any]) -> Record:
    """Return a stored answer.

    Raises:
        StoreError: it is not what was stored.
    """
    if row["checksum"] not in (None, checksum(row)):
        name = row["request_id"]
        raise StoreError(
            f"The stored answer to request {name} was changed or damaged, so it is not used. "
            "`targen store verify` lists all such answers. `targen store drop "
            f"{name}` deletes this one, and the next run requests and pays for it again; "
            "TARGEN_PAY_AGAIN=1 does that for all of them."
        )
    return Record(
        row["status"],
        None if row["raw"] is None else unpack(row["raw"]).decode("utf-8", "replace"),
        row["error"],
        row["prompt_tokens"] or 0,
        row["completion_tokens"] or 0,
        row["cost_usd"],
        row["mean_logprob"],
    )


class Ledger:
    """The store operations of one process, identified by `owner`."""

    def __init__(
        self, owner: str, run_id: str, task: str, step: str, replace_damaged: bool = False
    ) -> None:
        """Make it; `replace_damaged` deletes damaged answers so that they are requested again."""
        self.owner = owner
        self._use = (run_id, task, step)
        self._replace_damaged = replace_damaged
        self._ahead_s = 0.0

    def beat(self, connection: sa.Connection) -> None:
        """Tell other processes that this one is still alive."""
        # Asked for once a beat: in PostgreSQL the clock is a round trip away.
        self._ahead_s = now(connection) - time.time()
        expires = self._now() + LEASE_S
        access.limited(connection, OWNERS, LEASE_S)
        statement = insert(connection, OWNERS).values(owner=self.owner, expires_at=expires)
        connection.execute(
            statement.on_conflict_do_update(index_elements=["owner"], set_={"expires_at": expires})
        )
        access.renew(connection, self.owner, self._use[0], expires)

    def leave(self, connection: sa.Connection) -> None:
        """Give everything back that this process holds."""
        for table in (LEASES, RESERVATIONS, OWNERS):
            connection.execute(sa.delete(table).where(table.c.owner == self.owner))
        access.leave(connection, self.owner)

    def find_or_claim(self, ids: Sequence[str]) -> Callable[[sa.Connection], Found]:
        """Look requests up and lease those that are neither answered nor leased."""

        def work(connection: sa.Connection) -> Found:
            known = self._known(connection, ids)
            wanted = sorted(set(ids) - set(known))
            if not wanted:
                return Found(known, frozenset())
            return Found(known, frozenset(self._claim(connection, wanted)))

        return work

    def _known(self, connection: sa.Connection, ids: Sequence[str]) -> dict[str, Record]:
        known = {}
        for row in connection.execute(_FIND, {"ids": ids}).mappings().all():
            try:
                known[row["request_id"]] = _record(dict(row))
            except StoreError as error:
                if not self._replace_damaged:
                    raise
                LOGGER.warning("%s TARGEN_PAY_AGAIN=1: it is deleted and requested again.", error)
                gone = COMPLETIONS.c.request_id == row["request_id"]
                connection.execute(sa.delete(COMPLETIONS).where(gone))
        self._note_uses(connection, list(known), paid=False)
        return known

    def _claim(self, connection: sa.Connection, ids: Sequence[str]) -> set[str]:
        connection.execute(_END_DEAD, {"ids": ids, "moment": self._now()})
        insert_rows(connection, LEASES, [(request_id, self.owner) for request_id in ids], _KEEP)
        ours = connection.execute(_OURS, {"ids": ids, "holder": self.owner})
        return {row[0] for row in ours}

    def put(self, connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Store completions, note their use and cost, end their leases.

        `created_at` and `checksum` are set here; `charge_usd` of a row is no column but what
        counts as spent.
        """
        moment = self._now()
        self.charge(connection, sum(row["charge_usd"] for row in rows))
        stored = [{**row, "created_at": moment} for row in rows]
        for row in stored:
            row["checksum"] = checksum(row)
        insert_rows(connection, COMPLETIONS, [_VALUES(row) for row in stored], _KEEP_ANSWERS)
        paid = [row["request_id"] for row in rows if row["status"] != "failed"]
        self._note_uses(connection, paid, paid=True)
        self._release(connection, [row["request_id"] for row in rows])

    def charge(self, connection: sa.Connection, amount: float) -> None:
        """Note what was spent, in all and for the task."""
        if amount:
            add_spent(connection, {ALL: amount, f"task:{self._use[1]}": amount})

    def release(self, ids: Sequence[str]) -> Callable[[sa.Connection], None]:
        """End leases without an answer."""
        return lambda connection: self._release(connection, ids)

    def _release(self, connection: sa.Connection, ids: Sequence[str]) -> None:
        if ids:
            delete_keys(connection, LEASES, ids, self.owner)

    def _note_uses(self, connection: sa.Connection, ids: Sequence[str], paid: bool) -> None:
        if ids:
            moment = self._now()
            uses = [(request_id, *self._use, paid, moment) for request_id in ids]
            insert_rows(connection, USES, uses, _KEEP)

    def _now(self) -> float:
        """Return the time by the store's clock, as it was when the process last beat."""
        return time.time() + self._ahead_s
