"""Audits of rows: sources, completions, and everything recomputed from them."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

from targen.errors import StoreError
from targen.hashing import rng
from targen.lineage import completions
from targen.lineage.completions import StoredCompletion
from targen.lineage.graph import Finding, Item, Level, RowLineage, TaskTables, trace
from targen.lineage.stored_files import File
from targen.steps import (
    CORRECTED_SET,
    IDS,
    INSTANCES,
    QUALITY_REPORT,
    REVIEWS,
    ROW_STEPS,
    TARGETS,
    UPSTREAM,
)
from targen.store import table_digests
from targen.store.completions import Store
from targen.store.table_digests import Record
from targen.tables.commits import INTERRUPTED
from targen.tables.contracts import SHOWN
from targen.tables.files import key_of
from targen.tables.storage import Storage


def check(store: Store | None, file: File) -> tuple[Record | None, list[Finding]]:
    """Return the record of a table file, and the findings on the file.

    Raises:
        StoreError: the store cannot be read.
    """
    if file.sha256 is None:
        # Rows that refer to a missing file get findings of their own.
        return None, []
    unread = [Finding("wrong", file.key, file.error)] if file.error else []
    if file.interrupted:
        return None, [*unread, Finding("unknown", file.key, INTERRUPTED)]
    if store is None:
        return None, unread
    exact = table_digests.recorded(store, file.key, file.sha256)
    if exact is None:
        latest = table_digests.recorded(store, file.key)
        if latest is None:
            what = "the store has no record of this file, which was written with another store or "
            what += "by an older version"
            return None, [*unread, Finding("unknown", file.key, what)]
        return latest, [*unread, *_changed(file, latest)]
    if not exact.latest:
        what = "it is an earlier version of this table: a later one was written since"
        unread.append(Finding("note", file.key, what))
    digest = file.step_digest
    if digest is not None and exact.made_by.get("step_digest", digest) != digest:
        what = "file and record name different step digests"
        unread.append(Finding("wrong", file.key, what))
    return exact, unread


def _changed(file: File, record: Record) -> list[Finding]:
    """Return where a file differs from its record."""
    start = f"it is not what run {record.run_id} wrote (sha256)"
    if file.frame is None or record.cells is None:
        return [Finding("wrong", file.key, start)]
    found = table_digests.difference(record.cells, file.frame)
    if not found.columns and not found.rows:
        what = f"{start}: the rows are equal, but other bytes of the file differ"
        return [Finding("wrong", file.key, what)]
    asset = file.key.rsplit("/", 1)[0]
    columns = ", ".join(found.columns) or "none by itself"
    if found.count[0] != found.count[1]:
        what = f"{start}: {found.count[0]} rows were written, {found.count[1]} were found"
        return [Finding("wrong", f"{file.key}, column {columns}", what)]
    ids = file.frame["instance_id" if asset == REVIEWS else IDS.get(asset, "item_id")]
    return [
        Finding("wrong", f"{file.key}, row {name}, column {columns}", start)
        for name in _some(ids[index] for index in found.rows)
    ] or [Finding("wrong", f"{file.key}, column {columns}", start)]


def _some(names: Iterable[str]) -> list[str]:
    listed = [str(name) for name in names]
    more = len(listed) - SHOWN
    return listed[:SHOWN] + ([f"and {more} more"] if more > 0 else [])


PAGES = {QUALITY_REPORT: ("json", "html"), TARGETS: ("html",)}
"""Step -> suffixes of its pages that an audit compares with the record."""

REVIEWS_AS_MADE = "reviews_as_made"
"""Key of the record given to the checks of rows: whether the human verdicts that the table was made
with are those that are there now."""

Problems = Iterable[tuple[str, str]]
"""(column, problem) pairs."""

Verify = Callable[[Item, RowLineage, Mapping[str, StoredCompletion], Mapping[str, Any]], Problems]
"""Checks a row against its completions (by request id) and the record of its table."""

Verdict = Literal["verified", "unverifiable", "wrong"]


def verdict_of(findings: Iterable[Finding]) -> Verdict:
    """Return the worst level of the findings as a verdict."""
    levels = {finding.level for finding in findings}
    if "wrong" in levels:
        return "wrong"
    return "unverifiable" if "unknown" in levels else "verified"


@dataclass
class Audit:
    """The audit of one row.

    Attributes:
        lineage: the row and its sources.
        completions: the completions of these rows, in the order of the requests.
        own: the requests of the row and its sources, including earlier attempts; excluding those
            of its twin and its parents.
        made: table -> record of how it was made; None without a record.
        findings: on the row and its sources.
        file_findings: on the files that contain them.
    """

    lineage: RowLineage
    completions: dict[str, StoredCompletion] = field(default_factory=dict)
    own: list[str] = field(default_factory=list)
    made: dict[str, Record | None] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    file_findings: list[Finding] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        """The worst level of all findings."""
        return verdict_of([*self.findings, *self.file_findings])


class Auditor:
    """Audits the tables of one data folder; each table is read once.

    Args:
        storage: the data folder.
        verify: table -> check of its rows (`targen.operators.verify.ROW_CHECKS`).
        store: the completion store; None if it is lost.
        why: why the store is None.
    """

    def __init__(
        self, storage: Storage, verify: Mapping[str, Verify], store: Store | None, why: str = ""
    ) -> None:
        self.storage, self.store, self.why = storage, store, why
        self._verify = verify
        self._tables: dict[str, TaskTables] = {}
        self._checked: dict[tuple[str, str], tuple[Record | None, list[Finding]]] = {}

    def tasks(self) -> list[str]:
        """Return the tasks that have a table, sorted.

        Raises:
            TableError: the data folder cannot be read.
        """
        found = {
            key.rsplit("/", 1)[1].removesuffix(".parquet")
            for step in ROW_STEPS
            for key in self.storage.keys(step)
            if key.endswith(".parquet")
        }
        return sorted(found)

    def tables(self, task: str) -> TaskTables:
        """Return the tables of a task."""
        return self._tables.setdefault(task, TaskTables(self.storage, task))

    def hold(
        self,
        task: str,
        frames: Mapping[str, pl.DataFrame],
        made_by: Mapping[str, Mapping[str, Any]],
    ) -> None:
        """Audit the tables of a task that are in memory instead of those in the data folder."""
        self._tables[task] = TaskTables(None, task, frames)
        for asset in frames:
            made = {**made_by.get(asset, {}), "upstream": {}}
            kept = Record(key_of(asset, task), "", None, None, made, "", time.time(), True)
            self._checked[task, asset] = (kept if asset in made_by else None, [])

    def find(self, item_id: str, tasks: Sequence[str]) -> list[str]:
        """Return the tasks that have a row or a rejected item with this id."""
        return [task for task in tasks if self.tables(task).where(item_id)]

    def sample(self, task: str, count: int, seed: int) -> list[str]:
        """Return the ids of random finished rows of a task, in the table's order."""
        frame = self.tables(task).file(CORRECTED_SET).frame
        ids = [] if frame is None else frame["instance_id"].to_list()
        chosen = rng("audit", task, seed).sample(range(len(ids)), min(count, len(ids)))
        return [ids[index] for index in sorted(chosen)]

    def audit(self, task: str, ids: Sequence[str]) -> list[Audit]:
        """Return the audits of these rows; ids that no table contains are left out.

        Raises:
            StoreError: the store cannot be read.
        """
        tables = self.tables(task)
        lineages = [lineage for name in ids if (lineage := trace(tables, name)) is not None]
        stored: dict[str, StoredCompletion] = {}
        if self.store is not None:
            stored = completions.read(self.store, (r for one in lineages for r in one.request_ids))
        return [self._one(lineage, stored) for lineage in lineages]

    def _one(self, lineage: RowLineage, stored: Mapping[str, StoredCompletion]) -> Audit:
        audit = Audit(lineage, findings=list(lineage.broken))
        for asset in dict.fromkeys(item.asset for item in lineage.items):
            record, findings = self._file(lineage.task, asset)
            audit.made[asset] = record
            audit.file_findings += findings
        older = self._older(audit)
        audit.file_findings += older
        audit.findings += self._ended(lineage, "unknown" if older else "wrong")
        if self.store is None:
            audit.findings.append(Finding("unknown", "completion store", self.why))
        for item in lineage.items:
            for name in _chain(item.request_ids, stored):
                audit.completions.setdefault(name, stored[name])
                if item.role == "own" and name not in audit.own:
                    audit.own.append(name)
            record = audit.made.get(item.asset)
            made_by = {} if record is None else dict(record.made_by)
            made_by[REVIEWS_AS_MADE] = self._reviews_as_made(lineage.task, record)
            audit.findings += _checked(self._verify[item.asset], item, lineage, stored, made_by)
            if self.store is not None:
                audit.findings += [
                    Finding("unknown", item.location, f"its request {name} is not in the store")
                    for name in item.request_ids
                    if name not in stored
                ]
        for name, one in audit.completions.items():
            where = f"completion {name}"
            audit.findings += [Finding("wrong", where, f"it {what}") for what in one.problems]
            audit.findings += [Finding("note", where, f"it {what}") for what in one.unsure]
        return audit

    def _file(self, task: str, asset: str) -> tuple[Record | None, list[Finding]]:
        if (task, asset) not in self._checked:
            file = self.tables(task).file(asset)
            self._checked[task, asset] = check(self.store, file)
        return self._checked[task, asset]

    def _older(self, audit: Audit) -> list[Finding]:
        """Return a note for each table that was made from another version of an upstream table."""
        found = []
        for asset, record in audit.made.items():
            if asset == CORRECTED_SET and not self._reviews_as_made(audit.lineage.task, record):
                what = "human verdicts were imported since it was made"
                found.append(Finding("note", f"{asset}/{audit.lineage.task}.parquet", what))
            for above in UPSTREAM.get(asset, ()):
                was = (record.made_by.get("upstream") or {}).get(above) if record else None
                file = self.tables(audit.lineage.task).file(above)
                if was and file.sha256 and was != file.sha256:
                    what = f"it was made from another version of {above} than the current one"
                    found.append(Finding("note", f"{asset}/{audit.lineage.task}.parquet", what))
        return found

    def _reviews_as_made(self, task: str, record: Record | None) -> bool:
        """Return whether a table was made with the human verdicts that are there now."""
        made_with = {} if record is None else record.made_by.get("upstream") or {}
        return bool(made_with.get(REVIEWS) == self.tables(task).file(REVIEWS).sha256)

    def _ended(self, lineage: RowLineage, level: Level) -> list[Finding]:
        """Return a finding if an instance is neither in the corrected set nor rejected."""
        ends = (CORRECTED_SET, "rejected/corrected_set")
        own = lineage.one(INSTANCES)
        made = self.tables(lineage.task).file(CORRECTED_SET).frame is not None
        if own is None or not made or any(lineage.one(asset) for asset in ends):
            return []
        what = "it is neither in corrected_set nor among its rejected rows"
        return [Finding(level, own.location, what)]

    def check_files(self, task: str) -> list[Finding]:
        """Return the findings on the files of a task: tables, and pages of report and targets.

        The file of targets, which people edit, and the pages of expectations are not among them.

        Raises:
            StoreError: the store cannot be read.
        """
        found = list(self._file(task, REVIEWS)[1])
        for asset in (*ROW_STEPS, *PAGES):
            # Files of rejected items and planted errors are optional.
            names = (
                (asset, f"rejected/{asset}", f"planted/{asset}") if asset in ROW_STEPS else (asset,)
            )
            files = [self.tables(task).file(name) for name in names]
            for name in names:
                found += self._file(task, name)[1]
            for suffix in PAGES.get(asset, ()):
                files.append(self.tables(task).page(asset, suffix))
                found += check(self.store, files[-1])[1]
            found += self._lost(files)
        return found

    def _lost(self, files: Sequence[File]) -> list[Finding]:
        """Return a finding for each missing file that was written with the table, `files[0]`."""
        if self.store is None:
            return []
        table = table_digests.recorded(self.store, files[0].key)
        found = []
        for file in files:
            if table is None or file.sha256 is not None:
                continue
            record = table_digests.recorded(self.store, file.key)
            # Files of an earlier write may be gone for good: not every write has planted errors.
            if record is not None and record.recorded_at == table.recorded_at:
                what = f"run {record.run_id} wrote it, and it is missing"
                found.append(Finding("unknown", file.key, what))
        return found


def _chain(request_ids: Iterable[str], stored: Mapping[str, StoredCompletion]) -> list[str]:
    """Return these requests, each after its earlier attempts."""
    ordered: list[str] = []
    for name in request_ids:
        chain: list[str] = []
        at: str | None = name
        while at and at in stored and at not in chain:
            chain.append(at)
            at = stored[at].parent
        ordered += reversed(chain)
    return ordered


def _checked(
    verify: Verify,
    item: Item,
    lineage: RowLineage,
    stored: Mapping[str, StoredCompletion],
    made_by: Mapping[str, Any],
) -> list[Finding]:
    try:
        return [
            Finding("wrong", f"{item.location}, column {column}", what)
            for column, what in verify(item, lineage, stored, made_by)
        ]
    except (KeyError, TypeError, ValueError, AttributeError, StoreError) as error:
        # A changed file can contain values of any type.
        return [Finding("wrong", item.location, f"it cannot be checked: {error!r}")]
