"""Checks that an item of an answer belongs to its slot and that its texts differ."""

import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, Final

from targen.tasks.spec import TaskSpec
from targen.tasks.validators import fold

ABOUT_WORDS: Final = 5
"""Words of a slot's text that an item repeats, to show which slot it answers."""

_CLEAR: Final = 2
"""Content words shared with another slot only, from which an item counts as that slot's."""

_STEM: Final = 6
"""Characters of a word that are compared, so that inflected forms are equal."""

_CHARACTERS_A_WORD: Final = 12
_SLACK: Final = 60


def source_text(spec: TaskSpec, given: Mapping[str, Any], seed: Mapping[str, Any]) -> str:
    """Return the first text that a slot gets from its seed; empty if it has none.

    Args:
        spec: the task; planned values are not texts of the seed.
        given: the slot's fixed fields.
        seed: the rest of its seed, in the order of the task.
    """
    named = spec.seeds.fields if spec.seeds else {}
    texts = [value for name, value in given.items() if name not in spec.planned]
    texts += [value for name, value in seed.items() if name in named]
    return next((text for text in texts if isinstance(text, str) and text.strip()), "")


def _tokens(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def first_words(text: str) -> str:
    """Return the first `ABOUT_WORDS` words of a text, as `about` repeats them."""
    return " ".join(text.split()[:ABOUT_WORDS])


def wrong_about(about: Any, number: int, sources: Sequence[str]) -> str | None:
    """Return the problem if `about` names the text of another slot, or no text at all.

    Small deviations pass: it is enough that `about` has a word in common with the beginning of its
    own slot's text, and not more words with that of another slot.

    Args:
        about: what the item says.
        number: the item's slot, as an index of `sources`.
        sources: the text of each slot of the call; a slot without a text passes.
    """
    if not sources[number]:
        return None
    said = _tokens(str(about or ""))
    if said and fold(sources[number]).startswith(fold(str(about))):
        return None
    scores = [len({*said} & {*_tokens(text)[: 2 * ABOUT_WORDS]}) for text in sources]
    if scores[number] and scores[number] == max(scores):
        return None
    return (
        f"about: it repeats {str(about)[:60]!r}, its slot begins {first_words(sources[number])!r}"
    )


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
