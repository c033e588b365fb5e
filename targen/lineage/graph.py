"""Lineage graph: from a row up to its sources, and down to its descendants."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO
from typing import Any, Final, Literal

import polars as pl

from targen.errors import TableError
from targen.hashing import sha256_of
from targen.steps import (
    ASKED,
    DAMAGED,
    DIMENSIONS,
    IDS,
    INSTANCES,
    ROW_STEPS,
    SCHEMA_VERSION,
    about,
    schema,
)
from targen.tables.files import DIGEST_KEY, PLANTED_KEY, VERSION_KEY, key_of
from targen.tables.storage import Storage

Row = Mapping[str, Any]
Level = Literal["wrong", "unknown", "note"]


@dataclass(frozen=True)
class Finding:
    """Something that an audit found.

    Attributes:
        level: `wrong`: incorrect; `unknown`: cannot be verified; `note`: worth
            knowing and no fault.
        where: the file, row and column, or the request.
        what: what is the matter, in words.
    """

    level: Level
    where: str
    what: str

    def __str__(self) -> str:
        """Return the finding as one line."""
        return f"{self.where}: {self.what}"


@dataclass(frozen=True)
class File:
    """A table file as stored.

    Attributes:
        key: where in the data folder.
        sha256: of its bytes, None if the file is missing.
        frame: its rows, None if it is missing or unreadable.
        error: why `frame` is None.
        step_digest: as the file itself says.
        planted: whether it says that the planted errors beside it are its own.
    """

    key: str
    sha256: str | None = None
    frame: pl.DataFrame | None = None
    error: str | None = None
    step_digest: str | None = None
    planted: bool = False


def read_file(place: Storage, key: str) -> File:
    """Return a table file; problems are reported in `error`."""
    try:
        content = place.read(key)
    except TableError as error:
        return File(key, error=str(error))
    if content is None:
        return File(key, error="the file is missing")
    sha256 = sha256_of(content)
    frame, metadata = read_rows(content)
    if frame is None:
        return File(key, sha256, error="it is no readable table")
    version = metadata.get(VERSION_KEY)
    problem = None
    if version != str(SCHEMA_VERSION):
        problem = f"its schema version is {version or 'none'}, this release reads {SCHEMA_VERSION}"
    elif other := _other_columns(key, frame):
        problem = f"its columns are not those of such a table: {', '.join(other)}"
    return File(
        key,
        sha256,
        None if problem else frame,
        problem,
        metadata.get(DIGEST_KEY),
        PLANTED_KEY in metadata,
    )


def read_rows(content: bytes) -> tuple[pl.DataFrame | None, dict[str, str]]:
    """Return the rows and the metadata of a Parquet file, None where it cannot be read."""
    try:
        return pl.read_parquet(BytesIO(content)), pl.read_parquet_metadata(BytesIO(content))
    except Exception:
        # Polars raises exceptions of many kinds for damaged bytes.
        return None, {}
    except BaseException as error:
        # A panic of its native part is no Exception, and nothing else may be swallowed here.
        if type(error).__name__ != "PanicException":
            raise
        return None, {}


def _other_columns(key: str, frame: pl.DataFrame) -> list[str]:
    """Return which columns that every table of its kind has are missing or of another type."""
    asset = key.rsplit("/", 1)[0]
    # `rejected/<step>` and `planted/<step>` look alike for every step.
    wanted = schema(asset.partition("/")[0], {})
    # A label's type is the task's: one text, or several.
    loose: dict[str, tuple[Any, ...]] = {
        name: (pl.List(pl.String), pl.String) for name in wanted if name.endswith("label")
    }
    loose["votes"] = (pl.List(pl.List(pl.String)), pl.List(pl.String))
    return [
        name
        for name, kind in wanted.items()
        if frame.schema.get(name) not in loose.get(name, (kind,))
    ]


class TaskTables:
    """The tables of one task, looked up by id; each file is read once, when it is needed."""

    def __init__(self, place: Storage, task: str) -> None:
        self.place, self.task = place, task
        self._files: dict[str, File] = {}
        self._places: dict[tuple[str, str], dict[str, list[int]]] = {}

    def file(self, asset: str) -> File:
        """Return a step's table, its `rejected/<step>`, or its `planted/<step>`."""
        if asset not in self._files:
            kind, _, step = asset.partition("/")
            key = key_of(asset, self.task)
            # Planted errors that a table does not call its own were left by an older one.
            stale = kind == "planted" and not self.file(step).planted
            self._files[asset] = (
                File(key, error="it has no table") if stale else read_file(self.place, key)
            )
        return self._files[asset]

    @property
    def files(self) -> dict[str, File]:
        """Return asset -> file, of all that have been read."""
        return dict(self._files)

    def rows(self, asset: str, column: str, value: Any) -> list[dict[str, Any]]:
        """Return the rows whose `column` is, or lists, a value, in the table's order.

        Each has its place in the table as `#`, from 0.
        """
        frame = self.file(asset).frame
        if frame is None or column not in frame.columns:
            return []
        places = self._index(asset, column, frame).get(str(value), [])
        return [{**frame.row(place, named=True), "#": place} for place in places]

    def row(self, asset: str, item_id: str) -> dict[str, Any] | None:
        """Return the row of this id, None where there is none."""
        found = self.rows(asset, IDS.get(asset, "item_id"), item_id)
        return found[0] if found else None

    def _index(self, asset: str, column: str, frame: pl.DataFrame) -> dict[str, list[int]]:
        if (asset, column) not in self._places:
            index: dict[str, list[int]] = {}
            for place, value in enumerate(frame[column]):
                for one in value if isinstance(value, pl.Series) else (value,):
                    if one is not None:
                        index.setdefault(str(one), []).append(place)
            self._places[asset, column] = index
        return self._places[asset, column]

    def where(self, item_id: str) -> list[str]:
        """Return the tables that hold an item: steps, then `rejected/<step>`."""
        assets = [*reversed(ROW_STEPS), *(f"rejected/{step}" for step in reversed(ROW_STEPS))]
        return [asset for asset in assets if self.row(asset, item_id) is not None]


@dataclass(frozen=True)
class Item:
    """One row in a lineage.

    Attributes:
        asset: the table, `rejected/<step>` for rejected items.
        item_id: the row's id.
        row: its columns, and its place in the table as `#`.
        role: `own`: of the row itself; `twin`: of the other half of its pair; `parent`: of a row
            that was shown as an example, or of one of its own.
    """

    asset: str
    item_id: str
    row: Row
    role: Literal["own", "twin", "parent"] = "own"

    @property
    def request_ids(self) -> list[str]:
        """The requests that the row itself names."""
        if "request_id" in self.row:
            return [self.row["request_id"]] if self.row["request_id"] else []
        return [name for name in self.row.get("request_ids") or () if name]

    @property
    def place(self) -> str:
        """Table and row, for messages."""
        return f"{self.asset}, row {self.item_id}"


@dataclass
class RowLineage:
    """Everything that made a row, from the first term to the row itself.

    Attributes:
        task: the row's task.
        item_id: the row's id.
        items: the rows on the way, in the order in which they were made.
        holes: references that lead nowhere.
    """

    task: str
    item_id: str
    items: list[Item] = field(default_factory=list)
    holes: list[Finding] = field(default_factory=list)

    def of(self, asset: str, role: str = "own") -> list[Item]:
        """Return the items of a table in a role."""
        return [item for item in self.items if (item.asset, item.role) == (asset, role)]

    def one(self, asset: str, role: str = "own") -> Item | None:
        """Return the first of them, None where there is none."""
        return next(iter(self.of(asset, role)), None)

    @cached_property
    def by_id(self) -> dict[tuple[str, str], Item]:
        """Return (asset, id) -> item."""
        return {(item.asset, item.item_id): item for item in self.items}

    @property
    def request_ids(self) -> list[str]:
        """The requests that its items name, in order, each once."""
        named = (name for item in self.items for name in item.request_ids)
        return list(dict.fromkeys(named))


def fields_of(row: Row) -> dict[str, Any]:
    """Return the task's fields of a row of instances."""
    known = {*schema(INSTANCES, {}), "#"}
    return {name: value for name, value in row.items() if name not in known}


def trace(book: TaskTables, item_id: str) -> RowLineage | None:
    """Return everything that made a row or a rejected item; None where no table holds it.

    Args:
        book: the tables of its task.
        item_id: of a row of any table, or of a rejected item.
    """
    found = book.where(item_id)
    if not found:
        return None
    way = RowLineage(book.task, item_id)
    walk = _Walk(book, way)
    for asset in found:
        row = book.row(asset, item_id)
        if row is not None:
            walk.add(Item(asset, item_id, row))
    order = {asset: place for place, asset in enumerate(ROW_STEPS)}
    last = len(ROW_STEPS)
    # Parents come before their offspring: the walk meets them later, and their depth is lower.
    way.items.sort(
        key=lambda i: (order.get(i.asset, last), i.row.get("depth") or 0, i.role == "own")
    )
    return way


class _Walk:
    """One walk upwards; each item is taken once, in the first role in which it is met."""

    def __init__(self, book: TaskTables, way: RowLineage) -> None:
        self.book, self.way = book, way
        self._seen: set[tuple[str, str]] = set()

    def add(self, first: Item) -> None:
        """Take an item and all that it refers to. No recursion: ways may be thousands long."""
        waiting = [first]
        while waiting:
            item = waiting.pop()
            if (item.asset, item.item_id) in self._seen:
                continue
            self._seen.add((item.asset, item.item_id))
            self.way.items.append(item)
            waiting += reversed(list(self._above(item)))

    def _above(self, item: Item) -> Iterator[Item]:
        row, role = item.row, item.role
        if item.asset in ("corrected_set", "labels", "rejected/corrected_set"):
            above = "instances" if item.asset == "labels" else "labels"
            yield from self._get(item, above, item.item_id, role)
            yield from self._get(item, "instances", item.item_id, role)
        elif item.asset == "instances":
            yield from self._get(item, "contexts", row["context_id"], role)
            yield from self._get(item, "seeds", row["seed_id"], role)
            for parent in row["parent_ids"] or ():
                yield from self._get(item, "instances", parent, "parent")
            if role == "own":
                yield from self._twins(item)
        elif item.asset == "seeds":
            yield from self._get(item, "contexts", row["context_id"], role)
        elif item.asset == "contexts":
            for term in row["term_ids"] or ():
                yield from self._get(item, "vocabularies", term, role)
        elif item.asset == "vocabularies":
            yield from self._deciders(item)

    def _get(self, item: Item, asset: str, item_id: str | None, role: Any) -> Iterator[Item]:
        if not item_id:
            return
        row = self.book.row(asset, item_id)
        if row is not None:
            yield Item(asset, item_id, row, role)
            return
        error = self.book.file(asset).error
        what = f"it refers to {item_id} of {asset}, which is not there"
        level: Level = "unknown" if error else "wrong"
        if error:
            what += f": {self.book.file(asset).key} cannot be used, {error}"
        self.way.holes.append(Finding(level, item.place, what))

    def _twins(self, item: Item) -> Iterator[Item]:
        """Yield the other half of a pair, with its label: the pair's label is settled by both."""
        for other in self.book.rows("instances", "slot", item.row["slot"]):
            name = other["instance_id"]
            if name == item.item_id:
                continue
            yield Item("instances", name, other, "twin")
            for asset in ("labels", "corrected_set", "rejected/corrected_set"):
                row = self.book.row(asset, name)
                if row is not None:
                    yield Item(asset, name, row, "twin")

    def _deciders(self, item: Item) -> Iterator[Item]:
        """Yield the calls that added no term but decided that this one is kept."""
        row = item.row
        if row["category"] == ASKED:
            return
        for other in self.book.rows("vocabularies", "category", ASKED):
            if about(other) in ((row["category"], row["label"]), (DIMENSIONS, None)):
                yield Item("vocabularies", other["term_id"], other, item.role)


def below(book: TaskTables, ids: Iterable[str]) -> list[Item]:
    """Return all rows of a task that come from any of these ids, a row of that name among them.

    Args:
        book: the task's tables.
        ids: of requests, terms, contexts, seeds or rows.
    """
    found: dict[tuple[str, str], Item] = {}
    waiting = list(dict.fromkeys(ids))
    seen = set(waiting)
    while waiting:
        name = waiting.pop()
        for asset, column in _BELOW:
            for row in book.rows(asset, column, name):
                item_id = row["instance_id" if asset == _CHECKS else IDS.get(asset, "item_id")]
                found[asset, item_id] = Item(asset, item_id, row)
                if asset == _CHECKS:
                    # It tells of the corrector: the row itself does not come from it.
                    continue
                fresh = {item_id, *_decided(book, asset, row)} - seen
                seen |= fresh
                waiting += sorted(fresh)
    order = [asset for asset, _ in _BELOW]
    return sorted(found.values(), key=lambda i: (order.index(i.asset), i.row["#"]))


def _decided(book: TaskTables, asset: str, row: Row) -> set[str]:
    """Return the terms that a call decided on which brought none itself."""
    if asset != "vocabularies" or row["category"] != ASKED:
        return set()
    category, label = about(row)
    if category == DIMENSIONS:
        terms = book.file("vocabularies").frame
        return set() if terms is None else set(terms["term_id"])
    same = book.rows("vocabularies", "category", category)
    return {other["term_id"] for other in same if other["label"] == label}


_CHECKS: Final = "planted/corrected_set"
"""The table of rows that the corrector was shown under a wrong label."""

_BELOW: Final = (
    ("vocabularies", "term_id"),
    ("vocabularies", "request_id"),
    ("contexts", "context_id"),
    ("contexts", "request_id"),
    ("contexts", "term_ids"),
    ("seeds", "seed_id"),
    ("seeds", "request_id"),
    ("seeds", "context_id"),
    ("instances", "instance_id"),
    ("instances", "request_id"),
    ("instances", "context_id"),
    ("instances", "seed_id"),
    ("instances", "parent_ids"),
    ("labels", "instance_id"),
    ("labels", "request_ids"),
    ("corrected_set", "instance_id"),
    ("corrected_set", "request_ids"),
    (_CHECKS, "instance_id"),
    (_CHECKS, "request_id"),
    *((f"rejected/{step}", column) for step in ROW_STEPS for column in ("item_id", "request_ids")),
)
"""Where a name leads downwards: table and column."""


_COLUMNS = ("request_id", "request_ids")
_ID = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_RELEASES = "releases/"
_HIDDEN = re.compile(r"(^|/)\.")


def request_ids(place: Storage) -> set[str]:
    """Return every request that a table, a rejected item or a release names.

    All files under `releases/` are searched for ids in any format, so that nothing that was
    given out loses its origin.

    Raises:
        TableError: a table cannot be read. Its descendants are then unknown.
    """
    found: set[str] = set()
    for key in place.keys(""):
        if _HIDDEN.search(key):
            continue
        if key.endswith(".parquet"):
            found |= _named(place, key)
        elif key.startswith(_RELEASES):
            found |= {name.decode() for name in _ID.findall(place.read(key) or b"")}
    return found


def tasks(place: Storage) -> set[str]:
    """Return the tasks that have a table; releases do not count."""
    current = (key for key in place.keys("") if not key.startswith((_RELEASES, ".")))
    return {key.rsplit("/", 1)[-1].split(".")[0] for key in current if key.endswith(".parquet")}


def _named(place: Storage, key: str) -> set[str]:
    content = place.read(key)
    if content is None:
        return set()
    found: set[str] = set()
    try:
        schema = pl.read_parquet_schema(BytesIO(content))
        columns = [name for name in _COLUMNS if name in schema]
        frame = pl.read_parquet(BytesIO(content), columns=columns) if columns else pl.DataFrame()
        for name in columns:
            flat = frame[name].explode() if isinstance(schema[name], pl.List) else frame[name]
            found |= set(flat.drop_nulls().cast(pl.String).to_list())
    except DAMAGED as error:
        raise TableError(
            f"{place.address(key)} is not a readable Parquet file: it is unknown which completions "
            "it descends from. Materialise it again or remove it."
        ) from error
    return found
