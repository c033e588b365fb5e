"""How much of the label can be told from the text, over all and row by row."""

import numpy as np
import polars as pl

from targen.quality import learner
from targen.quality.balance import label_set
from targen.quality.choices import OptionClassifier
from targen.quality.collector import Measure, MetricCollector
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import Floats, bootstrap_mean
from targen.quality.learner import LabelClassifier
from targen.quality.lexical import histogram
from targen.quality.self_similarity import sample
from targen.quality.text import Ints

ROWS = 2000
"""Rows that the classifier is cross-validated on at most; a sample is drawn beyond that."""
FEWEST = 30
HARDEST = 50


def pvi(scores: learner.HeldOutScores, labels: Ints) -> Floats:
    """Pointwise V-information of each row, in bits.

    PVI(x -> y) = log2 g[x](y) - log2 g[](y): how much surer of the row's own label a model of
    the family V is with the text than without it. Held out in five folds; V is logistic
    regression on TF-IDF, g[] the label shares. Where a row brings its own options along, V ranks
    them (`choices`), and g[] gives each 1 / number of options. At most -log2 g[](y); negative
    rows are hard for V or wrongly labelled. Source: Ethayarajh et al. 2022 (ICML). It speaks of
    V only: what a bag of words cannot use, it calls hard.
    """
    at = np.arange(labels.size)
    gain = np.log2(scores.probability[at, labels]) - np.log2(scores.null[at, labels])
    return np.asarray(gain, dtype=np.float64)


def learner_of(inputs: ReportInputs) -> LabelClassifier | OptionClassifier:
    """Return what learns the answers of a task, whatever their kind.

    `OptionClassifier` if each row has its own options (spans, and class labels that are indexes
    of option fields), otherwise `LabelClassifier`.
    """
    fields, pair = inputs.text_fields, inputs.pair_field
    if chosen(inputs):
        rest = [name for name in fields if name not in inputs.options]
        return OptionClassifier(rest, inputs.options, pair)
    return LabelClassifier(fields, label_set(inputs), pair)


def chosen(inputs: ReportInputs) -> bool:
    """Say whether the answer is one of options that differ from row to row."""
    fewest = {"span": 1, "class": 2}.get(inputs.answer_kind)
    return fewest is not None and len(inputs.options) >= fewest


def row_information(
    rows: pl.DataFrame, by: LabelClassifier | OptionClassifier
) -> tuple[Floats, Ints, learner.HeldOutScores]:
    """Return PVI per row, the answers' numbers and the held-out scores of usable rows."""
    scores, answers = by.cross_validate(rows)
    return pvi(scores, answers), answers, scores


def why_not(inputs: ReportInputs) -> str | None:
    """Say why nothing can be learned from these rows, None where it can."""
    if not chosen(inputs):
        return why_no_labels(inputs)
    usable = learner_of(inputs).usable(inputs.rows).height
    return None if usable >= FEWEST else f"needs {FEWEST} rows that offer their answer"


def why_no_labels(inputs: ReportInputs) -> str | None:
    """Say why a classifier of labels cannot be trained on these rows, None where it can."""
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


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add V-information in bits, the share of rows with negative PVI, and the hardest rows."""
    why = why_not(inputs)
    if why is not None:
        collector.skip("v_information", why)
        return
    by, gold = learner_of(inputs), inputs.reference
    known = by.usable(inputs.rows.with_row_index("_row"))
    size = min(ROWS, known.height, gold.height if gold is not None else ROWS)
    rows = sample(known, size)
    values, _, scores = row_information(rows, by)
    low, high = bootstrap_mean(values, "v-information")
    other, theirs = None, None
    if gold is not None and gold.height >= FEWEST:
        known_gold = by.usable(gold)
        if known_gold.height >= FEWEST and known_gold["label"].n_unique() > 1:
            theirs = row_information(sample(known_gold, size), by)[0]
            other = float(theirs.mean())
    collector.add(Measure("v_information", float(values.mean()), size, "all", low, high, other))
    negative = (values < 0).astype(np.float64)
    low, high = bootstrap_mean(negative, "negative pvi")
    gold_share = None if theirs is None else float((theirs < 0).mean())
    collector.add(
        Measure("negative_pvi", float(negative.mean()), size, "all", low, high, gold_share)
    )
    collector.details["pvi"] = histogram(values, theirs)
    order = np.argsort(values, kind="stable")[:HARDEST]
    best = scores.probability.argmax(axis=1)
    collector.details["hardest"] = [
        {
            "pvi": round(float(values[i]), 4),
            "predicted": by.answer_text(rows[int(i)], int(best[i])),
            **inputs.rows.row(int(rows["_row"][int(i)]), named=True),
        }
        for i in order
        if values[i] < 0
    ]
