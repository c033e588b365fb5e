"""A small classifier that learns from the set, and what it makes of other rows.

It is the classifier of the report with the traits of `traits.relations` as further features:
without them, it cannot see how two fields are related, which is all that matters in tasks such as
entailment.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from targen.quality import learner
from targen.quality.intervals import Floats
from targen.quality.text import Ints, sample, words
from targen.targeting import traits

Z_SURE: Final = 1.645
"""Standard errors above guessing from which predictions are better than chance (one-sided 5%)."""
WEIGHT: Final = 2.0
"""Length of the relations' part of a row, beside 1 of each text: they are few but not sparse."""
FEWEST_GOLD: Final = 50
"""Gold rows that a student must be tested on."""
MOST_ROWS: Final = 3000
"""Rows that a student is trained or tested on; larger sets are sampled."""


class _Features:
    def __init__(self, rows: pl.DataFrame, fields: Sequence[str], language: str) -> None:
        self._text = learner.TextFeatures(rows, fields)
        self._fields, self._language = fields, language

    def transform(self, rows: pl.DataFrame) -> Any:
        from scipy import sparse  # noqa: PLC0415 - slow to import

        own = [one.has for one in traits.relations(rows, self._fields, self._language)]
        said = [words(rows[name]).to_list() for name in self._fields]
        numbers = [np.log1p([len(one) for one in part]) / 4 for part in said]
        for at in range(len(said)):
            numbers += [traits.shared(said[i], said[at], self._language) for i in range(at)]
        dense = np.array([*own, *numbers], dtype=np.float64).T * WEIGHT
        return sparse.hstack([self._text.transform(rows), sparse.csr_matrix(dense)], format="csr")


@dataclass(frozen=True)
class Student:
    """A classifier that was trained on the set.

    Attributes:
        names: the labels.
        rows: numbers of the rows that it was trained on.
        labels: index of the label of each of them.
        held_out: probability of each label of each of them, predicted by models that were trained
            without the row, (rows, labels).
        predict: rows with the same fields -> probability of each label.
    """

    names: Sequence[str]
    rows: Ints
    labels: Ints
    held_out: Floats
    predict: Callable[[pl.DataFrame], Floats]

    @property
    def easiest(self) -> list[int]:
        """The numbers of its rows; those that it is surest of, and right, come first."""
        own = self.held_out[np.arange(self.labels.size), self.labels]
        found: list[int] = self.rows[np.argsort(-own, kind="stable")].tolist()
        return found

    @property
    def judges(self) -> bool:
        """Whether it is better than chance on rows of the set that it has not seen."""
        return above_chance(self.held_out, self.labels) >= Z_SURE


@dataclass(frozen=True)
class Exam:
    """What a student makes of gold rows.

    Attributes:
        gold: the gold rows.
        labels: index of their labels.
        probability: of each label, (rows, labels).
        judges: whether the student is better than chance on them, or would be if it had learned
            from gold rows. If not, its errors say nothing about the set.
    """

    gold: pl.DataFrame
    labels: Ints
    probability: Floats
    judges: bool

    @property
    def guesses(self) -> Ints:
        """Index of the label that the student takes each row for."""
        return np.asarray(self.probability.argmax(axis=1), dtype=np.int64)

    @property
    def accuracy(self) -> float:
        """Share of gold rows that the student gets right."""
        return float((self.guesses == self.labels).mean())


def trained_on(
    rows: pl.DataFrame, fields: Sequence[str], names: Sequence[str], language: str, pair: str | None
) -> Student:
    """Train a student on the rows that have one of the labels."""
    own = usable(rows.with_row_index("_row"), names)
    features, labels = _Features(own, fields, language), learner.label_codes(own["label"], names)
    matrix, groups = features.transform(own), learner.groups_of(own, pair)
    scores = learner.cross_validated(matrix, labels, groups, len(names))
    model = learner.fitted(matrix, labels, groups, len(names), "student")
    return Student(
        names,
        own["_row"].to_numpy().astype(np.int64),
        labels,
        scores.probability,
        lambda other: model(features.transform(other)),
    )


def examined(student: Student, gold: pl.DataFrame, fields: Sequence[str], language: str) -> Exam:
    """Return what a student makes of labeled gold rows."""
    labels, probability = learner.label_codes(gold["label"], student.names), student.predict(gold)
    judges = above_chance(probability, labels) >= Z_SURE
    judges = judges or trained_on(gold, fields, student.names, language, None).judges
    return Exam(gold, labels, probability, judges)


def above_chance(probability: Floats, labels: Ints) -> float:
    """Return how many standard errors predictions are better than for labels in another order.

    The sum of the probabilities of the right labels is compared with its mean over all
    permutations of the labels, in closed form (Hoeffding 1951). A model that only prefers one
    label gains nothing, however common that label is.
    """
    own = probability[:, labels]
    total = float(np.trace(own))
    centered = own - own.mean(axis=0) - own.mean(axis=1)[:, None] + own.mean()
    spread = math.sqrt(float((centered**2).sum()) / max(1, labels.size - 1))
    # Rounding leaves a little where all predictions are equal.
    return (total - float(own.sum()) / labels.size) / spread if spread > 1e-9 else 0.0


def usable(rows: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Return the rows with a known label, a sample of them if there are many."""
    return sample(rows.filter(pl.col("label").is_in(names)), MOST_ROWS)
