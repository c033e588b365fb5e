"""A text with its words, split once for all guards."""

import re
from typing import Final

_WORD: Final = re.compile(r"\w+")
_SENTENCE_END: Final = re.compile(r"[.!?;:।؟][\"'”’»)\]]*\s+|\n+|[。！？]")


def words(text: str) -> list[str]:
    """Return the words of a text, case-folded, without punctuation."""
    return _WORD.findall(text.casefold())


def sentences(text: str) -> list[list[str]]:
    """Return the words of each sentence.

    A semicolon, a colon and a line break end a sentence as well.
    """
    return [found for part in _SENTENCE_END.split(text) if (found := words(part))]


class Written:
    """One text that a model wrote.

    Attributes:
        name: its field.
        text: the text, without white space at its ends.
        whole: whether the text is the value of the field, and not an entry of a list.
        description: what the field is to contain; empty if that is unknown.
        room: the number of words that the field allows; 0 if that is unknown.
        sentences: the words of each sentence, case-folded.
        words: the words of all sentences.
        vocabulary: the different words.
    """

    __slots__ = ("description", "name", "room", "sentences", "text", "vocabulary", "whole", "words")

    def __init__(
        self, name: str, text: str, whole: bool = True, description: str = "", room: int = 0
    ) -> None:
        self.name, self.whole, self.description, self.room = name, whole, description, room
        self.text = text.strip()
        self.sentences = sentences(self.text)
        self.words = [word for sentence in self.sentences for word in sentence]
        self.vocabulary = frozenset(self.words)
