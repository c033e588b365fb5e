"""Agreement on labels that have an order (answers of kind `ordinal`)."""

import numpy as np
import numpy.typing as npt

from targen.quality.agreement import UNPLANNED, annotated, matrix, unplanned
from targen.quality.collector import Measure, MetricCollector
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import Floats, bootstrap_counts, wilson
from targen.steps import LABELS

NOT_ORDINAL = "the labels of this task have no order"


def steps_apart(size: int) -> npt.NDArray[np.int64]:
    """Return the distance of each pair of labels in steps, (size, size)."""
    ranks = np.arange(size)
    return np.asarray(np.abs(ranks[:, None] - ranks[None, :]), dtype=np.int64)


def weighted_kappas(cells: Floats, size: int) -> Floats:
    """Return the quadratic weighted kappa of each flattened size x size table, (tables, size^2).

    kappa = 1 - sum(w o) / sum(w e), with w = the squared distance in steps, o the observed and e
    the expected counts from the marginals. At most 1; 0 is chance; NaN if only one label is used.
    Source: Cohen 1968.
    """
    tables = cells.reshape(-1, size, size)
    weights = steps_apart(size) ** 2
    totals = tables.sum(axis=(1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        chance = tables.sum(axis=2)[:, :, None] * tables.sum(axis=1)[:, None, :]
        expected = (weights * chance).sum(axis=(1, 2)) / totals
        observed = (weights * tables).sum(axis=(1, 2))
        return np.where(expected > 0, 1 - observed / expected, np.nan)


def mean_distances(cells: Floats, size: int) -> Floats:
    """Return the mean distance in steps of each flattened size x size table of counts."""
    with np.errstate(invalid="ignore"):
        return np.asarray(cells @ steps_apart(size).ravel() / cells.sum(axis=1))


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add weighted kappa and the distances between intended, annotated and final label."""
    why = None
    if inputs.answer_kind != "ordinal":
        why = NOT_ORDINAL
    elif "intended_label" not in inputs.rows.columns:
        why = "the rows have no column intended_label"
    elif unplanned(inputs.rows):
        why = UNPLANNED
    if why is not None:
        collector.skip("weighted_kappa", why)
        return
    labels, rows = list(inputs.labels), inputs.rows
    if annotated(inputs):
        table = inputs.tables.get(LABELS)
        column = "annotated_label" if table is None else "label"
        source = rows if table is None else table
        counts = matrix(source["intended_label"], source[column], labels)
        _add_kappa(counts, collector)
        _add_distances("intended to annotated", counts, collector)
    else:
        collector.skip("weighted_kappa", "there are no annotations")
    _add_distances(
        "intended to final", matrix(rows["intended_label"], rows["label"], labels), collector
    )


def _add_kappa(counts: npt.NDArray[np.int64], collector: MetricCollector) -> None:
    size = len(counts)
    value = float(weighted_kappas(counts.astype(np.float64).reshape(1, -1), size)[0])
    if not np.isfinite(value):
        collector.skip("weighted_kappa", "both sides use only one label")
        return
    low, high = bootstrap_counts(
        counts, lambda cells: weighted_kappas(cells, size), "weighted_kappa"
    )
    total = int(counts.sum())
    collector.add(Measure("weighted_kappa", value, total, "intended, annotated", low, high))


def _add_distances(slice_: str, counts: npt.NDArray[np.int64], collector: MetricCollector) -> None:
    size, total = len(counts), int(counts.sum())
    if not total:
        return
    value = float(mean_distances(counts.astype(np.float64).reshape(1, -1), size)[0])
    low, high = bootstrap_counts(
        counts, lambda cells: mean_distances(cells, size), "label_distance", slice_
    )
    collector.add(Measure("label_distance", value, total, slice_, low, high))
    apart = steps_apart(size)
    for steps in range(1, size):
        count = int(counts[apart == steps].sum())
        if count:
            low, high = wilson(count, total)
            name = f"{slice_}, {steps_in_words(steps)}"
            collector.add(Measure("label_steps", count / total, total, name, low, high))


def steps_in_words(steps: int) -> str:
    """Return a distance as slices name it."""
    return f"{steps} step{'' if steps == 1 else 's'}"
