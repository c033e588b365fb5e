"""Are labels, planned fields and answer positions spread evenly?"""

import math
from collections.abc import Sequence

import numpy as np
import polars as pl

from targen.quality.collector import Measure, MetricCollector
from targen.quality.inputs import ReportInputs


def counts(values: pl.Series, categories: Sequence[str]) -> list[int]:
    """Return how often each category stands in `values`; a list counts each of its elements."""
    flat = values.explode() if values.dtype == pl.List(pl.String) else values
    return [int((flat == category).sum()) for category in categories]


def normalised_entropy(numbers: Sequence[int]) -> float:
    """Shannon entropy over categories, divided by that of the even spread.

    H = -sum(p ln p) / ln K over K categories, without unit, 0 (all in one) to 1 (even);
    NaN for fewer than two categories or no row. Source: Shannon 1948 (Pielou's evenness).
    Does not show whether the labels are right, nor which one is short.
    """
    total = sum(numbers)
    if total == 0 or len(numbers) < 2:
        return math.nan
    shares = [number / total for number in numbers if number]
    return -sum(share * math.log(share) for share in shares) / math.log(len(numbers))


def chi_square(observed: Sequence[float], expected: Sequence[float]) -> tuple[float, float]:
    """Pearson's chi-square statistic and its p-value, cells - 1 degrees of freedom.

    X2 = sum((o - e)^2 / e), without unit, from 0 (as expected) up; p from 0 to 1, exact only
    for large counts (a rule of thumb is e >= 5). Source: Pearson 1900. A small p says that the
    spread is no accident, not that it is large; a plan that alternates strictly gives p = 1.
    """
    from scipy.stats import chi2  # noqa: PLC0415  (slow to import)

    pairs = [(o, e) for o, e in zip(observed, expected, strict=True) if e > 0]
    statistic = sum((o - e) ** 2 / e for o, e in pairs)
    freedom = len(pairs) - 1
    return statistic, float(chi2.sf(statistic, freedom)) if freedom > 0 else 1.0


def positions(frame: pl.DataFrame, options: Sequence[str]) -> tuple[list[int], list[float]]:
    """Count the answer's position among the options, and what chance would give.

    With several option fields `label` is the field's number; with one list field it is one of
    its texts (the first occurrence counts). Rows whose answer is not among the options are
    left out. A row with k options adds 1/k to the expected count of its first k positions.

    Returns:
        Observed and expected count per position.
    """
    if len(options) > 1:
        observed = counts(frame["label"], [str(i) for i in range(len(options))])
        return observed, [sum(observed) / len(options)] * len(options)
    name = options[0]
    placed = frame.select(
        size=pl.col(name).list.len(),
        place=pl.struct(name, "label").map_elements(
            lambda row: _place(row[name], row["label"]), return_dtype=pl.Int64
        ),
    ).drop_nulls("place")
    width = int(placed["size"].max() or 0)  # type: ignore[arg-type]
    expected = [float((1 / placed["size"].filter(placed["size"] > i)).sum()) for i in range(width)]
    return [int((placed["place"] == i).sum()) for i in range(width)], expected


def _place(options: Sequence[str] | None, answer: str | None) -> int | None:
    """Return the index of `answer` in `options`, None where it is not there."""
    known = list(options or ())
    return known.index(answer) if answer in known else None


def label_set(inputs: ReportInputs) -> list[str]:
    """Return the task's labels and after them those that only the rows have, sorted."""
    if inputs.answer_kind not in ("class", "multi"):
        return []
    column = inputs.rows["label"]
    flat = column.explode() if column.dtype == pl.List(pl.String) else column
    seen = sorted(set(flat.drop_nulls().cast(pl.String)) - set(inputs.labels))
    return [*inputs.labels, *seen]


def measure(inputs: ReportInputs, sheet: MetricCollector) -> None:
    """Add label shares and entropy, the spread of planned fields, and answer positions."""
    rows, gold = inputs.rows, inputs.reference
    labels = label_set(inputs)
    if not labels:
        sheet.skip("label_entropy", f"answers of kind {inputs.answer_kind} have no label set")
    else:
        found = counts(rows["label"], labels)
        theirs = counts(gold["label"], labels) if gold is not None else None
        sheet.details["labels"] = {"names": labels, "counts": found, "reference": theirs}
        total = sum(found)
        for i, label in enumerate(labels):
            share = found[i] / total if total else None
            other = theirs[i] / max(sum(theirs), 1) if theirs else None
            sheet.add(Measure("label_share", share, total, label, reference=other))
        if len(labels) < 2:
            sheet.skip("label_entropy", "there is one label only")
        else:
            other = normalised_entropy(theirs) if theirs else None
            sheet.add(Measure("label_entropy", normalised_entropy(found), total, reference=other))
    for name, values in inputs.planned.items():
        found = counts(rows[name], values)
        sheet.add(Measure("planned_entropy", normalised_entropy(found), sum(found), name))
    if not inputs.options:
        sheet.skip("position_chi_square", "the answer is not chosen from ordered options")
        return
    observed, expected = positions(rows, inputs.options)
    statistic, p = chi_square(observed, expected)
    total = int(np.sum(observed))
    sheet.details["positions"] = {"observed": observed, "expected": expected}
    sheet.add(Measure("position_chi_square", statistic, total), Measure("position_p", p, total))
