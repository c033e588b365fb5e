"""The small classifier behind the difficulty, shortcut and utility metrics.

TF-IDF per field and logistic regression: no model files, and the same results on every machine.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from targen.quality.intervals import Floats
from targen.quality.text import Ints, generator, joined, words

FOLDS = 5
INNER = 3
STRENGTHS = (0.3, 6.0, 120.0)
"""Inverse regularization strengths to choose from."""
MIN_Z = 1.64
"""Standard errors of the gain in log loss from which a model is better than none."""


class TextFeatures:
    """TF-IDF of words and word pairs, separately per field.

    The vocabulary and the document frequencies come from the rows given to the constructor.
    They do not use labels, so these rows may include held-out rows.
    """

    def __init__(self, rows: pl.DataFrame, fields: Sequence[str]) -> None:
        self._fitted: dict[str, Any] = {}
        for name in fields:
            vectorizer = tf_idf(words(joined(rows, [name])).to_list(), min_rows(rows.height))
            if vectorizer is not None:
                self._fitted[name] = vectorizer

    def transform(self, rows: pl.DataFrame) -> Any:
        """Return the features of `rows`, a sparse matrix in CSR form."""
        from scipy import sparse  # noqa: PLC0415

        parts = [sparse.csr_matrix((rows.height, 1))]
        for name, vectorizer in self._fitted.items():
            parts.append(vectorizer.transform(words(joined(rows, [name])).to_list()))
        return sparse.hstack(parts, format="csr")


def min_rows(rows: int) -> int:
    """Return the number of rows out of `rows` that must contain a word to make it a feature."""
    return 3 if rows > 200 else 1


def tf_idf(lists: Sequence[Sequence[str]], least: int) -> Any:
    """Return a TF-IDF vectorizer of the words and word pairs found in at least `least` lists.

    None if there are none.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415

    if max(Counter(w for row in lists for w in set(row)).values(), default=0) < least:
        return None
    return TfidfVectorizer(analyzer=_grams, sublinear_tf=True, min_df=least).fit(lists)


def _grams(row: Sequence[str]) -> list[str]:
    return [*row, *(f"{a} {b}" for a, b in pairwise(row))]


def folds(labels: Ints, groups: Ints, count: int, *seed: Any) -> Ints:
    """Return a fold number below `count` per row, stratified by label and seeded.

    Rows of one group share a fold, so that no model is tested on the pair partner of a training
    row. A group is stratified by the label of its first row.
    """
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    heads = labels[first]
    order = generator("folds", *seed).permutation(heads.size)
    order = order[np.argsort(heads[order], kind="stable")]
    out = np.empty(heads.size, dtype=np.int64)
    out[order] = np.arange(heads.size) % count
    return out[group]


@dataclass(frozen=True)
class HeldOutScores:
    """Held-out predictions of cross-validation.

    Attributes:
        probability: predicted probability of each label, (rows, labels).
        null: the same, predicted from the label shares of the training rows alone.
    """

    probability: Floats
    null: Floats


class Accuracies(NamedTuple):
    """Accuracy per row, 0 to 1: of a model, and of guessing without the text."""

    model: Floats
    guess: Floats


def fitted(
    features: Any, labels: Ints, groups: Ints, size: int, *seed: Any
) -> Callable[[Any], Floats]:
    """Fit logistic regression; `INNER`-fold cross-validation chooses the strength.

    The label shares are never used in place of a fit, however little it gains: a switch between
    the two would make the figures of one distribution jump, which no interval can cover, and rows
    with equal predictions would have none. Rows that do not differ have nothing to fit.

    Returns:
        A function from features to probabilities, (rows, size).
    """
    shares = label_shares(labels, size)
    null = -np.log(shares[labels])

    def loss_of(train: Ints, held: Ints, strength: float) -> Floats:
        if np.unique(labels[train]).size < 2:
            return null[held]
        predict = trained(features[train], labels[train], size, strength)
        found = predict(features[held])[np.arange(held.size), labels[held]]
        return np.asarray(-np.log(found), dtype=np.float64)

    if _equal(features) or np.unique(labels).size < 2:
        return _constant(shares)
    best, _ = best_strength(null, folds(labels, groups, INNER, "inner", *seed), loss_of)
    return trained(features, labels, size, best)


def _equal(features: Any) -> bool:
    """Return whether all rows of a CSR matrix are equal."""
    lowest, highest = features.min(axis=0), features.max(axis=0)
    return bool((lowest != highest).nnz == 0)


def _constant(shares: Floats) -> Callable[[Any], Floats]:
    """Return a model that predicts the label shares for every row."""
    return lambda matrix: np.repeat(shares[None], matrix.shape[0], axis=0)


def splits(fold: Ints, count: int) -> Iterator[tuple[int, Ints, Ints]]:
    """Yield the number, the training rows and the held-out rows of each fold that has both."""
    for k in range(count):
        train, held = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        if train.size and held.size:
            yield k, train, held


def best_strength(
    null: Floats, fold: Ints, loss_of: Callable[[Ints, Ints, float], Floats]
) -> tuple[float, bool]:
    """Return the strength with the lowest held-out log loss, and whether it beats the null model.

    It does if the gain is at least `MIN_Z` standard errors (after the one-standard-error rule of
    Breiman et al. 1984).

    Args:
        null: log loss per row of the null model, which ignores the text.
        fold: fold number per row, below `INNER`.
        loss_of: (training rows, held-out rows, strength) -> log loss per held-out row.
    """
    best, sure, least = STRENGTHS[0], False, np.inf
    for strength in STRENGTHS:
        loss = null.copy()
        for _, train, held in splits(fold, INNER):
            loss[held] = loss_of(train, held, strength)
        if float(loss.mean()) < least:
            best, least = strength, float(loss.mean())
            better = null - loss
            sure = better.mean() > MIN_Z * float(better.std()) / np.sqrt(null.size)
    return best, bool(sure)


def trained(features: Any, labels: Ints, size: int, strength: float) -> Callable[[Any], Floats]:
    """Fit one logistic regression; return a function from features to probabilities."""
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    model = LogisticRegression(C=strength, max_iter=100, tol=1e-3)
    # The vectors are short: BLAS threads would mostly wait for each other (40 times slower on
    # two busy cores) and could change the last digits of a sum.
    with _thread_pools().limit(limits=1), warnings.catch_warnings():
        # Early stopping is intended here, as regularization.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features, labels)

    def predict(matrix: Any) -> Floats:
        out = np.full((matrix.shape[0], size), 1e-9)
        out[:, model.classes_] = np.maximum(model.predict_proba(matrix), 1e-9)
        return np.asarray(out / out.sum(axis=1, keepdims=True), dtype=np.float64)

    return predict


@cache
def _thread_pools() -> Any:
    """Return the controller of BLAS thread pools; creating one is slow."""
    from threadpoolctl import (  # type: ignore[import-untyped]  # noqa: PLC0415
        ThreadpoolController,
    )

    return ThreadpoolController()


def label_shares(labels: Ints, size: int) -> Floats:
    """Return label shares with a pseudo-count of 0.5 per label."""
    counts = np.bincount(labels, minlength=size) + 0.5
    return np.asarray(counts / counts.sum(), dtype=np.float64)


def cross_validated(
    features: Any, labels: Ints, groups: Ints, size: int, strength: float | None = None
) -> HeldOutScores:
    """Predict every row in `FOLDS` folds, with a model trained without any row of its group.

    A given strength is used as it is; otherwise each fold chooses one (see `fitted`).
    """
    fold = folds(labels, groups, FOLDS, labels.size)
    probability = np.zeros((labels.size, size))
    null = np.zeros((labels.size, size))
    for k, train, test in splits(fold, FOLDS):
        if strength is None:
            model = fitted(features[train], labels[train], groups[train], size, k)
        elif np.unique(labels[train]).size > 1:
            model = trained(features[train], labels[train], size, strength)
        else:
            model = _constant(label_shares(labels[train], size))
        probability[test] = model(features[test])
        null[test] = label_shares(labels[train], size)
    return HeldOutScores(probability, null)


def groups_of(rows: pl.DataFrame, pair_field: str | None) -> Ints:
    """Return a group number per row, shared by the rows of a pair."""
    alone = np.arange(rows.height, dtype=np.int64)
    if pair_field is None or pair_field not in rows.columns:
        return alone
    pairs = rows[pair_field].rank("dense").fill_null(0).to_numpy().astype(np.int64)
    return np.where(pairs > 0, pairs, rows.height + 1 + alone)


def label_codes(labels: pl.Series, names: Sequence[str]) -> Ints:
    """Return the index of each label in `names`, -1 for other labels."""
    numbers = {name: i for i, name in enumerate(names)}
    series = labels.replace_strict(numbers, default=-1, return_dtype=pl.Int64).fill_null(-1)
    return series.to_numpy().astype(np.int64)


@dataclass(frozen=True)
class LabelClassifier:
    """Predicts one label of a fixed set from all text fields.

    Attributes:
        fields: the text fields to learn from.
        names: the labels.
        pair_field: rows with the same value in this field are held out together.
    """

    fields: Sequence[str]
    names: Sequence[str]
    pair_field: str | None = None
    baseline = "commonest label"

    @property
    def identity_fields(self) -> Sequence[str]:
        """Rows that are equal in these fields count as the same row."""
        return self.fields

    def usable(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows with a known label."""
        return rows.filter(pl.col("label").is_in(self.names))

    def cross_validate(self, rows: pl.DataFrame) -> tuple[HeldOutScores, Ints]:
        """Return the held-out scores of usable rows and the index of each row's label."""
        labels = label_codes(rows["label"], self.names)
        features = TextFeatures(rows, self.fields).transform(rows)
        groups = groups_of(rows, self.pair_field)
        return cross_validated(features, labels, groups, len(self.names)), labels

    def accuracy(self, train: pl.DataFrame, test: pl.DataFrame, *seed: Any) -> Floats:
        """Train on usable rows; return 1 (correct) or 0 per row of `test`."""
        features, labels = TextFeatures(train, self.fields), label_codes(train["label"], self.names)
        alone = groups_of(train, None)
        model = fitted(features.transform(train), labels, alone, len(self.names), *seed)
        guess = model(features.transform(test)).argmax(axis=1)
        return np.asarray(guess == label_codes(test["label"], self.names), dtype=np.float64)

    def answer_text(self, row: pl.DataFrame, number: int) -> str:
        """Return the label with index `number`."""
        return self.names[number]

    def baseline_accuracy(self, rows: pl.DataFrame) -> float:
        """Return the accuracy of always predicting the commonest label of `rows`."""
        return float(rows["label"].value_counts()["count"].max() or 0) / rows.height  # type: ignore[arg-type]
