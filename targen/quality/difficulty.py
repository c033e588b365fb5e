"""V-information: how much of the label a simple classifier learns from the text."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from targen.quality import learner
from targen.quality.balance import label_set
from targen.quality.choices import OptionClassifier
from targen.quality.collector import Measure, MetricCollector
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import Floats, held_out_mean, wilson
from targen.quality.learner import LabelClassifier
from targen.quality.lexical import histogram
from targen.quality.text import Ints, sample
from targen.tasks.answers import ONE_LABEL

ROWS = 2000
"""Rows of a classifier's training set in `utility`."""
FEWEST = 30
"""Minimum number of rows to train and test a classifier on."""
HARDEST = 50
WIDER = 1.15
"""Factor of the standard error of V-information. Small values have small variances, so without it
the intervals of 100 rows contain the mean in 0.915 of the cases (`bench.coverage`)."""


@dataclass(frozen=True)
class HeldOut:
    """Held-out predictions of a sample of rows, for other metrics.

    Attributes:
        rows: their numbers in the frame.
        probability, null: as in `HeldOutScores`.
        labels: index of each row's answer.
        bits: V-information.
        names: position in `rows` -> the predicted answer.
    """

    rows: Ints
    probability: Floats
    null: Floats
    labels: Ints
    bits: float
    names: Callable[[int], str] = str


def pvi(scores: learner.HeldOutScores, labels: Ints) -> Floats:
    """Pointwise V-information of each row, in bits.

    PVI(x -> y) = log2 g[x](y) - log2 g[](y): the gain in log probability of the row's label from
    seeing the text, for the model family V. Predictions are held out in five folds. V is logistic
    regression on TF-IDF and g[] the label shares; if each row has its own options, V ranks them
    (`choices`) and g[] is 1 / number of options. The maximum is -log2 g[](y). Rows with negative
    values are hard for V or mislabeled. Source: Ethayarajh et al. 2022 (ICML). The result depends
    on V: rows that need more than a bag of words count as hard.
    """
    at = np.arange(labels.size)
    gain = np.log2(scores.probability[at, labels]) - np.log2(scores.null[at, labels])
    return np.asarray(gain, dtype=np.float64)


def has_row_options(inputs: ReportInputs) -> bool:
    """Return whether the answer is one of options that differ from row to row."""
    fewest = {"span": 1, **dict.fromkeys(ONE_LABEL, 2)}.get(inputs.answer_kind)
    return fewest is not None and len(inputs.options) >= fewest


def classifier_for(inputs: ReportInputs) -> LabelClassifier | OptionClassifier:
    """Return the classifier for a task.

    `OptionClassifier` if each row has its own options (spans, and class labels that are indexes
    of option fields), otherwise `LabelClassifier`.
    """
    fields, pair = inputs.text_fields, inputs.pair_field
    if has_row_options(inputs):
        context = [name for name in fields if name not in inputs.options]
        return OptionClassifier(context, inputs.options, pair)
    return LabelClassifier(fields, label_set(inputs), pair)


def row_information(
    rows: pl.DataFrame, classifier: LabelClassifier | OptionClassifier
) -> tuple[Floats, Ints, learner.HeldOutScores]:
    """Return PVI, the index of the answer, and the held-out scores of usable rows."""
    scores, answers = classifier.cross_validate(rows)
    return pvi(scores, answers), answers, scores


def reason_not_learnable(inputs: ReportInputs) -> str | None:
    """Return why no classifier can be trained on the rows; None if one can."""
    if not has_row_options(inputs):
        return reason_no_labels(inputs)
    usable = classifier_for(inputs).usable(inputs.rows).height
    return None if usable >= FEWEST else f"needs {FEWEST} rows whose options include the answer"


def reason_no_labels(inputs: ReportInputs) -> str | None:
    """Return why no `LabelClassifier` can be trained on the rows; None if one can."""
    if inputs.answer_kind not in ONE_LABEL:
        return f"answers of kind {inputs.answer_kind} have no fixed set of labels to predict"
    if not inputs.text_fields:
        return "the task has no text field"
    counts = inputs.rows["label"].drop_nulls().value_counts()["count"]
    if counts.len() < 2:
        return "there is only one label"
    if inputs.rows.height < FEWEST or int(counts.min() or 0) < learner.FOLDS:  # type: ignore[arg-type]
        return f"needs {FEWEST} rows and {learner.FOLDS} of each label"
    return None


def _held(
    rows: pl.DataFrame,
    values: Floats,
    answers: Ints,
    scores: learner.HeldOutScores,
    classifier: LabelClassifier,
) -> HeldOut:
    best = scores.probability.argmax(axis=1)
    return HeldOut(
        rows=rows["_row"].to_numpy().astype(np.int64),
        probability=scores.probability,
        null=scores.null,
        labels=answers,
        bits=float(values.mean()),
        names=lambda i: classifier.names[int(best[i])],
    )


def _negative(values: Floats, reference: float | None) -> Measure:
    """Return the share of rows with negative PVI.

    The interval is Wilson's for fewer rows than there are, since the rows share training rows
    (see `held_out_mean`).
    """
    share = float((values < 0).mean())
    worth = values.size / (1 + learner.FOLDS / (learner.FOLDS - 1))
    low, high = wilson(share * worth, worth)
    return Measure("negative_pvi", share, values.size, "all", low, high, reference)


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add V-information in bits, the share of rows with negative PVI, and the hardest rows."""
    reason = reason_not_learnable(inputs)
    if reason is not None:
        collector.skip("v_information", reason)
        return
    classifier, gold = classifier_for(inputs), inputs.reference
    usable = classifier.usable(inputs.rows.with_row_index("_row"))
    rows = sample(usable, inputs.most_rows)
    values, answers, scores = row_information(rows, classifier)
    gold_values, gold_negative = None, None
    if gold is not None and gold.height >= FEWEST:
        usable_gold = classifier.usable(gold.with_row_index("_row"))
        if usable_gold.height >= FEWEST and usable_gold["label"].n_unique() > 1:
            theirs = sample(usable_gold, inputs.most_rows)
            gold_values, gold_answers, gold_scores = row_information(theirs, classifier)
            gold_negative = float((gold_values < 0).mean())
            if isinstance(classifier, LabelClassifier):
                collector.shared["held_out_reference"] = _held(
                    theirs, gold_values, gold_answers, gold_scores, classifier
                )
    if isinstance(classifier, LabelClassifier):
        collector.shared["held_out"] = _held(rows, values, answers, scores, classifier)
    other = None if gold_values is None else float(gold_values.mean())
    low, high = held_out_mean(values, learner.FOLDS, factor=WIDER)
    bits = float(values.mean())
    collector.add(
        Measure("v_information", bits, values.size, "all", low, high, other),
        _negative(values, gold_negative),
    )
    collector.details["pvi"] = histogram(values, gold_values)
    best = scores.probability.argmax(axis=1)
    collector.details["hardest"] = [
        {
            "pvi": round(float(values[i]), 4),
            "predicted": classifier.answer_text(rows[int(i)], int(best[i])),
            **inputs.rows.row(int(rows["_row"][int(i)]), named=True),
        }
        for i in np.argsort(values, kind="stable")[:HARDEST]
        if values[i] < 0
    ]
