"""Exact ROUGE-L novelty of a text against a growing pool."""

import re
from array import array
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np
from rapidfuzz.distance import LCSseq
from rapidfuzz.process import cdist

_TOKEN: Final = re.compile(r"[^\W_]+")
_UNKNOWN: Final = "\0"


def tokens(text: str) -> list[str]:
    """Return runs of letters and digits in lower case.

    On ASCII text these are the tokens of the `rouge-score` package without its stemmer. That
    package drops all other letters.
    """
    return _TOKEN.findall(text.lower())


@dataclass(frozen=True)
class Near:
    """A text of the pool that is too similar to the query.

    Attributes:
        index: its index in the pool.
        score: ROUGE-L F of the two texts, 0 to 1.
    """

    index: int
    score: float


class Pool:
    """Texts by their tokens, searched for one whose ROUGE-L F is above a threshold.

    ROUGE-L F of texts of m and n tokens with a longest common subsequence of length L is
    2L / (m + n) (Lin, 2004, ROUGE, section 3, with beta = 1). L is at most the size of the multiset
    intersection of their tokens, which an inverted index yields for all texts of the pool at once.
    L itself (bit-parallel dynamic programming, Hyyrö, 2004) is computed only for texts whose bound
    is above the threshold. Comparisons use integers, so a score equal to the threshold is never
    above it.

    Args:
        threshold: 0.7 in Self-Instruct.
    """

    def __init__(self, threshold: float) -> None:
        self._limit = Fraction(str(threshold))
        self._codes: dict[str, int] = {}
        self._rows: list[str] = []
        self._lengths = array("q")
        # Keyed by (token, k) for the k-th occurrence, to intersect multisets.
        self._postings: dict[tuple[str, int], array[int]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, text: str) -> None:
        """Add a text to the pool."""
        found = tokens(text)
        index = len(self._rows)
        # One character per token: rapidfuzz is fastest on strings.
        codes = self._codes
        self._rows.append("".join(chr(codes.setdefault(t, len(codes) + 1)) for t in found))
        self._lengths.append(len(found))
        for token, count in Counter(found).items():
            for occurrence in range(count):
                self._postings.setdefault((token, occurrence), array("q")).append(index)

    def nearest(self, text: str) -> Near | None:
        """Return the most similar text above the threshold, the first of equals; None if none."""
        found = tokens(text)
        if not found or not self._rows:
            return None
        overlap = np.zeros(len(self._rows), dtype=np.int64)
        for token, count in Counter(found).items():
            for occurrence in range(count):
                rows = self._postings.get((token, occurrence))
                if rows is None:
                    break
                overlap[np.frombuffer(rows, dtype=np.int64)] += 1
        sums = np.frombuffer(self._lengths, dtype=np.int64) + len(found)
        top, bottom = self._limit.numerator, self._limit.denominator
        open_rows = np.flatnonzero(2 * bottom * overlap > top * sums)
        if not len(open_rows):
            return None
        coded = "".join(chr(c) if (c := self._codes.get(t)) else _UNKNOWN for t in found)
        choices = [self._rows[index] for index in open_rows]
        common = cdist([coded], choices, scorer=LCSseq.similarity, dtype=np.int64)[0]
        sums = sums[open_rows]
        above = 2 * bottom * common > top * sums
        if not above.any():
            return None
        scores = np.where(above, 2 * common / sums, 0.0)
        best = int(scores.argmax())
        return Near(int(open_rows[best]), float(scores[best]))
