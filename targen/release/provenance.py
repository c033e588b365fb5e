"""Maps each released row to every completion that it descends from."""

from collections.abc import Mapping
from typing import Any, Final

import polars as pl

from targen.lineage.graph import TaskTables, requests_above
from targen.steps import CORRECTED_SET, INSTANCES
from targen.tables.files import Stored

SCHEMA: Final[dict[str, Any]] = {
    "instance_id": pl.String,
    "split": pl.String,
    "seed_id": pl.String,
    "context_id": pl.String,
    "parent_ids": pl.List(pl.String),
    "request_ids": pl.List(pl.String),
    "human_reviewed_at": pl.String,
}


def provenance(parts: Mapping[str, pl.DataFrame], tables: Mapping[str, Stored]) -> pl.DataFrame:
    """Return one row per released row, split by split.

    `request_ids` are the distinct requests of its terms, context, seed, ancestors, text, annotation
    and correction, sorted. For a retried request, the last attempt is listed; the store links it to
    the earlier ones. `human_reviewed_at` is null for rows that no person reviewed; names of
    reviewers are not released.
    """
    frames = {step: stored.table for step, stored in tables.items()}
    released = [(i, split) for split, part in parts.items() for i in part["instance_id"]]
    requests = requests_above(TaskTables(None, "", frames), [name for name, _ in released])
    columns = ("instance_id", "seed_id", "context_id", "parent_ids")
    instances = {row["instance_id"]: row for row in frames[INSTANCES].iter_rows(named=True)}
    reviewed = dict(frames[CORRECTED_SET].select("instance_id", "human_reviewed_at").iter_rows())
    rows = [
        {name: instances[instance_id][name] for name in columns}
        | {"split": split, "request_ids": sorted(requests[instance_id])}
        | {"human_reviewed_at": reviewed[instance_id]}
        for instance_id, split in released
    ]
    return pl.DataFrame({name: [row[name] for row in rows] for name in SCHEMA}, schema=SCHEMA)
