"""Topics and frequent phrases of the rows, beside those of the reference."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from targen.quality.collector import MetricCollector
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import proportion
from targen.quality.languages import WORDS
from targen.quality.text import Tokens, generator, joined, sample, tokens, words
from targen.tasks.sections import ENGLISH

MOST_ROWS: Final = 3000
"""Rows of the set, and of the reference, that topics are found in; larger ones are sampled."""
TOPICS: Final = 8
ROWS_PER_TOPIC: Final = 20
"""Rows for which there is one more topic, up to `TOPICS`."""
ROUNDS: Final = 30
NAMING_WORDS: Final = 4
COMMON: Final = 0.5
"""Share of the rows above which a word indicates no topic."""
PHRASES: Final = 10
PHRASE_ROWS: Final = 3
"""Rows that must have a phrase."""


def clusters(
    vectors: Any, count: int, generator_: np.random.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Group unit vectors by spherical k-means.

    Centers start at rows that are far from all earlier centers (k-means++, Arthur and
    Vassilvitskii 2007) and move to the mean direction of their rows (Dhillon and Modha 2001).

    Args:
        vectors: sparse (rows, words), each row of length 1.
        count: number of groups.
        generator_: draws the first centers.

    Returns:
        The group of each row, and the centers (count, words).
    """
    chosen = [int(generator_.integers(vectors.shape[0]))]
    near = np.zeros(vectors.shape[0])
    for _ in range(count - 1):
        last = vectors[chosen[-1]].toarray().ravel()
        near = np.maximum(near, vectors @ last)
        far = np.clip(1.0 - near, 0.0, None)
        far[chosen] = 0.0
        if far.sum() <= 0:
            break
        chosen.append(int(np.searchsorted(np.cumsum(far / far.sum()), generator_.random())))
        chosen[-1] = min(chosen[-1], vectors.shape[0] - 1)
    centers = vectors[chosen].toarray()
    group = np.full(vectors.shape[0], -1, dtype=np.int64)
    for _ in range(ROUNDS):
        found = np.asarray(np.argmax(vectors @ centers.T, axis=1), dtype=np.int64)
        if np.array_equal(found, group):
            break
        group = found
        for i in range(len(centers)):
            mean = np.asarray(vectors[group == i].sum(axis=0)).ravel()
            length = float(np.linalg.norm(mean))
            if length > 0:
                centers[i] = mean / length
    return group, centers


def stop_words(language: str) -> set[str]:
    """Return the words of a language that indicate no topic; few, except for English."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS  # noqa: PLC0415

    listed = set(WORDS.get(language, "").split())
    return listed | set(ENGLISH_STOP_WORDS) if language == ENGLISH else listed


def _topics(
    inputs: ReportInputs, rows: pl.DataFrame, gold: pl.DataFrame | None, collector: MetricCollector
) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415

    fields, stop = inputs.text_fields, stop_words(inputs.language)

    def telling(frame: pl.DataFrame) -> list[list[str]]:
        return [
            [word for word in row if len(word) > 1 and word not in stop and not word.isdigit()]
            for row in words(joined(frame, fields)).to_list()
        ]

    count = min(TOPICS, rows.height // ROWS_PER_TOPIC)
    if count < 2:
        collector.skip("topic", f"at least {2 * ROWS_PER_TOPIC} rows are needed")
        return
    vectorizer = TfidfVectorizer(analyzer=list, sublinear_tf=True, min_df=3, max_df=COMMON)
    try:
        vectors = vectorizer.fit_transform(telling(rows))
    except ValueError:
        collector.skip("topic", "the rows share too few words")
        return
    known = np.asarray(vectors.getnnz(axis=1)) > 0
    if known.sum() < count:
        collector.skip("topic", "the rows share too few words")
        return
    # The reference does not change the topics; its rows count for the nearest one.
    group, centers = clusters(vectors[known], count, generator("topics", count))
    theirs = None
    if gold is not None and gold.height:
        others = vectorizer.transform(telling(gold))
        theirs = np.asarray(np.argmax(others @ centers.T, axis=1))
        theirs[np.asarray(others.getnnz(axis=1)) == 0] = -1
    names = vectorizer.get_feature_names_out()
    found: list[tuple[int, str, float | None]] = []
    for i, center in enumerate(centers):
        order = np.lexsort((np.arange(center.size), -np.round(center, 9)))[:NAMING_WORDS]
        name = ", ".join(str(names[at]) for at in order if center[at] > 0)
        hits = int((group == i).sum())
        if hits:
            found.append((hits, name, None if theirs is None else float((theirs == i).mean())))
    for hits, name, reference in sorted(found, key=lambda topic: (-topic[0], topic[1])):
        collector.add(proportion("topic", name, hits, rows.height, reference))


def _held(text: Tokens, length: int) -> dict[str, int]:
    """Return the n-grams of this length -> number of rows that have them."""
    codes = text.grams(length)
    at = np.flatnonzero(codes >= 0)
    if at.size == 0:
        return {}
    pairs = np.unique(np.stack([codes[at], text.rows[at]]), axis=1)[0]
    numbers, counts = np.unique(pairs, return_counts=True)
    first = dict(zip(codes[at][::-1].tolist(), at[::-1].tolist(), strict=True))
    frequent = [(int(n), int(c)) for n, c in zip(numbers, counts, strict=True) if c >= PHRASE_ROWS]
    return {_words_at(text, first[number], length): count for number, count in frequent}


def _words_at(text: Tokens, start: int, length: int) -> str:
    return " ".join(text.vocabulary[i] for i in text.ids[start : start + length])


def phrases(
    own: Sequence[tuple[str, float]], gold: dict[str, float] | None, stop: set[str]
) -> list[tuple[str, float, float | None]]:
    """Return the most frequent phrases.

    Phrases that begin or end with a stop word, and parts of a longer phrase that is nearly as
    frequent, are left out.

    Args:
        own: phrase and share of rows.
        gold: phrase -> share of gold rows; None without gold rows.
        stop: words too common to begin or end a phrase.
    """
    shares = [
        (phrase, share, None if gold is None else gold.get(phrase, 0.0))
        for phrase, share in own
        if not any(end in stop or end.isdigit() for end in (phrase.split()[0], phrase.split()[-1]))
    ]
    shares.sort(key=lambda one: (-one[1], -len(one[0]), one[0]))
    kept: list[tuple[str, float, float | None]] = []
    for phrase, share, reference in shares:
        inside = any(
            f" {phrase} " in f" {other} " or f" {other} " in f" {phrase} " for other, *_ in kept
        )
        if not inside:
            kept.append((phrase, share, reference))
        if len(kept) == PHRASES:
            break
    return kept


def _phrases(
    inputs: ReportInputs, rows: pl.DataFrame, gold: pl.DataFrame | None, collector: MetricCollector
) -> None:
    def shares(frame: pl.DataFrame) -> dict[str, float]:
        text = tokens(frame, inputs.text_fields)
        counted = {**_held(text, 2), **_held(text, 3)}
        return {phrase: count / max(frame.height, 1) for phrase, count in counted.items()}

    own = shares(rows)
    theirs = None if gold is None else shares(gold)
    stop = stop_words(inputs.language)
    found = phrases(sorted(own.items()), theirs, stop)
    if not found:
        collector.skip("phrase", "no phrase of two or three words comes in three rows")
    for phrase, share, reference in found:
        hits = round(share * rows.height)
        collector.add(proportion("phrase", phrase, hits, rows.height, reference))


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add the share of the rows in each topic, and of those with each frequent phrase."""
    if not inputs.text_fields:
        collector.skip("topic", "the rows have no text")
        collector.skip("phrase", "the rows have no text")
        return
    rows = sample(inputs.rows, MOST_ROWS)
    gold = None if inputs.reference is None else sample(inputs.reference, MOST_ROWS)
    _topics(inputs, rows, gold, collector)
    _phrases(inputs, rows, gold, collector)
