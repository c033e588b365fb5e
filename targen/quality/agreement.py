"""How far the intended, the annotated and the final label agree."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from targen.quality.balance import label_set
from targen.quality.collector import Measure, MetricCollector
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import Floats, bootstrap_counts, wilson
from targen.tasks.answers import label_key, normalise_span

NOT_ANNOTATED = "no annotator was asked: the recipe takes the intended label as it is"


def equal(first: pl.Series, second: pl.Series, answer_kind: str) -> pl.Series:
    """Return per row whether two labels are the same: null where one is missing."""
    if answer_kind == "span":
        first, second = (
            one.map_elements(normalise_span, return_dtype=pl.String) for one in (first, second)
        )
    return first == second


def matrix(first: pl.Series, second: pl.Series, labels: Sequence[str]) -> npt.NDArray[np.int64]:
    """Count pairs of labels: row = label in `first`, column = label in `second`."""
    places = {label: i for i, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)), dtype=np.int64)
    pairs = pl.DataFrame({"a": first, "b": second}).drop_nulls().group_by("a", "b").len()
    for a, b, number in pairs.iter_rows():
        if a in places and b in places:
            counts[places[a], places[b]] += number
    return counts


def kappas(cells: Floats, size: int) -> Floats:
    """Cohen's kappa of each flattened size x size table in `cells`, shape (tables, size^2).

    kappa = (po - pe) / (1 - pe): po the observed agreement, pe that of two raters who share
    nothing but their marginals. Without unit, at most 1; 0 is chance; NaN where pe = 1 (one
    label only). Source: Cohen 1960. It does not say who is right, and drops when one label is
    rare although raters agree as often (Feinstein and Cicchetti 1990).
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


def rate(metric: str, slice_: str, flags: pl.Series) -> Measure:
    """Return the share of true flags with its Wilson interval; nulls are left out."""
    known = flags.drop_nulls()
    hits, n = int(known.sum()), known.len()
    low, high = wilson(hits, n)
    return Measure(metric, hits / n if n else None, n, slice_, low, high)


def annotated(inputs: ReportInputs) -> bool:
    """Tell whether anybody but the plan gave labels."""
    labels = inputs.tables.get("labels")
    if labels is None:
        return "annotated_label" in inputs.rows.columns and "intended_label" in inputs.rows.columns
    return bool(labels.height) and int(labels["votes"].list.len().fill_null(0).sum()) > 0


def measure(inputs: ReportInputs, sheet: MetricCollector) -> None:
    """Add flip rates, matrices, kappa, vote agreement and the rows to review."""
    names = ("flip_rate", "kappa")
    if inputs.answer_kind == "none":
        for name in names:
            sheet.skip(name, "rows of this task have no label")
        return
    if "intended_label" not in inputs.rows.columns:
        for name in names:
            sheet.skip(name, "the rows have no column intended_label")
        return
    if annotated(inputs):
        _annotation(inputs, sheet)
    else:
        sheet.skip("kappa", NOT_ANNOTATED)
        sheet.skip("flip_rate, intended to annotated", NOT_ANNOTATED)
    _final(inputs, sheet)
    sheet.details["review"] = review(inputs)


def _annotation(inputs: ReportInputs, sheet: MetricCollector) -> None:
    """Compare the intended label with the annotator's, on all annotated instances."""
    source = inputs.tables.get("labels")
    if source is None:
        source = inputs.rows.rename({"label": "final", "annotated_label": "label"})
    first, second = source["intended_label"], source["label"]
    same = equal(first, second, inputs.answer_kind)
    sheet.add(rate("flip_rate", "intended to annotated", ~same))
    if "agreement" in source.columns:
        split = source["agreement"].drop_nulls() < 1
        if split.len() and int(source["votes"].list.len().max() or 0) > 1:  # type: ignore[arg-type]
            sheet.add(rate("split_votes", "all", split))
    labels = label_set(inputs)
    if inputs.answer_kind == "span":
        sheet.skip("kappa", "spans have no fixed label set, so chance agreement is undefined")
    elif inputs.answer_kind == "multi":
        for label in labels:
            flags = [side.list.contains(label).cast(pl.String) for side in (first, second)]
            _kappa(sheet, matrix(flags[0], flags[1], ("false", "true")), label)
    else:
        counts = matrix(first, second, labels)
        _keep_matrix(sheet, "annotated", counts, labels, labels)
        _kappa(sheet, counts, "intended, annotated")


def _kappa(sheet: MetricCollector, counts: npt.NDArray[np.int64], slice_: str) -> None:
    """Add kappa with its bootstrap interval, or say why there is none."""
    value = kappa(counts)
    if not np.isfinite(value):
        sheet.skip("kappa", "both sides give one label only: chance agreement is 1")
        return
    low, high = bootstrap_counts(counts, lambda cells: kappas(cells, len(counts)), "kappa", slice_)
    sheet.add(Measure("kappa", value, int(counts.sum()), slice_, low, high))


def _final(inputs: ReportInputs, sheet: MetricCollector) -> None:
    """Compare the intended label with the final one, and count what correction dropped."""
    rows = inputs.rows
    same = equal(rows["intended_label"], rows["label"], inputs.answer_kind)
    sheet.add(rate("flip_rate", "intended to final", ~same))
    rejected = inputs.rejected.get("corrected_set")
    dropped = None if rejected is None else rejected.filter(pl.col("reason") == "dropped")
    if dropped is not None and rows.height + dropped.height:
        n = rows.height + dropped.height
        low, high = wilson(dropped.height, n)
        sheet.add(Measure("dropped_share", dropped.height / n, n, "all", low, high))
    if inputs.answer_kind != "class":
        return
    labels = label_set(inputs)
    counts = matrix(rows["intended_label"], rows["label"], labels)
    columns = list(labels)
    if dropped is not None:
        lost = [int((dropped["intended_label"] == label).sum()) for label in labels]
        counts = np.column_stack([counts, lost])
        columns.append("(dropped)")
    _keep_matrix(sheet, "final", counts, labels, columns)


def _keep_matrix(
    sheet: MetricCollector,
    name: str,
    counts: npt.NDArray[np.int64],
    rows: Sequence[str],
    columns: Sequence[str],
) -> None:
    """Keep a flip matrix for the page, and its cells as figures."""
    sheet.details.setdefault("flips", {})[name] = {
        "rows": list(rows), "columns": list(columns), "counts": counts.tolist()
    }  # fmt: skip
    for i, first in enumerate(rows):
        for j, second in enumerate(columns):
            total = int(counts[i].sum())
            sheet.add(Measure(f"flips_{name}", int(counts[i, j]), total, f"{first} to {second}"))


def review(inputs: ReportInputs) -> list[dict[str, Any]]:
    """Return the rows whose labels or votes are not of one mind, the most divided first.

    Doubt of a row = 1 - share of the commonest answer among the intended label, every vote and
    the corrected label. Ties stand in row order.
    """
    rows = inputs.rows
    labels = inputs.tables.get("labels")
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
