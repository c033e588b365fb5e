"""How much of the label can be told from the text, over all and row by row.

Here belong V-information and pointwise V-information. Cues that give the label away for the
wrong reason belong in `shortcuts`.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from targen.quality import learner
from targen.quality.balance import label_set
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import Floats, bootstrap_mean
from targen.quality.lexical import histogram
from targen.quality.selfsim import sample
from targen.quality.sheet import Measure, Sheet
from targen.quality.text import Ints

ROWS = 2000
"""Rows that the classifier is cross-validated on at most; a sample is drawn beyond that."""
FEWEST = 30
HARDEST = 50


def pvi(scores: learner.Scores, labels: Ints) -> Floats:
    """Pointwise V-information of each row, in bits.

    PVI(x -> y) = log2 g[x](y) - log2 g[](y): how much surer of the row's own label a model of
    the family V is with the text than without it. Held out in five folds; V is logistic
    regression on TF-IDF, g[] the label shares. At most -log2 of the label's share; negative
    rows are hard for V or wrongly labelled. Source: Ethayarajh et al. 2022 (ICML). It speaks of
    V only: what a bag of words cannot use, it calls hard.
    """
    at = np.arange(labels.size)
    gain = np.log2(scores.probability[at, labels]) - np.log2(scores.null[at, labels])
    return np.asarray(gain, dtype=np.float64)


def row_information(
    rows: pl.DataFrame, fields: Sequence[str], names: Sequence[str], pair_field: str | None = None
) -> tuple[Floats, Ints, learner.Scores]:
    """Return PVI per row, label numbers and the held-out scores; all labels must be known."""
    labels = learner.coded(rows["label"], names)
    features = learner.Features(rows, fields).of(rows)
    groups = learner.groups_of(rows, pair_field)
    scores = learner.cross_validated(features, labels, groups, len(names))
    return pvi(scores, labels), labels, scores


def why_not(inputs: ReportInputs) -> str | None:
    """Say why a classifier cannot be trained on these rows, None where it can."""
    if inputs.answer_kind != "class":
        return f"answers of kind {inputs.answer_kind} cannot be told by a classifier of labels"
    if not inputs.text_fields:
        return "the task has no text field"
    counts = inputs.rows["label"].drop_nulls().value_counts()["count"]
    if counts.len() < 2:
        return "there is one label only"
    if inputs.rows.height < FEWEST or int(counts.min() or 0) < learner.FOLDS:  # type: ignore[arg-type]
        return f"needs {FEWEST} rows and {learner.FOLDS} of each label"
    return None


def measure(inputs: ReportInputs, sheet: Sheet) -> None:
    """Add V-information in bits, the share of rows with negative PVI, and the hardest rows."""
    why = why_not(inputs)
    if why is not None:
        sheet.skip("v_information", why)
        return
    names = label_set(inputs)
    gold = inputs.reference
    known = inputs.rows.with_row_index("_row").drop_nulls("label")
    size = min(ROWS, known.height, gold.height if gold is not None else ROWS)
    rows = sample(known, size)
    values, _, scores = row_information(rows, inputs.text_fields, names, inputs.pair_field)
    low, high = bootstrap_mean(values, "v-information")
    other, theirs = None, None
    if gold is not None and gold.height >= FEWEST:
        known_gold = gold.filter(pl.col("label").is_in(names))
        if known_gold.height >= FEWEST and known_gold["label"].n_unique() > 1:
            theirs = row_information(
                sample(known_gold, size), inputs.text_fields, names, inputs.pair_field
            )[0]
            other = float(theirs.mean())
    sheet.add(Measure("v_information", float(values.mean()), size, "all", low, high, other))
    negative = (values < 0).astype(np.float64)
    low, high = bootstrap_mean(negative, "negative pvi")
    gold_share = None if theirs is None else float((theirs < 0).mean())
    sheet.add(Measure("negative_pvi", float(negative.mean()), size, "all", low, high, gold_share))
    sheet.details["pvi"] = histogram(values, theirs)
    order = np.argsort(values, kind="stable")[:HARDEST]
    best = scores.probability.argmax(axis=1)
    sheet.details["hardest"] = [
        {
            "pvi": round(float(values[i]), 4),
            "predicted": names[int(best[i])],
            **inputs.rows.row(int(rows["_row"][int(i)]), named=True),
        }
        for i in order
        if values[i] < 0
    ]
