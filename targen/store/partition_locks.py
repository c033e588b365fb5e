"""Leases on partitions, for tables on S3, where no file can be locked."""

from dataclasses import dataclass

import sqlalchemy as sa

from targen.store.completions import Store, now
from targen.store.ledger import insert
from targen.store.schema import HOLDS

HOLD_S = 15.0
"""How long a silent holder is believed to live."""


@dataclass(frozen=True, slots=True)
class PartitionLease:
    """One run's claim on one partition.

    Attributes:
        place: URL of the S3 prefix.
        task: the partition.
        token: which process asks, 32 hex digits; two processes of one run have two.
        run_id: the run, for people.
        holder: the process, for people.
    """

    place: str
    task: str
    token: str
    run_id: str
    holder: str

    def take(self, store: Store) -> str | None:
        """Take the partition, or keep it for another `HOLD_S` seconds.

        Returns:
            None where it is ours now, else the run and the process that hold it.

        Raises:
            StoreError: the store cannot be written.
        """
        with store.write() as connection:
            moment = now(connection)
            values = {
                "token": self.token,
                "run_id": self.run_id,
                "holder": self.holder,
                "expires_at": moment + HOLD_S,
            }
            statement = insert(connection, HOLDS).values(place=self.place, task=self.task, **values)
            # One statement: between looking and taking another could take it.
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
        """End the lease, where it is still ours.

        Raises:
            StoreError: the store cannot be written.
        """
        with store.write() as connection:
            connection.execute(sa.delete(HOLDS).where(*self._mine, HOLDS.c.token == self.token))

    @property
    def _mine(self) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
        return HOLDS.c.place == self.place, HOLDS.c.task == self.task
