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

import polars as pl

import targen.files
import targen.tables.storage
from targen.errors import TargenError
from targen.lineage.audit import Auditor
from targen.operators.verify import ROW_CHECKS
from targen.release import registry
from targen.release.manifest import Contents
from targen.steps import QUALITY_REPORT, TARGETS, frame, schema
from targen.store import table_digests
from targen.store.completions import Store
from targen.tables import commits, reviews
from targen.tables.changes import locked, replace_together
from targen.tables.commits import FOLDER, Journal, committed
from targen.tables.files import Stored, Tables
from targen.tables.storage import LocalStorage

TASK = "rte"
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
            stack.enter_context(mock.patch.object(Store, "write", _store_write(self, Store.write)))
            yield


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
class Scenario:
    """Something that writes.

    Attributes:
        name: the step or command.
        act: writes the old (0) or the new (1) version into a folder.
        state: returns what is there, comparable; raises if it is unreadable.
    """

    name: str
    act: Callable[[Path, int], None]
    state: Callable[[Path], Any]


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


def _store(folder: Path) -> Store:
    return Store(f"sqlite:///{folder}/completions.db")


def of_step(step: str, both: tuple[Stored, Stored]) -> Scenario:
    """Return the writing of a step's result.

    Args:
        step: the step.
        both: the old result and the new one.
    """

    def act(folder: Path, version: int) -> None:
        storage, stored = LocalStorage(str(folder)), both[version]

        def record(written: Any) -> None:
            with closing(_store(folder)) as store:
                keys = stored.upstream_keys(TASK)
                table_digests.record(store, written, stored.made_by, f"run-{version}", keys)

        with locked(storage, TASK, "run", lambda: _store(folder)):
            Tables(storage).write(step, TASK, stored, record, f"run-{version}")

    def state(folder: Path) -> Any:
        tables = Tables(LocalStorage(str(folder)))
        return tables.read(step, TASK).data_version, tables.read_json(step, TASK)

    return Scenario(step, act, state)


def versions(stored: Stored, extra: Mapping[str, Any] | None = None) -> tuple[Stored, Stored]:
    """Return a result and another with fewer rows, other rejected items and another page."""
    found = []
    for version, rows in enumerate((stored.table, stored.table.head(stored.table.height - 1))):
        lost = frame(
            [{"item_id": f"{version}" * 16, "step": "x", "reason": "malformed"}],
            schema("rejected", {}),
        )
        pages = {"json": f'{{"version": {version}}}', "html": f"<p>{version}</p>"}
        values: dict[str, Any] = {"rejected": lost, "pages": pages, **(extra or {})}
        if version == 0:
            values["planted"] = frame([], schema("planted", {}))
        made_by = {"step": "x", **stored.made_by, "step_digest": f"digest {version}"}
        digest = made_by["step_digest"]
        found.append(Stored(rows, asked=9, step_digest=digest, made_by=made_by, **values))
    return found[0], found[1]


def _all_files(folder: Path, names: tuple[str, ...] = ()) -> dict[str, bytes]:
    storage = LocalStorage(str(folder))
    keys = [key for key in storage.keys("") if not key.startswith((".", "completions.db"))]
    return {key: storage.read(key) or b"" for key in keys if not names or key in names}


def commands() -> list[Scenario]:
    """Return the commands that write files, with small contents."""

    def export(folder: Path, version: int) -> None:
        names = ("train", "test") if version else ("train", "validation")
        ours = [f"rte/{name}.jsonl" for name in ("train", "validation", "test")]
        files = {f"rte/{name}.jsonl": f"{name} {version}\n".encode() for name in names}
        replace_together(folder, "rte", files, "targen export", ours)

    def report(folder: Path, version: int) -> None:
        files = {f"own.report.{one}": f"{one} {version}".encode() for one in ("html", "json")}
        replace_together(folder, "own", files, "targen report")

    def expectations(folder: Path, version: int) -> None:
        storage = LocalStorage(str(folder))
        files = {f"expectations/rte/{one}": f"{version}".encode() for one in ("a.json", "i.html")}
        journal = Journal("expectations", TASK, {}, {})
        with (
            locked(storage, TASK, "run", lambda: _store(folder)),
            committed(storage, files, journal),
        ):
            pass

    def review(folder: Path, version: int) -> None:
        row: dict[str, Any] = dict.fromkeys(reviews.COLUMNS)
        row |= {"instance_id": f"{version}" * 16, "content": "c", "right": True}
        verdicts = pl.DataFrame([row], schema=dict(reviews.COLUMNS))
        storage = LocalStorage(str(folder))

        def record(written: Any) -> None:
            with closing(_store(folder)) as store:
                made_by = reviews.made_by(TASK)
                table_digests.record(store, written, made_by, reviews.IMPORT)

        with locked(storage, TASK, reviews.IMPORT, lambda: _store(folder)):
            reviews.keep(storage, TASK, verdicts, record)

    def release(folder: Path, version: int) -> None:
        if not version:
            LocalStorage(str(folder)).write("releases/rte/other.txt", b"x")
            return
        files = {"data/train.parquet": b"rows", "manifest.json": b"{}"}
        contents = Contents(files, {"version": "0123456789abcdef", "inputs": 1})
        storage = LocalStorage(str(folder))
        with locked(storage, TASK, "release", lambda: _store(folder)):
            registry.put(storage, TASK, contents)

    def one_file(folder: Path, version: int) -> None:
        targen.files.write_file(folder / "deep" / "page.html", f"{version}".encode(), "--output")

    def new_file(folder: Path, version: int) -> None:
        if version:
            path = folder / "deep" / "task.yaml"
            force = path.exists()
            targen.files.write_file(path, b"name: x", "x", private=False, replace=force)

    made = {
        "review import": review,
        "export": export,
        "report": report,
        "expectations": expectations,
        "release": release,
        "one file (--output, --html)": one_file,
        "init": new_file,
    }
    states = {"expectations": _expectations}
    return [Scenario(name, act, states.get(name, _all_files)) for name, act in made.items()]


def _expectations(folder: Path) -> Any:
    storage = LocalStorage(str(folder))
    journal = commits.pending(storage, "expectations", TASK)
    return [commits.read(storage, journal, key) for key in storage.keys("expectations")]


def scenarios() -> list[Scenario]:
    """Return all steps, with rows of the simulator, and all commands."""
    from targen.api import generate_sync  # noqa: PLC0415 - slow to import

    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/completions.db"
        with mock.patch.dict(os.environ, {"TARGEN_STORE_URL": url}):
            made = generate_sync(TASK, 4, model="simulator").steps
    found = [of_step(step, versions(stored)) for step, stored in made.items()]
    figures = schema(QUALITY_REPORT, {})
    empty = Stored(frame([dict.fromkeys(figures)] * 2, figures))
    rounds = {"pages": {"html": "p", "yaml": "task: rte", "json": "{}"}}
    other = {"pages": {"html": "q", "yaml": "task: rte #", "json": "[]"}}
    before, _ = versions(empty, rounds)
    _, after = versions(empty, other)
    return [
        *found,
        of_step(QUALITY_REPORT, versions(empty)),
        of_step(TARGETS, (before, after)),
        *commands(),
    ]


def audited(folder: Path) -> str:
    """Return the worst level of the audit's findings on the files of the task."""
    if not (folder / "completions.db").exists():
        return "none"
    with closing(_store(folder)) as store:
        auditor = Auditor(LocalStorage(str(folder)), ROW_CHECKS, store)
        levels = {one.level for one in auditor.check_files(TASK)}
    return next((one for one in ("wrong", "unknown", "note") if one in levels), "none")


class Bench:
    """The faults of one scenario, in a folder that is restored before each."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario, self._folder = scenario, folder
        self._before = folder / "before"
        self._before.mkdir(parents=True)
        scenario.act(self._before, 0)
        self.old = scenario.state(self._before)
        after = self._copy("after")
        counted = Faults()
        with counted.active():
            scenario.act(after, 1)
        self.points = counted.seen
        self.new = scenario.state(after)
        assert self.old != self.new, scenario.name

    def _copy(self, name: str) -> Path:
        folder = self._folder / name
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self._before, folder)
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
        audit = audited(folder)
        # The next writer of a file removes drafts that no living process can have.
        for draft in folder.rglob(".*.tmp"):
            os.utime(draft, (0, 0))
        try:
            self.scenario.act(folder, 1)
            again = self.scenario.state(folder) == self.new and audited(folder) in ("none", "note")
            again = again and not _left(folder)
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


def _left(folder: Path) -> bool:
    """Return whether a draft or a journal is left."""
    return any(targen.files.is_draft(path.name) for path in folder.rglob("*")) or any(
        path.is_file() for path in (folder / FOLDER).rglob("*")
    )


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
            with closing(_store(target)), off if label == "not_flushed" else ExitStack():
                for times in ("uncached", "cached"):
                    started = time.perf_counter()
                    for step in steps:
                        step.act(target, 0)
                    figures[f"{times}_{label}_s"] = round(time.perf_counter() - started, 3)
    return figures


def memory() -> str | None:
    """Return a folder in memory, which makes thousands of small files quick; None without one."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108


def run() -> dict[str, Any]:
    """Return the number of faults and of unsound results, and what flushing costs."""
    with tempfile.TemporaryDirectory(dir=memory()) as folder:
        results = all_results(Path(folder))
    bad = sum(not sound(one) for one in results)
    return {"faults": len(results), "not_as_promised": bad, "flushing": flushing()}


def main() -> int:
    """Print the table of points; return the exit status."""
    with tempfile.TemporaryDirectory(dir=memory()) as folder:
        results = all_results(Path(folder))
    sys.stdout.write("\n".join([*lines(results), str(flushing()), ""]))
    return 0 if all(sound(one) for one in results) else 1


if __name__ == "__main__":
    sys.exit(main())
