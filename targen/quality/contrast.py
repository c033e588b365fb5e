"""Contrast sets: how often a reader, or a simple student, is right about all rows of a set."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl

from targen.operators.contrast import changed
from targen.quality import learner
from targen.quality.balance import label_set
from targen.quality.collector import MetricCollector
from targen.quality.difficulty import reason_no_labels
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import mean_measure, rate
from targen.quality.panel import all_readings, has_panel
from targen.quality.text import sample
from targen.steps import INSTANCES, LABELS

NO_SETS: Final = "the recipe makes no contrast sets"
ANNOTATOR, STUDENT = "annotator", "student"


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add the consistency of readers and of a student on contrast sets, and the size of edits.

    Source of contrast consistency: Gardner et al. 2020, arXiv 2004.02709, section 2.
    """
    if not inputs.contrast or inputs.pair_field is None:
        collector.skip("set_consistency", NO_SETS)
        return
    for reader, flags in _readers(inputs).items():
        collector.add(rate("set_consistency", reader, flags))
    student = _student(inputs)
    if student is not None:
        collector.add(rate("set_consistency", STUDENT, student))
    shares = [_edited(inputs, part) for part in inputs.rows.partition_by(inputs.pair_field)]
    values = np.array([share for share in shares if share is not None])
    if values.size:
        collector.add(mean_measure("set_changed", "all", values, "set_changed"))


def _whole(rows: pl.DataFrame, by: str) -> pl.Series:
    """Return per set whether all its rows are right."""
    sets = rows.group_by(by, maintain_order=True).agg(pl.col("right").all(), pl.len())
    return sets.filter(pl.col("len") > 1)["right"]


def _readers(inputs: ReportInputs) -> dict[str, pl.Series]:
    """Return reader -> whether it gave all rows of a set their intended labels, for all sets.

    Sets that were dropped count, because most of them were dropped for this.
    """
    instances, labels = inputs.tables.get(INSTANCES), inputs.tables.get(LABELS)
    if instances is None:
        return {}
    intended = instances.select("instance_id", "slot", "intended_label")
    given: dict[str, pl.DataFrame] = {}
    if labels is not None and int(labels["votes"].list.len().fill_null(0).sum()):
        given[ANNOTATOR] = labels.select("instance_id", "label")
    if has_panel(inputs):
        votes = all_readings(inputs).filter(~pl.col("reader").str.starts_with("("))
        for part in votes.partition_by("reader", maintain_order=True):
            given[str(part["reader"][0])] = part.select("instance_id", "label")
    found = {}
    for reader, said in given.items():
        rows = intended.join(said, on="instance_id", maintain_order="left")
        right = pl.col("label").eq(pl.col("intended_label")).fill_null(value=False)
        found[reader] = _whole(rows.with_columns(right=right), "slot")
    return found


def _student(inputs: ReportInputs) -> pl.Series | None:
    """Return per set whether a classifier that has not seen the set is right about all its rows."""
    names = label_set(inputs)
    if reason_no_labels(inputs) is not None or inputs.pair_field is None:
        return None
    rows = sample(inputs.rows.drop_nulls("label"), inputs.most_rows)
    codes = learner.label_codes(rows["label"], names)
    matrix = learner.TextFeatures(rows, inputs.text_fields).transform(rows)
    groups = learner.groups_of(rows, inputs.pair_field)
    scores = learner.cross_validated(matrix, codes, groups, len(names))
    right = pl.Series("right", scores.probability.argmax(axis=1) == codes)
    return _whole(rows.select(inputs.pair_field).with_columns(right), inputs.pair_field)


def _edited(inputs: ReportInputs, rows: pl.DataFrame) -> float | None:
    """Return the mean share of words that differ between the first row of a set and the others."""
    fields = list(inputs.fields)
    first, *others = rows.select(fields).iter_rows(named=True)
    names = [name for name in fields if name != inputs.pair_field]
    shares: Sequence[float] = [
        changed([first[n] for n in edited], [other[n] for n in edited])
        for other in others
        if (edited := [name for name in names if first[name] != other[name]])
    ]
    return sum(shares) / len(shares) if shares else None
