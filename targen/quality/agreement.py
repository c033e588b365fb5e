"""Agreement of the intended, the annotated and the final label."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from targen.quality.balance import label_set
from targen.quality.collector import Measure, MetricCollector
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import Floats, bootstrap_counts, proportion, rate
from targen.steps import CORRECTED_SET, LABELS
from targen.tasks.answers import ONE_LABEL, label_key, normalize_span

UNPLANNED = "the rows were not written for a label"
NOT_ANNOTATED = "there are no annotations: the recipe uses the intended label as the final label"


def equal(first: pl.Series, second: pl.Series, answer_kind: str) -> pl.Series:
    """Return whether two labels are equal, per row; null if one is missing."""
    if answer_kind == "span":
        first, second = (
            one.map_elements(normalize_span, return_dtype=pl.String) for one in (first, second)
        )
    return first == second


def matrix(first: pl.Series, second: pl.Series, labels: Sequence[str]) -> npt.NDArray[np.int64]:
    """Count pairs of labels: row = label in `first`, column = label in `second`."""
    index = {label: i for i, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)), dtype=np.int64)
    pairs = pl.DataFrame({"a": first, "b": second}).drop_nulls().group_by("a", "b").len()
    for a, b, number in pairs.iter_rows():
        if a in index and b in index:
            counts[index[a], index[b]] += number
    return counts


def kappas(cells: Floats, size: int) -> Floats:
    """Cohen's kappa of each flattened size x size table in `cells`, shape (tables, size^2).

    kappa = (po - pe) / (1 - pe): po is the observed agreement, pe the agreement expected from
    the marginals. At most 1; 0 is chance; NaN if pe = 1 (only one label). Source: Cohen 1960.
    Does not show which rater is right, and decreases with the prevalence of one label even if
    raters agree as often (Feinstein and Cicchetti 1990).
    """
    tables = cells.reshape(-1, size, size)
    totals = tables.sum(axis=(1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = np.trace(tables, axis1=1, axis2=2) / totals
        chance = (tables.sum(axis=2) * tables.sum(axis=1)).sum(axis=1) / totals**2
        return np.where(chance < 1, (observed - chance) / (1 - chance), np.nan)


def kappa(counts: npt.NDArray[np.int64]) -> float:
    """Return Cohen's kappa of one square table of counts; see `kappas`."""
    return float(kappas(counts.astype(np.float64).ravel()[None, :], len(counts))[0])


def annotated(inputs: ReportInputs) -> bool:
    """Return whether the labels come from annotation rather than from the plan alone."""
    labels = inputs.tables.get(LABELS)
    if labels is None:
        return "annotated_label" in inputs.rows.columns and "intended_label" in inputs.rows.columns
    return bool(labels.height) and int(labels["votes"].list.len().fill_null(0).sum()) > 0


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add flip rates, flip matrices, kappa, vote agreement and the rows to review."""
    why = None
    if inputs.answer_kind == "none":
        why = "rows of this task have no label"
    elif "intended_label" not in inputs.rows.columns:
        why = "the rows have no column intended_label"
    if why is not None:
        collector.skip("flip_rate", why)
        collector.skip("kappa", why)
        return
    if unplanned(inputs.rows):
        _labels_alone(inputs, collector)
    elif annotated(inputs):
        _annotation(inputs, collector)
    else:
        collector.skip("kappa", NOT_ANNOTATED)
        collector.skip("flip_rate, intended to annotated", NOT_ANNOTATED)
    if not unplanned(inputs.rows):
        _final(inputs, collector)
    collector.details["review"] = review(inputs)


def unplanned(rows: pl.DataFrame) -> bool:
    """Return whether no row was written for a label, as with the user's own texts."""
    return rows["intended_label"].null_count() == rows.height > 0


def _labels_alone(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add what the readers say of rows that were written for no label."""
    rows = inputs.rows
    for metric in ("kappa", "flip_rate, intended to annotated", "flip_rate, intended to final"):
        collector.skip(metric, UNPLANNED)
    if annotated(inputs) and "annotated_label" in rows.columns:
        same = equal(rows["annotated_label"], rows["label"], inputs.answer_kind)
        collector.add(rate("flip_rate", "annotated to final", ~same))
        _split(_annotations(inputs), collector)
    _dropped(inputs, collector)


def _annotations(inputs: ReportInputs) -> pl.DataFrame:
    source = inputs.tables.get(LABELS)
    if source is None:
        source = inputs.rows.rename({"label": "final", "annotated_label": "label"})
    return source


def _split(source: pl.DataFrame, collector: MetricCollector) -> None:
    if "agreement" in source.columns:
        split = source["agreement"].drop_nulls() < 1
        if split.len() and int(source["votes"].list.len().max() or 0) > 1:  # type: ignore[arg-type]
            collector.add(rate("split_votes", "all", split))


def _annotation(inputs: ReportInputs, collector: MetricCollector) -> None:
    source = _annotations(inputs)
    first, second = source["intended_label"], source["label"]
    same = equal(first, second, inputs.answer_kind)
    collector.add(rate("flip_rate", "intended to annotated", ~same))
    _split(source, collector)
    labels = label_set(inputs)
    if inputs.answer_kind in ("span", "spans"):
        collector.skip("kappa", "spans have no fixed label set, so chance agreement is undefined")
    elif inputs.answer_kind == "multi":
        for label in labels:
            flags = [side.list.contains(label).cast(pl.String) for side in (first, second)]
            _add_kappa(collector, matrix(flags[0], flags[1], ("false", "true")), label)
    else:
        counts = matrix(first, second, labels)
        _add_matrix(collector, "annotated", counts, labels, labels)
        _add_kappa(collector, counts, "intended, annotated")


def _add_kappa(collector: MetricCollector, counts: npt.NDArray[np.int64], slice_: str) -> None:
    value = kappa(counts)
    if not np.isfinite(value):
        collector.skip("kappa", "both sides use only one label, so chance agreement is 1")
        return
    low, high = bootstrap_counts(counts, lambda cells: kappas(cells, len(counts)), "kappa", slice_)
    collector.add(Measure("kappa", value, int(counts.sum()), slice_, low, high))


def _final(inputs: ReportInputs, collector: MetricCollector) -> None:
    rows = inputs.rows
    same = equal(rows["intended_label"], rows["label"], inputs.answer_kind)
    collector.add(rate("flip_rate", "intended to final", ~same))
    dropped = _dropped(inputs, collector)
    if inputs.answer_kind not in ONE_LABEL:
        return
    labels = label_set(inputs)
    counts = matrix(rows["intended_label"], rows["label"], labels)
    columns = list(labels)
    if dropped is not None:
        lost = [int((dropped["intended_label"] == label).sum()) for label in labels]
        counts = np.column_stack([counts, lost])
        columns.append("(dropped)")
    _add_matrix(collector, "final", counts, labels, columns)


def _dropped(inputs: ReportInputs, collector: MetricCollector) -> pl.DataFrame | None:
    """Add the share of rows that the correction dropped; return these, None if unknown."""
    rejected = inputs.rejected.get(CORRECTED_SET)
    dropped = None if rejected is None else rejected.filter(pl.col("reason") == "dropped")
    if dropped is not None and inputs.rows.height + dropped.height:
        n = inputs.rows.height + dropped.height
        collector.add(proportion("dropped_share", "all", dropped.height, n))
    return dropped


def _add_matrix(
    collector: MetricCollector,
    name: str,
    counts: npt.NDArray[np.int64],
    rows: Sequence[str],
    columns: Sequence[str],
) -> None:
    collector.details.setdefault("flips", {})[name] = {
        "rows": list(rows), "columns": list(columns), "counts": counts.tolist()
    }  # fmt: skip
    for i, first in enumerate(rows):
        total = int(counts[i].sum())
        for j, second in enumerate(columns):
            flips = int(counts[i, j])
            collector.add(Measure(f"flips_{name}", flips, total, f"{first} to {second}"))


def review(inputs: ReportInputs) -> list[dict[str, Any]]:
    """Return the rows whose labels or votes disagree, in descending order of disagreement.

    A row's `doubt` is 1 - the share of the commonest answer among the intended label, all votes
    and the corrected label. Ties keep the order of rows.
    """
    rows = inputs.rows
    labels = inputs.tables.get(LABELS)
    votes: dict[str, list[Any]] = {}
    if labels is not None and "instance_id" in rows.columns:
        votes = dict(labels.select("instance_id", "votes").iter_rows())
    found = []
    for row in rows.iter_rows(named=True):
        ballot = votes.get(row.get("instance_id", "")) or [row.get("annotated_label")]
        given = [row.get("intended_label"), *ballot, row.get("corrected_label")]
        texts = [label_key(inputs.answer_kind, label) for label in given if label is not None]
        if len(set(texts)) > 1:
            doubt = 1 - max(texts.count(text) for text in texts) / len(texts)
            found.append({"doubt": round(doubt, 4), "votes": ballot, **row})
    return sorted(found, key=lambda row: -row["doubt"])
