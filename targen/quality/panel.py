"""The readers of a panel: accuracy, agreement, scores and cost of each."""

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from targen.quality.agreement import kappa, kappas, matrix
from targen.quality.balance import label_set
from targen.quality.collector import Measure, MetricCollector
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import bootstrap_counts, mean_measure, percentiles, rate
from targen.quality.text import generator
from targen.steps import CORRECTED_SET
from targen.tasks.answers import ONE_LABEL, label_key

NO_PANEL: Final = "the recipe has no panel of readers"
_DRAWS: Final = 200
_VOTERS: Final = ("(writer)", "(annotator)")
"""Entries of `readings` that are not readers."""


def has_panel(inputs: ReportInputs) -> bool:
    """Return whether a panel has read the rows."""
    readings = inputs.rows.get_column("readings", default=None)
    return readings is not None and readings.null_count() < inputs.rows.height


def all_readings(inputs: ReportInputs) -> pl.DataFrame:
    """Return every vote on every row that the panel read, also on rows that were dropped.

    Columns: instance_id, final (the label; null if the row was not kept), and those of a reading.
    """
    parts = [inputs.rows.select("instance_id", "readings", final="label")]
    rejected = inputs.rejected.get(CORRECTED_SET)
    if rejected is not None and "readings" in rejected.columns:
        missing = pl.lit(None, dtype=pl.String)
        parts.append(rejected.select("readings", instance_id="item_id", final=missing))
    rows = pl.concat(parts, how="diagonal").drop_nulls("readings")
    return rows.explode("readings").unnest("readings")


def models_of(inputs: ReportInputs) -> dict[str, str | None]:
    """Return reader -> its model; None if the completions are unknown."""
    known: dict[str, str] = {}
    if inputs.completions is not None:
        known = dict(inputs.completions.select("request_id", "model").iter_rows())
    found: dict[str, str | None] = {}
    for reader, request_id in all_readings(inputs).select("reader", "request_id").iter_rows():
        if reader not in _VOTERS:
            found[reader] = found.get(reader) or known.get(request_id)
    return found


def independent_readers(inputs: ReportInputs) -> list[str]:
    """Return the readers for the noise estimate: one of each model, or all if there is one model.

    Readers of one model share errors, so that their agreement says little.
    """
    models = models_of(inputs)
    first = {model: reader for reader, model in reversed(models.items())}
    if len(first) > 1 and None not in first:
        return [reader for reader in models if reader in first.values()]
    return list(models)


def readings_table(inputs: ReportInputs) -> pl.DataFrame:
    """Return one row per instance that the panel read, for the estimate of label noise.

    Columns: intended, annotated and corrected (the labels of the writer and of the first two
    independent readers), `corrected, NAME` for further readers, and final. A label that is missing
    is null. The writer's label is null for rows without an intended label.
    """
    readers = independent_readers(inputs)
    names = dict(zip(readers, ["annotated", "corrected"], strict=False))
    names |= {reader: f"corrected, {reader}" for reader in readers[2:]}
    names["(writer)"] = "intended"
    votes = all_readings(inputs).filter(pl.col("reader").is_in(list(names)))
    wide = votes.pivot("reader", index=["instance_id", "final"], values="label")
    given = {new: old for old, new in names.items() if old in wide.columns}
    columns = {new: pl.col(old) for new, old in given.items()}
    missing = pl.lit(None, dtype=pl.String)
    basic = {name: columns.pop(name, missing) for name in ("intended", "annotated", "corrected")}
    return wide.select(**basic, final="final", **columns)


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add accuracy, cost and scores of each reader, and kappa of each pair of readers."""
    if not has_panel(inputs):
        collector.skip("reader_accuracy", NO_PANEL)
        return
    votes = all_readings(inputs)
    models = models_of(inputs)
    _accuracy(inputs, votes, collector)
    _agreement(inputs, votes, models, collector)
    _costs(inputs, votes, models, collector)
    own = votes.filter(~pl.col("reader").is_in(_VOTERS))
    for reader in ("all", *models):
        part = own if reader == "all" else own.filter(pl.col("reader") == reader)
        scores = part["naturalness"].drop_nulls().to_numpy().astype(np.float64)
        if scores.size:
            collector.add(mean_measure("naturalness", reader, scores, "naturalness", reader))
        met = part["constraint_met"].drop_nulls()
        if met.len():
            collector.add(rate("constraint_met", reader, met))
    collector.details["panel"] = [{"reader": name, "model": one} for name, one in models.items()]


Numbers = npt.NDArray[np.int64]


def _coded(inputs: ReportInputs, votes: pl.DataFrame) -> tuple[list[str], Numbers, Numbers]:
    """Return voters, label numbers (rows, voters) and the number of options of each row."""
    from targen.operators.weights import MISSING  # noqa: PLC0415 - not when definitions are loaded

    voters = list(dict.fromkeys(votes["reader"]))
    kind, size = inputs.answer_kind, len(inputs.labels)
    fixed = {label: number for number, label in enumerate(inputs.labels)}
    table, counts = [], []
    for _, said in _by_row(votes):
        keys = {name: label_key(kind, label) for name, label in said.items()}
        numbers = fixed or {key: n for n, key in enumerate(dict.fromkeys(keys.values()))}
        table.append(
            [numbers.get(keys[name], MISSING) if name in keys else MISSING for name in voters]
        )
        # For spans, the choices that nobody gave are unknown here; one more stands for them.
        counts.append(size or len(numbers) + 1)
    return voters, np.array(table, dtype=np.int64), np.array(counts, dtype=np.int64)


def _by_row(votes: pl.DataFrame) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield instance_id and reader -> label, for the labels that were given."""
    found: dict[str, dict[str, str]] = {}
    for name, reader, label in votes.select("instance_id", "reader", "label").iter_rows():
        said = found.setdefault(name, {})
        if label is not None:
            said[reader] = label
    yield from found.items()


def _accuracy(inputs: ReportInputs, votes: pl.DataFrame, collector: MetricCollector) -> None:
    """Add the accuracy of each voter over all rows; the interval is from resampled rows."""
    from targen.operators.weights import MISSING, accuracies  # noqa: PLC0415

    voters, coded, options = _coded(inputs, votes)
    values = accuracies(coded, options)
    random = generator("panel", len(coded))
    draws = [random.integers(0, len(coded), len(coded)) for _ in range(_DRAWS)]
    drawn = np.array([accuracies(coded[rows], options[rows]) for rows in draws])
    for index, (name, value) in enumerate(zip(voters, values, strict=True)):
        n = int((coded[:, index] != MISSING).sum())
        low, high = percentiles(drawn[:, index])
        collector.add(Measure("reader_accuracy", value, n, name, low, high))


def _agreement(
    inputs: ReportInputs,
    votes: pl.DataFrame,
    models: Mapping[str, str | None],
    collector: MetricCollector,
) -> None:
    """Add Cohen's kappa of each pair of readers."""
    if inputs.answer_kind not in ONE_LABEL:
        return
    labels = label_set(inputs)
    of = {
        name: votes.filter(pl.col("reader") == name).select("instance_id", label="label")
        for name in models
    }
    for first, second in combinations(models, 2):
        both = of[first].join(of[second], on="instance_id", suffix="_2").drop_nulls()
        counts = matrix(both["label"], both["label_2"], labels)
        value = kappa(counts)
        if not np.isfinite(value):
            continue
        slice_ = f"{first}, {second}"

        def statistic(cells: Any) -> Any:
            return kappas(cells, len(labels))

        low, high = bootstrap_counts(counts, statistic, "kappa", slice_)
        collector.add(Measure("kappa", value, int(counts.sum()), slice_, low, high))


def _costs(
    inputs: ReportInputs,
    votes: pl.DataFrame,
    models: Mapping[str, str | None],
    collector: MetricCollector,
) -> None:
    """Add what each reader's calls cost per accepted row."""
    if inputs.completions is None:
        collector.skip("reader_cost_usd", "the completions behind the rows are unknown")
        return
    price = dict(inputs.completions.select("request_id", "cost_usd").iter_rows())
    for name in models:
        requests = votes.filter(pl.col("reader") == name)["request_id"].drop_nulls().unique()
        costs = [price.get(request) for request in requests]
        known = [cost for cost in costs if cost is not None]
        total = sum(known) / inputs.rows.height if len(known) == len(costs) else None
        collector.add(Measure("reader_cost_usd", total, inputs.rows.height, name))
