"""Divides rows into splits, and mixes rows of several tasks."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from targen.errors import TargenError
from targen.hashing import short_id
from targen.quality.duplicates import near_pairs, normalised
from targen.quality.inputs import TEXT_TYPES
from targen.quality.text import joined
from targen.tasks.spec import TaskSpec

SPLITS = ("train", "validation", "test")
"""Names and order of the parts."""

OWN_SEEDS = ("sentence", "passage", "word", "tuple")
"""Kinds of seed whose text is part of the rows that grow from it."""


def divide(
    spec: TaskSpec, rows: pl.DataFrame, instances: pl.DataFrame | None = None
) -> dict[str, pl.DataFrame]:
    """Return split -> its rows, in the order of `rows`; a split that gets none is left out.

    Rows that belong together stay together: exact and near duplicates (as
    `targen.quality.duplicates` defines them), rows of one pair, and rows that grew from one
    seed. The rest follows from the rows' ids alone: equal rows, equal splits, on every machine.

    Args:
        spec: the task, with the shares in `release.splits`.
        rows: as `rows.finished` returns them.
        instances: the instances, which know the seeds; without them seeds are not looked at.
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
    """Return per row the number of its group: the first row that must not be parted from it."""
    parent = list(range(rows.height))
    whole = normalised(joined(rows, list(spec.fields)))
    _tie_equal(parent, whole.to_list())
    texts = [name for name, kind in spec.field_types.items() if kind in TEXT_TYPES]
    if texts:
        pairs = near_pairs([joined(rows, [name]) for name in texts])
        for first, second in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True):
            _union(parent, first, second)
    if spec.twin:
        _tie_equal(parent, rows[spec.twin.id_field].to_list())
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
    """Return per row the name of its split.

    Groups go to the splits one after the other, large ones first, then stratum by stratum, in
    the order of a hash of their ids: each to the split that is furthest behind its share of the
    rows placed so far. So every run of rows, and with single rows every stratum, is divided by
    the shares to within a row or two.

    Args:
        ids: row ids.
        groups: per row, the number of its group.
        strata: per row, what the splits should have in like shares, say the label.
        shares: split -> share, adding up to 1.
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
    if spec.answer.kind == "class":
        return str(label)
    # A span is hardly ever twice the same; several labels are taken as they come together.
    return ", ".join(label) if spec.answer.kind == "multi" and label is not None else ""


def _tie_equal(parent: list[int], keys: Iterable[Any]) -> None:
    """Tie rows of equal keys together; a null key ties nothing."""
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
    # The smaller number is the root, so that the result does not hang on the order of the pairs.
    parent[max(one, other)] = min(one, other)


Drawn = list[tuple[str, int]]
"""Task and number of the row in it."""


def mix(
    ids: Mapping[str, Sequence[str]],
    weights: Mapping[str, float] | None = None,
    rows: int | None = None,
    seed: int = 0,
) -> Drawn:
    """Return which rows make the mixture, in its order; no row is taken twice.

    Which rows of a task are taken, and in which order, follows from a hash of the seed and
    their ids: raising the number of rows adds rows and takes none away.

    Args:
        ids: task -> ids of its rows.
        weights: task -> share of the mixture, in any unit; without them every task gives in
            proportion to what it has.
        rows: how many rows in all; by default the most that the weights allow, and without
            weights all.
        seed: another seed, another choice and order.

    Raises:
        TargenError: a task has not enough rows, or there is none at all.
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
        raise TargenError(f"None of {', '.join(have)} has a row to mix.")
    # What the scarcest task allows; a hair more, so that 3 / 0.3 is 10 rows and not 9.
    most = min(int(have[task] * total / share + 1e-9) for task, share in shares.items() if share)
    if rows is not None and rows > most:
        scarce = min((t for t in shares if shares[t]), key=lambda t: have[t] / shares[t])
        raise TargenError(
            f"{rows} rows with these weights need more rows of {scarce} than the {have[scarce]} "
            f"there are: ask for at most {most} rows, or give {scarce} less weight."
        )
    wanted = most if rows is None else rows
    exact = {task: wanted * share / total for task, share in shares.items()}
    counts = {task: int(share + 1e-9) for task, share in exact.items()}
    behind = sorted(counts, key=lambda task: (counts[task] - exact[task], task))
    for task in behind[: wanted - sum(counts.values())]:
        counts[task] += 1
    return {task: min(count, have[task]) for task, count in counts.items()}
