"""The small classifier for rows whose answer is one of the row's own options."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from targen.quality import learner
from targen.quality.intervals import Floats
from targen.quality.text import Ints, joined, spans, words

PAIRED = 30
"""Words of a row's other fields, by highest TF-IDF weight, that are paired with words of its
options. The number of pairs grows with both lengths; a passage of 300 words would cost ten times
as much."""


@dataclass(frozen=True)
class RowOptions:
    """The options of some rows, concatenated.

    Attributes:
        texts: text of every option, distinct within a row.
        sizes: number of options per row.
        answers: index of the answer among its row's options, -1 if it is not one of them.
        contexts: text of the other fields per row.
    """

    texts: list[str]
    sizes: Ints
    answers: Ints
    contexts: pl.Series

    @property
    def owners(self) -> Ints:
        """Row number per option."""
        return np.repeat(np.arange(self.sizes.size), self.sizes)


def read_options(rows: pl.DataFrame, fields: Sequence[str], options: Sequence[str]) -> RowOptions:
    """Collect the options of each row.

    Args:
        rows: with a column `label`.
        fields: the fields to compare an option with.
        options: one list field (`label` is then one of its texts), or one field per option
            (`label` is then the index of the field).
    """
    texts: list[str] = []
    sizes = np.zeros(rows.height, dtype=np.int64)
    answers = np.full(rows.height, -1, dtype=np.int64)
    for i, (label, *cells) in enumerate(rows.select("label", *options).iter_rows()):
        if len(options) == 1:
            offered, answer = cells[0] or [], label
        else:
            offered, answer = cells, {str(k): cell for k, cell in enumerate(cells)}.get(label)
        distinct = [text for text in dict.fromkeys(offered) if text is not None]
        texts += distinct
        sizes[i] = len(distinct)
        answers[i] = distinct.index(answer) if answer in distinct else -1
    return RowOptions(texts, sizes, answers, joined(rows, fields))


class OptionFeatures:
    """Features of an option, alone and relative to the rest of its row.

    - TF-IDF of the option's words and word pairs;
    - for each pair of a context word and an option word that is common enough, the product of
      their weights;
    - the share of the option's words found in the context, weighted by inverse document frequency.

    Features of the context alone are the same for all options of a row and cannot rank them.
    Labels are not used.
    """

    def __init__(self, rows: RowOptions) -> None:
        least = learner.min_rows(rows.sizes.size)
        contexts, options = _words(rows.contexts), _words(rows.texts)
        self._options = learner.tf_idf(options, least)
        self._contexts = learner.tf_idf(contexts, least)
        self._pairs = np.empty(0, dtype=np.int64)
        if self._options is not None and self._contexts is not None:
            codes, _, _ = self._word_pairs(contexts, options, rows.owners)
            known, counts = np.unique(codes, return_counts=True)
            self._pairs = known[counts >= least]

    def transform(self, rows: RowOptions) -> Any:
        """Return the features of every option of `rows`, a sparse matrix in CSR form."""
        from scipy import sparse  # noqa: PLC0415

        contexts, options = _words(rows.contexts), _words(rows.texts)
        parts = [sparse.csr_matrix(self._overlap(contexts, options, rows.owners)[:, None])]
        if self._options is not None:
            parts.append(self._options.transform(options))
        if self._pairs.size:
            codes, weights, owners = self._word_pairs(contexts, options, rows.owners)
            columns = np.minimum(np.searchsorted(self._pairs, codes), self._pairs.size - 1)
            known = self._pairs[columns] == codes
            shape = (len(options), self._pairs.size)
            cells = (weights[known], (owners[known], columns[known]))
            parts.append(sparse.csr_matrix(cells, shape=shape))
        return sparse.hstack(parts, format="csr")

    def _overlap(self, contexts: list[list[str]], options: list[list[str]], owners: Ints) -> Floats:
        idf: dict[str, float] = {}
        rarest = 1.0
        if self._contexts is not None:
            idf = {w: self._contexts.idf_[i] for w, i in self._contexts.vocabulary_.items()}
            rarest = float(self._contexts.idf_.max())
        known = [set(row) for row in contexts]
        out = np.zeros(len(options))
        for i, option in enumerate(options):
            weights = {word: idf.get(word, rarest) for word in option}
            if weights:
                common = sum(weights[word] for word in weights if word in known[owners[i]])
                out[i] = common / sum(weights.values())
        return out

    def _word_pairs(
        self, contexts: list[list[str]], options: list[list[str]], owners: Ints
    ) -> tuple[Ints, Floats, Ints]:
        """Return code, weight and option of every pair of a context word and an option word."""
        left = _heaviest(self._contexts.transform(contexts), PAIRED)
        right = _heaviest(self._options.transform(options), PAIRED)
        of = np.repeat(np.arange(len(options)), np.diff(right.indptr))
        lengths = np.diff(left.indptr).astype(np.int64)[owners[of]]
        ones = spans(left.indptr[owners[of]].astype(np.int64), lengths)
        twos = np.repeat(np.arange(right.nnz), lengths)
        codes = left.indices[ones].astype(np.int64) * right.shape[1] + right.indices[twos]
        return codes, left.data[ones] * right.data[twos], of[twos]


def _words(texts: pl.Series | Sequence[str]) -> list[list[str]]:
    found: list[list[str]] = words(pl.Series(texts, dtype=pl.String)).to_list()
    return found


def _heaviest(matrix: Any, count: int) -> Any:
    """Return a CSR matrix with the `count` largest entries of each row."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((matrix.indices, -matrix.data, rows))
    rank = np.arange(order.size) - matrix.indptr[rows[order]]
    kept = matrix.copy()
    kept.data[order[rank >= count]] = 0
    kept.eliminate_zeros()
    return kept


def fitted(
    matrix: Any, sizes: Ints, answers: Ints, groups: Ints, *seed: Any
) -> Callable[[Any, Ints], Floats]:
    """Fit logistic regression on whether an option is its row's answer.

    If options are independent with odds e^z and exactly one is correct, option i is correct with
    probability e^(z_i) / sum over the row's options of e^(z_j): a softmax of log odds, the form of
    conditional logit (McFadden 1974). The strength is chosen as in `learner.fitted`; a
    model that is no better than 1 / number of options is replaced by it.

    Args:
        matrix: features of every option, row by row.
        sizes: number of options per row.
        answers: index of the answer per row.
        groups: rows with the same number are held out together.
        seed: seeds the folds.

    Returns:
        A function from features and sizes to probabilities, (rows, largest number of options).
    """
    correct = np.zeros(matrix.shape[0], dtype=np.int64)
    correct[(np.cumsum(sizes) - sizes) + answers] = 1

    def predictor(train: Ints, strength: float) -> Callable[[Any, Ints], Floats]:
        own = options_of(sizes, train)
        model = learner.trained(matrix[own], correct[own], 2, strength)

        def predict(given: Any, many: Ints) -> Floats:
            log = np.log(model(given))
            return softmax(log[:, 1] - log[:, 0], many)

        return predict

    def loss_of(train: Ints, held: Ints, strength: float) -> Floats:
        found = predictor(train, strength)(matrix[options_of(sizes, held)], sizes[held])
        return np.asarray(-np.log(found[np.arange(held.size), answers[held]]), dtype=np.float64)

    every = np.arange(sizes.size)
    fold = learner.folds(np.zeros_like(every), groups, learner.INNER, "inner", *seed)
    best, sure = learner.best_strength(np.log(sizes), fold, loss_of)
    if not sure:
        # One feature ranks the options of all rows: its sign by chance would decide everything.
        return lambda given, many: softmax(np.zeros(given.shape[0]), many)
    return predictor(every, best)


def options_of(sizes: Ints, rows: Ints) -> Ints:
    """Return the positions of the options of `rows`."""
    return spans((np.cumsum(sizes) - sizes)[rows], sizes[rows])


def softmax(scores: Floats, sizes: Ints) -> Floats:
    """Return the softmax over each row's options, (rows, largest number of options).

    Cells beyond a row's options are 0; an option has at least 1e-9.
    """
    rows = np.repeat(np.arange(sizes.size), sizes)
    column = np.arange(scores.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    out = np.full((sizes.size, int(sizes.max(initial=1))), -np.inf)
    out[rows, column] = scores
    out = np.exp(out - out.max(axis=1, keepdims=True))
    out[rows, column] = np.maximum(out[rows, column], 1e-9)
    return np.asarray(out / out.sum(axis=1, keepdims=True), dtype=np.float64)


def credit(probability: Floats, answers: Ints) -> Floats:
    """Return 1 / number of top-ranked options per row if the answer is one of them, else 0.

    Sharing the credit of ties avoids rewarding the position of the answer.
    """
    top = probability >= probability.max(axis=1, keepdims=True) * (1 - 1e-9)
    own = top[np.arange(answers.size), answers]
    return np.asarray(own / top.sum(axis=1), dtype=np.float64)


@dataclass(frozen=True)
class OptionClassifier:
    """Predicts which of a row's own options is the answer.

    Has the interface of `learner.LabelClassifier`; a label index is an option's index in its row.

    Attributes:
        fields: the fields to compare an option with.
        options: the option fields, as in `read_options`.
        pair_field: rows with the same value in this field are held out together.
    """

    fields: Sequence[str]
    options: Sequence[str]
    pair_field: str | None = None
    baseline = "an option at random"

    @property
    def identity_fields(self) -> Sequence[str]:
        """Rows that are equal in these fields count as the same row, in any order of options."""
        return self.fields or self.options

    def usable(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows with at least two options, including the answer."""
        read = read_options(rows, [], self.options)
        return rows.filter(pl.Series((read.sizes > 1) & (read.answers >= 0), dtype=pl.Boolean))

    def cross_validate(self, rows: pl.DataFrame) -> tuple[learner.HeldOutScores, Ints]:
        """Return the held-out scores of usable rows and the index of each row's answer."""
        read = read_options(rows, self.fields, self.options)
        matrix = OptionFeatures(read).transform(read)
        groups = learner.groups_of(rows, self.pair_field)
        fold = learner.folds(np.zeros_like(groups), groups, learner.FOLDS, rows.height)
        null = softmax(np.zeros(len(read.texts)), read.sizes)
        probability = null.copy()
        for k, train, test in learner.splits(fold, learner.FOLDS):
            own, held = options_of(read.sizes, train), options_of(read.sizes, test)
            sizes, answers = read.sizes[train], read.answers[train]
            model = fitted(matrix[own], sizes, answers, groups[train], k)
            found = model(matrix[held], read.sizes[test])
            probability[test, : found.shape[1]] = found
        return learner.HeldOutScores(probability, null), read.answers

    def accuracy(self, train: pl.DataFrame, test: pl.DataFrame, *seed: Any) -> Floats:
        """Train on usable rows; return the `credit` of each usable row of `test`."""
        one, two = (read_options(rows, self.fields, self.options) for rows in (train, test))
        features, alone = OptionFeatures(one), np.arange(train.height, dtype=np.int64)
        model = fitted(features.transform(one), one.sizes, one.answers, alone, *seed)
        return credit(model(features.transform(two), two.sizes), two.answers)

    def accuracies(self, rows: pl.DataFrame) -> learner.Accuracies:
        """Return the held-out credit per usable row, and that of a random option."""
        scores, answers = self.cross_validate(rows)
        return learner.Accuracies(credit(scores.probability, answers), credit(scores.null, answers))

    def answer_text(self, row: pl.DataFrame, number: int) -> str:
        """Return the option with index `number` of a one-row frame."""
        return read_options(row, [], self.options).texts[number]

    def baseline_accuracy(self, rows: pl.DataFrame) -> float:
        """Return the expected accuracy of a random option."""
        return float((1 / read_options(rows, [], self.options).sizes).mean())
