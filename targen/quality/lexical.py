"""How varied the wording is, measured at equal amounts of text."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from targen.quality.collector import Measure, MetricCollector
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import percentiles
from targen.quality.text import Ints, Tokens, generator, tokens

BUDGETS = (1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)
"""Word counts at which diversity is compared; fixed, so that reports can be laid side by side."""
ORDERS = 20
"""Row orders drawn per budget."""


def budget_for(*totals: int) -> int:
    """Return the largest of `BUDGETS` that every text collection has, else the smallest total."""
    least = min(totals)
    return max((budget for budget in BUDGETS if budget <= least), default=least)


def distinct(codes: Ints, positions: Ints, n: int) -> float:
    """Distinct-n: different n-grams over all n-grams, among the words at `positions`.

    Without unit, above 0 (one n-gram over and over) to 1 (all different); NaN without one.
    Source: Li et al. 2016 (NAACL). It falls with the amount of text, so compare it only at
    equal word counts; it does not see paraphrase, nor whether the words make sense.

    Args:
        codes: `Tokens.grams(n)`.
        positions: `Tokens.take(...)`.
        n: length of the n-grams.
    """
    inside = positions[: positions.size - n + 1] if n > 1 else positions
    grams = codes[inside]
    grams = grams[grams >= 0]
    return float(np.unique(grams).size / grams.size) if grams.size else float("nan")


def distinct_at(
    text: Tokens, budget: int, n: int, codes: Ints | None = None
) -> tuple[float, float | None, float | None]:
    """Mean distinct-n over `ORDERS` seeded row orders cut at `budget` words, with its interval.

    Returns:
        Mean, and the 2.5th and 97.5th percentile over the orders: how far it depends on which
        rows are taken. None where more than half of the text is taken, as the orders then
        share most rows and the spread would look smaller than it is.
    """
    codes = text.grams(n) if codes is None else codes
    draws = np.empty(ORDERS)
    for i in range(ORDERS):
        order = generator("rows", i).permutation(text.height)
        draws[i] = distinct(codes, text.take(order, budget), n)
    low, high = percentiles(draws) if 2 * budget <= text.ids.size else (None, None)
    return float(draws.mean()), low, high


def lengths(text: Tokens) -> Ints:
    """Return the number of words per row."""
    return text.starts[1:] - text.starts[:-1]


def histogram(
    values: npt.NDArray[Any], reference: npt.NDArray[Any] | None = None, bins: int = 24
) -> dict[str, Any]:
    """Count values, and those of the reference, in the same equal bins.

    The last bin also takes what lies beyond the 99th percentile of both, so that one very long
    row does not flatten the picture.

    Returns:
        `edges` (one more than bins), `rows` and `reference` (counts, None without a reference).
    """
    both = values if reference is None else np.concatenate([values, reference])
    if both.size == 0:
        return {"edges": [0.0, 1.0], "rows": [0], "reference": None}
    low, high = float(both.min()), float(np.percentile(both, 99))
    if np.issubdtype(both.dtype, np.integer):
        step = max(1.0, np.ceil((high - low + 1) / bins))
        edges = np.arange(low, high + step + 1e-9, step)
    elif high - low < 1e-9:
        edges = np.array([low - 0.5, low + 0.5])
    else:
        edges = np.linspace(low, high, bins + 1)

    def tally(numbers: npt.NDArray[Any]) -> list[int]:
        places = np.searchsorted(edges, numbers, side="right") - 1
        return [
            int(n)
            for n in np.bincount(np.clip(places, 0, edges.size - 2), minlength=edges.size - 1)
        ]

    return {
        "edges": [float(edge) for edge in edges],
        "rows": tally(values),
        "reference": None if reference is None else tally(reference),
    }


def _figure(
    metric: str,
    slice_: str,
    n: int,
    value: float | None,
    low: float | None,
    high: float | None,
    gold: float | None,
) -> Measure:
    return Measure(metric, value, n, slice_, low, high, gold)


def measure(inputs: ReportInputs, sheet: MetricCollector, shown: Sequence[int] = (1, 2, 3)) -> None:
    """Add vocabulary and distinct-n at each budget that the rows reach, and words per field."""
    fields = inputs.text_fields
    mine = tokens(inputs.rows, fields)
    theirs = tokens(inputs.reference, fields) if inputs.reference is not None else None
    if mine.ids.size == 0:
        sheet.skip("distinct_1", "the rows hold no word")
        return
    if theirs is not None and theirs.ids.size == 0:
        theirs = None
    totals = [mine.ids.size] + ([theirs.ids.size] if theirs is not None else [])
    smallest = budget_for(*totals)
    budgets = sorted({b for b in BUDGETS if b <= smallest} | {smallest})
    for n in shown:
        codes = mine.grams(n)
        other = theirs.grams(n) if theirs is not None else None
        for budget in budgets:
            value, low, high = distinct_at(mine, budget, n, codes)
            gold = None if theirs is None else distinct_at(theirs, budget, n, other)[0]
            figures = (value, low, high, gold)
            name = f"{budget} words"
            if n == 1:
                # At one word count the vocabulary is distinct-1 in another unit.
                counts = (None if x is None else x * budget for x in figures)
                sheet.add(_figure("vocabulary", name, mine.height, *counts))
            sheet.add(_figure(f"distinct_{n}", name, mine.height, *figures))
    sheet.details["budgets"] = budgets
    for name in fields:
        own = lengths(tokens(inputs.rows, [name]))
        gold_lengths = None
        if inputs.reference is not None:
            gold_lengths = lengths(tokens(inputs.reference, [name]))
        sheet.details.setdefault("lengths", {})[name] = histogram(own, gold_lengths)
        gold = None if gold_lengths is None or not gold_lengths.size else gold_lengths.mean()
        mean = float(own.mean()) if own.size else None
        sheet.add(Measure("words", mean, own.size, name, reference=gold))
