"""Words of messages."""

import re
from typing import Final

_ACTS: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters but tab and line feed, characters that change the direction of text, and
halves of surrogate pairs, which no UTF-8 output takes."""


def plural(number: int, word: str) -> str:
    """Return a number with its noun: `1 row`, `2,000 rows`."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def printable(text: str) -> str:
    """Return a text that cannot act on a terminal or reverse the text around it.

    Control and direction characters become escapes, as in a string of Python.
    """
    return _ACTS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
