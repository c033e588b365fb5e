"""The gap in which the length of a text tells the label."""

from dataclasses import replace
from typing import Any, Final

import numpy as np

from targen.operators.demands import word_range
from targen.quality.intervals import Floats
from targen.quality.judgment import GAIN
from targen.quality.shortcuts import BINS, LENGTH, length_bins
from targen.quality.text import Ints, tokens
from targen.targeting.gaps import FEWEST, ROUND_SHARE, Gap, View, harm

RANGES: Final = (3, BINS)
"""Fewest and most ranges; at most as many as the report's classifier has."""
PER_RANGE: Final = 12
"""Rows of the rarest label per range, for fewer ranges than the most."""
INNER: Final = (0.1, 0.9)
"""Quantiles of the lengths of a range, which the prompt names."""
LEAST: Final = 0.2
"""Part of the sureness of the label that lengths tell best from which labels are weighted alike."""
CHANCE: Final = 0.05
"""Level of the test whether the lengths of a field differ between labels, over all fields."""
KIND: Final = "length_label"


def length_label(view: View) -> list[Gap]:
    """Return the ranges of length in which a label has too few rows, if lengths tell the label.

    Each field whose length tells the label has gaps of its own. All of them together ask for as
    many rows as one round writes, at most.
    """
    found = [gap for name in length_fields(view) for gap in _of_field(view, name)]
    part = view.rows.height * ROUND_SHARE / max(1, sum(gap.need for gap in found))
    return [replace(gap, need=round(gap.need * min(1.0, part))) for gap in found]


def _of_field(view: View, name: str) -> list[Gap]:
    """Return the ranges of a field's length in which a label has too few rows.

    Ranges have equally many rows. A label should have the share of rows in a range that the labels
    have on average. No label gets more rows in a range that the field's
    greatest length leaves out of reach: there, the labels with more rows come down to the one with
    the fewest.
    """
    figure = view.figure("shortcut", LENGTH)
    assert figure is not None
    lengths = tokens(view.rows, [name]).lengths
    own = [np.flatnonzero(view.labels == label) for label in view.names]
    rarest = min(rows.size for rows in own)
    ranges = int(np.clip(rarest // PER_RANGE, *RANGES))
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, ranges + 1)[1:-1]))
    bins = np.searchsorted(edges, lengths, side="right")
    limit = view.spec.fields[name].max_words
    inner = [_inner(lengths[bins == index]) for index in range(edges.size + 1)]
    asked = [word_range(*one, limit) for one in inner]
    reached = np.array([sum(a) / 2 >= least for a, (least, _) in zip(asked, inner, strict=True)])
    counts = np.array([np.bincount(bins[rows], minlength=edges.size + 1) for rows in own])
    sizes = counts.sum(axis=1, keepdims=True)
    wanted = _goal(counts / np.maximum(1, sizes), reached) * sizes
    lacking = wanted - counts
    # Fewer rows than the standard error of their number are chance.
    needs = np.where(lacking >= np.maximum(FEWEST, np.sqrt(wanted)), lacking, 0.0)
    found = []
    for place, label in enumerate(view.names):
        donors = _from_excess(own[place], bins, lengths, -lacking[place])
        for index in np.flatnonzero(np.round(needs[place])):
            least, most = asked[index]
            size = f"{least} to {most}" if least < most else f"{least}"
            found.append(
                Gap(
                    KIND,
                    f"The length of {name} tells the label: {counts[place, index]} {label} rows "
                    f"have about {size} words, and {wanted[place, index]:.0f} should. Write "
                    f"{label} rows of this length.",
                    "shortcut",
                    LENGTH,
                    figure["value"],
                    GAIN[0],
                    round(float(needs[place, index])),
                    donors,
                    harm(figure["value"], GAIN[0], 1 - 1 / len(view.names)),
                    figure["low"],
                    figure["high"],
                    {
                        "label": label,
                        "field": name,
                        "least_words": least,
                        "most_words": most,
                        "rewrite_seed": view.rewrites(name),
                    },
                )
            )
    return found


def length_fields(view: View) -> list[str]:
    """Return the fields whose lengths tell the label.

    The report's interval decides whether there is such a gap, and a test of each field's lengths
    which fields it comes from. Where an earlier round began to close the gap, only the test counts:
    the interval of a small set still contains zero when half of the gap is left.
    """
    figure = view.above("shortcut", LENGTH, GAIN[0])
    if figure is None or not view.names or not view.fields:
        return []
    begun = any(one.kind == KIND for part in view.spec.rounds for one in part.approved)
    if not begun and (figure["low"] or 0) <= 0:
        return []
    chances = {name: _chance(view, name) for name in view.fields}
    found = [name for name, one in chances.items() if one * len(chances) < CHANCE]
    # The gain may come from several fields, none of which is sure alone.
    return found if found or begun else [min(chances, key=lambda one: (chances[one], one))]


def _chance(view: View, name: str) -> float:
    """Return the probability of so different lengths if they did not depend on the label.

    Chi-squared test of labels against the ranges that the report's classifier sees, since labels
    with the same mean can differ in single ranges.
    """
    from scipy.stats import chi2_contingency  # noqa: PLC0415  (slow to import)

    bins = length_bins(view.rows, [name]).toarray()
    counts = np.array([bins[view.labels == label].sum(axis=0) for label in view.names])
    counts = counts[counts.any(axis=1)][:, counts.any(axis=0)]
    return (
        float(chi2_contingency(counts, correction=False).pvalue) if min(counts.shape) > 1 else 1.0
    )


def _inner(lengths: Ints) -> tuple[int, int]:
    """Return the range that most of some lengths are in."""
    if not lengths.size:
        return 0, 0
    least, most = map(int, np.quantile(lengths, INNER, method="nearest"))
    return least, most


def _goal(shares: Floats, reached: Any) -> Floats:
    """Return the share of rows that every label should have in each range.

    It is the mean of the labels, in which a label counts the less, the more surely lengths tell it:
    a row of such a label that gets another length is worth more than one of the others, so that its
    rows change first.

    Args:
        shares: label x range -> share of the label's rows.
        reached: whether a range is within reach.
    """
    told = shares / np.maximum(1e-9, shares.sum(axis=0))
    excess = np.maximum(0.0, shares - shares.mean(axis=0))
    sure = (excess * told).sum(axis=1) / np.maximum(1e-9, excess.sum(axis=1))
    weights = np.maximum(LEAST, sure / max(1e-9, float(sure.max()))) ** -2
    mean = np.average(shares, axis=0, weights=weights)
    goal: Floats = np.where(reached, mean, shares.min(axis=0))
    rest = goal[reached].sum()
    if not rest:
        return goal
    goal[reached] *= (1 - goal[~reached].sum()) / rest
    return goal


def _from_excess(own: Ints, bins: Ints, lengths: Ints, excess: Floats) -> list[int]:
    """Return the rows of a label that are too many in their ranges.

    The ranges that are too full by the largest part come first, and in each range the rows that
    are farthest from the middle of all lengths.
    """
    middle = float(np.median(lengths))
    rows: list[int] = []
    held = np.bincount(bins[own], minlength=excess.size)
    for index in np.argsort(-excess / np.maximum(1, held), kind="stable"):
        some = own[bins[own] == index]
        some = some[np.argsort(-np.abs(lengths[some] - middle), kind="stable")]
        rows += some[: max(0, round(float(excess[index])))].tolist()
    return rows
