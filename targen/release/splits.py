"""Divides rows into splits, and mixes rows of several tasks."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from targen.errors import TargenError
from targen.hashing import short_id
from targen.quality.duplicates import near_pairs, normalized
from targen.quality.inputs import TEXT_TYPES
from targen.quality.text import joined
from targen.tasks.answers import LISTS, ONE_LABEL
from targen.tasks.entities import parts
from targen.tasks.spec import TaskSpec

SPLITS = ("train", "validation", "test")
"""Names and order of the splits."""

OWN_SEEDS = ("sentence", "passage", "word", "tuple")
"""Kinds of seed whose text is part of the rows that use it."""


def divide(
    spec: TaskSpec, rows: pl.DataFrame, instances: pl.DataFrame | None = None
) -> dict[str, pl.DataFrame]:
    """Return split -> its rows, in the order of `rows`; empty splits are omitted.

    These rows stay in one split: exact and near duplicates (as in `targen.quality.duplicates`), the
    rows of a pair, and rows from one seed. Everything else follows from the rows' ids, so equal
    rows give equal splits on every machine.

    Args:
        spec: the task, with the shares in `release.splits`.
        rows: rows from `rows.finished`.
        instances: the instances, with their seeds; without them, seeds are ignored.
    """
    groups = together(spec, rows, instances)
    strata = [_stratum(spec, row) for row in rows["label"]] if "label" in rows.columns else []
    names = assign(
        rows["instance_id"].to_list(), groups, strata or [""] * rows.height, spec.release.splits
    )
    split = pl.Series("split", names, dtype=pl.String)
    parts = {name: rows.filter(split == name) for name in SPLITS if name in spec.release.splits}
    return {name: part for name, part in parts.items() if part.height}


def together(
    spec: TaskSpec, rows: pl.DataFrame, instances: pl.DataFrame | None = None
) -> list[int]:
    """Return the group of each row: the number of the first row that must be in its split."""
    parent = list(range(rows.height))
    _tie_equal(parent, normalized(joined(rows, list(spec.fields))).to_list())
    texts = [name for name, kind in spec.field_types.items() if kind in TEXT_TYPES]
    if texts:
        pairs = near_pairs([joined(rows, [name]) for name in texts])
        for first, second in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True):
            _union(parent, first, second)
    if spec.pair_field is not None:
        _tie_equal(parent, rows[spec.pair_field].to_list())
    if instances is not None and spec.seeds and spec.seeds.kind in OWN_SEEDS:
        seeds = instances.select("instance_id", "seed_id")
        named = rows.select("instance_id").join(
            seeds, on="instance_id", how="left", maintain_order="left"
        )
        _tie_equal(parent, named["seed_id"].to_list())
    return [_find(parent, row) for row in range(rows.height)]


def assign(
    ids: Sequence[str], groups: Sequence[int], strata: Sequence[str], shares: Mapping[Any, float]
) -> list[str]:
    """Return the split of each row.

    Groups are assigned one after the other: large ones first, then stratum by stratum, in the order
    of a hash of their ids. Each goes to the split that is furthest below its share of the rows
    assigned so far. Every prefix of the rows, and every stratum of single rows, thus meets the
    shares to within a row or two.

    Args:
        ids: row ids.
        groups: group number of each row.
        strata: stratum of each row, such as its label, to be distributed evenly.
        shares: split -> share; the sum is 1.
    """
    members: dict[int, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    order = sorted(
        members.values(),
        key=lambda rows: (
            -len(rows),
            sorted(Counter(strata[row] for row in rows).items()),
            short_id(["split", min(ids[row] for row in rows)]),
        ),
    )
    names = [name for name in SPLITS if name in shares]
    have = dict.fromkeys(names, 0)
    placed = 0
    chosen = [""] * len(ids)
    for rows in order:
        placed += len(rows)
        name = max(names, key=lambda one: shares[one] * placed - have[one])
        have[name] += len(rows)
        for row in rows:
            chosen[row] = name
    return chosen


def _stratum(spec: TaskSpec, label: Any) -> str:
    if spec.answer.kind in ONE_LABEL:
        return str(label)
    # Spans rarely repeat. Several labels, or types of entities, are one stratum per combination.
    if spec.answer.kind == "spans" and label is not None:
        label = sorted({parts(one)[0] for one in label})
    return ", ".join(label) if spec.answer.kind in LISTS and label is not None else ""


def _tie_equal(parent: list[int], keys: Iterable[Any]) -> None:
    """Group rows with equal keys; a null key does not group."""
    first: dict[Any, int] = {}
    for row, key in enumerate(keys):
        if key is not None:
            _union(parent, first.setdefault(key, row), row)


def _find(parent: list[int], row: int) -> int:
    while parent[row] != row:
        parent[row] = parent[parent[row]]
        row = parent[row]
    return row


def _union(parent: list[int], one: int, other: int) -> None:
    one, other = _find(parent, one), _find(parent, other)
    # The smaller number is the root, so that the result does not depend on the order of the pairs.
    parent[max(one, other)] = min(one, other)


Drawn = list[tuple[str, int]]
"""Task and row number within the task."""


def mix(
    ids: Mapping[str, Sequence[str]],
    weights: Mapping[str, float] | None = None,
    rows: int | None = None,
    seed: int = 0,
) -> Drawn:
    """Return the rows of the mixture in order, without repetition.

    Selection and order within a task follow from a hash of the seed and the row ids: a larger
    number of rows only adds rows.

    Args:
        ids: task -> ids of its rows.
        weights: task -> share of the mixture, in any unit; by default proportional to its rows.
        rows: total number of rows; by default all or, with weights, the maximum they allow.
        seed: seed of the selection and order.

    Raises:
        TargenError: a task has not enough rows, or no task has any.
    """
    shares = dict(weights) if weights is not None else {task: float(len(ids[task])) for task in ids}
    counts = _counts({task: len(ids[task]) for task in ids}, shares, rows)
    drawn = []
    for task, count in counts.items():
        order = sorted(
            (short_id(["mixture", seed, task, row_id]), number)
            for number, row_id in enumerate(ids[task])
        )
        drawn += [(key, task, number) for key, number in order[:count]]
    return [(task, number) for _, task, number in sorted(drawn)]


def _counts(
    have: Mapping[str, int], shares: Mapping[str, float], rows: int | None
) -> Mapping[str, int]:
    total = sum(shares.values())
    if not total:
        raise TargenError(f"None of {', '.join(have)} has any rows.")
    # The limit set by the scarcest task; the margin makes 3 / 0.3 equal 10 rows instead of 9.
    most = min(int(have[task] * total / share + 1e-9) for task, share in shares.items() if share)
    if rows is not None and rows > most:
        scarce = min((t for t in shares if shares[t]), key=lambda t: have[t] / shares[t])
        raise TargenError(
            f"{rows} rows with these weights need more rows of {scarce} than it has "
            f"({have[scarce]}). Request at most {most} rows, or give {scarce} less weight."
        )
    wanted = most if rows is None else rows
    exact = {task: wanted * share / total for task, share in shares.items()}
    counts = {task: int(share + 1e-9) for task, share in exact.items()}
    behind = sorted(counts, key=lambda task: (counts[task] - exact[task], task))
    for task in behind[: wanted - sum(counts.values())]:
        counts[task] += 1
    return {task: min(count, have[task]) for task, count in counts.items()}
