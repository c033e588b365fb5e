"""Rows of a contrast set: the first row of the set with few words changed."""

from collections.abc import Iterable, Mapping
from random import Random
from typing import Any, Final

from simulator.errors import near_duplicate
from simulator.truth import truth

_WORDS: Final = (
    "never", "still", "only", "hardly", "again", "already", "nearly", "rarely", "also", "perhaps",
)  # fmt: skip
_TRIES: Final = 600


def edited(
    first: Mapping[str, Any], names: Iterable[str], label: str, labels: list[str], rng: Random
) -> dict[str, Any]:
    """Return a row with few words changed and another label."""
    texts = [name for name in names if isinstance(first.get(name), str) and first[name].strip()]
    row = dict(first)
    for _ in range(_TRIES if texts else 0):
        name = rng.choice(texts)
        row = {**first, name: _changed(str(first[name]), rng)}
        if rng.random() < 1 / 2:
            swapped = near_duplicate({name: row[name]}, rng)
            row |= swapped or {}
        if truth(row, labels) == label and row != first:
            return row
    return row


def _changed(text: str, rng: Random) -> str:
    """Return a text with one word inserted, or left out if it was inserted before."""
    words = text.split()
    place = rng.randrange(1, len(words)) if len(words) > 1 else 0
    if words[place] in _WORDS:
        return " ".join(words[:place] + words[place + 1 :])
    return " ".join([*words[:place], rng.choice(_WORDS), *words[place:]])
