"""Where metrics put their results, and the rounding that keeps reports the same everywhere."""

import math
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from targen import steps

DIGITS = 9
"""Significant digits kept: sums in another order (threads, BLAS) differ in the last ones only."""


def rounded(value: float | None) -> float | None:
    """Return `value` to `DIGITS` significant digits; None for None, NaN and infinities."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{DIGITS}g}") + 0.0


@dataclass(frozen=True)
class Measure:
    """One figure of the report.

    Attributes:
        metric: its name, as in the docs.
        value: the point value; None where it is unknown (an unknown price, say).
        n: how many rows (or items, calls) stand behind it.
        slice: what part of the data it is on; `all` for the whole.
        low, high: 95% interval, where sampling is involved.
        reference: the same on the reference data.
    """

    metric: str
    value: float | None
    n: int
    slice: str = "all"
    low: float | None = None
    high: float | None = None
    reference: float | None = None

    def as_row(self) -> dict[str, Any]:
        """Return the figure as a row of the long table, without a gate's verdict."""
        return {
            "metric": self.metric,
            "slice": self.slice,
            "value": rounded(self.value),
            "low": rounded(self.low),
            "high": rounded(self.high),
            "n": int(self.n),
            "reference": rounded(self.reference),
            "passed": None,
        }


@dataclass
class MetricCollector:
    """Collects figures, the reasons for absent ones, and what the page shows beside them."""

    measures: list[Measure] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)

    def add(self, *measures: Measure) -> None:
        """Append figures in the order in which the table shows them."""
        self.measures.extend(measures)

    def skip(self, metric: str, reason: str) -> None:
        """Note why `metric` is absent."""
        self.skipped[metric] = reason

    def get(self, metric: str, slice_: str = "all") -> Measure | None:
        """Return the figure of that name, or None."""
        for measure in self.measures:
            if measure.metric == metric and measure.slice == slice_:
                return measure
        return None

    def table(self) -> pl.DataFrame:
        """Return the figures as the table `quality_report`."""
        rows = [measure.as_row() for measure in self.measures]
        return steps.frame(rows, steps.schema("quality_report", {}))
