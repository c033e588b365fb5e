"""Locks of tasks, which allow only one run or command at a time to change a partition."""

import fcntl
import os
import threading
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from targen import files as writer
from targen.errors import StoreError, TableError
from targen.settings import variable
from targen.tables.storage import LocalStorage, Storage

if TYPE_CHECKING:
    from targen.store.completions import Store

RENEW_S = 4.0
"""Seconds between renewals; a lease of 15 s survives two failed renewals."""

FOLDER: Final = ".locks"
_MAX_HOLDER = 500
_PROBE_S = 0.2
"""How long `held` of another process may have a lock."""
# Neither a link nor a pipe is followed or waited for.
_LOCK_FILE = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class HeldError(TableError):
    """Another run or command holds the lock."""


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

    def __init__(self, storage: LocalStorage, task: str, run_id: str) -> None:
        """Take the lock.

        Raises:
            TableError: another run holds the partition, or the folder cannot be written.
        """
        try:
            with writer.opened(storage.root, [FOLDER]) as folder:
                descriptor = os.open(f"{task}.lock", _LOCK_FILE, writer.file_mode(), dir_fd=folder)
        except OSError as error:
            what = "data folder" if storage.named_by == variable("data_dir") else "folder"
            raise TableError(
                f"Cannot write in the {what} {storage.root} ({FOLDER}/{task}.lock: "
                f"{error.strerror}). {writer.advice(error, storage.named_by)}"
            ) from error
        # Append mode keeps the id of the run that holds the lock.
        self._file = os.fdopen(descriptor, "a+", encoding="utf-8")
        if not self._locked():
            self._file.seek(0)
            holder = self._file.read(_MAX_HOLDER).strip() or "that is just starting"
            self._file.close()
            raise _held(task, holder)
        self._file.truncate(0)
        self._file.write(f"{run_id} (process {os.getpid()})\n")
        self._file.flush()

    def _locked(self) -> bool:
        give_up = time.monotonic() + _PROBE_S
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > give_up:
                    return False
                time.sleep(_PROBE_S / 10)
            else:
                return True

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
        # Not when loading the code location.
        from targen.store.access import this_process  # noqa: PLC0415
        from targen.store.partition_locks import PartitionLease  # noqa: PLC0415

        self._store = store
        self._lease = PartitionLease(place, task, uuid.uuid4().hex, run_id, this_process())
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


def lock(storage: Storage, task: str, run_id: str, open_store: Callable[[], "Store"]) -> Lock:
    """Lock a task: its partition, or its files in another folder.

    Args:
        storage: the data folder, or another one that a command fills.
        task: the task.
        run_id: the run or the command, for messages.
        open_store: opens the completion store, which has the locks of data on S3.

    Raises:
        TableError: another run or command holds it, or the folder cannot be written.
        StoreError: the data is on S3, and the store cannot be reached.
    """
    if isinstance(storage, LocalStorage):
        return FileLock(storage, task, run_id)
    return StoreLease(open_store(), storage.address(""), task, run_id)


def held(storage: Storage) -> str | None:
    """Return the error for a lock of a folder that a run or a command has; None if all are free.

    Leases of data on S3 are in the completion store.

    Raises:
        TableError: the folder cannot be written.
    """
    if not isinstance(storage, LocalStorage):
        return None
    for path in sorted((storage.root / FOLDER).glob("*.lock")):
        try:
            FileLock(storage, path.stem, "targen store prune").release()
        except HeldError as error:
            return str(error)
    return None


def _held(task: str, holder: str) -> HeldError:
    return HeldError(
        f"Partition {task} is being made by run {holder}. Wait until that run has ended, "
        "or stop it, then start this one again."
    )
