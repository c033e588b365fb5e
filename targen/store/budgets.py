"""Budgets: reserved before a call, settled after it.

Two limits apply at once: one for everything in the store (`*`), one for a task (`task:<name>`). The
reservations of a process that died count as spent, because the endpoint may have charged them.
"""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from targen.store.completions import Store, now
from targen.store.ledger import ALL, add_spent, insert
from targen.store.schema import BUDGETS, OWNERS, RESERVATIONS

DOLLAR_DUST = 1e-9

BURY_S = 30.0
"""Seconds after the end of its lease until the reservations of a silent process count as spent. On
an overloaded machine a live process may be silent longer than its lease, and its cost would be
counted twice; waiting for a dead process only delays others."""


class BudgetLedger:
    """The limits of one engine, and its reservations."""

    def __init__(self, owner: str, ceilings: Mapping[str, float]) -> None:
        self._owner = owner
        self.ceilings = dict(ceilings)

    def reserve(self, connection: sa.Connection, amounts: Sequence[float]) -> int:
        """Reserve as many of `amounts` as fit, in order; return how many. Nothing always fits."""
        self._bury(connection)
        room = min(self._room(connection, scope) for scope in self.ceilings)
        count, total = 0, 0.0
        for amount in amounts:
            if amount and total + amount > room + DOLLAR_DUST:
                break
            total += amount
            count += 1
        if count:
            self._change(connection, total)
        return count

    def give_back(self, connection: sa.Connection, amount: float) -> None:
        """Release a reservation. The actual cost is recorded with the completion."""
        self._change(connection, -amount)

    def state(self, connection: sa.Connection) -> dict[str, tuple[float, float]]:
        """Return scope -> (spent, reserved by all processes) in US dollars."""
        return {
            scope: (_spent(connection, scope), _reserved(connection, scope))
            for scope in self.ceilings
        }

    def _room(self, connection: sa.Connection, scope: str) -> float:
        return self.ceilings[scope] - _spent(connection, scope) - _reserved(connection, scope)

    def _change(self, connection: sa.Connection, amount: float) -> None:
        for scope in self.ceilings:
            statement = insert(connection, RESERVATIONS).values(
                owner=self._owner, scope=scope, reserved_usd=amount
            )
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["owner", "scope"],
                    set_={"reserved_usd": RESERVATIONS.c.reserved_usd + amount},
                )
            )

    def _bury(self, connection: sa.Connection) -> None:
        """Count the reservations of dead processes as spent."""
        believed = OWNERS.c.expires_at > now(connection) - BURY_S
        alive = sa.select(OWNERS.c.owner).where(believed)
        dead = RESERVATIONS.c.owner.not_in(alive) & (RESERVATIONS.c.owner != self._owner)
        rows = connection.execute(
            sa.delete(RESERVATIONS)
            .where(dead)
            .returning(RESERVATIONS.c.scope, RESERVATIONS.c.reserved_usd)
        )
        for row in rows.all():
            add_spent(connection, {row.scope: max(row.reserved_usd, 0.0)})

    @staticmethod
    def words(state: Mapping[str, tuple[float, float]], ceilings: Mapping[str, float]) -> str:
        """Return the amounts spent and the limits as text."""
        return "; ".join(
            f"{'all runs' if scope == ALL else scope}: ceiling ${ceilings[scope]:.4f}, "
            f"spent ${spent:.4f}"
            for scope, (spent, _) in state.items()
        )


def spent_usd(store: Store) -> float:
    """Return the US dollars that all runs in the store have cost.

    Raises:
        StoreError: the store cannot be read.
    """
    with store.read() as connection:
        return _spent(connection, ALL)


def _spent(connection: sa.Connection, scope: str) -> float:
    found = sa.select(BUDGETS.c.spent_usd).where(BUDGETS.c.scope == scope)
    return float(connection.execute(found).scalar() or 0.0)


def _reserved(connection: sa.Connection, scope: str) -> float:
    found = sa.select(sa.func.sum(RESERVATIONS.c.reserved_usd)).where(RESERVATIONS.c.scope == scope)
    return float(connection.execute(found).scalar() or 0.0)
