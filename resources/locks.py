"""Partition locks, which allow only one run per partition at a time."""

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
"""Seconds between renewals; a lease of 15 s survives two failed renewals."""


class Lock(Protocol):
    """A lock on a partition."""

    def check(self) -> None:
        """Check that this run still holds the lock.

        Raises:
            TableError: another run has taken it.
        """
        ...

    def release(self) -> None:
        """Release the lock."""
        ...


class FileLock:
    """A locked file; the operating system releases the lock when the process ends."""

    def __init__(self, path: Path, task: str, run_id: str, data_dir: str) -> None:
        """Take the lock.

        Raises:
            TableError: another run holds the partition, or the folder cannot be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Append mode keeps the id of the run that holds the lock.
            self._file = path.open("a+", encoding="utf-8")
        except OSError as error:
            raise TableError(
                f"Cannot write in the data folder {data_dir} ({path}: {error.strerror}). "
                "Grant write permission, or set TARGEN_DATA_DIR to another folder."
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
        """Do nothing; a file stays locked until it is closed."""

    def release(self) -> None:
        """Close the file, which unlocks it."""
        self._file.close()


class StoreLease:
    """A lease in the completion store, renewed by a thread; expires 15 s after its process ends."""

    def __init__(self, store: "Store", place: str, task: str, run_id: str) -> None:
        """Take the lease; the store is closed with it.

        Raises:
            TableError: another run holds the partition.
            StoreError: the store cannot be written.
        """
        from targen.store.partition_locks import PartitionLease  # noqa: PLC0415 - not when loading the code location

        holder = f"process {os.getpid()} on {socket.gethostname()}"
        self._store = store
        self._lease = PartitionLease(place, task, uuid.uuid4().hex, run_id, holder)
        self._new_holder: str | None = None
        if (other := self._lease.take(store)) is not None:
            store.close()
            raise _held(task, other)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="targen-lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Check that no other run has taken the lease while the store could not be reached.

        Raises:
            TableError: another run has taken it.
        """
        if self._new_holder is not None:
            raise TableError(
                f"This run could not reach the completion store for so long that run "
                f"{self._new_holder} took over partition {self._lease.task}. "
                "Wait until that run has ended."
            )

    def release(self) -> None:
        """End the lease; if the store cannot be reached, it expires."""
        self._ended.set()
        self._thread.join()
        try:
            self._lease.give_back(self._store)
        except StoreError:
            pass
        finally:
            self._store.close()

    def _renew(self) -> None:
        while not self._ended.wait(RENEW_S) and self._new_holder is None:
            try:
                self._new_holder = self._lease.take(self._store)
            except StoreError:
                # The store may be restarting. If it stays away, the run's own calls report it.
                continue


def _held(task: str, holder: str) -> TableError:
    return TableError(
        f"Partition {task} is being made by run {holder}. Wait until that run has ended, "
        "or stop it, then start this one again."
    )
