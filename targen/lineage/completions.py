"""Stored completions, parsed and checked for consistency."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from targen.errors import StoreError
from targen.hashing import sha256_of
from targen.llm import structured
from targen.store.completions import Store, checksum, chunks, unpack
from targen.store.schema import COMPLETIONS, USES


@dataclass(frozen=True)
class StoredCompletion:
    """One stored completion.

    Attributes:
        request_id: its name.
        columns: what the store holds of it, but for the packed parts.
        asked: the request's identity: messages, schema, sampling, sample, edition; None where it
            cannot be read.
        raw: the answer's text, None where there is none.
        value: the answer, read again by its schema; None where it holds none.
        problems: what is wrong with it, in words.
        unsure: what cannot be verified, as sentences.
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
        """The request that this one asks again, None where it is the first."""
        found: str | None = self.columns["parent_request_id"]
        return found

    @property
    def messages(self) -> list[Mapping[str, str]]:
        """The prompt, message by message; empty where it cannot be read."""
        return list(self.asked["messages"]) if self.asked else []


def read(store: Store, request_ids: Iterable[str]) -> dict[str, StoredCompletion]:
    """Return request_id -> completion, for these and for all that they ask again.

    Requests that the store does not know are absent.

    Raises:
        StoreError: the store cannot be read. A single damaged completion raises nothing.
    """
    wanted = {request_id for request_id in request_ids if request_id}
    found: dict[str, StoredCompletion] = {}
    with store.read() as connection:
        while wanted:
            fresh: set[str] = set()
            for ids in chunks(wanted):
                query = sa.select(COMPLETIONS).where(COMPLETIONS.c.request_id.in_(ids))
                for row in connection.execute(query):
                    kept = _kept(dict(row._mapping))
                    found[kept.request_id] = kept
                    if kept.parent:
                        fresh.add(kept.parent)
            wanted = fresh - set(found)
    return {name: _linked(kept, found) for name, kept in found.items()}


def descendants(store: Store, request_ids: Iterable[str]) -> set[str]:
    """Return these requests and all that asked them again, the other way than `read`.

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
    """Return request_id -> who used it: run_id, task, step, paid, used_at.

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


def _kept(row: dict[str, Any]) -> StoredCompletion:
    problems, unsure = [], []
    if row["checksum"] is None:
        unsure.append("was stored by a version without checksums")
    elif row["checksum"] != _checksum(row):
        problems.append("is not what was stored: its checksum differs")
    asked, raw, value = None, None, None
    try:
        identity = unpack(bytes(row["identity"]))
        if sha256_of(identity) != row["request_id"]:
            problems.append("its request is not the one it is named for")
        asked = json.loads(identity.decode("utf-8", "surrogatepass"))
        if row["raw"] is not None:
            raw = unpack(bytes(row["raw"])).decode("utf-8", "replace")
        if not isinstance(asked["messages"], list) or asked["model"] != row["model"]:
            problems.append("its request and its columns name different models")
    except (StoreError, ValueError, KeyError, TypeError) as error:
        problems.append(f"cannot be read: {error}")
    if raw and asked and row["status"] in ("ok", "malformed", "truncated"):
        parsed = structured.parse(raw, asked.get("schema", {}))
        value = parsed.value
        if row["status"] == "ok" and parsed.error is not None:
            problems.append(f"was stored as ok, read again it is not: {parsed.error}")
    columns = {name: v for name, v in row.items() if name not in ("identity", "raw")}
    return StoredCompletion(
        row["request_id"], columns, asked, raw, value, tuple(problems), tuple(unsure)
    )


def _checksum(row: Mapping[str, Any]) -> str:
    try:
        return checksum(row)
    except (ValueError, TypeError, OverflowError):
        # SQLite takes a text in a column of numbers.
        return ""


def _linked(kept: StoredCompletion, all_kept: Mapping[str, StoredCompletion]) -> StoredCompletion:
    """Return a completion with what is wrong between it and the one it asks again."""
    if not kept.parent:
        return kept
    before = all_kept.get(kept.parent)
    if before is None:
        problem = f"asks {kept.parent} again, which the store does not have"
    elif kept.messages[: len(before.messages)] != before.messages:
        problem = f"asks {kept.parent} again, and begins with another prompt"
    else:
        return kept
    return replace(kept, problems=(*kept.problems, problem))
