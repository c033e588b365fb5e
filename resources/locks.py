"""The locks that keep every run but one off a partition."""

import fcntl
import os
import socket
import threading
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from targen.errors import StoreError, TableError

if TYPE_CHECKING:
    from targen.store.completions import Store

RENEW_S = 4.0
"""Seconds between two renewals: two may fail before a lease of 15 s ends."""


class Lock(Protocol):
    """A partition that is held."""

    def check(self) -> None:
        """Make sure that it is still held.

        Raises:
            TableError: another run has taken it meanwhile.
        """
        ...

    def release(self) -> None:
        """Give the partition free."""
        ...


class FileLock:
    """A locked file; the operating system drops the lock with the process, however that ends."""

    def __init__(self, path: Path, task: str, run_id: str, data_dir: str) -> None:
        """Take the lock.

        Raises:
            TableError: another run holds the partition, or the folder cannot be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Append mode: opening must not wipe out the name of the run that holds it.
            self._file = path.open("a+", encoding="utf-8")
        except OSError as error:
            raise TableError(
                f"Cannot write in the data folder {data_dir} ({path}: {error.strerror}). "
                "Give this user the right to, or set TARGEN_DATA_DIR to another place."
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            holder = self._file.read().strip() or "that is just starting"
            self._file.close()
            raise _held(task, holder) from None
        self._file.truncate(0)
        self._file.write(f"{run_id} (process {os.getpid()})\n")
        self._file.flush()

    def check(self) -> None:
        """Do nothing: a file stays locked."""

    def release(self) -> None:
        """Close the file, which unlocks it."""
        self._file.close()


class StoreLease:
    """A lease in the completion store, renewed by a thread; it ends 15 s after its process."""

    def __init__(self, store: "Store", place: str, task: str, run_id: str) -> None:
        """Take the lease; the store is closed with it.

        Raises:
            TableError: another run holds the partition.
            StoreError: the store cannot be written.
        """
        from targen.store.partition_locks import PartitionLease  # noqa: PLC0415 - not when loading the code location

        holder = f"process {os.getpid()} on {socket.gethostname()}"
        self._store = store
        self._hold = PartitionLease(place, task, uuid.uuid4().hex, run_id, holder)
        self._taken_by: str | None = None
        if (other := self._hold.take(store)) is not None:
            store.close()
            raise _held(task, other)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="targen-lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Make sure that nobody has taken the partition while the store was out of reach.

        Raises:
            TableError: somebody has.
        """
        if self._taken_by is not None:
            raise TableError(
                f"This run could not reach the completion store for so long that run "
                f"{self._taken_by} took over partition {self._hold.task}. Let that run end."
            )

    def release(self) -> None:
        """End the lease; where the store cannot be reached it ends by itself."""
        self._ended.set()
        self._thread.join()
        try:
            self._hold.give_back(self._store)
        except StoreError:
            pass
        finally:
            self._store.close()

    def _renew(self) -> None:
        while not self._ended.wait(RENEW_S) and self._taken_by is None:
            try:
                self._taken_by = self._hold.take(self._store)
            except StoreError:
                # The run itself will say so if it needs the store; the lease may outlive a restart.
                continue


def _held(task: str, holder: str) -> TableError:
    return TableError(
        f"Partition {task} is being made by run {holder}. Wait until that run has ended, "
        "or stop it, then start this one again."
    )
