"""Collects the results of the metrics and rounds them, so that reports are reproducible."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from targen import steps

DIGITS = 9
"""Significant digits; the order of a sum (threads, BLAS) affects only later ones."""


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
        value: the point value; None if it is unknown, such as an unknown price.
        n: number of rows (or items, calls) it is based on.
        slice: the part of the data it describes; `all` for all of it.
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
    """Collects figures, the reasons for absent ones, and other details for the page.

    Attributes:
        measures: the figures.
        skipped: metric -> why it is absent.
        details: content for the page and the JSON.
        shared: results that later modules use again; not part of the report.
        marks: metric -> whether each row has the fault, for the list of rows.
    """

    measures: list[Measure] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    shared: dict[str, Any] = field(default_factory=dict)
    marks: dict[str, npt.NDArray[np.bool_]] = field(default_factory=dict)

    def add(self, *measures: Measure) -> None:
        """Append figures in the order in which the table shows them."""
        self.measures.extend(measures)

    def skip(self, metric: str, reason: str) -> None:
        """Record why `metric` is absent."""
        self.skipped[metric] = reason

    def mark(self, metric: str, flags: npt.NDArray[np.bool_]) -> None:
        """Mark the rows that have a fault; marks of one metric add up."""
        known = self.marks.get(metric)
        self.marks[metric] = flags if known is None else known | flags

    def get(self, metric: str, slice_: str = "all") -> Measure | None:
        """Return the figure of that name, or None."""
        for measure in self.measures:
            if measure.metric == metric and measure.slice == slice_:
                return measure
        return None

    def table(self) -> pl.DataFrame:
        """Return the figures as the table `quality_report`."""
        rows = [measure.as_row() for measure in self.measures]
        return steps.frame(rows, steps.schema(steps.QUALITY_REPORT, {}))
