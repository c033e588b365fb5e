"""Which batches are under way, as the completion store knows it.

A request that goes out in a batch counts as spent with the most it can cost from that moment on,
even if the process ends; once its line is read, that is reversed and the real cost counts.
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
    """A batch as it is stored.

    Attributes:
        key: our own name for it, 64 hex digits.
        file_id: the uploaded requests at the endpoint; None: not uploaded yet.
        batch_id: the batch at the endpoint; None: not created yet, or its id was never stored.
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
        """Note a new batch before anything of it is sent.

        Args:
            key: its name.
            charges: request id -> US dollars that count as spent until its line is read.
            budget: the engine's budget, if there is one.
            reserved: US dollars that this process had reserved for these requests.
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
        """Note how far a batch has come, with its `file_id` or `batch_id`."""
        statement = sa.update(BATCHES).where(BATCHES.c.batch_key == key)

        def work(connection: sa.Connection) -> None:
            connection.execute(statement.values(state=state, **ids))

        return work

    def read(self, key: str) -> Work[Submission | None]:
        """Read one batch; None where it is gone."""

        def work(connection: sa.Connection) -> Submission | None:
            row = connection.execute(sa.select(BATCHES).where(BATCHES.c.batch_key == key)).first()
            if row is None:
                return None
            age = now(connection) - row.created_at
            return Submission(row.batch_key, row.file_id, row.batch_id, age)

        return work

    def find(self, ids: Sequence[str]) -> Work[dict[str, Submission]]:
        """Return the batch of each request that has gone out with one."""
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
        """Note that the lines of some requests are read; without items left the batch goes, too.

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
            # Two processes may read the same line: only one of them takes the money back.
            back = sum(refunds[row.request_id] for row in connection.execute(gone).all())
            self._ledger.charge(connection, -back)
            connection.execute(sa.delete(BATCHES).where(BATCHES.c.batch_key == key, ~left))

        return work


def under_way(connection: sa.Connection, ids: Sequence[str]) -> frozenset[str]:
    """Return those of `ids` that have gone out in a batch; their money counts as spent."""
    if not ids:
        return frozenset()
    return frozenset(connection.execute(_UNDER_WAY, {"ids": ids}).scalars())


# Made once: live runs ask it for every group of requests.
_UNDER_WAY = (
    sa.select(BATCH_ITEMS.c.request_id)
    .join(BATCHES, BATCHES.c.batch_key == BATCH_ITEMS.c.batch_key)
    .where(BATCH_ITEMS.c.request_id.in_(sa.bindparam("ids", expanding=True)))
)
