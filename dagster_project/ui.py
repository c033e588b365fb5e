"""The command `make ui`: Dagster's webserver with the reports, and its daemon, on loopback."""

import os
import signal
import socket
import sys

from dagster_project import home
from targen.errors import TargenError
from targen.settings import unknown_variables

_HOST = "127.0.0.1"
WEBSERVER = "targen_dagster.webserver"


def main(arguments: list[str]) -> int:
    """Run the UI on the given port until it is stopped; return the exit status."""
    port = arguments[0] if arguments else "3000"
    for sentence in unknown_variables():
        sys.stderr.write(f"warning: {sentence}\n")
    if problem := _unusable(port):
        sys.stderr.write(f"error: {problem}\n")
        return 1
    try:
        home.prepare()
    except TargenError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    # Shells start background commands with SIGINT ignored, so Dagster could not be stopped.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # For the processes that Dagster starts: dagster.yaml and the workspace name modules of the
    # checkout.
    path = [str(home.ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(path)
    from dagster_project.dagster_internals import run_dev  # noqa: PLC0415 - after the checks

    workspace = str(home.ROOT / "workspace.yaml")
    run_dev(WEBSERVER, ["--workspace", workspace, "--host", _HOST, "--port", port])
    return 0


def _unusable(port: str) -> str | None:
    """Return why a port cannot be used, if so; Dagster would start its daemon anyway."""
    if not port.isdecimal() or not 0 < int(port) < 65536:
        return f"PORT must be a number from 1 to 65535, found '{port}'"
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, int(port)))
        except OSError as error:
            return (
                f"port {port} cannot be used ({error.strerror}); choose another: make ui PORT=3001"
            )
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
