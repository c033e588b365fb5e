"""Stored completions, parsed and checked, and the request ids in the data folder."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

import polars as pl
import sqlalchemy as sa

from targen.errors import StoreError, TableError
from targen.hashing import sha256_of
from targen.llm import structured
from targen.steps import DAMAGED
from targen.store.completions import Store, checksum, chunks, unpack
from targen.store.schema import COMPLETIONS, USES
from targen.tables.storage import Storage

_COLUMNS = ("request_id", "request_ids")
_ID = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_RELEASES = "releases/"
_HIDDEN = re.compile(r"(^|/)\.")


@dataclass(frozen=True)
class StoredCompletion:
    """One stored completion.

    Attributes:
        request_id: its id.
        columns: its columns in the store, except the compressed ones.
        asked: the request's identity (messages, schema, sampling, sample, edition); None if it
            cannot be read.
        raw: the text of the answer, if any.
        value: the answer, parsed again by its schema; None if it cannot be parsed.
        problems: what is wrong, as phrases about the completion.
        unsure: what cannot be verified, likewise.
    """

    request_id: str
    columns: Mapping[str, Any]
    asked: Mapping[str, Any] | None = None
    raw: str | None = None
    value: Mapping[str, Any] | None = None
    problems: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()

    @property
    def parent(self) -> str | None:
        """The request that this one repeats, or None."""
        found: str | None = self.columns["parent_request_id"]
        return found

    @property
    def messages(self) -> list[Mapping[str, str]]:
        """The messages of the prompt; empty if they cannot be read."""
        return list(self.asked["messages"]) if self.asked else []


def read(store: Store, request_ids: Iterable[str]) -> dict[str, StoredCompletion]:
    """Return request_id -> completion, for these requests and those that they repeat.

    Requests that are not in the store are left out.

    Raises:
        StoreError: the store cannot be read. A damaged completion has `problems` instead.
    """
    wanted = {request_id for request_id in request_ids if request_id}
    found: dict[str, StoredCompletion] = {}
    with store.read() as connection:
        while wanted:
            fresh: set[str] = set()
            for ids in chunks(wanted):
                query = sa.select(COMPLETIONS).where(COMPLETIONS.c.request_id.in_(ids))
                for row in connection.execute(query):
                    one = _parsed(dict(row._mapping))
                    found[one.request_id] = one
                    if one.parent:
                        fresh.add(one.parent)
            wanted = fresh - set(found)
    return {name: _linked(one, found) for name, one in found.items()}


def descendants(store: Store, request_ids: Iterable[str]) -> set[str]:
    """Return these requests and all requests that repeat them.

    Raises:
        StoreError: the store cannot be read.
    """
    known = set(request_ids)
    fresh = known
    with store.read() as connection:
        while fresh:
            children: set[str] = set()
            for ids in chunks(fresh):
                query = sa.select(COMPLETIONS.c.request_id).where(
                    COMPLETIONS.c.parent_request_id.in_(ids)
                )
                children.update(connection.execute(query).scalars())
            fresh = children - known
            known |= fresh
    return known


def uses(store: Store, request_ids: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """Return request_id -> its uses: run_id, task, step, paid, used_at.

    Raises:
        StoreError: the store cannot be read.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    with store.read() as connection:
        for ids in chunks(request_ids):
            query = sa.select(USES).where(USES.c.request_id.in_(ids)).order_by(USES.c.used_at)
            for row in connection.execute(query).mappings():
                found.setdefault(row["request_id"], []).append(dict(row))
    return found


def of_run(store: Store, run_id: str) -> dict[str, str]:
    """Return request_id -> the step that used it first, for the requests of a run.

    Raises:
        StoreError: the store cannot be read.
    """
    with store.read() as connection:
        query = sa.select(USES).where(USES.c.run_id == run_id).order_by(USES.c.used_at.desc())
        return {row["request_id"]: row["step"] for row in connection.execute(query).mappings()}


def _parsed(row: dict[str, Any]) -> StoredCompletion:
    problems, unsure = [], []
    if row["checksum"] is None:
        unsure.append("was stored by a version without checksums")
    elif row["checksum"] != _checksum(row):
        problems.append("is not what was stored: its checksum differs")
    asked, raw, value = None, None, None
    try:
        identity = unpack(bytes(row["identity"]))
        if sha256_of(identity) != row["request_id"]:
            problems.append("has an id that is not the digest of its request")
        asked = json.loads(identity.decode("utf-8", "surrogatepass"))
        if row["raw"] is not None:
            raw = unpack(bytes(row["raw"])).decode("utf-8", "replace")
        if not isinstance(asked["messages"], list) or asked["model"] != row["model"]:
            problems.append("names different models in its request and its columns")
    except (StoreError, ValueError, KeyError, TypeError) as error:
        problems.append(f"cannot be read: {error}")
    if raw and asked and row["status"] in ("ok", "malformed", "truncated"):
        try:
            parsed = structured.parse(raw, asked.get("schema", {}))
        except ValueError as error:
            # A damaged schema can still be JSON.
            problems.append(f"has a schema that is not valid: {str(error).splitlines()[0]}")
        else:
            value = parsed.value
            if row["status"] == "ok" and parsed.error is not None:
                problems.append(f"has status ok, but its answer is not valid: {parsed.error}")
    columns = {name: v for name, v in row.items() if name not in ("identity", "raw")}
    return StoredCompletion(
        row["request_id"], columns, asked, raw, value, tuple(problems), tuple(unsure)
    )


def _checksum(row: Mapping[str, Any]) -> str:
    try:
        return checksum(row)
    except (ValueError, TypeError, OverflowError):
        # SQLite accepts text in a numeric column.
        return ""


def _linked(one: StoredCompletion, found: Mapping[str, StoredCompletion]) -> StoredCompletion:
    """Return a completion, with a problem if it does not match the one that it repeats."""
    if not one.parent:
        return one
    before = found.get(one.parent)
    if before is None:
        problem = f"repeats {one.parent}, which is not in the store"
    elif one.messages[: len(before.messages)] != before.messages:
        problem = f"repeats {one.parent}, but begins with another prompt"
    else:
        return one
    return replace(one, problems=(*one.problems, problem))


def request_ids(storage: Storage) -> set[str]:
    """Return every request id in a table, a table of rejected items, or a release.

    Files under `releases/` of any format are searched for ids, so that released rows keep their
    completions.

    Raises:
        TableError: a table cannot be read.
    """
    found: set[str] = set()
    for key in storage.keys(""):
        if _HIDDEN.search(key):
            continue
        if key.endswith(".parquet"):
            found |= _requests_in(storage, key)
        elif key.startswith(_RELEASES):
            found |= {name.decode() for name in _ID.findall(storage.read(key) or b"")}
    return found


def cited_by(storage: Storage, step: str, task: str) -> set[str]:
    """Return the request ids in a step's table and in that of its rejected items.

    Raises:
        TableError: a table cannot be read.
    """
    keys = (f"{step}/{task}.parquet", f"rejected/{step}/{task}.parquet")
    return {name for key in keys for name in _requests_in(storage, key)}


def tasks(storage: Storage) -> set[str]:
    """Return the tasks that have a table; releases do not count."""
    current = (key for key in storage.keys("") if not key.startswith((_RELEASES, ".")))
    return {key.rsplit("/", 1)[-1].split(".")[0] for key in current if key.endswith(".parquet")}


def _requests_in(storage: Storage, key: str) -> set[str]:
    content = storage.read(key)
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
            f"{storage.address(key)} is not a readable Parquet file, so the completions of its "
            "rows are unknown. Materialize it again or remove it."
        ) from error
    return found
