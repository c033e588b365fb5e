"""Figures for fields that are not texts: numbers, dates, booleans and choices."""

from typing import Any, Final

import polars as pl

from targen.quality.collector import Measure, MetricCollector
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import proportion

LISTED: Final = 20
"""Greatest number of values of a field that get a share each."""


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add means of numbers, shares of values, and the range of each field for the page."""
    names = [name for name in inputs.values if name in inputs.rows.columns]
    if not names:
        collector.skip("field_mean", "the task has no field with numbers, dates or other values")
        return
    collector.details["values"] = [_range(name, inputs) for name in names]
    for name in names:
        column = inputs.rows[name].drop_nulls()
        if column.dtype.is_numeric() and column.len():
            gold = _gold(inputs, name)
            mean = None if gold is None else _number(gold.mean())
            collector.add(
                Measure("field_mean", _number(column.mean()), column.len(), name, reference=mean)
            )
        if inputs.fields[name] in ("choice", "boolean"):
            counts = column.value_counts().sort(["count", name], descending=[True, False])
            for value, count in counts.head(LISTED).iter_rows():
                slice_ = f"{name}: {_shown(value)}"
                collector.add(proportion("field_share", slice_, count, column.len()))


def _gold(inputs: ReportInputs, name: str) -> pl.Series | None:
    gold = inputs.reference
    found = None if gold is None or name not in gold.columns else gold[name].drop_nulls()
    return found if found is not None and found.len() else None


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _range(name: str, inputs: ReportInputs) -> dict[str, Any]:
    """Return what the page shows of a field: how many values, and the least to the greatest."""
    column = inputs.rows[name].drop_nulls()
    ordered = column.sort()
    middle = ordered[(ordered.len() - 1) // 2] if ordered.len() else None
    least, greatest = (ordered[0], ordered[-1]) if ordered.len() else (None, None)
    shown = [_shown(value) for value in (least, middle, greatest)]
    if inputs.fields[name] in ("choice", "boolean"):
        shown = ["", _shown(column.mode().sort()[0]) if column.len() else "", ""]
    return {
        "field": name,
        "type": inputs.fields[name],
        "least": shown[0],
        "middle": shown[1],
        "greatest": shown[2],
        "distinct": column.n_unique(),
        "empty": inputs.rows.height - column.len(),
    }


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else "" if value is None else str(value)
