"""The data folder as a Dagster resource, and the lock that one run holds on a partition.

Here belongs who may write where, and when. The files' form belongs to `tables`.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from dagster import ConfigurableResource, InitResourceContext
from pydantic import Field, PrivateAttr

from targen.errors import TableError
from targen.places import place
from targen.stored import Tables


class DataFolder(ConfigurableResource[Any]):
    """Where tables and reports go."""

    data_dir: str = Field(
        default="data",
        description="A folder, or s3://bucket/prefix. From TARGEN_DATA_DIR.",
    )
    _held: dict[str, IO[str]] = PrivateAttr(default_factory=dict)

    @contextmanager
    def yield_for_execution(self, context: InitResourceContext) -> Iterator["DataFolder"]:
        """Give back, when the run ends, what it held."""
        try:
            yield self
        finally:
            self.release()

    def tables(self) -> Tables:
        """Return the tables in this folder."""
        return Tables(place(self.data_dir))

    def hold(self, task: str, run_id: str) -> None:
        """Keep every other run off the task's partition until this run, or its process, ends.

        The operating system drops the lock with the process, however that ends. On S3 the lock
        keeps apart the runs of one machine only.

        Raises:
            TableError: another run holds the partition, or the folder cannot be written.
        """
        if task in self._held:
            return
        path = place(self.data_dir).lock_folder / f"{task}.lock"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Append mode: opening must not wipe out the name of the run that holds it.
            file = path.open("a+", encoding="utf-8")
        except OSError as error:
            raise TableError(
                f"Cannot write in the data folder {self.data_dir} ({path}: {error.strerror}). "
                "Give this user the right to, or set TARGEN_DATA_DIR to another place."
            ) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "that is just starting"
            file.close()
            raise TableError(
                f"Partition {task} is being made by run {holder}. Wait until that run has ended, "
                "or stop it, then start this one again."
            ) from None
        file.truncate(0)
        file.write(f"{run_id} (process {os.getpid()})\n")
        file.flush()
        self._held[task] = file

    def release(self) -> None:
        """Give every partition free that is held through this object."""
        for file in self._held.values():
            file.close()
        self._held.clear()
