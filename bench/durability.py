"""Faults at every file operation of every step and command that writes; and what flushing costs.

`python -m bench.durability` prints the points of failure and what was found after each of them. At
each point one operation fails (input/output error, disk full) or the process is killed. Then the
files must be the old ones or the new ones, and doing it again must complete and verify.
"""

# ruff: noqa: PTH102, PTH104, PTH105 - it stands for the module `os`

import errno
import os
import shutil
import signal
import stat
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import sqlalchemy as sa

import targen.files
import targen.tables.storage
from bench.scenarios import TASK, Scenario, of_step, open_store, scenarios
from targen.errors import TargenError
from targen.lineage.audit import Auditor
from targen.operators.verify import ROW_CHECKS
from targen.store import completions
from targen.store.completions import Store
from targen.store.schema import HOLDS
from targen.tables.commits import FOLDER
from targen.tables.storage import Storage

KINDS = ("input/output error", "disk full", "kill")
_ERRNO = {"input/output error": errno.EIO, "disk full": errno.ENOSPC}


class Killed(BaseException):
    """Stands for SIGKILL: nothing after it changes a file."""


@dataclass
class Faults:
    """The file operations of TarGEN's writers, one of which fails.

    Attributes:
        kind: one of `KINDS`.
        at: number of the operation that fails, from 0; None fails none.
        hard: really kill the process.
        seen: the operations so far.
        dead: whether the process counts as killed.
    """

    kind: str = "kill"
    at: int | None = None
    hard: bool = False
    seen: list[str] = field(default_factory=list)
    dead: bool = False

    def point(self, name: str, half: Callable[[], Any] | None = None) -> None:
        """Note an operation; fail if it is the one. `half` does a part of it first."""
        if self.dead:
            raise Killed
        self.seen.append(name)
        if len(self.seen) - 1 != self.at:
            return
        if half is not None:
            half()
        if self.kind != "kill":
            number = _ERRNO[self.kind]
            raise OSError(number, os.strerror(number))
        if self.hard:
            os.kill(os.getpid(), signal.SIGKILL)
        self.dead = True
        raise Killed

    @contextmanager
    def active(self) -> Iterator[None]:
        """Let the writers' operations pass through this object."""
        with ExitStack() as stack:
            for module in (targen.files, targen.tables.storage):
                stack.enter_context(mock.patch.object(module, "os", _Os(self)))
            if os.environ.get("AWS_ENDPOINT_URL"):
                stack.enter_context(_s3_calls(self))
            stack.enter_context(mock.patch.object(Store, "write", _store_write(self, Store.write)))
            yield


def _s3_calls(faults: Faults) -> Any:
    """Let each change of S3 be a point of failure."""
    from botocore.client import BaseClient  # noqa: PLC0415 - only for S3

    call = BaseClient._make_api_call

    def guarded(self: Any, name: str, arguments: Any) -> Any:
        if name in ("PutObject", "CopyObject", "DeleteObject"):
            faults.point(f"S3 {name}")
        return call(self, name, arguments)

    return mock.patch.object(BaseClient, "_make_api_call", guarded)


class _Os:
    """The module `os` with points of failure in it."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: Any, flags: int, mode: int = 0o777, **where: Any) -> int:
        if flags & os.O_CREAT:
            self._faults.point("create")
        return os.open(path, flags, mode, **where)

    def fdopen(self, descriptor: int, mode: str) -> Any:
        return _File(os.fdopen(descriptor, mode), self._faults)

    def fsync(self, descriptor: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        # Not done: the machine keeps its power.
        self._faults.point(f"fsync {kind}")

    def mkdir(self, *where: Any, **more: Any) -> None:
        self._faults.point("mkdir")
        os.mkdir(*where, **more)

    def replace(self, *where: Any, **more: Any) -> None:
        self._faults.point("rename")
        os.replace(*where, **more)

    def rename(self, *where: Any, **more: Any) -> None:
        self._faults.point("rename")
        os.rename(*where, **more)

    def link(self, *where: Any, **more: Any) -> None:
        self._faults.point("link")
        os.link(*where, **more)

    def unlink(self, *where: Any, **more: Any) -> None:
        self._faults.point("unlink")
        os.unlink(*where, **more)


class _File:
    """A file whose writes are points of failure."""

    def __init__(self, file: Any, faults: Faults) -> None:
        self._file, self._faults = file, faults

    def __enter__(self) -> "_File":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, content: bytes) -> int:
        half = bytes(content)[: len(content) // 2]
        self._faults.point("write", lambda: (self._file.write(half), self._file.flush()))
        return int(self._file.write(content))


def _store_write(faults: Faults, write: Any) -> Any:
    @contextmanager
    def guarded(self: Store) -> Iterator[Any]:
        try:
            faults.point("store: begin")
        except OSError as error:
            raise targen.errors.StoreError(str(error)) from error
        with write(self) as connection:
            yield connection
            if faults.kind == "kill":
                faults.point("store: before commit")
        if faults.kind == "kill":
            faults.point("store: after commit")

    return guarded


@dataclass(frozen=True)
class Result:
    """What was found after one fault.

    Attributes:
        scenario, kind, point, number: what failed where.
        found: `old`, `new`, `mixed`, or for a folder `old, in part` or `new, in part`: some of its
            files are missing, but none is of the other version.
        audit: the worst level of the audit's findings on files.
        again: whether doing it again completed and verified.
    """

    scenario: str
    kind: str
    point: str
    number: int
    found: str
    audit: str
    again: bool


def audited(folder: Path, storage: Storage) -> str:
    """Return the worst level of the audit's findings on the files of the task."""
    if not (folder / "completions.db").exists():
        return "none"
    with closing(open_store(folder)) as store:
        auditor = Auditor(storage, ROW_CHECKS, store)
        levels = {one.level for one in auditor.check_files(TASK)}
    return next((one for one in ("wrong", "unknown", "note") if one in levels), "none")


class Bench:
    """The faults of one scenario, in a folder that is restored before each."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario, self._folder = scenario, folder
        self._before = folder / "before"
        self._before.mkdir(parents=True)
        scenario.act(self._before, 0)
        self.old, self.old_whole = scenario.state(self._before), scenario.complete(self._before)
        after = self._copy("after")
        counted = Faults()
        with counted.active():
            scenario.act(after, 1)
        self.points = counted.seen
        self.new, self.new_whole = scenario.state(after), scenario.complete(after)
        assert self.old != self.new, scenario.name

    def _copy(self, name: str) -> Path:
        folder = self._folder / name
        shutil.rmtree(folder, ignore_errors=True)
        self.scenario.copy(self._before, folder)
        return folder

    def fault(
        self, kind: str, number: int, act: Callable[[Path, Faults], None] | None = None
    ) -> Result:
        """Let one operation fail, look at what is there, and do it again.

        Args:
            kind: one of `KINDS`.
            number: of the operation, an index of `points`.
            act: does it, by default in this process.
        """
        folder = self._copy("now")
        (act or self._act)(folder, Faults(kind, number))
        try:
            state = self.scenario.state(folder)
            found = "old" if state == self.old else "new" if state == self.new else "mixed"
            if found == "mixed" and isinstance(state, dict):
                found = self._part(state)
        except TargenError as error:
            found = f"mixed: {error}"
        storage = self.scenario.storage(folder)
        audit = audited(folder, storage)
        _pass_time(folder)
        try:
            self.scenario.act(folder, 1)
            again = self.scenario.complete(folder) == self.new_whole
            again = again and audited(folder, storage) in ("none", "note")
            again = again and not _left(folder, storage)
        except TargenError:
            again = False
        point = self.points[number]
        return Result(self.scenario.name, kind, point, number, found, audit, again)

    def _act(self, folder: Path, faults: Faults) -> None:
        with faults.active():
            try:
                self.scenario.act(folder, 1)
            except (TargenError, Killed):
                return

    def _part(self, state: Mapping[str, bytes]) -> str:
        for name, whole in (("old", self.old), ("new", self.new)):
            if state.items() <= whole.items():
                return f"{name}, in part"
        return "mixed"


def _pass_time(folder: Path) -> None:
    """Let drafts and leases of the killed process look old."""
    for draft in folder.rglob(".*.tmp"):
        os.utime(draft, (0, 0))
    if (folder / "completions.db").exists():
        with closing(open_store(folder)) as store, store.engine.begin() as connection:
            connection.execute(sa.update(HOLDS).values(expires_at=0.0))


def _left(folder: Path, storage: Storage) -> bool:
    """Return whether a draft or a journal is left."""
    drafts = any(targen.files.is_draft(path.name) for path in folder.rglob("*"))
    return drafts or bool(storage.keys(FOLDER))


def sound(result: Result) -> bool:
    """Return whether a result is as promised."""
    return not result.found.startswith("mixed") and result.audit != "wrong" and result.again


def all_results(folder: Path, chosen: Callable[[int], bool] = lambda _: True) -> list[Result]:
    """Return the results of the chosen faults, by their number over all scenarios and kinds."""
    found, count = [], 0
    for number, scenario in enumerate(scenarios()):
        tried = Bench(scenario, folder / str(number))
        for kind in KINDS:
            for point, name in enumerate(tried.points):
                count += 1
                if name.startswith("store") and kind != "kill" and name != "store: begin":
                    continue
                if chosen(count):
                    found.append(tried.fault(kind, point))
    return found


def lines(results: list[Result]) -> list[str]:
    """Return the table of points: per scenario and operation, what was found."""
    made = [f"{'step or command':28} {'operation':20} {'points':>6}  found; audit; again"]
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        groups.setdefault((result.scenario, result.point), []).append(result)
    for (scenario, point), some in groups.items():
        found = Counter(one.found.partition(":")[0] for one in some)
        audit = Counter(one.audit for one in some)
        words = "; ".join(
            ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
            for counts in (found, audit)
        )
        again = sum(one.again for one in some)
        made.append(f"{scenario:28} {point:20} {len(some):>6}  {words}; {again} of {len(some)}")
    bad = [one for one in results if not sound(one)]
    made += [f"NOT SOUND: {one}" for one in bad]
    made.append(f"{len(results)} faults, {len(bad)} not as promised")
    return made


def flushing(rows: int = 100) -> dict[str, float]:
    """Return seconds of writing all tables of a task with and without flushing, and written again.

    Args:
        rows: number of rows.
    """
    from targen.api import generate_sync  # noqa: PLC0415 - slow to import

    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with mock.patch.dict(os.environ, {"TARGEN_STORE_URL": f"sqlite:///{folder}/made.db"}):
            made = generate_sync(TASK, rows, model="simulator").steps
        steps = [of_step(step, (stored, stored)) for step, stored in made.items()]
        for label in ("flushed", "not_flushed"):
            off = mock.patch.object(os, "fsync", lambda descriptor: None)
            target = folder / label
            target.mkdir()
            with closing(open_store(target)), off if label == "not_flushed" else ExitStack():
                for times in ("uncached", "cached"):
                    started = time.perf_counter()
                    for step in steps:
                        step.act(target, 0)
                    figures[f"{times}_{label}_s"] = round(time.perf_counter() - started, 3)
    return figures


def committing(rows: int = 100, pairs: int = 5) -> dict[str, float]:
    """Return what flushing each commit costs a run: the median ratio of seconds, paired.

    The simulator answers, so that the wait for the disk is not hidden behind that for a model.

    Args:
        rows: number of rows.
        pairs: number of pairs.
    """
    from targen.api import generate_sync  # noqa: PLC0415 - slow to import

    seconds: dict[str, list[float]] = {"NORMAL": [], "FULL": []}
    for _ in range(pairs):
        for mode, spent in seconds.items():
            with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
                url = f"sqlite:///{name}/made.db"
                stack.enter_context(mock.patch.dict(os.environ, {"TARGEN_STORE_URL": url}))
                stack.enter_context(mock.patch.object(completions, "SYNCHRONOUS", mode))
                started = time.perf_counter()
                generate_sync(TASK, rows, model="simulator")
                spent.append(time.perf_counter() - started)
    ratios = [full / normal for normal, full in zip(*seconds.values(), strict=True)]
    found = {f"{mode.lower()}_s": statistics.median(spent) for mode, spent in seconds.items()}
    found |= {"ratio": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios)}
    return {name: round(value, 3) for name, value in found.items()}


def memory() -> str | None:
    """Return a folder in memory, which makes thousands of small files quick; None without one."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108


def run() -> dict[str, Any]:
    """Return the number of faults and of unsound results, and what flushing costs."""
    with tempfile.TemporaryDirectory(dir=memory()) as folder:
        results = all_results(Path(folder))
    bad = sum(not sound(one) for one in results)
    return {
        "faults": len(results),
        "not_as_promised": bad,
        "flushing": flushing(),
        "committing": committing(),
    }


def main() -> int:
    """Print the table of points; return the exit status."""
    with tempfile.TemporaryDirectory(dir=memory()) as folder:
        results = all_results(Path(folder))
    sys.stdout.write("\n".join([*lines(results), str(flushing()), str(committing()), ""]))
    return 0 if all(sound(one) for one in results) else 1


if __name__ == "__main__":
    sys.exit(main())
