"""What the engine writes to the store: completions, uses, and leases on requests under way.

Here belong the statements, each a piece of work for the `writer`. They hold for SQLite and
PostgreSQL alike.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from targen.llm.schema import BUDGETS, COMPLETIONS, LEASES, OWNERS, RESERVATIONS, USES
from targen.llm.store import now, unpack
from targen.llm.structured import Parsed
from targen.llm.types import Status

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
    parsed: Parsed | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What a look-up of requests found: known answers, and requests that are now ours to ask.

    Whatever is in neither is being asked by another process, or lacks the money: then `short`
    holds, for each ceiling, what is spent and what is reserved.
    """

    known: dict[str, Record]
    claimed: frozenset[str]
    short: dict[str, tuple[float, float]] | None = None


# Made once: to make a statement costs more than to run it.
_IDS: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)
_FIND = sa.select(
    COMPLETIONS.c.request_id,
    COMPLETIONS.c.status,
    COMPLETIONS.c.raw,
    COMPLETIONS.c.error,
    COMPLETIONS.c.prompt_tokens,
    COMPLETIONS.c.completion_tokens,
    COMPLETIONS.c.cost_usd,
    COMPLETIONS.c.mean_logprob,
).where(COMPLETIONS.c.request_id.in_(_IDS), COMPLETIONS.c.status != "failed")
_ALIVE = sa.select(OWNERS.c.owner).where(OWNERS.c.expires_at > sa.bindparam("moment"))
_END_DEAD = sa.delete(LEASES).where(LEASES.c.request_id.in_(_IDS), LEASES.c.owner.not_in(_ALIVE))
_HELD = (LEASES.c.request_id.in_(_IDS), LEASES.c.owner == sa.bindparam("holder"))
_OURS = sa.select(LEASES.c.request_id).where(*_HELD)
_END_LEASES = sa.delete(LEASES).where(*_HELD)


def insert(connection: sa.Connection, table: sa.Table) -> Any:
    """Return the dialect's INSERT, which knows ON CONFLICT."""
    return _insert(connection.dialect.name, table)


def _insert(dialect: str, table: sa.Table) -> Any:
    return (sqlite.insert if dialect == "sqlite" else postgresql.insert)(table)


@lru_cache(maxsize=2)
def _put_completion(dialect: str) -> Any:
    """Return the statement of `put`; to make it costs ten times as much as to run it."""
    statement = _insert(dialect, COMPLETIONS)
    # Only a failure is ever replaced: a stored answer stays what it was.
    return statement.on_conflict_do_update(
        index_elements=["request_id"],
        set_={column.name: statement.excluded[column.name] for column in COMPLETIONS.columns},
        where=COMPLETIONS.c.status == "failed",
    )


def add_spent(connection: sa.Connection, scope: str, amount: float) -> None:
    """Add to what was spent in `scope`."""
    statement = insert(connection, BUDGETS).values(scope=scope, spent_usd=amount)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["scope"], set_={"spent_usd": BUDGETS.c.spent_usd + amount}
        )
    )


class Ledger:
    """The works of one process, which goes by the name `owner`."""

    def __init__(self, owner: str, run_id: str, task: str, step: str) -> None:
        self.owner = owner
        self._use = {"run_id": run_id, "task": task, "step": step}

    def beat(self, connection: sa.Connection) -> None:
        """Tell the others that this process lives."""
        expires = now(connection) + LEASE_S
        statement = insert(connection, OWNERS).values(owner=self.owner, expires_at=expires)
        connection.execute(
            statement.on_conflict_do_update(index_elements=["owner"], set_={"expires_at": expires})
        )

    def leave(self, connection: sa.Connection) -> None:
        """Give everything back that this process holds."""
        for table in (LEASES, RESERVATIONS, OWNERS):
            connection.execute(sa.delete(table).where(table.c.owner == self.owner))

    def find_or_claim(self, ids: Sequence[str]) -> Callable[[sa.Connection], Found]:
        """Look requests up and take a lease on those that nobody has answered or is asking."""

        def work(connection: sa.Connection) -> Found:
            known = self._known(connection, ids)
            wanted = sorted(set(ids) - set(known))
            if not wanted:
                return Found(known, frozenset())
            claimed = self._claim(connection, wanted)
            # In PostgreSQL another process may have stored one between the two statements.
            if claimed and connection.dialect.name != "sqlite":
                late = self._known(connection, sorted(claimed))
                known |= late
                claimed -= set(late)
                self._release(connection, sorted(late))
            return Found(known, frozenset(claimed))

        return work

    def _known(self, connection: sa.Connection, ids: Sequence[str]) -> dict[str, Record]:
        found = connection.execute(_FIND, {"ids": ids})
        known = {
            row.request_id: Record(
                row.status,
                None if row.raw is None else unpack(row.raw).decode("utf-8", "replace"),
                row.error,
                row.prompt_tokens or 0,
                row.completion_tokens or 0,
                row.cost_usd,
                row.mean_logprob,
            )
            for row in found
        }
        self._note_uses(connection, list(known), paid=False)
        return known

    def _claim(self, connection: sa.Connection, ids: Sequence[str]) -> set[str]:
        connection.execute(_END_DEAD, {"ids": ids, "moment": now(connection)})
        connection.execute(
            insert(connection, LEASES).on_conflict_do_nothing(),
            [{"request_id": request_id, "owner": self.owner} for request_id in ids],
        )
        ours = connection.execute(_OURS, {"ids": ids, "holder": self.owner})
        return {row[0] for row in ours}

    def put(self, connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Store completions, note their use and cost, end their leases.

        `created_at` is set here; `charge_usd` of a row is no column but what counts as spent.
        """
        moment = now(connection)
        values = [{**row, "created_at": moment} for row in rows]
        charges = sum(row.pop("charge_usd") for row in values)
        self.charge(connection, charges)
        connection.execute(_put_completion(connection.dialect.name), values)
        paid = [row["request_id"] for row in rows if row["status"] != "failed"]
        self._note_uses(connection, paid, paid=True)
        self._release(connection, [row["request_id"] for row in rows])

    def warm(self, connection: sa.Connection) -> None:
        """Store a row and take it back, so that the statements of `put` are compiled."""
        row = {column.name: None for column in COMPLETIONS.columns} | {
            "request_id": "",
            "status": "failed",
            "endpoint": "",
            "model": "",
            "identity": b"",
            "simulated": True,
            "attempts": 0,
            "mode": "live",
            "run_id": "",
            "project_version": "",
            "charge_usd": 0.0,
        }
        savepoint = connection.begin_nested()
        self.put(connection, [row])
        savepoint.rollback()

    def charge(self, connection: sa.Connection, amount: float) -> None:
        """Note what was spent, in all and for the task."""
        if amount:
            add_spent(connection, ALL, amount)
            add_spent(connection, f"task:{self._use['task']}", amount)

    def release(self, ids: Sequence[str]) -> Callable[[sa.Connection], None]:
        """End leases without an answer."""
        return lambda connection: self._release(connection, ids)

    def _release(self, connection: sa.Connection, ids: Sequence[str]) -> None:
        if ids:
            connection.execute(_END_LEASES, {"ids": ids, "holder": self.owner})

    def _note_uses(self, connection: sa.Connection, ids: Sequence[str], paid: bool) -> None:
        if not ids:
            return
        moment = now(connection)
        connection.execute(
            insert(connection, USES).on_conflict_do_nothing(),
            [
                {"request_id": request_id, "paid": paid, "used_at": moment, **self._use}
                for request_id in ids
            ],
        )
