"""Reading and writing of steps' results as files: keys, Parquet metadata, schema version."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO
from typing import Any

import polars as pl

from targen.errors import TableError
from targen.hashing import digest, sha256_of
from targen.steps import DAMAGED, SCHEMA_VERSION
from targen.store.table_digests import Written
from targen.tables.storage import Storage

VERSION_KEY = "targen.schema_version"
_ASKED_KEY = "targen.asked"
PLANTED_KEY = "targen.planted"
DIGEST_KEY = "targen.step_digest"
_SLICE_ROWS = 50_000


@dataclass(frozen=True)
class Stored:
    """One step's result for one task.

    Attributes:
        table: the rows.
        rejected: requested items that did not become rows; None if the step rejects nothing.
        asked: number of requested items; None if the step requests no items.
        step_digest: hash of everything that the step read of task and recipe.
        planted: rows that were corrected a second time under a wrong label; None without any.
        pages: file suffix -> text of files beside the table (the report's page).
        made_by: how it was made, JSON-like, for audits; recorded in the store, not in the file.
    """

    table: pl.DataFrame
    rejected: pl.DataFrame | None = None
    asked: int | None = None
    step_digest: str = ""
    planted: pl.DataFrame | None = None
    pages: Mapping[str, str] = field(default_factory=dict)
    made_by: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def data_version(self) -> str:
        """A digest of the content, independent of how the files were encoded."""
        content = {
            "table": _content(self.table),
            "rejected": None if self.rejected is None else _content(self.rejected),
        }
        if self.planted is not None:
            content["planted"] = _content(self.planted)
        return digest(content)


class Tables:
    """Reads and writes the tables in one storage."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage

    def address(self, asset: str, task: str, suffix: str = "parquet") -> str:
        """Return the path or URL of a table, or of the page with this suffix."""
        return self.storage.address(key_of(asset, task, suffix))

    def write(self, asset: str, task: str, stored: Stored) -> list[Written]:
        """Store a step's result and return the written files.

        The table is written last, after the files that belong to it.

        Raises:
            TableError: the storage cannot be written.
        """
        metadata = {VERSION_KEY: str(SCHEMA_VERSION), DIGEST_KEY: stored.step_digest}
        if stored.asked is not None:
            metadata[_ASKED_KEY] = str(stored.asked)
        # Encode everything before the first write, so that an encoding error changes nothing.
        files = {key_of(asset, task, name): text.encode() for name, text in stored.pages.items()}
        frames = {key_of(asset, task): stored.table}
        if stored.rejected is not None:
            frames = {key_of(f"rejected/{asset}", task): stored.rejected} | frames
        if stored.planted is not None:
            metadata[PLANTED_KEY] = "yes"
            files[key_of(f"planted/{asset}", task)] = _parquet(stored.planted, metadata)
        files |= {key: _parquet(frame, metadata) for key, frame in frames.items()}
        for key, content in files.items():
            self.storage.write(key, content)
        version = stored.data_version
        return [
            Written(
                key,
                sha256_of(content),
                frames.get(key),
                version if key in frames else None,
            )
            for key, content in files.items()
        ]

    def write_failed(self, asset: str, task: str, rejected: pl.DataFrame) -> str:
        """Store the rejected items of a failed step and return the file's address.

        The rejected items of the last good table are kept.

        Raises:
            TableError: the storage cannot be written.
        """
        key = key_of(f"rejected/{asset}", task, "failed.parquet")
        self.storage.write(key, _parquet(rejected, {VERSION_KEY: str(SCHEMA_VERSION)}))
        return self.storage.address(key)

    def read(self, asset: str, task: str) -> Stored:
        """Return a stored result, without its pages.

        Raises:
            TableError: the table is missing, unreadable or of another schema version.
        """
        table, metadata = self._frame(key_of(asset, task), asset, task)
        rejected = None
        if self.storage.read(key_of(f"rejected/{asset}", task)) is not None:
            rejected, _ = self._frame(key_of(f"rejected/{asset}", task), asset, task)
        planted = None
        # Without this key, the file beside the table belongs to an older table.
        if PLANTED_KEY in metadata:
            planted, _ = self._frame(key_of(f"planted/{asset}", task), asset, task)
        asked = metadata.get(_ASKED_KEY)
        return Stored(
            table=table,
            rejected=rejected,
            asked=None if asked is None else int(asked),
            step_digest=metadata.get(DIGEST_KEY, ""),
            planted=planted,
        )

    def read_json(self, asset: str, task: str) -> dict[str, Any] | None:
        """Return the JSON page beside a table, or None if the table or the page is missing.

        Raises:
            TableError: the page or its table is unreadable, or of another schema version.
        """
        text = self.storage.read(key_of(asset, task, "json"))
        if text is None or self.storage.read(key_of(asset, task)) is None:
            return None
        # The page has no version; check that of its table.
        self.read(asset, task)
        try:
            content: dict[str, Any] = json.loads(text)
        except ValueError as error:
            raise TableError(
                f"{self.address(asset, task, 'json')} is not valid JSON. Materialize {asset} of "
                f"{task} again."
            ) from error
        return content

    def _frame(self, key: str, asset: str, task: str) -> tuple[pl.DataFrame, dict[str, str]]:
        address = self.storage.address(key)
        remedy = f"Materialize {asset} of {task} again."
        content = self.storage.read(key)
        if content is None:
            raise TableError(
                f"The table {address} does not exist. Run `make run TASK={task}`, or materialize "
                f"{asset} of {task} in Dagster."
            )
        try:
            metadata = pl.read_parquet_metadata(BytesIO(content))
            frame = pl.read_parquet(BytesIO(content))
        except DAMAGED as error:
            raise TableError(
                f"The table {address} is not a readable Parquet file. {remedy}"
            ) from error
        version = metadata.get(VERSION_KEY)
        if version != str(SCHEMA_VERSION):
            raise TableError(
                f"The table {address} has schema version {version or 'none'}; this release "
                f"reads {SCHEMA_VERSION}. {remedy}"
            )
        return frame, metadata


def key_of(asset: str, task: str, suffix: str = "parquet") -> str:
    """Return the key of a step's file in the data folder."""
    return f"{asset}/{task}.{suffix}"


def _parquet(frame: pl.DataFrame, metadata: dict[str, str]) -> bytes:
    buffer = BytesIO()
    frame.write_parquet(buffer, metadata=metadata)
    return buffer.getvalue()


def _content(frame: pl.DataFrame) -> list[str]:
    # Rows as text, because another Polars release may write other bytes.
    parts = [",".join(f"{name}:{dtype}" for name, dtype in frame.schema.items())]
    parts += [digest(part.write_ndjson()) for part in frame.iter_slices(_SLICE_ROWS)]
    return parts
