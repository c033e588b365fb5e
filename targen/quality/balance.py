"""Balance of labels, planned fields and answer positions."""

import math
from collections.abc import Sequence

import polars as pl

from targen.quality.collector import Measure, MetricCollector
from targen.quality.inputs import ReportInputs
from targen.tasks.answers import ONE_LABEL


def counts(values: pl.Series, categories: Sequence[str]) -> list[int]:
    """Return the count of each category in `values`; the elements of a list count separately."""
    flat = values.explode() if values.dtype == pl.List(pl.String) else values
    return [int((flat == category).sum()) for category in categories]


def normalized_entropy(numbers: Sequence[int]) -> float:
    """Shannon entropy of category counts, divided by its maximum.

    H = -sum(p ln p) / ln K over K categories, from 0 (all in one) to 1 (uniform); NaN for fewer
    than two categories or no rows. Source: Shannon 1948 (Pielou's evenness).
    """
    total = sum(numbers)
    if total == 0 or len(numbers) < 2:
        return math.nan
    shares = [number / total for number in numbers if number]
    return -sum(share * math.log(share) for share in shares) / math.log(len(numbers))


def chi_square(observed: Sequence[float], expected: Sequence[float]) -> tuple[float, float]:
    """Pearson's chi-square statistic and its p-value, with (cells - 1) degrees of freedom.

    X2 = sum((o - e)^2 / e), from 0 (as expected) up. The p-value is accurate only for large
    counts (a rule of thumb is e >= 5). Source: Pearson 1900. A small p-value does not mean a
    large effect; a plan that strictly alternates gives p = 1.
    """
    from scipy.stats import chi2  # noqa: PLC0415  (slow to import)

    pairs = [(o, e) for o, e in zip(observed, expected, strict=True) if e > 0]
    statistic = sum((o - e) ** 2 / e for o, e in pairs)
    freedom = len(pairs) - 1
    return statistic, float(chi2.sf(statistic, freedom)) if freedom > 0 else 1.0


def positions(frame: pl.DataFrame, options: Sequence[str]) -> tuple[list[int], list[float]]:
    """Count the answer's position among the options.

    With several option fields, `label` is the index of the field; with one list field, it is one
    of its texts (the first match counts). Rows whose answer is not among the options are excluded.

    Returns:
        Observed and expected count per position. A row with k options adds 1/k to the expected
        count of each of its k positions.
    """
    if len(options) > 1:
        observed = counts(frame["label"], [str(i) for i in range(len(options))])
        return observed, [sum(observed) / len(options)] * len(options)
    name = options[0]
    placed = frame.select(
        size=pl.col(name).list.len(),
        position=pl.struct(name, "label").map_elements(
            lambda row: _position(row[name], row["label"]), return_dtype=pl.Int64
        ),
    ).drop_nulls("position")
    width = int(placed["size"].max() or 0)  # type: ignore[arg-type]
    expected = [float((1 / placed["size"].filter(placed["size"] > i)).sum()) for i in range(width)]
    return [int((placed["position"] == i).sum()) for i in range(width)], expected


def _position(options: Sequence[str] | None, answer: str | None) -> int | None:
    known = list(options or ())
    return known.index(answer) if answer in known else None


def label_set(inputs: ReportInputs) -> list[str]:
    """Return the task's labels, followed by other labels found in the rows, sorted."""
    if inputs.answer_kind not in (*ONE_LABEL, "multi"):
        return []
    column = inputs.rows["label"]
    flat = column.explode() if column.dtype == pl.List(pl.String) else column
    seen = sorted(set(flat.drop_nulls().cast(pl.String)) - set(inputs.labels))
    return [*inputs.labels, *seen]


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add label shares and entropy, entropy of planned fields, and answer positions."""
    rows, gold = inputs.rows, inputs.reference
    labels = label_set(inputs)
    if not labels:
        collector.skip("label_entropy", f"answers of kind {inputs.answer_kind} have no label set")
    else:
        found = counts(rows["label"], labels)
        theirs = counts(gold["label"], labels) if gold is not None else None
        collector.details["labels"] = {"names": labels, "counts": found, "reference": theirs}
        total = sum(found)
        for i, label in enumerate(labels):
            share = found[i] / total if total else None
            other = theirs[i] / max(sum(theirs), 1) if theirs else None
            collector.add(Measure("label_share", share, total, label, reference=other))
        if len(labels) < 2:
            collector.skip("label_entropy", "there is only one label")
        else:
            other = normalized_entropy(theirs) if theirs else None
            entropy = normalized_entropy(found)
            collector.add(Measure("label_entropy", entropy, total, reference=other))
    for name, values in inputs.planned.items():
        found = counts(rows[name], values)
        collector.add(Measure("planned_entropy", normalized_entropy(found), sum(found), name))
    if not inputs.options:
        collector.skip("position_chi_square", "the answer is not chosen from ordered options")
        return
    observed, expected = positions(rows, inputs.options)
    statistic, p = chi_square(observed, expected)
    total = sum(observed)
    collector.details["positions"] = {"observed": observed, "expected": expected}
    collector.add(Measure("position_chi_square", statistic, total), Measure("position_p", p, total))
