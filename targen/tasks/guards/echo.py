"""Finds texts that repeat the prompt or a shown example."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from rapidfuzz.distance import Indel
from rapidfuzz.process import extractOne

from targen.tasks.guards.written import Written, sentences, words

SENTENCE_WORDS: Final = 6
"""A shorter sentence is not compared by similarity: it may agree by chance."""

EXAMPLE_WORDS: Final = 8
"""A shorter text of an example is compared only as part of the whole row."""

_PLACEHOLDER: Final = re.compile(r"\{[^{}]*\}|`[^`]*`")


class Codes:
    """Gives each known word one character, so that rapidfuzz compares words quickly."""

    def __init__(self) -> None:
        self._codes: dict[str, str] = {}

    def add(self, found: Iterable[str]) -> str:
        """Return words as characters; unknown words become known."""
        codes = self._codes
        return "".join(codes.setdefault(word, chr(len(codes) + 1)) for word in found)

    def read(self, found: Iterable[str]) -> str:
        """Return words as characters; an unknown word is NUL, which no instruction contains."""
        get = self._codes.get
        return "".join([get(word, "\0") for word in found])


class Instructions:
    """The texts of a prompt, prepared for comparison.

    Args:
        asked: descriptions, constraints and the prompt's own instructions.
        titles: short texts that must not be the whole answer.
        run: a text that has this many words in a row in common with an instruction repeats it; None
            turns that comparison off.
        similarity: a sentence that is more similar than this to an instruction's sentence repeats
            it; None turns that comparison off. The measure is ROUGE-L F (Lin, 2004): twice the
            length of the longest common subsequence of words, divided by the sum of both lengths.
    """

    def __init__(
        self,
        asked: Sequence[str],
        titles: Sequence[str],
        run: int | None,
        similarity: float | None,
    ) -> None:
        self._codes = Codes()
        texts = [self._codes.add(words(text)) for text in asked]
        self._whole = {text for text in texts if len(text) > 1}
        self._whole |= {self._codes.add(words(title)) for title in titles} - {""}
        # Longer instructions are found by their runs.
        self._within = [text for text in set(texts) if run and len(text) == run - 1]
        self._run, self._similarity = run, similarity
        self._runs = (
            {text[n : n + run] for text in texts for n in range(len(text) - run + 1)}
            if run
            else set()
        )
        parts = {self._codes.add(part) for text in asked for part in sentences(text)}
        self._sentences = [part for part in {*parts, *texts} if len(part) >= SENTENCE_WORDS]

    def repeated_by(self, written: Written) -> str | None:
        """Return how a text repeats an instruction, else None."""
        coded = self._codes.read(written.words)
        if coded in self._whole:
            return "is an instruction of the prompt"
        if any(text in coded for text in self._within):
            return "contains an instruction of the prompt"
        if self._run and self._shares_run(coded):
            return f"has {self._run} words in a row in common with the prompt"
        if self._similarity is not None and any(
            self._is_near(part, self._similarity) for part in self._parts(coded, written)
        ):
            return "has a sentence that is nearly one of the prompt"
        return None

    def _parts(self, coded: str, written: Written) -> Iterator[str]:
        """Yield the whole text and its sentences, if there are several."""
        yield coded
        if len(written.sentences) > 1:
            start = 0
            for sentence in written.sentences:
                yield coded[start : start + len(sentence)]
                start += len(sentence)

    def _is_near(self, part: str, limit: float) -> bool:
        # With k known words of m, ROUGE-L F is at most 2k / (m + k).
        known = len(part) - part.count("\0")
        if len(part) < SENTENCE_WORDS or 2 * known <= limit * (len(part) + known):
            return False
        return _nearest(part, self._sentences, limit)

    def _shares_run(self, coded: str) -> bool:
        run, runs = self._run or 0, self._runs
        # A run cannot contain an unknown word.
        for part in coded.split("\0"):
            for start in range(len(part) - run + 1):
                if part[start : start + run] in runs:
                    return True
        return False


class Examples:
    """Shown rows, prepared for comparison.

    Args:
        rows: the fields of each row.
        similarity: a long text that is more similar than this to the same field of a row is a copy
            (ROUGE-L F); None turns that comparison off.
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]], similarity: float | None) -> None:
        self._codes = Codes()
        self._similarity = similarity
        self._rows: list[dict[str, str]] = []
        self._long: dict[str, list[str]] = {}
        for row in rows:
            coded = {name: self._codes.add(_words_of(value)) for name, value in row.items()}
            self._rows.append(coded)
            for name, text in coded.items():
                if len(text) >= EXAMPLE_WORDS:
                    self._long.setdefault(name, []).append(text)

    def repeated_by(self, texts: Mapping[str, list[str]]) -> str | None:
        """Return how the texts of a row (field -> its words) repeat an example, else None."""
        coded = {name: self._codes.read(found) for name, found in texts.items()}
        if any(coded) and any(
            all(row.get(name, "") == text for name, text in coded.items()) for row in self._rows
        ):
            return "is an example of the prompt"
        if self._similarity is not None:
            for name, text in coded.items():
                known = self._long.get(name)
                if known and len(text) >= EXAMPLE_WORDS and _nearest(text, known, self._similarity):
                    return f"has nearly the {name} of an example of the prompt"
        return None


def _nearest(text: str, known: Sequence[str], limit: float) -> bool:
    """Return whether the ROUGE-L F of a text and one of the others is above the limit.

    It equals rapidfuzz's normalized Indel similarity: 1 - (m + n - 2L) / (m + n).
    """
    return (
        extractOne(text, known, scorer=Indel.normalized_similarity, score_cutoff=limit + 1e-9)
        is not None
    )


def _words_of(value: Any) -> list[str]:
    return words(" ".join(map(str, value)) if isinstance(value, list) else str(value))


@lru_cache(maxsize=256)
def instructions(
    asked: tuple[str, ...],
    titles: tuple[str, ...],
    run: int | None,
    similarity: float | None,
) -> Instructions:
    """Return prepared instructions, from a cache: they are the same for all rows of a prompt."""
    return Instructions([_PLACEHOLDER.sub(" ", text) for text in asked], titles, run, similarity)
