"""What sequential judging saved: readings that were not asked for, and their estimated tokens."""

from collections.abc import Iterable
from typing import Any

import polars as pl

from targen.quality.accounting import step_of_requests
from targen.quality.collector import Measure, MetricCollector
from targen.quality.inputs import ReportInputs
from targen.steps import CORRECTED_SET, LABELS

ANNOTATION, CORRECTION = "annotation", "correction"
METRICS = ("readings_saved", "tokens_saved")


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add the readings saved by votes that stopped early and rows that were not corrected.

    Tokens saved are the readings saved times the mean tokens of a reading that was made. Tokens of
    a request about several rows are divided by these rows; a request about planted errors and one
    that was asked again because its answer was unreadable do not count.
    """
    if inputs.completions is None:
        for metric in METRICS:
            collector.skip(metric, "the completions behind the rows are unknown")
        return
    owner = step_of_requests(inputs.tables, inputs.rejected)
    completions = inputs.completions.unique("request_id", maintain_order=True)
    tokens = dict(
        completions.select(
            "request_id", pl.col("prompt_tokens") + pl.col("completion_tokens")
        ).iter_rows()
    )
    judged = [*_requests(inputs.rows), *_requests(inputs.rejected.get(CORRECTED_SET))]
    asked = [[r for r in ids if owner.get(r) == CORRECTED_SET] for ids in judged]
    made = sum(bool(ids) for ids in asked)
    found = {CORRECTION: (made, len(asked) - made, {r for ids in asked for r in ids})}
    labels = inputs.tables.get(LABELS)
    if labels is not None and "votes" in labels.columns:
        votes = int(labels["votes"].list.len().fill_null(0).sum())
        of_votes = {r for ids in _requests(labels) for r in ids}
        found[ANNOTATION] = (votes, max(0, inputs.votes * labels.height - votes), of_votes)
    for slice_ in (ANNOTATION, CORRECTION):
        made, saved, requests = found.get(slice_, (0, 0, set()))
        if not made:
            continue
        spent = sum(tokens.get(r, 0) for r in requests)
        collector.add(
            Measure("readings_saved", saved, made + saved, slice_),
            Measure("tokens_saved", saved * spent / made, made + saved, slice_),
        )
    if not any(made for made, *_ in found.values()):
        for metric in METRICS:
            collector.skip(metric, "no row was annotated or corrected by a model")


def _requests(frame: pl.DataFrame | None) -> Iterable[list[Any]]:
    """Return the requests of each row; no rows if the table does not list them."""
    if frame is None or "request_ids" not in frame.columns:
        return []
    return [ids or [] for ids in frame["request_ids"].to_list()]
