"""Finds all rows, including released ones, that descend from an id."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from targen.lineage import completions
from targen.lineage.audit import Auditor
from targen.lineage.graph import Finding, below
from targen.lineage.stored_files import read_rows
from targen.release.audit import ORIGINS, ROWS
from targen.release.registry import FOLDER
from targen.steps import IDS
from targen.tables.storage import Storage


def descendants(auditor: Auditor, name: str, tasks: Sequence[str]) -> dict[str, Any]:
    """Return all rows that descend from `name`, JSON-like.

    A request also counts under the ids of its retries. All tasks are searched, because rows with
    the same text in two tasks share seed and context ids.

    Returns:
        `rows`: task, table, id and, for released rows, release; `known`: whether the store has a
        completion with this id; `findings`: what cannot be read.

    Raises:
        TableError: the data folder cannot be read.
        StoreError: the store cannot be read.
    """
    names, known = {name}, False
    if auditor.store is not None:
        names = completions.descendants(auditor.store, [name])
        known = bool(auditor.store.known([name]))
    rows: list[dict[str, Any]] = []
    findings: list[Finding] = []
    finished: dict[str, set[str]] = {}
    for task in tasks:
        book = auditor.tables(task)
        found = below(book, sorted(names))
        rows += [{"task": task, "table": item.asset, "id": item.item_id} for item in found]
        finished[task] = {i.item_id for i in found if IDS.get(i.asset) == "instance_id"}
        findings += [
            Finding("unknown", file.key, str(file.error))
            for file in book.files.values()
            if file.error and file.sha256
        ]
    for release in _releases(auditor.storage):
        held, error = _released(auditor.storage, release, names, finished)
        if error:
            findings.append(Finding("unknown", release, error))
        task = release.split("/")[1]
        rows += [{"task": task, "table": "release", "id": i, "release": release} for i in held]
    return {"rows": rows, "known": known, "findings": [asdict(one) for one in findings]}


def _releases(storage: Storage) -> list[str]:
    found = (key.split("/") for key in storage.keys(FOLDER))
    return sorted({"/".join(parts[:3]) for parts in found if len(parts) > 3})


def _released(
    storage: Storage, release: str, names: set[str], finished: Mapping[str, set[str]]
) -> tuple[list[str], str]:
    """Return the released rows that descend from any of the ids, and what cannot be read.

    Rows that are no longer in the corrected set are traced by the release's own origins.
    """
    held: set[str] = set()
    named: set[str] = set()
    for key in storage.keys(release):
        path = key.removeprefix(f"{release}/")
        if not (ROWS.fullmatch(path) or path == ORIGINS):
            continue
        frame, _ = read_rows(storage.read(key) or b"")
        if frame is None or "instance_id" not in frame.columns:
            return [], f"{path} cannot be read"
        if path == ORIGINS:
            rows = frame.iter_rows(named=True)
            named = {row["instance_id"] for row in rows if names & set(_named(row))}
        else:
            held |= set(frame["instance_id"])
    task = release.split("/")[1]
    return sorted(held & (named | finished.get(task, set()))), ""


def _named(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield every id in the origin of a released row."""
    for value in row.values():
        yield from value if isinstance(value, list) else [value]
