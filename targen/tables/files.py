"""Reading and writing of steps' results as files: keys, Parquet metadata, schema version."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO
from typing import Any

import polars as pl

from targen.errors import TableError
from targen.hashing import digest, digest_of_text, sha256_of
from targen.memory import ndjson
from targen.steps import DAMAGED, SCHEMA_VERSION
from targen.store.written import Written
from targen.tables import commits
from targen.tables.commits import Journal
from targen.tables.storage import Storage

VERSION_KEY = "targen.schema_version"
_ASKED_KEY = "targen.asked"
PLANTED_KEY = "targen.planted"
DIGEST_KEY = "targen.step_digest"
DATA_KEY = "targen.data_version"
"""The same in all files of one step, so that a reader notices files of different runs."""
_TRIES = 5
_PAUSE_S = 0.05
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

    def upstream_keys(self, task: str) -> dict[str, str]:
        """Return step -> key of the table that this one was made from."""
        return {step: key_of(step, task) for step in self.made_by.get("upstream", ())}

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

    def write(
        self,
        asset: str,
        task: str,
        stored: Stored,
        record: Callable[[Sequence[Written]], None] | None = None,
        run_id: str = "",
    ) -> list[Written]:
        """Store a step's result, and return the files, which become current together.

        The caller has locked the task.

        Args:
            asset: the step.
            task: the task.
            stored: the result.
            record: records the files in the completion store, as part of the commit.
            run_id: the run.

        Raises:
            TableError: the storage cannot be written.
        """
        metadata = {
            VERSION_KEY: str(SCHEMA_VERSION),
            DIGEST_KEY: stored.step_digest,
            DATA_KEY: stored.data_version,
        }
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
        versions = dict.fromkeys(frames, stored.data_version)
        journal = Journal(
            asset,
            task,
            files={},
            drafts={},
            versions=versions,
            made_by=None if record is None else stored.made_by,
            run_id=run_id,
            upstream=stored.upstream_keys(task),
        )
        written = [
            Written(key, sha256_of(content), frames.get(key), versions.get(key))
            for key, content in files.items()
        ]
        with commits.committed(self.storage, files, journal):
            if record is not None:
                record(written)
        return written

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
            TableError: the table is missing, unreadable or of another schema version, or its files
                are from different runs.
        """
        for _ in range(_TRIES - 1):
            found = self._read(asset, task)
            if found is not None:
                return found
            # Another process is writing them.
            time.sleep(_PAUSE_S)
        if (found := self._read(asset, task)) is not None:
            return found
        raise TableError(
            f"The files of {asset} of {task} ({self.address(asset, task)} and those in rejected "
            "and planted) are from different runs: a run was interrupted, or a part of them was "
            f"restored. Materialize {asset} of {task} again."
        )

    def _read(self, asset: str, task: str) -> Stored | None:
        """Return a stored result; None if its files are from different runs."""
        journal = commits.pending(self.storage, asset, task)
        table, metadata = self._frame(key_of(asset, task), asset, task, journal)
        beside = key_of(f"rejected/{asset}", task)
        rejected = planted = None
        versions = {metadata.get(DATA_KEY)}
        if commits.read(self.storage, journal, beside) is not None:
            rejected, own = self._frame(beside, asset, task, journal)
            versions.add(own.get(DATA_KEY))
        # Without this key, the file beside the table belongs to an older table.
        if PLANTED_KEY in metadata:
            planted, own = self._frame(key_of(f"planted/{asset}", task), asset, task, journal)
            versions.add(own.get(DATA_KEY))
        if len(versions) > 1:
            return None
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
        journal = commits.pending(self.storage, asset, task)
        text = commits.read(self.storage, journal, key_of(asset, task, "json"))
        if text is None or commits.read(self.storage, journal, key_of(asset, task)) is None:
            return None
        # The page has no version; check that of its table.
        self.read(asset, task)
        try:
            content: dict[str, Any] = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise TableError(
                f"{self.address(asset, task, 'json')} is not valid JSON. Materialize {asset} of "
                f"{task} again."
            ) from error
        return content

    def _frame(
        self, key: str, asset: str, task: str, journal: Journal | None
    ) -> tuple[pl.DataFrame, dict[str, str]]:
        address = self.storage.address(key)
        remedy = f"Materialize {asset} of {task} again."
        content = commits.read(self.storage, journal, key)
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
    parts += [digest_of_text(ndjson(part)) for part in frame.iter_slices(_SLICE_ROWS)]
    return parts
