"""What sequential judging saved: readings that were not asked for, and their estimated tokens."""

from collections.abc import Sequence

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
    corrections = owner.filter(pl.col("step") == CORRECTED_SET)
    tokens = inputs.completions.unique("request_id").select(
        "request_id", tokens=pl.col("prompt_tokens") + pl.col("completion_tokens")
    )

    def spent(requests: pl.DataFrame) -> int:
        asked = requests.select("request_id").unique()
        return int(tokens.join(asked, on="request_id", how="semi")["tokens"].sum())

    judged = _requests([inputs.rows, inputs.rejected.get(CORRECTED_SET)])
    of_corrector = judged.join(corrections, on="request_id", how="semi")
    made = of_corrector["row"].n_unique()
    found = {CORRECTION: (made, judged["row"].n_unique() - made, spent(of_corrector))}
    labels = inputs.tables.get(LABELS)
    if labels is not None and "votes" in labels.columns:
        votes = int(labels["votes"].list.len().fill_null(0).sum())
        saved = max(0, inputs.votes * labels.height - votes)
        found[ANNOTATION] = (votes, saved, spent(_requests([labels])))
    for slice_ in (ANNOTATION, CORRECTION):
        made, saved, used = found.get(slice_, (0, 0, 0))
        if not made:
            continue
        collector.add(
            Measure("readings_saved", saved, made + saved, slice_),
            Measure("tokens_saved", saved * used / made, made + saved, slice_),
        )
    if not any(made for made, *_ in found.values()):
        for metric in METRICS:
            collector.skip(metric, "no row was annotated or corrected by a model")


def _requests(frames: Sequence[pl.DataFrame | None]) -> pl.DataFrame:
    """Return `row` and `request_id` of the requests of each row; null for a row without any.

    Tables that do not list requests have no rows here.
    """
    listed = [
        frame["request_ids"]
        for frame in frames
        if frame is not None and "request_ids" in frame.columns
    ]
    every = pl.concat(listed) if listed else pl.Series(dtype=pl.List(pl.String))
    rows = pl.DataFrame({"request_id": every}).with_row_index("row")
    return rows.explode("request_id")
