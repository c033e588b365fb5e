"""The command behind `make ui`: Dagster's webserver and daemon, on this machine only.

Here belongs starting them on the same DAGSTER_HOME as `make run`. What they show does not.
"""

import os
import signal
import sys
from pathlib import Path

from dagster_project import home
from targen.errors import TargenError


def main(arguments: list[str]) -> int:
    """Start the UI on the port that is given; return only where it cannot be started."""
    port = arguments[0] if arguments else "3000"
    try:
        home.prepare()
    except TargenError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    # A shell starts background commands with the interrupt ignored, and Dagster would never stop.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    dagster = Path(sys.executable).parent / "dagster"
    command = [str(dagster), "dev", "--workspace", str(home.ROOT / "workspace.yaml")]
    command += ["--host", "127.0.0.1", "--port", port]
    # It recommends another command, which would be one more package for the same.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:Function `dev_command` is superseded")
    os.execv(command[0], command)  # noqa: S606 - no shell, and nothing in it from outside


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
