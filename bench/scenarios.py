"""Everything that writes, as scenarios for `bench.durability`."""

import gzip
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import polars as pl
import sqlalchemy as sa

import targen.files
from targen.errors import StoreError
from targen.files import drafted
from targen.hashing import sha256_of
from targen.release import registry
from targen.release.manifest import Contents
from targen.steps import QUALITY_REPORT, TARGETS, frame, schema
from targen.store import maintenance, salvage, table_digests
from targen.store.access import exclusive
from targen.store.completions import Store, checksum, pack
from targen.store.schema import COMPLETIONS
from targen.tables import commits, reviews
from targen.tables.changes import locked, replace_together
from targen.tables.commits import Journal, committed
from targen.tables.files import Stored, Tables
from targen.tables.storage import LocalStorage, Storage

TASK = "rte"
RELEASED = "0123456789abcdef"


def open_store(folder: Path) -> Store:
    """Open the completion store of a folder."""
    return Store(f"sqlite:///{folder}/completions.db")


@dataclass(frozen=True)
class Scenario:
    """Something that writes.

    Attributes:
        name: the step or command.
        act: writes the old (0) or the new (1) version into a folder.
        state: returns what is there, comparable; raises if it is unreadable.
        whole: returns all of it, to compare after doing it again; by default as `state`.
        storage: returns the storage of a folder.
        copy: copies a folder to one that does not exist.
    """

    name: str
    act: Callable[[Path, int], None]
    state: Callable[[Path], Any]
    whole: Callable[[Path], Any] | None = None
    storage: Callable[[Path], Storage] = lambda folder: LocalStorage(str(folder))
    copy: Callable[[Path, Path], Any] = shutil.copytree

    def complete(self, folder: Path) -> Any:
        """Return all that is in a folder."""
        return (self.whole or self.state)(folder)


def _store(folder: Path) -> Store:
    return Store(f"sqlite:///{folder}/completions.db")


def of_step(
    step: str,
    both: tuple[Stored, Stored],
    place: Callable[[Path], Storage] = lambda folder: LocalStorage(str(folder)),
) -> Scenario:
    """Return the writing of a step's result.

    Args:
        step: the step.
        both: the old result and the new one.
        place: returns the storage of a folder.
    """

    def act(folder: Path, version: int) -> None:
        storage, stored = place(folder), both[version]

        def record(written: Any) -> None:
            with closing(open_store(folder)) as store:
                keys = stored.upstream_keys(TASK)
                table_digests.record(store, written, stored.made_by, f"run-{version}", keys)

        with locked(storage, TASK, "run", lambda: open_store(folder)):
            Tables(storage).write(step, TASK, stored, record, f"run-{version}")

    def state(folder: Path) -> Any:
        tables = Tables(place(folder))
        return tables.read(step, TASK).data_version, tables.read_json(step, TASK)

    return Scenario(step, act, state, storage=place)


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


def _one_file(folder: Path, version: int) -> None:
    targen.files.write_file(folder / "deep" / "page.html", f"{version}".encode(), "--output")


def _new_file(folder: Path, version: int) -> None:
    if version:
        path = folder / "deep" / "task.yaml"
        force = path.exists()
        targen.files.write_file(path, b"name: x", "x", private=False, replace=force)


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
            locked(storage, TASK, "run", lambda: open_store(folder)),
            committed(storage, files, journal),
        ):
            pass

    def review(folder: Path, version: int) -> None:
        row: dict[str, Any] = dict.fromkeys(reviews.COLUMNS)
        row |= {"instance_id": f"{version}" * 16, "content": "c", "right": True}
        verdicts = pl.DataFrame([row], schema=dict(reviews.COLUMNS))
        storage = LocalStorage(str(folder))

        def record(written: Any) -> None:
            with closing(open_store(folder)) as store:
                made_by = reviews.made_by(TASK)
                table_digests.record(store, written, made_by, reviews.IMPORT)

        with locked(storage, TASK, reviews.IMPORT, lambda: open_store(folder)):
            reviews.keep(storage, TASK, verdicts, record)

    def release(folder: Path, version: int) -> None:
        if not version:
            LocalStorage(str(folder)).write("releases/rte/other.txt", b"x")
            return
        files = {"data/train.parquet": b"rows", "manifest.json": b"{}"}
        contents = Contents(files, {"version": RELEASED, "inputs": 1})
        storage = LocalStorage(str(folder))
        with locked(storage, TASK, "release", lambda: open_store(folder)):
            registry.put(storage, TASK, contents)

    def withdraw(folder: Path, version: int) -> None:
        storage = LocalStorage(str(folder))
        if not version:
            release(folder, 1)
        else:
            with locked(storage, TASK, "targen release withdraw", lambda: open_store(folder)):
                registry.withdraw(storage, TASK, RELEASED, "wrong labels")

    made = {
        "review import": review,
        "export": export,
        "report": report,
        "expectations": expectations,
        "release": release,
        "release withdraw": withdraw,
        "one file (--output, --html)": _one_file,
        "init": _new_file,
    }
    states = {"expectations": _expectations, "release withdraw": _releases}
    wholes = {"release withdraw": _all_files}
    found = [
        Scenario(name, act, states.get(name, _all_files), wholes.get(name))
        for name, act in made.items()
    ]
    return [*found, *store_commands()]


def _releases(folder: Path) -> Any:
    # A withdrawal counts from its note on; the files are deleted then.
    files = _all_files(folder)
    withdrawn = next((key for key in files if key.endswith(registry.TOMBSTONE)), None)
    return files if withdrawn is None else files[withdrawn]


def _completion(number: int) -> dict[str, Any]:
    """Return a row of the store."""
    identity = json.dumps({"messages": [], "sample": number}).encode()
    row: dict[str, Any] = dict.fromkeys(column.name for column in COMPLETIONS.columns)
    row |= dict.fromkeys(("endpoint", "model", "mode", "run_id", "project_version"), "x")
    row |= {"request_id": sha256_of(identity), "identity": pack(identity), "status": "ok"}
    row |= {"simulated": True, "attempts": 1, "created_at": 1.0}
    return row | {"checksum": checksum(row)}


def store_commands() -> list[Scenario]:
    """Return the commands that change the completion store."""
    rows = [_completion(number) for number in range(3)]
    ids = [row["request_id"] for row in rows]

    def fill(folder: Path, count: int) -> None:
        with closing(open_store(folder)) as store, store.engine.begin() as connection:
            connection.execute(sa.insert(COMPLETIONS), rows[:count])

    def drop(folder: Path, version: int) -> None:
        if not version:
            fill(folder, 3)
            return
        with closing(open_store(folder)) as store, exclusive(store, "`targen store drop`", 0):
            if store.present(ids[:1]):
                maintenance.drop(store, ids[0])

    def prune(folder: Path, version: int) -> None:
        if not version:
            fill(folder, 3)
            return
        with closing(open_store(folder)) as store, exclusive(store, "`targen store prune`", 0):
            maintenance.prune(store, ids[:1])

    def load(folder: Path, version: int) -> None:
        if not version:
            fill(folder, 3)
            with closing(open_store(folder)) as store:
                with drafted(folder / "backup.gz", "FILE") as file:
                    maintenance.export(store, file)
                maintenance.prune(store, ids[:1])
            return
        with closing(open_store(folder)) as store, exclusive(store, "`targen store import`", 0):
            maintenance.load(store, folder / "backup.gz")

    def export(folder: Path, version: int) -> None:
        if not version:
            fill(folder, 3)
        with closing(open_store(folder)) as store, drafted(folder / "backup.gz", "FILE") as file:
            if version:
                maintenance.prune(store, ids[:1])
            maintenance.export(store, file)

    def salvage_(folder: Path, version: int) -> None:
        if not version:
            fill(folder, 3)
        else:
            with suppress(StoreError) if (folder / "new.db").exists() else nullcontext():
                salvage.salvage(folder / "completions.db", folder / "new.db")

    def in_store(folder: Path) -> Any:
        with closing(open_store(folder)) as store:
            return sorted(store.present(ids)), maintenance.verify(store)

    def backup(folder: Path) -> Any:
        with gzip.open(folder / "backup.gz", "rb") as file:
            return file.read()

    def new_store(folder: Path) -> Any:
        if not (folder / "new.db").exists():
            return None
        with closing(Store(f"sqlite:///{folder}/new.db")) as store:
            return sorted(store.present(ids))

    return [
        Scenario("store drop", drop, in_store),
        Scenario("store prune", prune, in_store),
        Scenario("store import", load, in_store),
        Scenario("store export", export, backup),
        Scenario("store salvage", salvage_, new_store),
    ]


def _expectations(folder: Path) -> Any:
    storage = LocalStorage(str(folder))
    journal = commits.pending(storage, "expectations", TASK)
    return [commits.read(storage, journal, key) for key in storage.keys("expectations")]


Pairs = list[tuple[str, tuple[Stored, Stored]]]
"""Steps, each with its old and its new result."""


def scenarios() -> list[Scenario]:
    """Return all steps, with rows of the simulator, and all commands."""
    return [*(of_step(step, both) for step, both in pairs()), *commands()]


def pairs() -> Pairs:
    """Return all steps with old and new results, from rows of the simulator."""
    from targen.api import generate_sync  # noqa: PLC0415 - slow to import

    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/completions.db"
        with mock.patch.dict(os.environ, {"TARGEN_STORE_URL": url}):
            made = generate_sync(TASK, 4, model="simulator").steps
    found = [(step, versions(stored)) for step, stored in made.items()]
    report, targets = (_empty(step) for step in (QUALITY_REPORT, TARGETS))
    rounds = {"pages": {"html": "p", "yaml": "task: rte", "json": "{}"}}
    other = {"pages": {"html": "q", "yaml": "task: rte #", "json": "[]"}}
    before, _ = versions(targets, rounds)
    _, after = versions(targets, other)
    return [*found, (QUALITY_REPORT, versions(report)), (TARGETS, (before, after))]


def _empty(step: str) -> Stored:
    """Return two rows without values."""
    columns = schema(step, {})
    return Stored(frame([dict.fromkeys(columns)] * 2, columns))
