"""Copies with changed words: up to about one word in three."""

import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from targen import hashing
from targen.quality.collector import MetricCollector
from targen.quality.duplicates import candidates, exact, mixed
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import proportion
from targen.quality.text import Ints, Tokens, joined, tokens, unique

CLOSE: Final = 0.6
"""ROUGE-L F from which a row is a copy with changes: F is 2/3 after one word in three was replaced,
and unrelated sentences of seven words or more hardly ever reach 0.6."""
FLOOR: Final = 0.5
"""ROUGE-L F that each text field must have as well."""
LEAST: Final = 7
"""Words that a row must have; shorter sentences are often alike by chance."""
BANDS, WIDTH = 24, 3
"""A pair with Jaccard similarity s of its rarer words is compared with probability
1 - (1 - s^3)^24: 0.96 at one half, 0.18 at one fifth."""
RARE: Final = 0.02
"""Share of rows up to which a word is rare enough to suggest that two rows are related."""
CHUNK: Final = 200_000
"""Pairs compared at a time."""
EXAMPLES: Final = 5
_SURROGATES: Final = 0x800
"""Number of code points, from U+D800 on, that no string can be made of."""


def keys_of(text: Tokens) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]:
    """Return the band keys of each row's rarer words, and whether the row has such words."""
    size = max(len(text.vocabulary), 1)
    pairs = unique(text.rows * size + text.ids)
    rows, ids = pairs // size, pairs % size
    most = max(20, RARE * text.height)
    rare = np.bincount(ids, minlength=size) <= most
    rows, ids = rows[rare[ids]], ids[rare[ids]]
    keys = np.zeros((text.height, BANDS), dtype=np.uint64)
    filled = np.zeros(text.height, dtype=bool)
    if not rows.size:
        return keys, filled
    starts = np.flatnonzero(np.concatenate([[True], rows[1:] != rows[:-1]]))
    owners = rows[starts]
    filled[owners] = True
    random = hashing.rng("edited copies")
    # Hashes of words are drawn once per word, which is much less than once per occurrence.
    words = np.arange(size, dtype=np.uint64)
    for band in range(BANDS):
        key = np.zeros(owners.size, dtype=np.uint64)
        for _ in range(WIDTH):
            values = mixed(words ^ np.uint64(random.getrandbits(64)))[ids]
            lowest: npt.NDArray[np.uint64] = np.minimum.reduceat(values, starts)
            key = mixed(key ^ lowest)
        keys[owners, band] = key
    return keys, filled


def edited(frame: pl.DataFrame, fields: Sequence[str]) -> tuple[Ints, Ints, npt.NDArray[Any]]:
    """Return pairs of rows that are copies with changed words, and their ROUGE-L F.

    The words of all fields, in order, must have an F of at least `CLOSE`, and those of each field
    of at least `FLOOR`. Candidates are rows that share rarer words (MinHash, Broder 1997); each is
    compared in full, so no returned pair is false. Copies that are exactly equal are not returned.
    """
    distinct = ~exact(joined(frame, fields)).to_numpy()
    at = np.flatnonzero(distinct)
    kept = frame.filter(pl.Series(distinct))
    whole = tokens(kept, fields)
    first, second = _candidates(whole)
    readings = [_Reading(whole, CLOSE)]
    del whole
    if len(fields) > 1:
        readings += [_Reading(tokens(kept, [name]), FLOOR) for name in fields]
    found = []
    for begin in range(0, first.size, CHUNK):
        one, two = first[begin : begin + CHUNK], second[begin : begin + CHUNK]
        score = np.zeros(0)
        for number, reading in enumerate(readings):
            same = reading.similarity(one, two)
            keep = same >= reading.bound
            score = (score if number else same)[keep]
            one, two = one[keep], two[keep]
        found.append((at[one], at[two], score))
    if not found:
        return at[:0], at[:0], np.zeros(0)
    firsts, seconds, scores = (np.concatenate(part) for part in zip(*found, strict=True))
    return firsts, seconds, scores


def _candidates(text: Tokens) -> tuple[Ints, Ints]:
    """Return the pairs of rows that share rarer words and are about as long."""
    keys, filled = keys_of(text)
    filled &= text.lengths >= LEAST
    first, second = candidates(keys, filled)
    one, two = text.lengths[first], text.lengths[second]
    # A copy with F of at least 0.6 has at least 0.43 of the other's length.
    close = np.minimum(one, two) >= CLOSE / (2 - CLOSE) * np.maximum(one, two)
    return first[close], second[close]


class _Reading:
    """The words of some fields, to compare rows by."""

    def __init__(self, text: Tokens, bound: float) -> None:
        from scipy.sparse import csr_matrix  # noqa: PLC0415  (slow to import)

        self.bound, self.lengths = bound, text.lengths
        self._strings = _strings(text)
        # 32 bits, because there can be millions of words.
        parts = (np.ones(text.ids.size, np.int32), text.ids.astype(np.int32), text.starts)
        shape = (text.height, max(len(text.vocabulary), 1))
        self._bags = csr_matrix(parts, shape=shape)
        self._bags.sum_duplicates()

    def similarity(self, first: Ints, second: Ints) -> npt.NDArray[np.float64]:
        """Return the ROUGE-L F of pairs of rows; 0 where it is below the bound."""
        from rapidfuzz import process  # noqa: PLC0415  (slow to import)
        from rapidfuzz.distance import Indel  # noqa: PLC0415

        # An upper limit: the number of words in common, in whatever order.
        shared = self._bags[first].minimum(self._bags[second]).sum(axis=1).A1
        words = np.maximum(self.lengths[first] + self.lengths[second], 1)
        # Rounding must not drop a pair at the bound.
        likely = np.flatnonzero(2 * shared / words + 1e-9 >= self.bound)
        same = np.zeros(first.size)
        same[likely] = process.cpdist(
            [self._strings[row] for row in first[likely]],
            [self._strings[row] for row in second[likely]],
            scorer=Indel.normalized_similarity,
            dtype=np.float64,
            score_cutoff=self.bound,
        )
        return same


def _strings(text: Tokens) -> list[str]:
    """Return each row as a string with one character per word, which is the fastest to compare.

    If there are over a million distinct words, two may get the same character.
    """
    codes = (text.ids % (0x110000 - _SURROGATES)).astype(np.uint32)
    codes[codes >= 0xD800] += _SURROGATES
    whole = codes.tobytes().decode("utf-32-le" if sys.byteorder == "little" else "utf-32-be")
    return [whole[begin:end] for begin, end in pairwise(text.starts.tolist())]


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add the share of rows that are copies of an earlier row with changed words."""
    rows = inputs.rows
    fields = [name for name in inputs.text_fields if rows.schema[name] == pl.String]
    if not fields or rows.height < 2:
        collector.skip("edited_copies", "needs two rows with text")
        return
    first, second, score = edited(rows, fields)
    if inputs.pair_field is not None and inputs.pair_field in rows.columns:
        pair = rows[inputs.pair_field].to_numpy()
        apart = pair[first] != pair[second]
        first, second, score = first[apart], second[apart], score[apart]
    copies = np.unique(second)
    collector.add(proportion("edited_copies", "all", copies.size, rows.height))
    collector.shared.setdefault("near pairs", []).append((first, second))
    flags = np.zeros(rows.height, dtype=bool)
    flags[copies] = True
    collector.mark("edited_copies", flags)
    collector.details["edited_copies"] = [
        {
            "similarity": round(float(score[i]), 4),
            "first": rows.row(int(first[i]), named=True),
            "second": rows.row(int(second[i]), named=True),
        }
        for i in np.argsort(-score, kind="stable")[:EXAMPLES]
    ]
