"""The verdicts of human reviewers, one file per task in the data folder."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import polars as pl

from targen.errors import TableError
from targen.hashing import digest, sha256_of
from targen.steps import DAMAGED, REVIEWS, SCHEMA_VERSION, schema
from targen.store.written import Written
from targen.tables.commits import Journal, committed
from targen.tables.files import VERSION_KEY, key_of
from targen.tables.storage import Storage

COLUMNS: Final[Mapping[str, Any]] = schema(REVIEWS, {})
IMPORT: Final = "targen review import"
"""What the completion store records as the run that wrote a file of verdicts."""
SEPARATOR: Final = ";"
"""Separates the labels of a verdict on a row with several labels."""
_SAID: Final = ("instance_id", "content", "right", "label", "comment", "reviewer")
"""What a verdict says; equal verdicts keep the time of the first."""


def stored(storage: Storage, task: str) -> pl.DataFrame | None:
    """Return the stored verdicts of a task, None if there are none.

    Columns that an older release did not write are null.

    Raises:
        TableError: the file cannot be read.
    """
    found = storage.read(key_of(REVIEWS, task))
    if found is None:
        return None
    try:
        frame = pl.read_parquet(io.BytesIO(found))
        absent = [pl.lit(None, dtype).alias(n) for n, dtype in COLUMNS.items() if n not in frame]
        return frame.with_columns(absent).select(pl.col(n).cast(d) for n, d in COLUMNS.items())
    except DAMAGED as error:
        raise TableError(
            f"{storage.address(key_of(REVIEWS, task))} is not a readable file of verdicts. Move it "
            "away and import the sheets again."
        ) from error


def keep(
    storage: Storage,
    task: str,
    verdicts: pl.DataFrame,
    record: Callable[[Sequence[Written]], None] | None = None,
) -> tuple[pl.DataFrame, Written]:
    """Add verdicts to the stored ones and return all, with the written file.

    The caller has locked the task.

    A newer verdict on the same row, as it was shown, replaces the older one. A repeated verdict
    keeps its first time, so that importing a sheet twice changes nothing.

    Args:
        storage: the data folder.
        task: the task.
        verdicts: columns as `COLUMNS`.
        record: records the file in the completion store, as part of the commit.

    Raises:
        TableError: the storage cannot be read or written.
    """
    before = stored(storage, task)
    rows = verdicts.select(list(COLUMNS))
    if before is not None:
        rows = pl.concat([rows, before])
        first = pl.col("reviewed_at").min().over([pl.col(name) for name in _SAID])
        rows = rows.with_columns(reviewed_at=first)
    rows = rows.unique(["instance_id", "content"], keep="first").sort("instance_id", "content")
    buffer = io.BytesIO()
    rows.write_parquet(buffer, metadata={VERSION_KEY: str(SCHEMA_VERSION)})
    key = key_of(REVIEWS, task)
    content = buffer.getvalue()
    written = Written(key, sha256_of(content), rows, None)
    journal = Journal(
        REVIEWS,
        task,
        files={},
        drafts={},
        # Only that its cells are recorded matters; verdicts have no version.
        versions={key: ""},
        made_by=None if record is None else made_by(task),
        run_id=IMPORT,
    )
    with committed(storage, {key: content}, journal):
        if record is not None:
            record([written])
    return rows, written


def made_by(task: str) -> dict[str, Any]:
    """Return how a file of verdicts was made, as the completion store records it."""
    return {"task": task, "step": REVIEWS}


def identity(verdicts: pl.DataFrame | None) -> str | None:
    """Return the sha256 of verdicts, for the digests of what reads them; None without any."""
    return None if verdicts is None or not verdicts.height else digest(verdicts.write_ndjson())
