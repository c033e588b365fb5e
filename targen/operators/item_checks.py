"""Checks that an item of an answer belongs to its slot and that its texts differ."""

import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, Final

from targen.tasks.spec import TaskSpec
from targen.tasks.validators import fold

_ABOUT_WORDS: Final = (5, 12)
"""Fewest and most words of `about`."""

_CLEAR: Final = 2
"""Content words shared with another slot only, from which an item counts as that slot's."""

_STEM: Final = 6
"""Characters of a word that are compared, so that inflected forms are equal."""

_CHARACTERS_A_WORD: Final = 12
_SLACK: Final = 60


def _tokens(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def beginnings(texts: Sequence[str]) -> list[str]:
    """Return the first words of each text: five, or up to twelve if texts begin alike.

    Prompts show them as `about`, and each item repeats that of its slot. They are given because
    small models copy the whole text if they are asked for its first words.
    """
    fewest, most = _ABOUT_WORDS
    for words in range(fewest, most + 1):
        found = [" ".join(text.split()[:words]) for text in texts]
        if len({*filter(None, found)}) == len([*filter(None, found)]):
            break
    return found


def wrong_about(about: str, number: int, sources: Sequence[str]) -> str | None:
    """Return the problem if `about` does not name the text of the item's own slot.

    Small deviations pass: it is enough that `about` has a word in common with its own slot's
    texts, and no more words in common with those of another slot.

    Args:
        about: what the item says.
        number: the item's slot, as an index of `sources`.
        sources: the texts given in each slot of the call, joined; a slot without texts passes.
    """
    own = sources[number]
    if not own or (about.strip() and fold(about) in fold(own)):
        return None
    said = {*_tokens(about)}
    scores = [len(said & {*_tokens(text)}) for text in sources]
    if scores[number] and scores[number] == max(scores):
        return None
    return f"about: it repeats {about[:60]!r}, but its slot begins {beginnings([own])[0]!r}"


def _content(text: str) -> set[str]:
    return {word[:_STEM] for word in _tokens(text) if len(word) > 3}


def unrelated(written: str, number: int, sources: Sequence[str]) -> str | None:
    """Return the problem if a text has content words of another slot and none of its own.

    Args:
        written: the texts of the item, joined.
        number: the item's slot, as an index of `sources`.
        sources: the texts given in each slot of the call, joined; a slot without texts passes.
    """
    own, words = _content(sources[number]), _content(written)
    if not own or words & own:
        return None
    for index, text in enumerate(sources):
        shared = words & _content(text)
        if index != number and len(shared) >= _CLEAR:
            return f"unrelated: it shares no word with its slot and {len(shared)} with another"
    return None


def same_texts(values: Mapping[str, Any], spec: TaskSpec) -> str | None:
    """Return the problem if two texts of a row are equal, unless a field has `repeats`.

    Args:
        values: field -> value.
        spec: the task. Planned and derived fields, lists and empty texts are not compared.
    """
    texts = {
        name: fold(str(values[name]))
        for name, field in spec.fields.items()
        if field.type == "text" and not (field.derived or field.planned or field.repeats)
        if values.get(name)
    }
    for (first, a), (second, b) in combinations(texts.items(), 2):
        if a and a == b:
            return f"differ: {first} and {second} are the same"
    return None


def too_many_characters(values: Mapping[str, Any], spec: TaskSpec) -> str | None:
    """Return the problem if a text is longer than any text of `max_words` words.

    The limit is 12 characters a word plus 60. It catches endless words, which `max_words` does not.
    """
    for name, value in values.items():
        words = spec.fields[name].max_words if name in spec.fields else None
        limit = None if words is None else _CHARACTERS_A_WORD * words + _SLACK
        if limit is not None and len(str(value)) > limit:
            return f"max_length: {name} has more than {limit} characters"
    return None
