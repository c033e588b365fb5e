"""DAGSTER_HOME: where Dagster keeps runs and events, for the shell and the UI alike.

Run as a module, it makes the folder ready and prints its path.
"""

import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from targen.errors import TargenError

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""

_SETTINGS = ROOT / "deploy" / "local" / "dagster.yaml"
_READY = ".targen-ready"


def prepare() -> Path:
    """Make DAGSTER_HOME ready and return it; `.dagster_home` in the checkout where it is unset.

    An empty home that several processes open at once stays broken, so one process opens it first
    and the others wait.

    Raises:
        TargenError: the folder cannot be made or written.
    """
    home = Path(os.environ.get("DAGSTER_HOME") or ROOT / ".dagster_home").expanduser().absolute()
    os.environ["DAGSTER_HOME"] = str(home)
    try:
        home.mkdir(parents=True, exist_ok=True)
        if (home / _READY).exists():
            return home
        with _alone(home / ".targen-lock"):
            if not (home / "dagster.yaml").exists():
                shutil.copyfile(_SETTINGS, home / "dagster.yaml")
            if not (home / _READY).exists():
                _initialise()
                (home / _READY).touch()
    except OSError as error:
        raise TargenError(
            f"Cannot write in DAGSTER_HOME {home}: {error.strerror or error}. Give this user the "
            "right to, or set DAGSTER_HOME to another folder."
        ) from error
    return home


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _initialise() -> None:
    from dagster import DagsterInstance  # noqa: PLC0415 - only where there is something to do

    with DagsterInstance.get() as instance:
        # Each look makes one of the databases.
        instance.get_runs_count()
        instance.all_asset_keys()
        instance.all_instigator_state()


def main() -> int:
    """Make the home ready for a command that follows."""
    try:
        sys.stdout.write(f"{prepare()}\n")
    except TargenError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
