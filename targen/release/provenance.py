"""Maps each released row to every completion that it descends from."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import polars as pl

from targen.steps import (
    ASKED,
    CONTEXTS,
    CORRECTED_SET,
    DIMENSIONS,
    INSTANCES,
    SEEDS,
    VOCABULARIES,
    about,
)
from targen.tables.files import Stored

SCHEMA: Final[dict[str, Any]] = {
    "instance_id": pl.String,
    "split": pl.String,
    "seed_id": pl.String,
    "context_id": pl.String,
    "parent_ids": pl.List(pl.String),
    "request_ids": pl.List(pl.String),
}


def provenance(parts: Mapping[str, pl.DataFrame], tables: Mapping[str, Stored]) -> pl.DataFrame:
    """Return one row per released row, split by split.

    `request_ids` are those of its terms, its context, its seed, its ancestors, itself, its
    annotation and its correction, sorted, each once. Of a request that was asked again this is
    the last; the store knows those before it.

    Args:
        parts: split -> released rows.
        tables: step -> what it stored.
    """
    instances = {row["instance_id"]: row for row in tables[INSTANCES].table.iter_rows(named=True)}
    asked_for_row = dict(
        tables[CORRECTED_SET].table.select("instance_id", "request_ids").iter_rows()
    )
    seeds = dict(tables[SEEDS].table.select("seed_id", "request_id").iter_rows())
    contexts = _contexts(tables)
    rows = []
    for split, part in parts.items():
        for instance_id in part["instance_id"]:
            row = instances[instance_id]
            ids = {*asked_for_row[instance_id], row["request_id"]}
            for one in (row, *(instances[name] for name in _ancestors(instance_id, instances))):
                ids |= {one["request_id"], seeds.get(one["seed_id"])}
                ids |= contexts.get(one["context_id"], set())
            rows.append(
                {name: row[name] for name in ("instance_id", "seed_id", "context_id", "parent_ids")}
                | {"split": split, "request_ids": sorted(name for name in ids if name)}
            )
    return pl.DataFrame({name: [row[name] for row in rows] for name in SCHEMA}, schema=SCHEMA)


def _contexts(tables: Mapping[str, Stored]) -> dict[str, set[str | None]]:
    """Return context -> requests that made it and the terms in it, or decided on those."""
    vocabulary = tables[VOCABULARIES].table.to_dicts()
    deciders: dict[tuple[str, str | None], set[str | None]] = {}
    for row in vocabulary:
        if row["category"] == ASKED:
            deciders.setdefault(about(row), set()).add(row["request_id"])
    everywhere = deciders.get((DIMENSIONS, None), set())
    terms = {
        row["term_id"]: {row["request_id"]}
        | everywhere
        | deciders.get((row["category"], row["label"]), set())
        for row in vocabulary
    }
    chosen = tables[CONTEXTS].table.select("context_id", "term_ids", "request_id")
    return {
        context: {request}.union(*(terms.get(term, set()) for term in term_ids or []))
        for context, term_ids, request in chosen.iter_rows()
    }


def _ancestors(instance_id: str, instances: Mapping[str, Mapping[str, object]]) -> Iterable[str]:
    """Return every instance that this one grew from, as far as the table has them."""
    found: dict[str, None] = {}
    waiting = [instance_id]
    while waiting:
        parents = instances[waiting.pop()]["parent_ids"]
        assert isinstance(parents, list)
        for parent in parents:
            if parent in instances and parent not in found and parent != instance_id:
                found[parent] = None
                waiting.append(parent)
    return found
