"""How many final labels may be wrong if the readings share errors."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl

from targen.quality.inputs import ReportInputs
from targen.quality.text import Ints
from targen.steps import CORRECTED_SET, INSTANCES, LABELS

ACCURACY: Final = 0.75
"""Share of the rows on which each reading is right, by the stated assumption. The readings may thus
share errors in up to a quarter of the rows."""
ACCURACIES: Final = (0.95, 0.9, 0.85, 0.8, ACCURACY)
"""The assumptions for which the report shows how many labels may be wrong."""
MISSING: Final = -1
"""Number of an annotated or corrected label that was not given."""


class Bound(NamedTuple):
    """The greatest share of wrong labels that the readings allow.

    Attributes:
        accuracy: the share of rows on which each reading is assumed to be right.
        at_most: share of the kept rows whose final label may be wrong.
    """

    accuracy: float
    at_most: float


class Cells(NamedTuple):
    """Rows by their readings and their final label.

    Attributes:
        patterns: label numbers, (cells, readings); none is `MISSING`.
        final: number of the final label, (cells,); `MISSING` if the rows were not kept.
        rows: rows per cell, (cells,); fractions where readings were filled in.
    """

    patterns: Ints
    final: Ints
    rows: Any


def filled(patterns: Ints, final: Ints, rows: Ints) -> Cells:
    """Return cells without missing readings.

    A missing reading gets the values that it has in the rows with equal other labels, in the same
    proportions (it is missing at random given these), or else the row's most frequent label.
    """
    found: dict[tuple[int, ...], float] = {}
    table = [*zip(patterns.tolist(), final.tolist(), rows.tolist(), strict=True)]
    complete = [(pattern, count) for pattern, _, count in table if MISSING not in pattern]
    for pattern, last, count in table:
        for guess, share in _completions(pattern, complete):
            key = (*guess, last)
            found[key] = found.get(key, 0.0) + count * share
    keys = np.array(sorted(found), dtype=np.int64).reshape(-1, patterns.shape[1] + 1)
    return Cells(keys[:, :-1], keys[:, -1], np.array([found[tuple(key)] for key in keys.tolist()]))


def _completions(
    pattern: Sequence[int], complete: Sequence[tuple[Sequence[int], int]]
) -> list[tuple[tuple[int, ...], float]]:
    if MISSING not in pattern:
        return [(tuple(pattern), 1.0)]
    given = [r for r, label in enumerate(pattern) if label != MISSING]
    alike = [
        (tuple(other), count)
        for other, count in complete
        if all(other[r] == pattern[r] for r in given)
    ]
    total = sum(count for _, count in alike)
    if total:
        return [(other, count / total) for other, count in alike]
    labels = [pattern[r] for r in given]
    usual = max(labels, key=lambda label: (labels.count(label), -label))
    return [(tuple(usual if label == MISSING else label for label in pattern), 1.0)]


def most_wrong(cells: Cells, labels: int, accuracies: Sequence[float]) -> list[Bound]:
    """Return the greatest share of wrong final labels, whatever errors the readings share.

    The share of each true label within each cell is free; the only assumption is that every reading
    is right on at least a share of the rows, the accuracy. The greatest share of wrong labels is
    then a linear program. Sources: bounds under arbitrary dependence of classifiers of known
    accuracy (Balsubramani and Freund 2015; Mazzetto et al. 2021), and under contaminated data
    (Horowitz and Manski 1995). The bound is on these rows, so it has no sampling error.

    If the readings differ too often for an accuracy, the greatest possible one is used instead.
    """
    from scipy.optimize import linprog  # noqa: PLC0415 - slow to import

    total, kept = float(cells.rows.sum()), float(cells.rows[cells.final != MISSING].sum())
    if not kept:
        return [Bound(accuracy, 0.0) for accuracy in accuracies]
    # One variable per cell and possible true label: each label that it names, or none of these.
    owner, truth = [], []
    for cell, pattern in enumerate(cells.patterns.tolist()):
        named = sorted({*pattern, int(cells.final[cell])} - {MISSING})
        for label in [*named, *([MISSING] if len(named) < labels else [])]:
            owner.append(cell)
            truth.append(label)
    of, true = np.array(owner), np.array(truth)
    errors = (cells.patterns[of] != true[:, None]).astype(float).T / total
    rows_of = np.zeros((len(cells.rows), of.size))
    rows_of[of, np.arange(of.size)] = 1.0
    # The largest share of errors of any reading, at its least.
    least = linprog(
        np.append(np.zeros(of.size), 1.0),
        A_ub=np.hstack([errors, -np.ones((len(errors), 1))]),
        b_ub=np.zeros(len(errors)),
        A_eq=np.hstack([rows_of, np.zeros((len(rows_of), 1))]),
        b_eq=cells.rows,
        method="highs",
    )
    possible = 1 - float(least.fun) - 1e-9
    wrong = ((cells.final[of] != MISSING) & (cells.final[of] != true)).astype(float)
    bounds = []
    for used in (min(accuracy, possible) for accuracy in accuracies):
        found = linprog(
            -wrong,
            A_ub=errors,
            b_ub=np.full(len(errors), 1 - used),
            A_eq=rows_of,
            b_eq=cells.rows,
            method="highs",
        )
        bounds.append(Bound(used, min(1.0, max(0.0, -float(found.fun) / kept))))
    return bounds


def readers(inputs: ReportInputs) -> dict[str, list[str]]:
    """Return the models that gave the annotated and the corrected labels, sorted.

    The lists are empty if the completions are unknown.
    """
    found: dict[str, list[str]] = {"annotated": [], "corrected": []}
    known = inputs.completions
    tables = inputs.tables
    if known is None or not {INSTANCES, LABELS} <= set(tables):
        return found
    annotated = _requests(tables[LABELS])
    corrected = _requests(tables[CORRECTED_SET])
    rejected = inputs.rejected.get(CORRECTED_SET)
    if rejected is not None:
        corrected |= _requests(rejected)
    corrected -= annotated | _requests(tables[INSTANCES])
    models: Mapping[str, str] = dict(known.select("request_id", "model").iter_rows())
    for name, requests in (("annotated", annotated), ("corrected", corrected)):
        found[name] = sorted({models[one] for one in requests if one in models})
    return found


def _requests(table: pl.DataFrame) -> set[str]:
    if "request_ids" in table.columns:
        return set(table["request_ids"].explode(empty_as_null=True, keep_nulls=True).drop_nulls())
    return set(table["request_id"].drop_nulls()) if "request_id" in table.columns else set()


def independent(models: Mapping[str, Sequence[str]]) -> bool:
    """Return whether the readers are known to be at least two models.

    One of them must share no model with another: the annotator and the corrector, or two readers of
    a panel.
    """
    known = [set(names) for names in models.values()]
    return any(a and b and not a & b for a, b in combinations(known, 2))
