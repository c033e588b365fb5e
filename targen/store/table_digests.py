"""Digests of every stored file at the time of writing, for audits to compare with."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl
import sqlalchemy as sa

from targen.hashing import canonical, digest_of_text, sha256_of
from targen.memory import ndjson
from targen.store.completions import Store, chunks, now
from targen.store.ledger import insert
from targen.store.schema import TABLE_DIGESTS
from targen.store.written import Written

_ROW_BYTES: Final = 4
"""Bytes of each row's digest. One change in four billion is missed; the file's digest detects
it."""


@dataclass(frozen=True)
class Record:
    """The record of a file.

    Attributes:
        key: path in the data folder.
        sha256: of its bytes.
        data_version: of a table's rows, None for a page.
        cells: the result of `cells`, None for a page.
        made_by: how the file was made: task, step, recipe, operator, parameters, prompt, digests,
            project version, and the digests of the files it was made from.
        run_id: the last run that wrote these bytes.
        recorded_at: time of that write, seconds since 1970 UTC.
        latest: no other bytes were written to this path since.
    """

    key: str
    sha256: str
    data_version: str | None
    cells: bytes | None
    made_by: Mapping[str, Any]
    run_id: str
    recorded_at: float
    latest: bool


def record(
    store: Store,
    written: Iterable[Written],
    made_by: Mapping[str, Any],
    run_id: str,
    upstream: Mapping[str, str] | None = None,
) -> None:
    """Record files that were just written.

    Args:
        store: the store.
        written: the files.
        made_by: how they were made, JSON-like.
        run_id: the run that wrote them.
        upstream: step -> key of the file that they were made from, whose digest is also recorded.

    Raises:
        StoreError: the store cannot be written.
    """
    with store.write() as connection:
        sources = {
            step: found.sha256 if (found := _latest(connection, key)) else None
            for step, key in (upstream or {}).items()
        }
        note = canonical({**made_by, "upstream": sources})
        moment = now(connection)
        for file in written:
            values = {
                "key": file.key,
                "sha256": file.sha256,
                "data_version": file.data_version,
                "cells": None if file.frame is None else cells(file.frame),
                "made_by": note,
                "run_id": run_id,
                "recorded_at": moment,
            }
            changed = {name: values[name] for name in ("made_by", "run_id", "recorded_at")}
            connection.execute(
                insert(connection, TABLE_DIGESTS)
                .values(values)
                .on_conflict_do_update(index_elements=["key", "sha256"], set_=changed)
            )


def recorded(store: Store, key: str, sha256: str | None = None) -> Record | None:
    """Return the last record of a file, or the record of these bytes of it.

    Raises:
        StoreError: the store cannot be read.
    """
    with store.read() as connection:
        latest = _latest(connection, key)
        if sha256 is None or latest is None or latest.sha256 == sha256:
            return latest
        row = connection.execute(
            sa.select(TABLE_DIGESTS).where(
                TABLE_DIGESTS.c.key == key, TABLE_DIGESTS.c.sha256 == sha256
            )
        ).first()
        return None if row is None else _record(row, latest=False)


def latest(store: Store, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return key -> how the file was made, by the last record of each of these files.

    Raises:
        StoreError: the store cannot be read.
    """
    of, found = TABLE_DIGESTS.c, dict[str, dict[str, Any]]()
    with store.read() as connection:
        for some in chunks(keys):
            newest = (
                sa.select(of.key, sa.func.max(of.recorded_at).label("recorded_at"))
                .where(of.key.in_(some))
                .group_by(of.key)
                .subquery()
            )
            same = (of.key == newest.c.key) & (of.recorded_at == newest.c.recorded_at)
            rows = connection.execute(sa.select(of.key, of.made_by).join(newest, same))
            found |= {key: json.loads(made_by) for key, made_by in rows}
    return found


def _latest(connection: sa.Connection, key: str) -> Record | None:
    of = TABLE_DIGESTS.c
    row = connection.execute(
        sa.select(TABLE_DIGESTS)
        .where(of.key == key)
        .order_by(of.recorded_at.desc(), of.sha256)
        .limit(1)
    ).first()
    return None if row is None else _record(row, latest=True)


def _record(row: Any, *, latest: bool) -> Record:
    return Record(
        row.key,
        row.sha256,
        row.data_version,
        None if row.cells is None else bytes(row.cells),
        json.loads(row.made_by),
        row.run_id,
        row.recorded_at,
        latest,
    )


def cells(frame: pl.DataFrame) -> bytes:
    """Return the digests of every column and every row, which identify a changed cell.

    One line of JSON (column -> digest), followed by four bytes per row.
    """
    columns = {name: digest_of_text(ndjson(frame.select(name)))[:16] for name in frame.columns}
    return canonical(columns).encode() + b"\n" + b"".join(_rows(frame))


def _rows(frame: pl.DataFrame) -> Iterator[bytes]:
    for part in ndjson(frame):
        # Not splitlines: texts may contain other line breaks, which JSON does not escape.
        for line in part.split("\n")[:-1]:
            yield bytes.fromhex(sha256_of(line.encode())[: 2 * _ROW_BYTES])


@dataclass(frozen=True)
class Difference:
    """The differences between a table and its record.

    Attributes:
        columns: columns with changed values, and added or removed columns.
        rows: numbers of the changed rows, from 0; empty if rows were added or removed.
        count: number of rows in the record and now.
    """

    columns: tuple[str, ...]
    rows: tuple[int, ...]
    count: tuple[int, int]


def difference(recorded_cells: bytes, frame: pl.DataFrame) -> Difference:
    """Return the differences between a table and its recorded `cells`."""
    head, _, tail = recorded_cells.partition(b"\n")
    then: dict[str, str] = json.loads(head)
    head, _, _ = cells(frame).partition(b"\n")
    now_: dict[str, str] = json.loads(head)
    columns = [name for name in [*then, *now_] if then.get(name) != now_.get(name)]
    count = (len(tail) // _ROW_BYTES, frame.height)
    changed: tuple[int, ...] = ()
    if count[0] == count[1]:
        old = [tail[i : i + _ROW_BYTES] for i in range(0, len(tail), _ROW_BYTES)]
        pairs = zip(old, _rows(frame), strict=True)
        changed = tuple(i for i, (a, b) in enumerate(pairs) if a != b)
    return Difference(tuple(dict.fromkeys(columns)), changed, count)
