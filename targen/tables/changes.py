"""Changes of a task's files by commands: locked, and all files at once."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from targen.errors import TableError
from targen.store.completions import Store
from targen.tables.commits import Journal, committed, recover
from targen.tables.locks import HeldError, lock
from targen.tables.storage import LocalStorage, Storage

WAIT_S: Final = 10.0
"""Seconds that a short command waits for another one."""
_POLL_S: Final = 0.05


@contextmanager
def locked(
    storage: Storage,
    task: str,
    command: str,
    open_store: Callable[[], Store],
    wait_s: float = WAIT_S,
) -> Iterator[None]:
    """Hold the lock of a task for a short command, and finish what a killed run left half done.

    Args:
        storage: the data folder, or another one that the command fills.
        task: the task.
        command: its name, for messages of others.
        open_store: opens the completion store, which has the locks of data on S3.
        wait_s: seconds to wait for another holder.

    Raises:
        TableError: another run or command holds it, or the folder cannot be written.
        StoreError: the data is on S3, and the store cannot be reached.
    """
    give_up = time.monotonic() + wait_s
    while True:
        try:
            taken = lock(storage, task, command, open_store)
            break
        except HeldError:
            if time.monotonic() > give_up:
                raise
            time.sleep(_POLL_S)
    try:
        recover(storage, task, open_store)
        yield
    finally:
        taken.release()


def replace_together(
    folder: Path,
    name: str,
    files: Mapping[str, bytes],
    command: str,
    ours: Iterable[str] = (),
    *,
    replace: bool = True,
) -> None:
    """Replace the files of a command in a folder of the user; two at once wait for each other.

    The files before are removed before the first new one has its name, so that old and new ones are
    never side by side, even if the process is killed. The next call then completes them.

    Args:
        folder: the folder.
        name: of what the files are about; it names the lock.
        files: path below the folder -> content.
        command: its name, for messages of others.
        ours: paths of all files that an earlier call may have written; those that are not in
            `files` are removed.
        replace: replace files that exist; otherwise that is an error.

    Raises:
        TableError: the folder cannot be written, or a file exists.
    """
    storage = LocalStorage(str(folder), "--output")
    with locked(storage, name, command, _no_store):
        before = [key for key in sorted({*files, *ours}) if (storage.root / key).is_file()]
        if before and not replace:
            raise TableError(
                f"{storage.address(before[0])} exists. Move it away, or name another --output."
            )
        journal = Journal(command.replace(" ", "-"), name, {}, {}, removed=before)
        with committed(storage, files, journal):
            pass


def _no_store() -> Store:
    raise AssertionError("the locks of a folder are files")
