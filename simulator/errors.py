"""The errors that the simulator makes on purpose, and how often."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from random import Random
from typing import Final

from simulator.words import lexicons


@dataclass(frozen=True, slots=True)
class ErrorRates:
    """Error rates from 0 to 1. The defaults are those of the demonstration.

    Attributes:
        wrong_label: instances whose text has a label other than the requested one.
        malformed: answers that are cut off, wrapped in chatty text, or have wrong types.
        near_duplicate: seeds that repeat another seed of the same call except for one word.
        annotator: wrong labels from the blind annotator.
        corrector: wrong labels from the corrector.
    """

    wrong_label: float = 0.10
    malformed: float = 0.02
    near_duplicate: float = 0.03
    annotator: float = 0.05
    corrector: float = 0.05

    def __post_init__(self) -> None:
        for rate in fields(self):
            if not 0 <= getattr(self, rate.name) <= 1:
                raise ValueError(f"{rate.name} must be between 0 and 1")


NONE: Final = ErrorRates(0, 0, 0, 0, 0)


def spoil(answer: str, rng: Random) -> tuple[str, str]:
    """Return a malformed version of an answer and its finish reason (`stop` or `length`)."""
    how = rng.randrange(4)
    if how == 0:
        return answer[: rng.randint(len(answer) // 3, len(answer) * 9 // 10)], "length"
    if how == 1:
        opening = rng.choice(
            ("Sure! Here is the JSON you asked for:", "Here you go:", "Of course.")
        )
        closing = rng.choice(("Let me know if you need more.", "I hope this helps!"))
        return f"{opening}\n\n```json\n{answer}\n```\n\n{closing}", "stop"
    if how == 2:
        # A list instead of a string.
        return answer.replace('":"', '":["', 1).replace('","', '"],"', 1), "stop"
    return f"[{answer}, ]", "stop"


_GRADED: Final = re.compile(r"\d+\D")
_ONE_STEP: Final = 0.8


def mistaken(right: str, labels: Sequence[str], rng: Random) -> str:
    """Return a wrong label; of graded labels, such as `2 stars`, it is mostly a neighbor."""
    others = [one for one in labels if one != right]
    if _GRADED.match(right) and all(map(_GRADED.match, labels)) and rng.random() < _ONE_STEP:
        grades = {one: int(re.match(r"\d+", one).group()) for one in labels}  # type: ignore[union-attr]
        nearest = min(abs(grades[one] - grades[right]) for one in others)
        others = [one for one in others if abs(grades[one] - grades[right]) == nearest]
    return rng.choice(others)


def misread(
    entities: Sequence[Mapping[str, str]], types: Sequence[str], rng: Random
) -> list[Mapping[str, str]]:
    """Return a list of entities with one error: one is missing, or has another type or a part."""
    found = list(entities)
    if not found:
        return found
    at = rng.randrange(len(found))
    one, others = found[at], [kind for kind in types if kind != found[at]["type"]]
    words = one["text"].split()
    how = rng.randrange(3)
    if how == 0 and others:
        found[at] = {"text": one["text"], "type": rng.choice(others)}
    elif how == 1 and len(words) > 1:
        found[at] = {"text": words[0], "type": one["type"]}
    else:
        del found[at]
    return found


# A port is also a city: it is replaced by another port, which both lexicons contain.
_SWAPPED: Final = ("weekday", "month", "female", "male", "surname", "city", "port")


@cache
def _swappable() -> tuple[Mapping[str, str], re.Pattern[str]]:
    kinds = {word: kind for kind in _SWAPPED for word in lexicons()[kind].entries}
    alternation = "|".join(sorted(map(re.escape, kinds), key=len, reverse=True))
    return kinds, re.compile(rf"\b(?:{alternation})\b")


def near_duplicate(fields: Mapping[str, object], rng: Random) -> dict[str, object] | None:
    """Return the fields with one weekday, month, name or place replaced in all of them.

    The new word is from the same lexicon, so that grammars can still read their own texts.
    Returns None if no word can be replaced.
    """
    kinds, pattern = _swappable()
    text = "\n".join(str(value) for value in fields.values())
    found = sorted(set(pattern.findall(text)))
    if not found:
        return None
    old = rng.choice(found)
    new = lexicons()[kinds[old]].draw(rng, found)
    swap = re.compile(rf"\b{re.escape(old)}\b")

    def swapped(value: object) -> object:
        if isinstance(value, str):
            return swap.sub(new, value)
        return [swapped(one) for one in value] if isinstance(value, list) else value

    return {name: swapped(value) for name, value in fields.items()}
