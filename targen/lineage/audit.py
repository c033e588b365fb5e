"""Audits of rows: lineage, completions, and a recomputed verdict."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from targen.errors import StoreError
from targen.hashing import rng
from targen.lineage import completions
from targen.lineage.completions import StoredCompletion
from targen.lineage.graph import File, Finding, Item, Level, RowLineage, TaskTables, trace
from targen.steps import CORRECTED_SET, IDS, INSTANCES, ROW_STEPS, UPSTREAM
from targen.store import table_digests
from targen.store.completions import Store
from targen.store.table_digests import Record
from targen.tables.contracts import SHOWN
from targen.tables.storage import Storage


def check(store: Store | None, file: File) -> tuple[Record | None, list[Finding]]:
    """Return the record of a table file, and what is wrong with the file.

    Raises:
        StoreError: the store cannot be read.
    """
    if file.sha256 is None:
        # Nothing to hold against anything; what needs the file says that it is missing.
        return None, []
    unread = [Finding("wrong", file.key, file.error)] if file.error else []
    if store is None:
        return None, unread
    exact = table_digests.recorded(store, file.key, file.sha256)
    if exact is None:
        latest = table_digests.recorded(store, file.key)
        if latest is None:
            what = "the store has no record of this file: it was written by another version, or "
            what += "another store belongs to it"
            return None, [*unread, Finding("unknown", file.key, what)]
        return latest, [*unread, *_changed(file, latest)]
    if not exact.latest:
        what = "it is an earlier version of this table: a later one was written since"
        unread.append(Finding("note", file.key, what))
    if exact.made_by.get("step_digest", file.step_digest) != file.step_digest:
        what = "file and record name different step digests"
        unread.append(Finding("wrong", file.key, what))
    return exact, unread


def _changed(file: File, record: Record) -> list[Finding]:
    """Return where a file is not what was recorded."""
    start = f"it is not what run {record.run_id} wrote (sha256)"
    if file.frame is None or record.cells is None:
        return [Finding("wrong", file.key, start)]
    found = table_digests.difference(record.cells, file.frame)
    if not found.columns and not found.rows:
        what = f"{start}: the rows are the same, other bytes of the file are not"
        return [Finding("wrong", file.key, what)]
    asset = file.key.rsplit("/", 1)[0]
    columns = ", ".join(found.columns) or "none by itself"
    if found.count[0] != found.count[1]:
        what = f"{start}: {found.count[0]} rows were written, {found.count[1]} are there"
        return [Finding("wrong", f"{file.key}, column {columns}", what)]
    ids = file.frame[IDS.get(asset, "item_id")]
    return [
        Finding("wrong", f"{file.key}, row {name}, column {columns}", start)
        for name in _some(ids[place] for place in found.rows)
    ] or [Finding("wrong", f"{file.key}, column {columns}", start)]


def _some(names: Iterable[str]) -> list[str]:
    listed = [str(name) for name in names]
    more = len(listed) - SHOWN
    return listed[:SHOWN] + ([f"and {more} more"] if more > 0 else [])


Problems = Iterable[tuple[str, str]]
"""Column and what is wrong with it."""

Verify = Callable[[Item, RowLineage, Mapping[str, StoredCompletion], Mapping[str, Any]], Problems]
"""Checks a row against its completions (by request id) and the record of how its table was made."""

Verdict = Literal["verified", "unverifiable", "wrong"]


def verdict_of(findings: Iterable[Finding]) -> Verdict:
    """Return the worst level of the findings as a verdict."""
    levels = {finding.level for finding in findings}
    if "wrong" in levels:
        return "wrong"
    return "unverifiable" if "unknown" in levels else "verified"


@dataclass
class Audit:
    """One row and everything that is known of it.

    Attributes:
        way: everything that made it.
        completions: the completions on the way, in the order in which they were asked.
        own: the requests that its own rows name, re-asks included, without twin and parents.
        made: table -> how it was made, as recorded; None without a record.
        findings: what is wrong with the row, cannot be verified, or is worth knowing.
        file_findings: the same for the files that hold it.
    """

    way: RowLineage
    completions: dict[str, StoredCompletion] = field(default_factory=dict)
    own: list[str] = field(default_factory=list)
    made: dict[str, Record | None] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    file_findings: list[Finding] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        """Whether all of it could be recomputed and is so."""
        return verdict_of([*self.findings, *self.file_findings])


class Auditor:
    """Audits the tables of one data folder; each table is read once.

    Args:
        place: the data folder.
        verify: table -> how its rows are checked (`targen.operators.verify.ROW_CHECKS`).
        store: the completion store; None where it is lost.
        why: why there is none.
    """

    def __init__(
        self, place: Storage, verify: Mapping[str, Verify], store: Store | None, why: str = ""
    ) -> None:
        self.place, self.store, self.why = place, store, why
        self._verify = verify
        self._books: dict[str, TaskTables] = {}
        self._checked: dict[tuple[str, str], tuple[Record | None, list[Finding]]] = {}

    def tasks(self) -> list[str]:
        """Return the tasks that have a table, sorted.

        Raises:
            TableError: the data folder cannot be read.
        """
        found = {
            key.rsplit("/", 1)[1].removesuffix(".parquet")
            for step in ROW_STEPS
            for key in self.place.keys(step)
            if key.endswith(".parquet")
        }
        return sorted(found)

    def book(self, task: str) -> TaskTables:
        """Return the tables of a task."""
        return self._books.setdefault(task, TaskTables(self.place, task))

    def find(self, item_id: str, tasks: Sequence[str]) -> list[str]:
        """Return those of the tasks that have a row or a rejected item of this id."""
        return [task for task in tasks if self.book(task).where(item_id)]

    def sample(self, task: str, count: int, seed: int) -> list[str]:
        """Return the ids of random finished rows of a task, in the table's order."""
        frame = self.book(task).file(CORRECTED_SET).frame
        ids = [] if frame is None else frame["instance_id"].to_list()
        chosen = rng("audit", task, seed).sample(range(len(ids)), min(count, len(ids)))
        return [ids[place] for place in sorted(chosen)]

    def audit(self, task: str, ids: Sequence[str]) -> list[Audit]:
        """Return the audits of these rows; ids that no table holds are left out.

        Raises:
            StoreError: the store cannot be read.
        """
        book = self.book(task)
        ways = [way for name in ids if (way := trace(book, name)) is not None]
        kept: dict[str, StoredCompletion] = {}
        if self.store is not None:
            kept = completions.read(self.store, (r for way in ways for r in way.request_ids))
        return [self._one(way, kept) for way in ways]

    def _one(self, way: RowLineage, kept: Mapping[str, StoredCompletion]) -> Audit:
        made = Audit(way, findings=list(way.holes))
        for asset in dict.fromkeys(item.asset for item in way.items):
            record, findings = self._file(way.task, asset)
            made.made[asset] = record
            made.file_findings += findings
        older = self._older(made)
        made.file_findings += older
        made.findings += self._ended(way, "unknown" if older else "wrong")
        if self.store is None:
            made.findings.append(Finding("unknown", "completion store", self.why))
        for item in way.items:
            for name in _chain(item.request_ids, kept):
                made.completions.setdefault(name, kept[name])
                if item.role == "own" and name not in made.own:
                    made.own.append(name)
            record = made.made.get(item.asset)
            made.findings += _checked(
                self._verify[item.asset], item, way, kept, {} if record is None else record.made_by
            )
            if self.store is not None:
                made.findings += _unknown(item, kept)
        for name, one in made.completions.items():
            where = f"completion {name}"
            made.findings += [Finding("wrong", where, f"it {what}") for what in one.problems]
            made.findings += [Finding("note", where, f"it {what}") for what in one.unsure]
        return made

    def _file(self, task: str, asset: str) -> tuple[Record | None, list[Finding]]:
        if (task, asset) not in self._checked:
            file = self.book(task).file(asset)
            self._checked[task, asset] = check(self.store, file)
        return self._checked[task, asset]

    def _older(self, made: Audit) -> list[Finding]:
        """Return the tables made from another version of an upstream table than the current one."""
        found = []
        for asset, record in made.made.items():
            for above in UPSTREAM.get(asset, ()):
                was = (record.made_by.get("upstream") or {}).get(above) if record else None
                file = self.book(made.way.task).file(above)
                if was and file.sha256 and was != file.sha256:
                    what = f"it was made from another version of {above} than the current one"
                    found.append(Finding("note", f"{asset}/{made.way.task}.parquet", what))
        return found

    def _ended(self, way: RowLineage, level: Level) -> list[Finding]:
        """Return whether an instance is lost that the finished set should know, or has left out."""
        ends = (CORRECTED_SET, "rejected/corrected_set")
        own = way.one(INSTANCES)
        made = self.book(way.task).file(CORRECTED_SET).frame is not None
        if own is None or not made or any(way.one(asset) for asset in ends):
            return []
        what = "it is neither in corrected_set nor among its rejected rows"
        return [Finding(level, own.place, what)]

    def check_files(self, task: str) -> list[Finding]:
        """Return what is wrong with any table file of a task.

        Raises:
            StoreError: the store cannot be read.
        """
        found = []
        for asset in ROW_STEPS:
            # Files of rejected items and planted errors are optional.
            for name in (asset, f"rejected/{asset}", f"planted/{asset}"):
                found += self._file(task, name)[1]
        return found


def _chain(request_ids: Iterable[str], kept: Mapping[str, StoredCompletion]) -> list[str]:
    """Return these requests, each after those that it asks again."""
    ordered: list[str] = []
    for name in request_ids:
        chain: list[str] = []
        at: str | None = name
        while at and at in kept and at not in chain:
            chain.append(at)
            at = kept[at].parent
        ordered += reversed(chain)
    return ordered


def _checked(
    verify: Verify,
    item: Item,
    way: RowLineage,
    kept: Mapping[str, StoredCompletion],
    made: Mapping[str, Any],
) -> list[Finding]:
    """Return what is wrong with a row, column by column."""
    try:
        return [
            Finding("wrong", f"{item.place}, column {column}", what)
            for column, what in verify(item, way, kept, made)
        ]
    except (KeyError, TypeError, ValueError, AttributeError, StoreError) as error:
        # Changed bytes can make a value of any kind, which no check can foresee.
        return [Finding("wrong", item.place, f"it cannot be checked: {error!r}")]


def _unknown(item: Item, kept: Mapping[str, StoredCompletion]) -> list[Finding]:
    """Return which completions of a row the store does not have."""
    return [
        Finding("unknown", item.place, f"the store does not have its request {name}")
        for name in item.request_ids
        if name not in kept
    ]
