"""Lexical diversity at equal amounts of text."""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from targen.quality.collector import Measure, MetricCollector
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import IntervalEstimate, percentiles
from targen.quality.text import BATCH, Ints, Tokens, generator, tokens, unique

BUDGETS = (1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)
"""Word counts at which diversity is compared; fixed, so that reports are comparable."""
ORDERS = 20
"""Random row orders per budget."""
LONGEST = 3
"""Words of the longest n-grams."""


def budgets_for(*totals: int) -> list[int]:
    """Return the `BUDGETS` that every text collection reaches, or else the smallest total."""
    least = min(totals)
    return [budget for budget in BUDGETS if budget <= least] or [least]


def distinct(codes: Ints, positions: Ints, n: int) -> float:
    """Distinct-n: the number of distinct n-grams over the number of n-grams at `positions`.

    Above 0 (one repeated n-gram) to 1 (all distinct); NaN without n-grams. Source: Li et al. 2016
    (NAACL). Decreases with the amount of text, so compare only at equal word counts.
    """
    inside = positions[: positions.size - n + 1] if n > 1 else positions
    grams = codes[inside]
    grams = grams[grams >= 0]
    return float(unique(grams).size / grams.size) if grams.size else float("nan")


def distinct_at(text: Tokens, budget: int, n: int, codes: Ints | None = None) -> IntervalEstimate:
    """Mean distinct-n over `ORDERS` seeded row orders, each truncated at `budget` words.

    The interval is the 2.5th to 97.5th percentile over the orders. It is None if more than half
    of the text is used: the orders then share most rows, which understates the spread.
    """
    codes = text.grams(n) if codes is None else codes
    draws = np.empty(ORDERS)
    for i in range(ORDERS):
        order = generator("rows", i).permutation(text.height)
        draws[i] = distinct(codes, text.take(order, budget), n)
    low, high = percentiles(draws) if 2 * budget <= text.ids.size else (None, None)
    return IntervalEstimate(float(draws.mean()), low, high)


def histogram(
    values: npt.NDArray[Any], reference: npt.NDArray[Any] | None = None, bins: int = 24
) -> dict[str, Any]:
    """Count the values and the reference values in the same equal-width bins.

    The last bin includes everything beyond the 99th percentile of both, so that one very long
    row does not flatten the chart.

    Returns:
        `edges` (number of bins + 1), `rows` and `reference` (counts, None without a reference),
        and `overflow`: whether the last bin includes values beyond its edge.
    """
    both = values if reference is None else np.concatenate([values, reference])
    if both.size == 0:
        return {"edges": [0.0, 1.0], "rows": [0], "reference": None, "overflow": False}
    low, high = float(both.min()), float(np.percentile(both, 99))
    if np.issubdtype(both.dtype, np.integer):
        step = max(1.0, np.ceil((high - low + 1) / bins))
        edges = np.arange(low, high + step + 1e-9, step)
    elif high - low < 1e-9:
        edges = np.array([low - 0.5, low + 0.5])
    else:
        edges = np.linspace(low, high, bins + 1)

    def tally(numbers: npt.NDArray[Any]) -> list[int]:
        bin_of = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, edges.size - 2)
        return [int(n) for n in np.bincount(bin_of, minlength=edges.size - 1)]

    return {
        "edges": [float(edge) for edge in edges],
        "rows": tally(values),
        "reference": None if reference is None else tally(reference),
        "overflow": bool(both.max() > edges[-1]),
    }


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add vocabulary and distinct-n at each budget that the rows reach, and words per field."""
    if not _variety(inputs, collector):
        collector.skip("distinct_1", "the rows contain no words")
        return
    for name in inputs.text_fields:
        own = _lengths(inputs.rows, name)
        gold_lengths = _lengths(inputs.reference, name) if inputs.reference is not None else None
        collector.details.setdefault("lengths", {})[name] = histogram(own, gold_lengths)
        other = None
        if gold_lengths is not None and gold_lengths.size:
            other = float(gold_lengths.mean())
        mean = float(own.mean()) if own.size else None
        collector.add(Measure("words", mean, own.size, name, reference=other))


def _variety(inputs: ReportInputs, collector: MetricCollector) -> bool:
    """Add vocabulary and distinct-n; return whether the rows have words."""
    fields, gold = inputs.text_fields, inputs.reference
    mine = tokens(inputs.rows, fields)
    if mine.ids.size == 0:
        return False
    theirs = tokens(gold, fields) if gold is not None else None
    gold_codes = iter(()) if theirs is None else theirs.all_grams(LONGEST)
    # The reference does not change the word counts; it has a figure wherever it has the words.
    budgets = budgets_for(mine.ids.size)
    for n, codes in enumerate(mine.all_grams(LONGEST), 1):
        other_codes = next(gold_codes, None)
        for budget in budgets:
            value, low, high = distinct_at(mine, budget, n, codes)
            other = None
            if theirs is not None and theirs.ids.size >= budget:
                other = distinct_at(theirs, budget, n, other_codes).value
            slice_ = f"{budget} words"
            if n == 1:
                # At one word count, the vocabulary is distinct-1 in another unit.
                scaled = [None if x is None else x * budget for x in (value, low, high, other)]
                collector.add(Measure("vocabulary", scaled[0], mine.height, slice_, *scaled[1:]))
            collector.add(Measure(f"distinct_{n}", value, mine.height, slice_, low, high, other))
    collector.details["budgets"] = budgets
    return True


def _lengths(frame: pl.DataFrame, field: str) -> Ints:
    """Return the words of each text of a field."""
    parts = [tokens(part, [field]).lengths for part in frame.select(field).iter_slices(BATCH)]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
