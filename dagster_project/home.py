"""Prepares DAGSTER_HOME, the folder of Dagster's runs and events.

Run as a module, it prepares the folder and prints its path.
"""

import errno
import fcntl
import hashlib
import os
import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from targen import files
from targen.errors import TargenError
from targen.settings import expanded

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""

_SETTINGS = ROOT / "deploy" / "local" / "dagster.yaml"
_FORMER = {
    "622ca606a3bcff6b7b563e7c0856f45e16b9d978841d61402eb454afeb85d3fa",
    "403f3cd92c762693687daeeefa0c2f825349632bb4b58f95e8805311686f7352",
    "f3f638a0ea0a6026f04d821933a9994fa7b1ca897dea6fb400d2dc8f760d82a5",
}
"""Digests of earlier versions of these settings: an unchanged copy is replaced."""
_READY = ".targen-ready"


def prepare() -> Path:
    """Prepare DAGSTER_HOME (default: `.dagster_home` in the checkout) and return it.

    Several processes that open an empty home at once can corrupt it, so one process initializes it
    while the others wait.

    Raises:
        TargenError: the folder cannot be created or written.
    """
    named = os.environ.get("DAGSTER_HOME") or str(ROOT / ".dagster_home")
    home = expanded("DAGSTER_HOME", named).absolute()
    os.environ["DAGSTER_HOME"] = str(home)
    # Dagster's databases and logs have samples of rows, and get their permissions from the umask.
    os.umask(0o777 & ~files.folder_mode())
    try:
        files.make_folders(home)
        settings = home / "dagster.yaml"
        if (home / _READY).exists() and not _outdated(settings):
            if not os.access(home, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return home
        with _locked(home / ".targen-lock"):
            if _outdated(settings):
                files.write_file(settings, _SETTINGS.read_bytes(), "DAGSTER_HOME")
            if not (home / _READY).exists():
                _initialize()
                files.write_file(home / _READY, b"", "DAGSTER_HOME")
    except OSError as error:
        raise TargenError(
            f"Cannot write in DAGSTER_HOME {home}: {error.strerror or error}. "
            f"{files.advice(error, 'DAGSTER_HOME')}"
        ) from error
    return home


def lost(error: BaseException) -> str | None:
    """Return what to do about an error that came from the machine and not from this program.

    Args:
        error: what ended a run; its causes are searched, too.

    Returns:
        One message if the process had no memory or no files to open, or if Dagster's databases are
        gone or cannot be written. None for other errors.
    """
    home = os.environ.get("DAGSTER_HOME", "")
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, MemoryError):
            return "Out of memory. Run fewer tasks at once, or give the process more memory."
        if isinstance(found, OSError) and found.errno in (errno.EMFILE, errno.ENFILE):
            return "Too many open files. Raise the limit of this shell, such as: ulimit -n 4096"
        # SQLAlchemy's error has SQLite's as its cause.
        if isinstance(found, sqlite3.OperationalError) and _GONE.search(str(found)):
            return (
                f"Dagster's databases in DAGSTER_HOME {home} cannot be used: {found}. Check that "
                "the folder exists, is writable and has free space, and run again; what was paid "
                "for is stored."
            )
        found = found.__cause__ or found.__context__
    return None


_GONE = re.compile(r"readonly database|unable to open|no such table|disk I/O error|is full")


def _outdated(settings: Path) -> bool:
    try:
        return hashlib.sha256(settings.read_bytes()).hexdigest() in _FORMER
    except FileNotFoundError:
        return True


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, files.file_mode())
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _initialize() -> None:
    from dagster import DagsterInstance  # noqa: PLC0415 - only for a new home

    with DagsterInstance.get() as instance:
        # Each of these reads creates one of the databases.
        instance.get_runs_count()
        instance.all_asset_keys()
        instance.all_instigator_state()


def main() -> int:
    """Prepare the home and print its path; return the exit status."""
    try:
        sys.stdout.write(f"{prepare()}\n")
    except TargenError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
