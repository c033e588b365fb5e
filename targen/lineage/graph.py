"""Lineage graph: from a row up to its sources, and down to its descendants."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal

import polars as pl

from targen.lineage import ids
from targen.lineage.stored_files import File, read_file, read_page
from targen.steps import (
    ASKED,
    CONTEXTS,
    CORRECTED_SET,
    DIMENSIONS,
    IDS,
    INSTANCES,
    LABELS,
    REVIEWS,
    ROW_STEPS,
    SEEDS,
    TARGETS,
    VOCABULARIES,
    about,
    schema,
)
from targen.tables.files import key_of
from targen.tables.reviews import SEPARATOR
from targen.tables.storage import Storage

Row = Mapping[str, Any]
Level = Literal["wrong", "unknown", "note"]
Role = Literal["own", "twin", "parent"]


@dataclass(frozen=True)
class Finding:
    """Something that an audit found.

    Attributes:
        level: `wrong`: incorrect; `unknown`: cannot be verified; `note`: correct, but worth
            knowing.
        where: the file, row and column, or the request.
        what: the problem.
    """

    level: Level
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class TaskTables:
    """The tables of one task, with look-up by id; each file is read on first use.

    Args:
        storage: the data folder; None uses only the frames.
        task: the task.
        frames: step -> table, for tables that are already in memory.
    """

    def __init__(
        self, storage: Storage | None, task: str, frames: Mapping[str, pl.DataFrame] | None = None
    ) -> None:
        self.task, self._storage = task, storage
        self._files: dict[str, File] = {
            asset: File(key_of(asset, task), frame=frame) for asset, frame in (frames or {}).items()
        }
        self._indexes: dict[tuple[str, str], dict[str, list[int]]] = {}

    def page(self, asset: str, suffix: str) -> File:
        """Return a page beside a step's table."""
        key = key_of(asset, self.task, suffix)
        if self._storage is None:
            return File(key)
        return read_page(self._storage, key, asset, self.task)

    def file(self, asset: str) -> File:
        """Return a step's table, its `rejected/<step>`, or its `planted/<step>`."""
        if asset not in self._files:
            kind, _, step = asset.partition("/")
            step = step or asset
            key = key_of(asset, self.task)
            # A planted file that the table does not mention belongs to an older table.
            stale = kind == "planted" and not self.file(step).planted
            if self._storage is None or stale:
                self._files[asset] = File(key, error="the file is missing")
            else:
                self._files[asset] = read_file(self._storage, key, step, self.task)
        return self._files[asset]

    @property
    def files(self) -> dict[str, File]:
        """Asset -> file, for the files read so far."""
        return dict(self._files)

    def rows(self, asset: str, column: str, value: Any) -> list[dict[str, Any]]:
        """Return the rows whose `column` equals or contains a value, in the table's order.

        Each row has its index in the table as `#`.
        """
        frame = self.file(asset).frame
        if frame is None or column not in frame.columns:
            return []
        indices = self._index(asset, column, frame).get(str(value), [])
        return [{**frame.row(index, named=True), "#": index} for index in indices]

    def row(self, asset: str, item_id: str) -> dict[str, Any] | None:
        """Return the row with this id, or None."""
        key = "target_id" if asset == TARGETS else IDS.get(asset, "item_id")
        found = self.rows(asset, key, item_id)
        return found[0] if found else None

    def _index(self, asset: str, column: str, frame: pl.DataFrame) -> dict[str, list[int]]:
        if (asset, column) not in self._indexes:
            found: dict[str, list[int]] = {}
            for index, value in enumerate(frame[column]):
                for one in value if isinstance(value, pl.Series) else (value,):
                    if one is not None:
                        found.setdefault(str(one), []).append(index)
            self._indexes[asset, column] = found
        return self._indexes[asset, column]

    def where(self, item_id: str) -> list[str]:
        """Return the tables that contain an item: steps, then `rejected/<step>`."""
        assets = [*reversed(ROW_STEPS), *(f"rejected/{step}" for step in reversed(ROW_STEPS))]
        return [asset for asset in assets if self.row(asset, item_id) is not None]


@dataclass(frozen=True)
class Item:
    """One row in a lineage.

    Attributes:
        asset: the table, `rejected/<step>` for rejected items.
        item_id: the row's id.
        row: its columns, and its index in the table as `#`.
        role: `own`: the row itself or one of its sources; `twin`: the row's twin; `parent`: a row
            that was shown as an example, or one of its ancestors or sources.
    """

    asset: str
    item_id: str
    row: Row
    role: Role = "own"

    @property
    def request_ids(self) -> list[str]:
        """The requests in the row's own columns."""
        if "request_id" in self.row:
            return [self.row["request_id"]] if self.row["request_id"] else []
        return [name for name in self.row.get("request_ids") or () if name]

    @property
    def location(self) -> str:
        """Table and row, for messages."""
        return f"{self.asset}, row {self.item_id}"


@dataclass
class RowLineage:
    """A row with all its sources.

    Attributes:
        task: the row's task.
        item_id: the row's id.
        items: the row and its sources in the order in which they were made.
        broken: references to rows that do not exist.
    """

    task: str
    item_id: str
    items: list[Item] = field(default_factory=list)
    broken: list[Finding] = field(default_factory=list)

    def of(self, asset: str, role: str = "own") -> list[Item]:
        """Return the items of a table in a role."""
        return [item for item in self.items if (item.asset, item.role) == (asset, role)]

    def one(self, asset: str, role: str = "own") -> Item | None:
        """Return the first item of a table in a role, or None."""
        return next(iter(self.of(asset, role)), None)

    @cached_property
    def by_id(self) -> dict[tuple[str, str], Item]:
        """(asset, id) -> item."""
        return {(item.asset, item.item_id): item for item in self.items}

    @property
    def request_ids(self) -> list[str]:
        """The requests of all items, in order, each once."""
        return list(dict.fromkeys(name for item in self.items for name in item.request_ids))


def fields_of(row: Row) -> dict[str, Any]:
    """Return the task's fields in a row of instances."""
    known = {*schema(INSTANCES, {}), "#"}
    return {name: value for name, value in row.items() if name not in known}


def trace(tables: TaskTables, item_id: str) -> RowLineage | None:
    """Return a row or rejected item with all its sources; None if no table contains it."""
    lineage = RowLineage(tables.task, item_id)
    seen: set[tuple[str, str]] = set()
    for asset in tables.where(item_id):
        row = tables.row(asset, item_id)
        # An item keeps the first role in which it is found. Not recursive: the chain of ancestors
        # can be thousands of rows long.
        waiting = [] if row is None else [Item(asset, item_id, row)]
        while waiting:
            item = waiting.pop()
            if (item.asset, item.item_id) in seen:
                continue
            seen.add((item.asset, item.item_id))
            lineage.items.append(item)
            sources = list(_sources(tables, item))
            lineage.broken += [one for one in sources if isinstance(one, Finding)]
            waiting += reversed([one for one in sources if isinstance(one, Item)])
    if not lineage.items:
        return None
    order = {asset: index for index, asset in enumerate(ROW_STEPS)}
    last = len(ROW_STEPS)
    # Depth puts parents before their children.
    lineage.items.sort(
        key=lambda i: (order.get(i.asset, last), i.row.get("depth") or 0, i.role == "own")
    )
    return lineage


def requests_above(tables: TaskTables, instance_ids: Iterable[str]) -> dict[str, set[str]]:
    """Return finished row -> the requests of the row and of all its sources, except its twin."""
    known: dict[tuple[str, str], tuple[list[str], list[tuple[str, str]]]] = {}
    found: dict[str, set[str]] = {}
    for instance_id in instance_ids:
        requests = found.setdefault(instance_id, set())
        seen: set[tuple[str, str]] = set()
        waiting = [(CORRECTED_SET, instance_id)]
        while waiting:
            key = waiting.pop()
            if key in seen:
                continue
            seen.add(key)
            if key not in known:
                item = Item(*key, tables.row(*key) or {})
                above = [one for one in _sources(tables, item) if isinstance(one, Item)]
                sources = [(one.asset, one.item_id) for one in above if one.role != "twin"]
                known[key] = item.request_ids, sources
            requests.update(known[key][0])
            waiting += known[key][1]
    return found


def _sources(tables: TaskTables, item: Item) -> Iterator[Item | Finding]:
    """Yield the rows that an item refers to, and a finding for each reference to a missing row."""
    row, role = item.row, item.role
    references: list[tuple[str, str | None, Role]] = []
    if item.asset in (CORRECTED_SET, "rejected/corrected_set"):
        references = [(LABELS, item.item_id, role), (INSTANCES, item.item_id, role)]
    elif item.asset == LABELS:
        references = [(INSTANCES, item.item_id, role)]
    elif item.asset == INSTANCES:
        references = [(CONTEXTS, row["context_id"], role), (SEEDS, row["seed_id"], role)]
        references += [(INSTANCES, name, "parent") for name in row["parent_ids"] or ()]
        references.append((TARGETS, row.get("target_id"), role))
    elif item.asset == SEEDS:
        references = [(CONTEXTS, row["context_id"], role)]
    elif item.asset == CONTEXTS:
        references = [(VOCABULARIES, name, role) for name in row["term_ids"] or ()]
    for asset, item_id, its_role in references:
        if item_id:
            yield _referenced(tables, item, asset, item_id, its_role)
    if item.asset in (CORRECTED_SET, "rejected/corrected_set"):
        yield from _verdicts(tables, item)
    if item.asset == INSTANCES and role == "own":
        yield from _twins(tables, item)
    if item.asset == VOCABULARIES:
        yield from _deciders(tables, item)


def _verdicts(tables: TaskTables, item: Item) -> Iterator[Item]:
    """Yield the human verdict on a row, if there is one on the row as it was shown."""
    instance = tables.row(INSTANCES, item.item_id)
    found = tables.rows(REVIEWS, "instance_id", item.item_id)
    if instance is None or not found:
        return
    fields = fields_of(instance)
    shown = item.row.get("label_before_review")
    shown = item.row.get("label") if shown is None else shown
    for verdict in found:
        # The table of rejected items lacks the label that was shown.
        label = verdict["seen_label"] if item.asset != CORRECTED_SET else shown
        labels = [label, label.split(SEPARATOR)] if isinstance(label, str) else [label]
        if any(ids.reviewed_content(fields, one) == verdict["content"] for one in labels):
            yield Item(REVIEWS, item.item_id, verdict, item.role)
            return


def _referenced(
    tables: TaskTables, item: Item, asset: str, item_id: str, role: Role
) -> Item | Finding:
    row = tables.row(asset, item_id)
    if row is not None:
        return Item(asset, item_id, row, role)
    file = tables.file(asset)
    what = f"it refers to {item_id} of {asset}, which does not exist"
    if file.error is None:
        return Finding("wrong", item.location, what)
    return Finding("unknown", item.location, f"{what}: {file.key} cannot be used, {file.error}")


def _twins(tables: TaskTables, item: Item) -> Iterator[Item]:
    """Yield the row's twin with its labels, because the label of a pair depends on both."""
    for other in tables.rows(INSTANCES, "slot", item.row["slot"]):
        name = other["instance_id"]
        if name == item.item_id:
            continue
        yield Item(INSTANCES, name, other, "twin")
        for asset in (LABELS, CORRECTED_SET, "rejected/corrected_set"):
            row = tables.row(asset, name)
            if row is not None:
                yield Item(asset, name, row, "twin")


def _deciders(tables: TaskTables, item: Item) -> Iterator[Item]:
    """Yield the calls that returned no term but decided whether to keep this one."""
    row = item.row
    if row["category"] == ASKED:
        return
    for other in tables.rows(VOCABULARIES, "category", ASKED):
        if about(other) in ((row["category"], row["label"]), (DIMENSIONS, None)):
            yield Item(VOCABULARIES, other["term_id"], other, item.role)


def below(tables: TaskTables, ids: Iterable[str]) -> list[Item]:
    """Return all rows of a task that have one of these ids or descend from one."""
    found: dict[tuple[str, str], Item] = {}
    waiting = list(dict.fromkeys(ids))
    seen = set(waiting)
    while waiting:
        name = waiting.pop()
        for asset, column in _BELOW:
            for row in tables.rows(asset, column, name):
                item_id = row["instance_id" if asset == _PLANTED else IDS.get(asset, "item_id")]
                found[asset, item_id] = Item(asset, item_id, row)
                # A planted error tests the corrector; the row itself does not descend from it.
                if asset != _PLANTED:
                    fresh = {item_id, *_decided(tables, asset, row)} - seen
                    seen |= fresh
                    waiting += sorted(fresh)
    order = [asset for asset, _ in _BELOW]
    return sorted(found.values(), key=lambda i: (order.index(i.asset), i.row["#"]))


def _decided(tables: TaskTables, asset: str, row: Row) -> set[str]:
    """Return the terms that a call without a term of its own decided on."""
    if asset != VOCABULARIES or row["category"] != ASKED:
        return set()
    category, label = about(row)
    if category == DIMENSIONS:
        terms = tables.file(VOCABULARIES).frame
        return set() if terms is None else set(terms["term_id"])
    same = tables.rows(VOCABULARIES, "category", category)
    return {other["term_id"] for other in same if other["label"] == label}


_PLANTED: Final = "planted/corrected_set"
"""The rows that the corrector got with a wrong label."""

_BELOW: Final = (
    (VOCABULARIES, "term_id"),
    (VOCABULARIES, "request_id"),
    (CONTEXTS, "context_id"),
    (CONTEXTS, "request_id"),
    (CONTEXTS, "term_ids"),
    (SEEDS, "seed_id"),
    (SEEDS, "request_id"),
    (SEEDS, "context_id"),
    (INSTANCES, "instance_id"),
    (INSTANCES, "request_id"),
    (INSTANCES, "context_id"),
    (INSTANCES, "seed_id"),
    (INSTANCES, "parent_ids"),
    (LABELS, "instance_id"),
    (LABELS, "request_ids"),
    (CORRECTED_SET, "instance_id"),
    (CORRECTED_SET, "request_ids"),
    (_PLANTED, "instance_id"),
    (_PLANTED, "request_id"),
    *((f"rejected/{step}", column) for step in ROW_STEPS for column in ("item_id", "request_ids")),
)
"""Table and column of every reference, for finding descendants."""
