"""Rows that a bag of words gets right with ease."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from targen.quality import learner
from targen.quality.difficulty import FEWEST, classifier_for, reason_not_learnable, row_information
from targen.quality.intervals import wilson
from targen.quality.rules import percent
from targen.quality.shortcuts import word_cues
from targen.quality.text import Ints, sample
from targen.targeting.associations import WORDS, own_words
from targen.targeting.gaps import Gap, View
from targen.tasks.targets import Avoid, Target

METRIC: Final = "easy_rows"
EASY: Final = 0.8
"""Part of the greatest PVI from which a row is easy: with two even labels, the label has a
probability of at least 0.87."""
USUAL: Final = 0.5
"""Share of easy rows that is no gap where there are no gold rows to compare with."""
MORE: Final = 0.1
"""Difference from that share, or from the gold rows' share, that is worth a target."""
HARD: Final = "hard"


@dataclass(frozen=True)
class Ease:
    """How many rows are easy.

    Attributes:
        share: share of easy rows.
        low, high: its 95% interval.
        bound: the share that is no gap.
        rows: numbers of the easy rows, the easiest first.
    """

    share: float
    low: float
    high: float
    bound: float
    rows: Ints


def measured(view: View) -> Ease | None:
    """Return how many rows are easy; None if no classifier can learn the task.

    A row is easy if the report's classifier gets it right with at least `EASY` of the greatest
    pointwise V-information (see `targen.quality.difficulty.pvi`). Of gold rows, as many are judged.
    """
    inputs = view.inputs
    if reason_not_learnable(inputs) is not None:
        return None
    numbered = sample(
        classifier_for(inputs).usable(view.rows.with_row_index("_row")), inputs.most_rows
    )
    easy, order = _easy(view, numbered)
    share, bound = float(easy.mean()), USUAL
    gold = inputs.reference
    if gold is not None:
        theirs = sample(classifier_for(inputs).usable(gold), numbered.height)
        if theirs.height >= FEWEST and theirs["label"].n_unique() > 1:
            bound = float(_easy(view, theirs)[0].mean())
    # The rows of a cross-validation share training rows, see `held_out_mean`.
    worth = numbered.height / (1 + learner.FOLDS / (learner.FOLDS - 1))
    low, high = wilson(share * worth, worth)
    rows = numbered["_row"].to_numpy().astype(np.int64)[order]
    return Ease(share, low or 0.0, 1.0 if high is None else high, bound, rows[easy[order]])


def _easy(view: View, rows: pl.DataFrame) -> tuple[Any, Ints]:
    """Return whether each row is easy, and the rows from the easiest to the hardest."""
    values, answers, scores = row_information(rows, classifier_for(view.inputs))
    most = -np.log2(scores.null[np.arange(answers.size), answers])
    right = scores.probability.argmax(axis=1) == answers
    return right & (values >= EASY * most), np.argsort(-values, kind="stable")


def too_easy(view: View) -> list[Gap]:
    """Return the easy rows of each label, if they are a flood."""
    found = measured(view)
    if found is None or found.low <= found.bound or found.share < found.bound + MORE:
        return []
    planned = "planned_difficulty" in view.rows.columns
    planned = planned and view.rows["planned_difficulty"].count() > 0
    need = (found.share - found.bound) * view.rows.height
    cues = word_cues(view.rows[found.rows], view.inputs.text_fields, view.names)
    expected = f"{percent(found.bound)} of the gold rows"
    if view.inputs.reference is None:
        expected = f"at most {percent(found.bound)} is usual"
    gaps = []
    labels: list[str | None] = [*view.names] or [None]
    for label in labels:
        easiest = "easiest" if label is None else f"easiest {label}"
        rows = [int(row) for row in found.rows if label is None or view.labels[row] == label]
        if not rows:
            continue
        share = round(need * len(rows) / len(found.rows))
        mine = own_words(view, label) if label is not None else set()
        named = [
            cue["word"]
            for cue in cues
            if cue["label"] == label and cue["sure"] and cue["word"][:5] not in mine
        ]
        gaps.append(
            Gap(
                "too_easy",
                "A bag-of-words classifier is right and confident about the label of "
                f"{percent(found.share)} of the rows ({expected}). Replace the {easiest} rows by "
                "rows in which no single word gives the label away.",
                METRIC,
                "all",
                found.share,
                found.bound,
                share,
                rows,
                # Less than gaps with a known cause: these may be what it comes from.
                (found.share - found.bound) / (1 - found.bound) / 2,
                found.low,
                found.high,
                {
                    "label": label,
                    "difficulty": HARD if planned else None,
                    "demand": "No single word may give the label away.",
                    "avoid": Avoid(words=list(dict.fromkeys(named))[:WORDS]),
                },
                others_count=True,
                unexplained=True,
            )
        )
    return gaps


def current(view: View, target: Target) -> float | None:
    """Return the present share of easy rows."""
    del target
    found = measured(view)
    return None if found is None else found.share
