"""SIGKILL at every write, rename and flush of every step and command that writes, also on S3.

`python -m bench.kills` prints the points and what was found after each of them. Unlike in
`bench.durability`, a process of its own does the work and really ends.
"""

import logging
import multiprocessing
import os
import pickle
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from unittest import mock

from bench.durability import Bench, Faults, Result, lines, memory, sound
from bench.scenarios import Pairs, Scenario, commands, of_step, pairs
from targen.tables.storage import S3Storage, Storage

BUCKET: Final = "faults"
_ON_S3: Final = ("contexts", "corrected_set", "quality_report")
_CONTEXT = multiprocessing.get_context("forkserver")
# Loaded once, before Polars and others start threads, which do not survive a fork.
_CONTEXT.set_forkserver_preload(["bench.durability", "botocore.session"])


def on_s3(step: str, both: Any) -> Scenario:
    """Return the writing of a step's result to S3; see `server`."""
    return replace(of_step(step, both, _place), name=f"{step} on S3", copy=_copy)


def _place(folder: Path) -> Storage:
    return S3Storage(f"s3://{BUCKET}/{_prefix(folder)}")


def _prefix(folder: Path) -> str:
    return "-".join(folder.parts[-2:])


def _copy(before: Path, folder: Path) -> None:
    """Copy a folder, which has the store, and the objects that belong to it."""
    shutil.copytree(before, folder)
    client, prefix = S3Storage(f"s3://{BUCKET}")._client, _prefix(folder)
    for name in (prefix, _prefix(before)):
        found = client.list_objects_v2(Bucket=BUCKET, Prefix=f"{name}/").get("Contents", [])
        for key in (one["Key"] for one in found):
            if name == prefix:
                client.delete_object(Bucket=BUCKET, Key=key)
            else:
                source = {"Bucket": BUCKET, "Key": key}
                target = prefix + key.removeprefix(name)
                client.copy_object(Bucket=BUCKET, Key=target, CopySource=source)


@contextmanager
def server() -> Iterator[None]:
    """Run an S3 server on loopback, which the environment of the block names."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - only for S3

    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    environment = {
        "AWS_ACCESS_KEY_ID": "someone",
        "AWS_SECRET_ACCESS_KEY": "something",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{running.get_host_and_port()[1]}",
    }
    try:
        with mock.patch.dict(os.environ, environment):
            S3Storage(f"s3://{BUCKET}")._client.create_bucket(Bucket=BUCKET)
            yield
    finally:
        running.stop()


class Kills:
    """Kills processes in the middle of scenarios."""

    def __init__(self, folder: Path, stored: Pairs) -> None:
        """Make it.

        Args:
            folder: a folder for everything.
            stored: steps with their old and new results; those of `_ON_S3` are written to S3, too,
                if `server` runs.
        """
        self._folder, self._file = folder, folder / "pairs.pickle"
        # Read by each process only after its fork.
        self._file.write_bytes(pickle.dumps(stored))
        self._stored = stored

    def scenarios(self) -> list[Scenario]:
        """Return all steps and commands."""
        return _scenarios(self._stored)

    def results(self, scenario: Scenario, chosen: Callable[[int], bool]) -> list[Result]:
        """Return what was found after the chosen kills, by the number of the point."""
        name = "".join(letter if letter.isalnum() else "-" for letter in scenario.name)
        tried = Bench(scenario, self._folder / name)

        def act(folder: Path, faults: Faults) -> None:
            process = _CONTEXT.Process(
                target=_work, args=(self._file, scenario.name, folder, faults.at, dict(os.environ))
            )
            process.start()
            process.join()
            assert process.exitcode == -signal.SIGKILL, (scenario.name, faults.at, process.exitcode)

        numbers = [number for number in range(len(tried.points)) if chosen(number)]
        found = [tried.fault("kill", number, act) for number in numbers]
        shutil.rmtree(self._folder / name)
        return found


def _scenarios(stored: Pairs) -> list[Scenario]:
    found = [*(of_step(step, both) for step, both in stored), *commands()]
    if "AWS_ENDPOINT_URL" in os.environ:
        found += [on_s3(step, both) for step, both in stored if step in _ON_S3]
    return found


def _work(file: Path, name: str, folder: Path, at: int, environment: Mapping[str, str]) -> None:
    """Do what a scenario does, up to a point; runs in a process of its own."""
    os.environ.update(environment)
    stored: Pairs = pickle.loads(file.read_bytes())  # noqa: S301 - written above
    scenario = next(one for one in _scenarios(stored) if one.name == name)
    with Faults("kill", at, hard=True).active():
        scenario.act(folder, 1)


def all_results(chosen: Callable[[int], bool] = lambda _: True) -> list[Result]:
    """Return the results of all steps and commands at the chosen points."""
    with tempfile.TemporaryDirectory(dir=memory()) as folder, server():
        kills = Kills(Path(folder), pairs())
        return [one for each in kills.scenarios() for one in kills.results(each, chosen)]


def run() -> dict[str, Any]:
    """Return the number of kills and of unsound results."""
    results = all_results()
    return {"kills": len(results), "not_as_promised": sum(not sound(one) for one in results)}


def main(names: Sequence[str] = ()) -> int:
    """Print the table of points as it grows; return the exit status.

    Args:
        names: beginnings of the names of the scenarios to try; all without any.
    """
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    results: list[Result] = []
    with tempfile.TemporaryDirectory(dir=memory()) as folder, server():
        kills = Kills(Path(folder), pairs())
        for scenario in kills.scenarios():
            if not names or scenario.name.startswith(tuple(names)):
                found = kills.results(scenario, lambda _: True)
                sys.stdout.write("\n".join([*lines(found)[1:-1], ""]))
                sys.stdout.flush()
                results += found
    bad = sum(not sound(one) for one in results)
    sys.stdout.write(f"{len(results)} kills, {bad} not as promised\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
