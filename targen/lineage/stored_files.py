"""Reading of table files as they are stored, damaged ones included."""

from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

import polars as pl

from targen.errors import TableError
from targen.hashing import sha256_of
from targen.steps import SCHEMA_VERSION, schema
from targen.tables import commits
from targen.tables.files import DIGEST_KEY, PLANTED_KEY, VERSION_KEY
from targen.tables.storage import Storage


@dataclass(frozen=True)
class File:
    """A table file as stored.

    Attributes:
        key: path in the data folder.
        sha256: of its bytes; None if the file is missing.
        frame: its rows; None if it is missing or unreadable.
        error: why `frame` is None.
        step_digest: from the file's metadata.
        planted: whether the file's metadata says that it has planted errors.
        interrupted: whether a run was interrupted while it wrote the file; `frame` has the new
            rows.
    """

    key: str
    sha256: str | None = None
    frame: pl.DataFrame | None = None
    error: str | None = None
    step_digest: str | None = None
    planted: bool = False
    interrupted: bool = False


def read_file(storage: Storage, key: str, step: str, task: str) -> File:
    """Return a table file of a step of a task; problems are reported in `error`."""
    page, content = _read(storage, key, step, task)
    if content is None:
        return replace(page, error=page.error or "the file is missing")
    sha256 = page.sha256
    frame, metadata = read_rows(content)
    if frame is None:
        return File(key, sha256, error="it is not a readable table")
    version = metadata.get(VERSION_KEY)
    problem = None
    if version != str(SCHEMA_VERSION):
        problem = f"it has schema version {version or 'none'}, this release reads {SCHEMA_VERSION}"
    elif other := _other_columns(key, frame):
        problem = f"these columns are missing or have another type: {', '.join(other)}"
    return File(
        key,
        sha256,
        None if problem else frame,
        problem,
        metadata.get(DIGEST_KEY),
        PLANTED_KEY in metadata,
        page.interrupted,
    )


def read_page(storage: Storage, key: str, step: str, task: str) -> File:
    """Return a page of a step of a task, without its content."""
    return _read(storage, key, step, task)[0]


def _read(storage: Storage, key: str, step: str, task: str) -> tuple[File, bytes | None]:
    """Return a file without its rows, and its bytes; None if it is missing or unreadable."""
    try:
        journal = commits.pending(storage, step, task)
        content = commits.read(storage, journal, key)
    except TableError as error:
        return File(key, error=str(error)), None
    sha256 = None if content is None else sha256_of(content)
    file = File(key, sha256, interrupted=journal is not None and key in journal.files)
    return file, content


def read_rows(content: bytes) -> tuple[pl.DataFrame | None, dict[str, str]]:
    """Return the rows and metadata of a Parquet file; the rows are None if it cannot be read."""
    try:
        return pl.read_parquet(BytesIO(content)), pl.read_parquet_metadata(BytesIO(content))
    except Exception:
        # Polars raises many kinds of exceptions for damaged bytes.
        return None, {}
    except BaseException as error:
        # A panic of its native code is not an Exception. Everything else is raised again.
        if type(error).__name__ != "PanicException":
            raise
        return None, {}


def _other_columns(key: str, frame: pl.DataFrame) -> list[str]:
    """Return the columns of the schema that are missing or have another type."""
    asset = key.rsplit("/", 1)[0]
    # `rejected/<step>` and `planted/<step>` have the same schema for every step.
    wanted = schema(asset.partition("/")[0], {})
    # A label is a string or a list of strings, depending on the task.
    loose: dict[str, tuple[Any, ...]] = {
        name: (pl.List(pl.String), pl.String) for name in wanted if "label" in name
    }
    loose["votes"] = (pl.List(pl.List(pl.String)), pl.List(pl.String))
    return [
        name
        for name, kind in wanted.items()
        if frame.schema.get(name) not in loose.get(name, (kind,))
    ]
