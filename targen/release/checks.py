"""Checks a release for broken invariants, from its files alone."""

from io import BytesIO

import polars as pl

from targen.errors import ReleaseError
from targen.release import registry
from targen.release.rows import label_counts
from targen.release.splits import together
from targen.steps import DAMAGED
from targen.tables.storage import Storage
from targen.tasks.spec import TaskSpec


def violations(place: Storage, at: str, spec: TaskSpec) -> list[str]:
    """Return a description of each violated invariant of a release.

    The files match the manifest; the splits have the rows and labels that the manifest counts; no
    row occurs twice; duplicates, near duplicates and pairs share a split; `provenance.parquet`
    covers exactly the released rows.

    Args:
        place: the data folder.
        at: key of the release's folder.
        spec: the task.

    Raises:
        TableError: the storage cannot be read.
    """
    try:
        said = registry.verify(place, at)
        parts = {
            name: pl.read_parquet(BytesIO(place.read(f"{at}/data/{name}.parquet") or b""))
            for name in said["splits"]
        }
        origins = pl.read_parquet(BytesIO(place.read(f"{at}/provenance.parquet") or b""))
    except (ReleaseError, *DAMAGED) as error:
        return [str(error)]
    found = []
    for name, part in parts.items():
        counted = {"rows": part.height, "labels": label_counts(spec, part)}
        if counted != said["splits"][name]:
            found.append(f"{name} has {counted}, but the manifest says {said['splits'][name]}")
    whole = pl.concat(
        [part.with_columns(split=pl.lit(name)) for name, part in parts.items()], how="vertical"
    )
    doubled = int(whole["instance_id"].is_duplicated().sum())
    if doubled:
        found.append(f"{doubled} rows occur more than once")
    told = origins.select("instance_id", "split").sort("instance_id")
    if not told.equals(whole.select("instance_id", "split").sort("instance_id")):
        found.append("provenance.parquet does not cover the same rows as data/")
    groups = whole.select("split", group=pl.Series(together(spec, whole), dtype=pl.Int64))
    parted = groups.group_by("group").agg(pl.col("split").n_unique()).filter(pl.col("split") > 1)
    if parted.height:
        found.append(f"{parted.height} groups of related rows are in several splits")
    return found
