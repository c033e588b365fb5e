"""The batches in progress.

From the moment a request is submitted in a batch, its maximum cost counts as spent, even if the
process ends. When its line of the result is read, the actual cost counts instead.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from targen.store.budgets import BudgetLedger
from targen.store.completions import Work, now
from targen.store.ledger import Ledger, insert
from targen.store.schema import BATCH_ITEMS, BATCHES


@dataclass(frozen=True, slots=True)
class Submission:
    """A stored batch.

    Attributes:
        key: the engine's name for it, 64 hex digits.
        file_id: id of the uploaded requests at the endpoint; None before the upload.
        batch_id: id of the batch at the endpoint; None before its creation, or if it was never
            stored.
        age_s: seconds since it was opened.
    """

    key: str
    file_id: str | None = None
    batch_id: str | None = None
    age_s: float = 0.0


class BatchRegistry:
    """The batches of one endpoint; `endpoint` is its logical name."""

    def __init__(self, endpoint: str, ledger: Ledger) -> None:
        self._endpoint = endpoint
        self._ledger = ledger

    def open(
        self, key: str, charges: Mapping[str, float], budget: BudgetLedger | None, reserved: float
    ) -> Work[None]:
        """Record a new batch before any of it is sent.

        Args:
            key: its name.
            charges: request id -> US dollars that count as spent until its line is read.
            budget: the engine's budget, if any.
            reserved: US dollars that this process reserved for the requests.
        """

        def work(connection: sa.Connection) -> None:
            moment = now(connection)
            connection.execute(
                sa.insert(BATCHES).values(
                    batch_key=key, endpoint=self._endpoint, state="new", created_at=moment
                )
            )
            statement = insert(connection, BATCH_ITEMS)
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["request_id"], set_={"batch_key": statement.excluded.batch_key}
                ),
                [{"request_id": name, "batch_key": key} for name in charges],
            )
            self._ledger.charge(connection, sum(charges.values()))
            if budget is not None and reserved:
                budget.give_back(connection, reserved)

        return work

    def note(self, key: str, state: str, **ids: str) -> Work[None]:
        """Record the `file_id` or the `batch_id` of a batch."""
        statement = sa.update(BATCHES).where(BATCHES.c.batch_key == key)

        def work(connection: sa.Connection) -> None:
            connection.execute(statement.values(state=state, **ids))

        return work

    def read(self, key: str) -> Work[Submission | None]:
        """Read one batch; None if it does not exist."""

        def work(connection: sa.Connection) -> Submission | None:
            row = connection.execute(sa.select(BATCHES).where(BATCHES.c.batch_key == key)).first()
            if row is None:
                return None
            age = now(connection) - row.created_at
            return Submission(row.batch_key, row.file_id, row.batch_id, age)

        return work

    def find(self, ids: Sequence[str]) -> Work[dict[str, Submission]]:
        """Return the batch of each submitted request."""
        joined = sa.join(BATCH_ITEMS, BATCHES, BATCH_ITEMS.c.batch_key == BATCHES.c.batch_key)
        wanted = (
            sa.select(BATCH_ITEMS.c.request_id, BATCHES)
            .select_from(joined)
            .where(BATCH_ITEMS.c.request_id.in_(ids))
        )

        def work(connection: sa.Connection) -> dict[str, Submission]:
            moment = now(connection)
            return {
                row.request_id: Submission(
                    row.batch_key, row.file_id, row.batch_id, moment - row.created_at
                )
                for row in connection.execute(wanted)
            }

        return work

    def forget(self, key: str, refunds: Mapping[str, float]) -> Work[None]:
        """Record that the lines of some requests were read; delete the batch if none is left.

        Args:
            key: the batch.
            refunds: request id -> US dollars that no longer count as spent.
        """
        of = BATCH_ITEMS.c
        gone = (
            sa.delete(BATCH_ITEMS)
            .where(of.request_id.in_(list(refunds)), of.batch_key == key)
            .returning(of.request_id)
        )
        left = sa.exists().where(of.batch_key == key)

        def work(connection: sa.Connection) -> None:
            # Two processes may read the same line; only one of them may refund it.
            back = sum(refunds[row.request_id] for row in connection.execute(gone).all())
            self._ledger.charge(connection, -back)
            connection.execute(sa.delete(BATCHES).where(BATCHES.c.batch_key == key, ~left))

        return work


def under_way(connection: sa.Connection, ids: Sequence[str]) -> frozenset[str]:
    """Return those of `ids` that are in a batch; their cost counts as spent."""
    if not ids:
        return frozenset()
    return frozenset(connection.execute(_UNDER_WAY, {"ids": ids}).scalars())


# Built once: live runs execute it for every group of requests.
_UNDER_WAY = (
    sa.select(BATCH_ITEMS.c.request_id)
    .join(BATCHES, BATCHES.c.batch_key == BATCH_ITEMS.c.batch_key)
    .where(BATCH_ITEMS.c.request_id.in_(sa.bindparam("ids", expanding=True)))
)
