"""Groups of equal or nearly equal rows, by number of rows.

The share of rows that repeat another one grows with the number of rows, so the figure is given for
several numbers of rows, with that of the reference at the same numbers.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from targen.quality.collector import Measure, MetricCollector
from targen.quality.copies import edited
from targen.quality.duplicates import near_pairs, normalized
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import proportion
from targen.quality.text import Ints, joined

STEPS: Final = (100, 300, 1000, 3000, 10_000, 30_000, 100_000)
"""Numbers of rows of the curve, as far as the set has them."""


def groups(rows: pl.DataFrame, fields: Sequence[str], pairs: Sequence[tuple[Ints, Ints]]) -> Ints:
    """Return the sizes of the groups of rows that pairs connect; equal rows are connected too."""
    from scipy.sparse import coo_matrix  # noqa: PLC0415  (slow to import)
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

    same = normalized(joined(rows, fields)).rank("dense").to_numpy().astype(np.int64)
    _, head, index = np.unique(same, return_index=True, return_inverse=True)
    first = np.concatenate([head[index], *(one for one, _ in pairs)])
    second = np.concatenate([np.arange(rows.height), *(two for _, two in pairs)])
    shape = (rows.height, rows.height)
    graph = coo_matrix((np.ones(first.size, dtype=bool), (first, second)), shape=shape)
    return np.bincount(connected_components(graph, directed=False)[1]).astype(np.int64)


def repeated_share(sizes: Ints, count: int) -> float:
    """Return the expected share of rows, among `count` drawn ones, that repeat another drawn one.

    In a group, every row but one is a repetition. The expected number of groups in a sample
    without replacement is that of Hurlbert 1971 (rarefaction), so nothing has to be drawn.

    Args:
        sizes: number of rows per group.
        count: number of rows to draw, at most all.
    """
    from scipy.special import gammaln  # noqa: PLC0415  (slow to import)

    total = int(sizes.sum())
    many, times = np.unique(sizes, return_counts=True)
    rest = total - many
    log = (
        gammaln(rest + 1) - gammaln(np.maximum(rest - count, 0) + 1)
        - gammaln(total + 1) + gammaln(total - count + 1)
    )  # fmt: skip
    missed: npt.NDArray[np.float64] = np.where(rest >= count, np.exp(log), 0.0)
    return max(0.0, 1 - float((times * (1 - missed)).sum()) / count)


def pairs_of(rows: pl.DataFrame, fields: Sequence[str]) -> list[tuple[Ints, Ints]]:
    """Return the near duplicates and the copies with changed words, as pairs of row numbers."""
    near = near_pairs([joined(rows, [name]) for name in fields])
    plain = [name for name in fields if rows.schema[name] == pl.String]
    found = [(near.first, near.second)]
    if plain:
        first, second, _ = edited(rows, plain)
        found.append((first, second))
    return found


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add the share of rows that repeat another one, at several numbers of rows."""
    rows, fields, gold = inputs.rows, inputs.text_fields, inputs.reference
    pairs = collector.shared.get("near pairs")
    if pairs is None or rows.height < 2:
        collector.skip("repeats", "needs two rows with text")
        return
    whole = list(inputs.fields)
    own = groups(rows, whole, pairs)
    other = None
    if gold is not None and gold.height > 1 and inputs.pair_field is None:
        other = groups(gold, whole, pairs_of(gold, fields))
    numbers = {step for step in STEPS if step < rows.height}
    for count in (*sorted(numbers), rows.height):
        theirs = None
        if other is not None and gold is not None and count <= gold.height:
            theirs = repeated_share(other, count)
        if count == rows.height:
            hits = rows.height - own.size
            collector.add(proportion("repeats", f"{count} rows", hits, rows.height, theirs))
        else:
            share = repeated_share(own, count)
            collector.add(Measure("repeats", share, count, f"{count} rows", reference=theirs))
    if other is not None and gold is not None and gold.height < rows.height:
        count = gold.height
        share, theirs = repeated_share(own, count), repeated_share(other, count)
        slice_ = f"repeats, {count} rows"
        collector.add(Measure("at_reference_size", share, count, slice_, reference=theirs))
