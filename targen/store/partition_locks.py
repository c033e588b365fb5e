"""Leases on partitions of tables on S3, where files cannot be locked."""

from dataclasses import dataclass

import sqlalchemy as sa

from targen.store.access import limited
from targen.store.completions import Store, now
from targen.store.ledger import insert
from targen.store.schema import HOLDS

HOLD_S = 15.0
"""Seconds without a sign of life after which a holder is considered dead."""


@dataclass(frozen=True, slots=True)
class PartitionLease:
    """A run's claim on a partition.

    Attributes:
        place: URL of the S3 prefix.
        task: the partition.
        token: the claiming process, 32 hex digits; two processes of one run have different ones.
        run_id: the run, for messages.
        holder: the process, for messages.
    """

    place: str
    task: str
    token: str
    run_id: str
    holder: str

    def take(self, store: Store) -> str | None:
        """Lock the partition, or extend the lock by `HOLD_S` seconds.

        Returns:
            None if the lock was acquired, else the run and the process that hold it.

        Raises:
            StoreError: the store cannot be written.
        """
        with store.write() as connection:
            moment = now(connection)
            limited(connection, HOLDS, HOLD_S, *self._mine)
            values = {
                "token": self.token,
                "run_id": self.run_id,
                "holder": self.holder,
                "expires_at": moment + HOLD_S,
            }
            statement = insert(connection, HOLDS).values(place=self.place, task=self.task, **values)
            # One statement, so that no other process can lock it between reading and writing.
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["place", "task"],
                    set_=values,
                    where=(HOLDS.c.expires_at <= moment) | (HOLDS.c.token == self.token),
                )
            )
            found = connection.execute(
                sa.select(HOLDS.c.token, HOLDS.c.run_id, HOLDS.c.holder).where(*self._mine)
            ).one()
            return None if found.token == self.token else f"{found.run_id} ({found.holder})"

    def give_back(self, store: Store) -> None:
        """Release the lock if it is still held.

        Raises:
            StoreError: the store cannot be written.
        """
        with store.write() as connection:
            connection.execute(sa.delete(HOLDS).where(*self._mine, HOLDS.c.token == self.token))

    @property
    def _mine(self) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
        return HOLDS.c.place == self.place, HOLDS.c.task == self.task
