"""Whether the files of a task are what was written, and where they are not.

Here belongs holding a file against its record. Making records is `targen.store.table_digests`.
"""

from collections.abc import Iterable

from targen.lineage.graph import File, Finding
from targen.steps import IDS
from targen.store import table_digests
from targen.store.completions import Store
from targen.store.table_digests import Record
from targen.tables.contracts import SHOWN


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
