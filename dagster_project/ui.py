"""The command behind `make ui`: Dagster's webserver and daemon, on this machine only."""

import os
import signal
import socket
import sys
from pathlib import Path

from dagster_project import home
from targen.errors import TargenError

_HOST = "127.0.0.1"


def main(arguments: list[str]) -> int:
    """Start the UI on the port that is given; return only where it cannot be started."""
    port = arguments[0] if arguments else "3000"
    if problem := _unusable(port):
        sys.stderr.write(f"error: {problem}\n")
        return 1
    try:
        home.prepare()
    except TargenError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    # A shell starts background commands with the interrupt ignored, and Dagster would never stop.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    dagster = Path(sys.executable).parent / "dagster"
    command = [str(dagster), "dev", "--workspace", str(home.ROOT / "workspace.yaml")]
    command += ["--host", _HOST, "--port", port]
    # It recommends another command, which would be one more package for the same.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:Function `dev_command` is superseded")
    os.execv(command[0], command)  # noqa: S606 - no shell, and nothing in it from outside


def _unusable(port: str) -> str | None:
    """Return what is wrong with a port; Dagster itself would start its daemon all the same."""
    if not port.isdecimal() or not 0 < int(port) < 65536:
        return f"PORT must be a number from 1 to 65535, found '{port}'"
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, int(port)))
        except OSError as error:
            return f"port {port} cannot be used ({error.strerror}); take another: make ui PORT=3001"
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
