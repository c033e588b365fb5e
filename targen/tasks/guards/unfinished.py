"""Finds texts that stop in the middle of a sentence."""

import re
from typing import Final

from targen.tasks.guards.language import is_known
from targen.tasks.guards.written import Written, words
from targen.tasks.sections import ENGLISH

_CUT: Final = re.compile(r"[,;(–—]$|\w-$")
"""A text does not end like this."""

_OPEN_WORDS: Final = frozenset(
    words(
        """the an and or but because although whereas whose than your my our their its if unless"""
    )
)
"""English words that another word follows. `a`, `of` and `to` are not among them: they end names
("hepatitis a") and questions ("what is it made of")."""

_OPEN_IN_SENTENCES: Final = frozenset(
    words(
        """a of to in with by for from at on is are was were that which who has have had been as"""
    )
)
"""Words that a statement hardly ever ends with."""

_INNER_END: Final = re.compile(r"[.!?…][\"'”’»)\]]*\s+[\"'“‘«(\[–—-]*[A-ZÀ-ÞΑ-ΩА-ЯЁ0-9]")
_ASKS_FOR_SENTENCES: Final = re.compile(
    r"\b(?:sentences?|paragraphs?|passage|prose|story|statements?|declarative)\b", re.IGNORECASE
)
_ASKS_FOR_LESS: Final = re.compile(
    r"\b(?:questions?|riddle|phrase|clause|title|headline|subject line|list|span|nouns?"
    r"|code)\b",
    re.IGNORECASE,
)
_ROOM_FOR_PROSE: Final = 30
"""A field that allows this many words contains prose, if its description does not say more."""

_FEWEST_WORDS: Final = 4
_LONG_SENTENCE: Final = 8
_SIGNED: Final = 4
"""A last line of at most this many words may be a signature."""

_SIGNATURE: Final = re.compile(r"[,–—-]\s*(?:[^\W\d_a-zß-ÿ][\w'’.-]*\s*){1,3}$")
_GREETING: Final = re.compile(
    r"\b(?:regards|wishes|greetings|thanks|thank you|cheers|sincerely|yours|best|grüße|grüßen|gruß"
    r"|dank|danke|cordialement|salutations|merci|saludos|gracias|saluti|grazie|groeten"
    r"|cumprimentos|obrigad[ao])\b",
    re.IGNORECASE,
)
_SIGNATURE_WORDS: Final = 10
"""A last line or sentence of at most this many words may be a greeting, or end with a name after a
comma."""


def cut_off(written: Written, english: bool) -> str | None:
    """Return how a text stops before its end, else None."""
    text = written.text
    if len(written.words) < _FEWEST_WORDS or not written.whole:
        return None
    if _CUT.search(text[-2:]):
        return f"ends with {text[-1]!r}"
    if not text[-1].isalnum():
        return None
    last = text.rpartition(" ")[2]
    possessive = last.endswith(("'s", "’s"))
    in_sentence = possessive or last in _OPEN_IN_SENTENCES
    open_word = last in _OPEN_WORDS or (in_sentence and _wants_sentences(written))
    if english and open_word:
        return f"ends with {last!r}"
    if english and _breaks_off(written, last):
        return f"ends in the middle of a word: {last!r}"
    return "ends without the end of a sentence" if _lacks_end(written) else None


def _breaks_off(written: Written, last: str) -> bool:
    """Return whether a short sentence ends with lower-case letters that are no English word."""
    if not last.isalpha() or not last.islower() or written.text[0].islower():
        return False
    return _wants_sentences(written) and not is_known(last, ENGLISH)


def _lacks_end(written: Written) -> bool:
    """Return whether a text of sentences ends with a letter, and not with a signature."""
    if _ASKS_FOR_LESS.search(written.name) or written.text.isupper():
        return False
    line = written.text.rpartition("\n")[2]
    ends = [found.start() + 1 for found in _INNER_END.finditer(line)]
    if _is_signature(line[ends[-1] :] if ends else line, line != written.text and not ends):
        return False
    return bool(ends) or line != written.text or _is_long_sentence(written)


def _is_signature(last: str, own_line: bool) -> bool:
    count = len(last.split())
    if own_line and count <= _SIGNED:
        return True
    signed = _SIGNATURE.search(last) or _GREETING.search(last)
    return count <= _SIGNATURE_WORDS and signed is not None


def _is_long_sentence(written: Written) -> bool:
    if len(written.words) < _LONG_SENTENCE or written.text[0].islower():
        return False
    # A semicolon separates the entries of a list.
    return _wants_sentences(written) or (_has_room(written) and ";" not in written.text)


def _has_room(written: Written) -> bool:
    # What begins with a number may be a list.
    enough = written.room >= _ROOM_FOR_PROSE and written.text[0].isupper()
    return enough and not _ASKS_FOR_LESS.search(written.description)


def _wants_sentences(written: Written) -> bool:
    asked = written.description
    return bool(_ASKS_FOR_SENTENCES.search(asked)) and not _ASKS_FOR_LESS.search(asked)
