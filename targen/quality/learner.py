"""The small classifier that difficulty, shortcuts and utility are measured with."""

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from targen.quality.intervals import Floats
from targen.quality.text import Ints, generator, joined, words

FOLDS = 5
INNER = 3
STRENGTHS = (0.3, 6.0, 120.0)
"""Inverse regularisation strengths to choose from."""
SURE = 1.64


class Features:
    """TF-IDF of words and word pairs, each field by itself.

    Vocabulary and document frequencies come from the rows it is made with; labels play no part
    in them, so held-out rows may be among these.
    """

    def __init__(self, rows: pl.DataFrame, fields: Sequence[str]) -> None:
        """Learn the vocabulary of `fields` in `rows`."""
        self._fitted: dict[str, Any] = {}
        for name in fields:
            vectoriser = tf_idf(words(joined(rows, [name])).to_list(), fewest(rows.height))
            # A field without a word that is common enough has no vocabulary and is left out.
            if vectoriser is not None:
                self._fitted[name] = vectoriser

    def of(self, rows: pl.DataFrame) -> Any:
        """Return the features of `rows`, a sparse matrix in CSR form."""
        from scipy import sparse  # noqa: PLC0415

        parts = [sparse.csr_matrix((rows.height, 1))]
        for name, vectoriser in self._fitted.items():
            parts.append(vectoriser.transform(words(joined(rows, [name])).to_list()))
        return sparse.hstack(parts, format="csr")


def fewest(rows: int) -> int:
    """Return in how many of so many rows a word must stand to be a feature."""
    return 3 if rows > 200 else 1


def tf_idf(lists: Sequence[Sequence[str]], least: int) -> Any:
    """Return a TF-IDF vectoriser of words and word pairs that stand in `least` lists or more.

    None where there is no such word.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415

    if max(Counter(w for row in lists for w in set(row)).values(), default=0) < least:
        return None
    return TfidfVectorizer(analyzer=_grams, sublinear_tf=True, min_df=least).fit(lists)


def _grams(row: Sequence[str]) -> list[str]:
    """Return words and pairs of neighbouring words."""
    return [*row, *(f"{a} {b}" for a, b in pairwise(row))]


def folds(labels: Ints, groups: Ints, count: int, *seed: Any) -> Ints:
    """Return a fold number below `count` per row, labels spread evenly over folds, seeded.

    Rows of one group share a fold, so that a model is never tested on the twin of a row it was
    trained on; a group counts under the label of its first row.
    """
    _, first, place = np.unique(groups, return_index=True, return_inverse=True)
    heads = labels[first]
    order = generator("folds", *seed).permutation(heads.size)
    order = order[np.argsort(heads[order], kind="stable")]
    out = np.empty(heads.size, dtype=np.int64)
    out[order] = np.arange(heads.size) % count
    return out[place]


@dataclass(frozen=True)
class Scores:
    """Held-out results of cross-validation.

    Attributes:
        probability: of each label, (rows, labels).
        null: the same from the label shares of the training rows alone.
    """

    probability: Floats
    null: Floats


def fitted(
    features: Any, labels: Ints, groups: Ints, size: int, *seed: Any
) -> Callable[[Any], Floats]:
    """Fit logistic regression, or nothing but the label shares where it does not beat them.

    The strength is chosen by `INNER`-fold cross-validation on the training rows. The family also
    holds the model that ignores the text; it is taken unless the gain in log loss is at least
    `SURE` standard errors (after the one-standard-error rule of Breiman et al. 1984), so that
    noise is not mistaken for a signal.

    Returns:
        A function from features to probabilities, (rows, size).
    """
    shares = shares_of(labels, size)
    null = -np.log(shares[labels])

    def loss_of(train: Ints, held: Ints, strength: float) -> Floats:
        if np.unique(labels[train]).size < 2:
            return null[held]
        predict = trained(features[train], labels[train], size, strength)
        found = predict(features[held])[np.arange(held.size), labels[held]]
        return np.asarray(-np.log(found), dtype=np.float64)

    best = best_strength(null, folds(labels, groups, INNER, "inner", *seed), loss_of)
    if best is None:
        return lambda matrix: np.repeat(shares[None], matrix.shape[0], axis=0)
    return trained(features, labels, size, best)


def best_strength(
    null: Floats, order: Ints, loss_of: Callable[[Ints, Ints, float], Floats]
) -> float | None:
    """Return the strength of the least held-out log loss; None where `null` is as good.

    Args:
        null: log loss per row of the model that ignores the text.
        order: fold number per row, below `INNER`.
        loss_of: (training rows, held-out rows, strength) -> log loss per held-out row.
    """
    best, gain = None, 0.0
    for strength in STRENGTHS:
        loss = null.copy()
        for k in range(INNER):
            train, held = np.flatnonzero(order != k), np.flatnonzero(order == k)
            if train.size and held.size:
                loss[held] = loss_of(train, held, strength)
        better = null - loss
        mean = float(better.mean())
        if mean > gain and mean > SURE * float(better.std()) / np.sqrt(null.size):
            best, gain = strength, mean
    return best


def trained(features: Any, labels: Ints, size: int, strength: float) -> Callable[[Any], Floats]:
    """Fit one logistic regression; return its probabilities as a function of features."""
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    model = LogisticRegression(C=strength, max_iter=100, tol=1e-3)
    # The vectors are short: threads of the BLAS would wait for each other most of the time
    # (40 times slower on two busy cores) and could change the last digits of a sum.
    with _pools().limit(limits=1), warnings.catch_warnings():
        # Stopping early is a form of regularisation here, not a failure.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features, labels)

    def predict(matrix: Any) -> Floats:
        out = np.full((matrix.shape[0], size), 1e-9)
        out[:, model.classes_] = np.maximum(model.predict_proba(matrix), 1e-9)
        return np.asarray(out / out.sum(axis=1, keepdims=True), dtype=np.float64)

    return predict


@cache
def _pools() -> Any:
    """Return the thread pools of the libraries that fitting has loaded; finding them is slow."""
    from threadpoolctl import (  # type: ignore[import-untyped]  # noqa: PLC0415
        ThreadpoolController,
    )

    return ThreadpoolController()


def shares_of(labels: Ints, size: int) -> Floats:
    """Return label shares with half a row added to each label."""
    counts = np.bincount(labels, minlength=size) + 0.5
    return np.asarray(counts / counts.sum(), dtype=np.float64)


def cross_validated(features: Any, labels: Ints, groups: Ints, size: int) -> Scores:
    """Predict every row by a model that saw no label of its group, in `FOLDS` folds."""
    fold = folds(labels, groups, FOLDS, labels.size)
    probability = np.zeros((labels.size, size))
    null = np.zeros((labels.size, size))
    for k in range(FOLDS):
        train, test = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        if test.size and train.size:
            model = fitted(features[train], labels[train], groups[train], size, k)
            probability[test] = model(features[test])
            null[test] = shares_of(labels[train], size)
    return Scores(probability, null)


def groups_of(rows: pl.DataFrame, pair_field: str | None) -> Ints:
    """Return a group number per row: that of its pair, or its own."""
    alone = np.arange(rows.height, dtype=np.int64)
    if pair_field is None or pair_field not in rows.columns:
        return alone
    pairs = rows[pair_field].rank("dense").fill_null(0).to_numpy().astype(np.int64)
    return np.where(pairs > 0, pairs, rows.height + 1 + alone)


def coded(labels: pl.Series, names: Sequence[str]) -> Ints:
    """Return labels as numbers in `names`, -1 for others."""
    numbers = {name: i for i, name in enumerate(names)}
    series = labels.replace_strict(numbers, default=-1, return_dtype=pl.Int64).fill_null(-1)
    return series.to_numpy().astype(np.int64)


@dataclass(frozen=True)
class Labels:
    """Rows of which each has one label of a fixed set, to be told from all text fields.

    Attributes:
        fields: what is read.
        names: the labels.
        pair_field: field whose equal values tie rows together.
    """

    fields: Sequence[str]
    names: Sequence[str]
    pair_field: str | None = None
    guess = "commonest label"
    """What is named where nothing is known."""

    @property
    def known_by(self) -> Sequence[str]:
        """Fields that make two rows one."""
        return self.fields

    def usable(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows that can be learned from."""
        return rows.filter(pl.col("label").is_in(self.names))

    def scored(self, rows: pl.DataFrame) -> tuple[Scores, Ints]:
        """Return held-out scores of usable rows, and the number of each one's label."""
        labels = coded(rows["label"], self.names)
        features = Features(rows, self.fields).of(rows)
        groups = groups_of(rows, self.pair_field)
        return cross_validated(features, labels, groups, len(self.names)), labels

    def right(self, train: pl.DataFrame, test: pl.DataFrame, *seed: Any) -> Floats:
        """Train on usable rows; return right (1 or 0) per row of `test`."""
        features, labels = Features(train, self.fields), coded(train["label"], self.names)
        alone = groups_of(train, None)
        model = fitted(features.of(train), labels, alone, len(self.names), *seed)
        guess = model(features.of(test)).argmax(axis=1)
        return np.asarray(guess == coded(test["label"], self.names), dtype=np.float64)

    def named(self, row: pl.DataFrame, number: int) -> str:
        """Return what `number` stands for in the scores of a row."""
        return self.names[number]

    def guessed(self, rows: pl.DataFrame) -> float:
        """Return the accuracy of always naming the commonest label of `rows`."""
        return float(rows["label"].value_counts()["count"].max() or 0) / rows.height  # type: ignore[arg-type]
