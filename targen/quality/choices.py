"""The small learner for rows that bring their options along: which of them is the answer?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from targen.quality import learner
from targen.quality.intervals import Floats
from targen.quality.text import Ints, joined, spans, words

PAIRED = 30
"""Words of a row's other fields that are paired with those of its options: the heaviest by TF-IDF.
Pairs grow with the length of both texts; a passage of 300 words would cost ten times as much."""


@dataclass(frozen=True)
class Offered:
    """The options of some rows, one row's after the other's.

    Attributes:
        texts: every option's text; within a row each is there once.
        sizes: number of options per row.
        answers: per row the place of its answer among its options, -1 where it is none of them.
        contexts: per row the text of its other fields.
    """

    texts: list[str]
    sizes: Ints
    answers: Ints
    contexts: pl.Series

    @property
    def owners(self) -> Ints:
        """Per option the number of its row."""
        return np.repeat(np.arange(self.sizes.size), self.sizes)


def offered(rows: pl.DataFrame, fields: Sequence[str], options: Sequence[str]) -> Offered:
    """Read what rows offer.

    Args:
        rows: with a column `label`.
        fields: the fields that an option is compared with.
        options: one list field (`label` is then one of its texts), or the fields that hold one
            option each (`label` is then the number of the field, from 0).
    """
    texts: list[str] = []
    sizes = np.zeros(rows.height, dtype=np.int64)
    answers = np.full(rows.height, -1, dtype=np.int64)
    for i, (label, *cells) in enumerate(rows.select("label", *options).iter_rows()):
        if len(options) == 1:
            held, answer = cells[0] or [], label
        else:
            held, answer = (
                cells,
                dict(zip(map(str, range(len(cells))), cells, strict=True)).get(label),
            )
        distinct = [text for text in dict.fromkeys(held) if text is not None]
        texts += distinct
        sizes[i] = len(distinct)
        answers[i] = distinct.index(answer) if answer in distinct else -1
    return Offered(texts, sizes, answers, joined(rows, fields))


class Features:
    """What is known of an option: its words, and how they go with the rest of the row.

    TF-IDF of the option's words and word pairs; the product of the weights of each word of the
    other fields and each of the option, where both stand together in enough options; and the
    share of the option's words that the other fields hold, each word counting by its inverse
    document frequency. What the other fields say alone is the same for all options of a row and
    could not tell them apart. Learned without a look at the answers.
    """

    def __init__(self, rows: Offered) -> None:
        """Learn the vocabularies in `rows`."""
        least = learner.fewest(rows.sizes.size)
        contexts, options = _words(rows.contexts), _words(rows.texts)
        self._options = learner.tf_idf(options, least)
        self._contexts = learner.tf_idf(contexts, least)
        self._pairs = np.empty(0, dtype=np.int64)
        if self._options is not None and self._contexts is not None:
            codes, _, _ = self._paired(contexts, options, rows.owners)
            known, counts = np.unique(codes, return_counts=True)
            self._pairs = known[counts >= least]

    def of(self, rows: Offered) -> Any:
        """Return the features of every option of `rows`, a sparse matrix in CSR form."""
        from scipy import sparse  # noqa: PLC0415

        contexts, options = _words(rows.contexts), _words(rows.texts)
        parts = [sparse.csr_matrix(self._shared(contexts, options, rows.owners)[:, None])]
        if self._options is not None:
            parts.append(self._options.transform(options))
        if self._pairs.size:
            codes, weights, owners = self._paired(contexts, options, rows.owners)
            places = np.minimum(np.searchsorted(self._pairs, codes), self._pairs.size - 1)
            known = self._pairs[places] == codes
            shape = (len(options), self._pairs.size)
            cells = (weights[known], (owners[known], places[known]))
            parts.append(sparse.csr_matrix(cells, shape=shape))
        return sparse.hstack(parts, format="csr")

    def _shared(self, contexts: list[list[str]], options: list[list[str]], owners: Ints) -> Floats:
        """Return the share of each option's words that stand in its row's other fields."""
        idf: dict[str, float] = {}
        rarest = 1.0
        if self._contexts is not None:
            idf = {w: self._contexts.idf_[i] for w, i in self._contexts.vocabulary_.items()}
            rarest = float(self._contexts.idf_.max())
        held = [set(row) for row in contexts]
        out = np.zeros(len(options))
        for i, option in enumerate(options):
            weights = {word: idf.get(word, rarest) for word in option}
            if weights:
                common = sum(weights[word] for word in weights if word in held[owners[i]])
                out[i] = common / sum(weights.values())
        return out

    def _paired(
        self, contexts: list[list[str]], options: list[list[str]], owners: Ints
    ) -> tuple[Ints, Floats, Ints]:
        """Return code, weight and option of every pair of a context's word and an option's."""
        left = _heaviest(self._contexts.transform(contexts), PAIRED)
        right = _heaviest(self._options.transform(options), PAIRED)
        of = np.repeat(np.arange(len(options)), np.diff(right.indptr))
        lengths = np.diff(left.indptr).astype(np.int64)[owners[of]]
        ones = spans(left.indptr[owners[of]].astype(np.int64), lengths)
        twos = np.repeat(np.arange(right.nnz), lengths)
        codes = left.indices[ones].astype(np.int64) * right.shape[1] + right.indices[twos]
        return codes, left.data[ones] * right.data[twos], of[twos]


def _words(texts: pl.Series | Sequence[str]) -> list[list[str]]:
    """Return the words of each text."""
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

    Of independent options with odds e^z of being right, of which one is, option i is the right
    one with probability e^(z_i) / sum over the row's options of e^(z_j): a softmax of log odds,
    the form of conditional logit (McFadden 1974). The strength is chosen as in `learner.fitted`;
    the model that ignores the text gives every option 1 / number of options.

    Args:
        matrix: features of every option, one row's after the other's.
        sizes: number of options per row.
        answers: per row the place of its answer.
        groups: rows of one number are held out together.
        seed: what the folds are seeded with.

    Returns:
        A function from features and sizes to probabilities, (rows, most options of a row).
    """
    right = np.zeros(matrix.shape[0], dtype=np.int64)
    right[(np.cumsum(sizes) - sizes) + answers] = 1

    def predictor(train: Ints, strength: float) -> Callable[[Any, Ints], Floats]:
        own = of_rows(sizes, train)
        model = learner.trained(matrix[own], right[own], 2, strength)

        def predict(given: Any, many: Ints) -> Floats:
            log = np.log(model(given))
            return softmax(log[:, 1] - log[:, 0], many)

        return predict

    def loss_of(train: Ints, held: Ints, strength: float) -> Floats:
        found = predictor(train, strength)(matrix[of_rows(sizes, held)], sizes[held])
        return np.asarray(-np.log(found[np.arange(held.size), answers[held]]), dtype=np.float64)

    every = np.arange(sizes.size)
    order = learner.folds(np.zeros_like(every), groups, learner.INNER, "inner", *seed)
    best = learner.best_strength(np.log(sizes), order, loss_of)
    if best is None:
        return lambda given, many: softmax(np.zeros(given.shape[0]), many)
    return predictor(every, best)


def of_rows(sizes: Ints, rows: Ints) -> Ints:
    """Return the numbers of the options of `rows`, in their order."""
    return spans((np.cumsum(sizes) - sizes)[rows], sizes[rows])


def softmax(scores: Floats, sizes: Ints) -> Floats:
    """Return the softmax over each row's options, (rows, most options of a row).

    Where a row has fewer options than others it is 0; at an option it is never below 1e-9.
    """
    rows = np.repeat(np.arange(sizes.size), sizes)
    place = np.arange(scores.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    out = np.full((sizes.size, int(sizes.max(initial=1))), -np.inf)
    out[rows, place] = scores
    out = np.exp(out - out.max(axis=1, keepdims=True))
    out[rows, place] = np.maximum(out[rows, place], 1e-9)
    return np.asarray(out / out.sum(axis=1, keepdims=True), dtype=np.float64)


def credit(probability: Floats, answers: Ints) -> Floats:
    """Return per row 1 over the number of likeliest options where the answer is one, else 0."""
    top = probability >= probability.max(axis=1, keepdims=True) * (1 - 1e-9)
    own = top[np.arange(answers.size), answers]
    return np.asarray(own / top.sum(axis=1), dtype=np.float64)


@dataclass(frozen=True)
class Choices:
    """Rows of which each brings the options along that its answer is one of.

    The same to its users as `learner.Labels`; a number stands for an option of the row.

    Attributes:
        fields: what an option is compared with.
        options: where the options stand, as `offered` has it.
        pair_field: field whose equal values tie rows together.
    """

    fields: Sequence[str]
    options: Sequence[str]
    pair_field: str | None = None
    guess = "an option at random"
    """What is named where nothing is known."""

    @property
    def known_by(self) -> Sequence[str]:
        """Fields that make two rows one, in whatever order their options stand."""
        return self.fields or self.options

    def usable(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows that have two options or more, one of which is the answer."""
        read = offered(rows, [], self.options)
        return rows.filter(pl.Series((read.sizes > 1) & (read.answers >= 0), dtype=pl.Boolean))

    def scored(self, rows: pl.DataFrame) -> tuple[learner.Scores, Ints]:
        """Return held-out scores of usable rows, and the place of each one's answer."""
        read = offered(rows, self.fields, self.options)
        matrix, groups = Features(read).of(read), learner.groups_of(rows, self.pair_field)
        fold = learner.folds(np.zeros_like(groups), groups, learner.FOLDS, rows.height)
        null = softmax(np.zeros(len(read.texts)), read.sizes)
        probability = null.copy()
        for k in range(learner.FOLDS):
            train, test = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
            if test.size and train.size:
                own, held = of_rows(read.sizes, train), of_rows(read.sizes, test)
                sizes, answers = read.sizes[train], read.answers[train]
                model = fitted(matrix[own], sizes, answers, groups[train], k)
                found = model(matrix[held], read.sizes[test])
                probability[test, : found.shape[1]] = found
        return learner.Scores(probability, null), read.answers

    def right(self, train: pl.DataFrame, test: pl.DataFrame, *seed: Any) -> Floats:
        """Train on usable rows; return right (0 to 1) per usable row of `test`.

        Where several options are the likeliest, each counts for its share: to take the first of
        them would reward the place that an answer stands in.
        """
        one, two = (offered(rows, self.fields, self.options) for rows in (train, test))
        features, alone = Features(one), np.arange(train.height, dtype=np.int64)
        model = fitted(features.of(one), one.sizes, one.answers, alone, *seed)
        return credit(model(features.of(two), two.sizes), two.answers)

    def gained(self, rows: pl.DataFrame) -> Floats:
        """Return per usable row, held out: right (0 to 1) minus what one at random would be."""
        scores, answers = self.scored(rows)
        return credit(scores.probability, answers) - credit(scores.null, answers)

    def named(self, row: pl.DataFrame, number: int) -> str:
        """Return what `number` stands for in the scores of a row."""
        return offered(row, [], self.options).texts[number]

    def guessed(self, rows: pl.DataFrame) -> float:
        """Return the accuracy of naming an option at random."""
        return float((1 / offered(rows, [], self.options).sizes).mean())
