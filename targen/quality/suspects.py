"""Suspect labels: confident learning, contradictory copies, labels stated in the text."""

import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from targen.quality.balance import label_set
from targen.quality.collector import MetricCollector
from targen.quality.duplicates import normalized
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import Floats, bootstrap_mean, proportion
from targen.quality.text import Ints, joined
from targen.tasks.answers import ONE_LABEL

MIN_GAIN: Final = 0.15
"""Accuracy above guessing by the label shares from which the classifier can question a label."""
MIN_BITS: Final = 0.05
"""V-information from which the classifier can question a label."""
SHOWN: Final = 50
MIN_MENTIONS: Final = 5
"""Rows that must name their own label before it counts as stated."""


def confident_errors(probability: Floats, labels: Ints) -> npt.NDArray[np.bool_]:
    """Return which rows confident learning counts as mislabeled.

    The threshold of a label is the mean predicted probability of the label over the rows that have
    it. A row belongs to the most probable label among those that reach their thresholds; it is
    suspect if that is another label than its own, and more probable than its own. Source:
    Northcutt, Jiang and Chuang 2021 (Confident learning), off-diagonal entries of the confident
    joint. It assumes errors that depend on the label only, and a classifier that does better than
    guessing.

    Args:
        probability: held-out probability of each label, (rows, labels).
        labels: index of each row's label.
    """
    size = probability.shape[1]
    counts = np.bincount(labels, minlength=size)
    own = probability[np.arange(labels.size), labels]
    sums = np.bincount(labels, weights=own, minlength=size)
    thresholds = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    reached = np.where(probability >= thresholds, probability, -1.0)
    best = reached.argmax(axis=1)
    sure = reached[np.arange(labels.size), best] > 0
    return np.asarray(sure & (best != labels) & (probability.max(axis=1) > own), dtype=bool)


def margin(probability: Floats, labels: Ints) -> Floats:
    """Return the probability of each row's label minus that of the best other label, -1 to 1."""
    at = np.arange(labels.size)
    others = probability.copy()
    others[at, labels] = -np.inf
    return np.asarray(probability[at, labels] - others.max(axis=1), dtype=np.float64)


def too_weak(probability: Floats, labels: Ints, bits: float) -> str | None:
    """Return why predictions cannot question the labels; None if they can."""
    correct = (probability.argmax(axis=1) == labels).astype(np.float64)
    # Guessing by the label shares, which depends less on their evenness than the commonest label.
    chance = float((np.bincount(labels) ** 2).sum() / labels.size**2)
    low = (bootstrap_mean(correct, "suspects")[0] or 0.0) - chance
    if bits >= MIN_BITS and low >= MIN_GAIN:
        return None
    points = max(float(correct.mean()) - chance, 0) * 100
    gain = f"only {points:.0f} points better" if points >= 0.5 else "no better"
    return (
        f"a simple classifier predicts the labels {gain} than guessing, too little to question "
        "single labels"
    )


def contradictions(rows: pl.DataFrame, fields: Sequence[str]) -> pl.Series:
    """Return whether the text of each row also occurs with another label."""
    frame = pl.DataFrame({"text": normalized(joined(rows, fields)), "label": rows["label"]})
    several = pl.col("label").n_unique().over("text") > 1
    return frame.select((several & (pl.col("text") != "")).fill_null(False)).to_series()


def mentions_of(text: pl.Series, names: Sequence[str]) -> pl.DataFrame:
    """Return for each text and label whether the text contains the label's name as whole words.

    A name inside a longer name, such as `entailment` in `not_entailment`, does not count.
    """
    plain = {re.sub(r"[_\W]+", " ", name).strip().lower(): name for name in names}
    ordered = sorted((name for name in plain if name), key=lambda name: (-len(name), name))
    folded = text.fill_null("").str.to_lowercase().str.replace_all(r"[_\W]+", " ")
    if not ordered:
        return pl.DataFrame()
    pattern = r"\b(?:" + "|".join(re.escape(name) for name in ordered) + r")\b"
    found = folded.str.extract_all(pattern)
    return pl.DataFrame({plain[name]: found.list.contains(name) for name in ordered})


def stated(rows: pl.DataFrame, fields: Sequence[str], names: Sequence[str]) -> tuple[int, int]:
    """Return the number of rows that name their own label, and another label but not their own.

    Names of one character, such as option numbers, do not count.
    """
    long = [name for name in names if len(name) > 2]
    table = mentions_of(joined(rows, fields), long)
    own = other = 0
    for name in table.columns:
        mine = (rows["label"] == name).fill_null(False)
        own += int((table[name] & mine).sum())
        rest = [table[n] for n in table.columns if n != name]
        if rest:
            elsewhere = pl.DataFrame(rest).max_horizontal()
            other += int((elsewhere & mine & ~table[name]).sum())
    return own, other


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add the shares of suspect labels, contradictory copies, and rows that state the label."""
    if inputs.answer_kind not in (*ONE_LABEL, "span") or not inputs.text_fields:
        reason = f"answers of kind {inputs.answer_kind} cannot be checked by a classifier"
        for metric in ("label_suspects", "contradictory_duplicates", "label_in_text"):
            collector.skip(metric, reason if inputs.text_fields else "the task has no text field")
        return
    rows, gold = inputs.rows, inputs.reference
    fields = list(inputs.fields)
    clash = contradictions(rows, fields)
    share = None if gold is None else _mean(contradictions(gold, fields))
    figure = proportion("contradictory_duplicates", "all", int(clash.sum()), rows.height, share)
    collector.add(figure)
    collector.mark("contradictory_duplicates", clash.to_numpy())
    if inputs.answer_kind in ONE_LABEL:
        _stated(inputs, collector)
    else:
        collector.skip("label_in_text", "the answer of a span is part of the text")
    _suspects(inputs, collector)


def _mean(flags: pl.Series) -> float | None:
    return float(flags.mean()) if flags.len() else None  # type: ignore[arg-type]


def _stated(inputs: ReportInputs, collector: MetricCollector) -> None:
    names = label_set(inputs)
    own, other = stated(inputs.rows, inputs.text_fields, names)
    expected = other / max(len(names) - 1, 1)
    excess = own - expected
    sure = own >= MIN_MENTIONS and excess > 3 * np.sqrt(max(own + expected, 1))
    share = None
    if inputs.reference is not None and inputs.reference.height:
        mine, theirs = stated(inputs.reference, inputs.text_fields, names)
        share = max(mine - theirs / max(len(names) - 1, 1), 0) / inputs.reference.height
    hits = round(excess) if sure else 0
    collector.add(proportion("label_in_text", "all", hits, inputs.rows.height, share))


def _suspects(inputs: ReportInputs, collector: MetricCollector) -> None:
    held = collector.shared.get("held_out")
    if held is None:
        collector.skip(
            "label_suspects", collector.skipped.get("v_information", "each row has its own options")
        )
        return
    weak = too_weak(held.probability, held.labels, held.bits)
    if weak is not None:
        collector.skip("label_suspects", weak)
        return
    flags = confident_errors(held.probability, held.labels)
    other = collector.shared.get("held_out_reference")
    share = None
    if other is not None and not too_weak(other.probability, other.labels, other.bits):
        share = float(confident_errors(other.probability, other.labels).mean())
    count = int(flags.sum())
    collector.add(proportion("label_suspects", "all", count, flags.size, share))
    margins = margin(held.probability, held.labels)
    suspect = np.flatnonzero(flags)
    if "annotated_label" in inputs.rows.columns:
        read = inputs.rows[held.rows[suspect]].filter(pl.col("annotated_label").is_not_null())
        collector.details["suspects_read"] = {
            "rows": read.height,
            "confirmed": int((read["annotated_label"] == read["label"]).sum()),
        }
    ranked = suspect[np.argsort(margins[suspect], kind="stable")]
    collector.shared["suspects"] = [
        (int(held.rows[i]), held.names(int(i)), float(margins[i])) for i in ranked
    ]
    found: list[dict[str, Any]] = [
        {"margin": round(gap, 4), "predicted": name, **inputs.rows.row(row, named=True)}
        for row, name, gap in collector.shared["suspects"][:SHOWN]
    ]
    collector.details["suspects"] = found
    marks = np.zeros(inputs.rows.height, dtype=bool)
    marks[held.rows[suspect]] = True
    collector.mark("label_suspects", marks)
