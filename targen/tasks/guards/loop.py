"""Finds texts that repeat themselves."""

import zlib
from typing import Final

from targen.tasks.guards.written import Written

_GRAM: Final = 4
_FEWEST_WORDS: Final = 20
"""The share of repeated runs says nothing about a shorter text."""

_LONGEST_PERIOD: Final = 12
_TURNS: Final = 3
"""A passage that comes this many times in a row is a loop, if it makes up `_LOOP_WORDS` words."""

_LOOP_WORDS: Final = 9
_SENTENCE_WORDS: Final = 6
"""A sentence of this many words comes only once in a text."""

_FEWEST_REPEATS: Final = 3
"""Such a loop has at least this many repeated runs of four words."""

_LONG_TOKEN: Final = 24
_COMPRESSED_CHARACTERS: Final = 300
_COMPRESSED: Final = 0.25
"""Compressed size divided by size (zlib, level 1). Prose of 300 characters is above 0.45, and one
paragraph written four times is at 0.25. This finds loops in languages without spaces as well."""


_LETTERS_A_WORD: Final = 12
"""A text with longer words on average is in a language without spaces."""


def looped(written: Written, share: float) -> str | None:
    """Return how a text repeats itself, else None.

    Args:
        written: the text.
        share: the largest allowed share of runs of four words that are repeats, 0 to 1.
    """
    found = written.words
    grams = list(zip(found, found[1:], found[2:], found[3:], strict=False))
    repeats = len(grams) - len(set(grams))
    if repeats:
        if len(found) >= _FEWEST_WORDS and repeats > share * len(grams):
            return f"{repeats} of {len(grams)} runs of {_GRAM} words are repeats"
        if repeats >= _FEWEST_REPEATS and _turns(found):
            return "the same words come several times in a row"
        if _same_sentence(written):
            return "the same sentence comes twice"
    if len(max(found, key=len, default="")) >= _LONG_TOKEN and _stutters(found):
        return "the same letters come many times in a row"
    spaceless = len(written.text) > _LETTERS_A_WORD * len(found)
    if len(written.text) >= _COMPRESSED_CHARACTERS and (spaceless or repeats > 0.1 * len(grams)):
        content = written.text.encode("utf-8", "replace")
        if len(zlib.compress(content, 1)) < _COMPRESSED * len(content):
            return "most of the text is repetition"
    return None


def _turns(found: list[str]) -> bool:
    """Return whether a passage comes three times in a row or more."""
    for period in range(1, _LONGEST_PERIOD + 1):
        needed = max((_TURNS - 1) * period, _LOOP_WORDS - period)
        run = 0
        for earlier, later in zip(found, found[period:], strict=False):
            run = run + 1 if earlier == later else 0
            if run >= needed:
                return True
    return False


def _same_sentence(written: Written) -> bool:
    seen = set()
    for sentence in written.sentences:
        if len(sentence) >= _SENTENCE_WORDS:
            key = tuple(sentence)
            if key in seen:
                return True
            seen.add(key)
    return False


def _stutters(found: list[str]) -> bool:
    for word in found:
        if len(word) >= _LONG_TOKEN:
            for period in range(1, 5):
                same = sum(a == b for a, b in zip(word, word[period:], strict=False))
                if same >= 0.9 * (len(word) - period):
                    return True
    return False
