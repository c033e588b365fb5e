"""What a target demands of a new row: sentences for the prompt, and a check of the answer."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from targen.tasks.targets import GAP, Target

_WORD: Final = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
NEARER: Final = 0.5
"""Part of the distance of the old length from a range that a new length may have. Such a row closes
some of the gap, and a second try usually brings no better one."""
_SLACK: Final = 0.15
"""Share by which a length may miss its range; models count words only roughly."""
ROOM: Final = 0.9
"""Part of a field's greatest length that a range of lengths may reach: a longer text is invalid."""
WIDTH: Final = 1.25
"""Minimum ratio of a range's greatest length to its smallest length."""
SHORT: Final = 8
"""Up to this number of words, a model counts well, so that a range is not widened."""
STEP: Final = 1.3
"""The same, for a range that keeps a new row at the length of the row that it replaces."""


@dataclass(frozen=True)
class Demand:
    """What one target demands of a row.

    Attributes:
        target: the target.
        own: whether the row was written for this target. Of the others, only what is to be avoided
            counts, so that a row that closes one gap does not open another.
        sized: whether the row should have the target's length even so.
        length: length in words that the row to replace has in the target's field; 0 if unknown.
    """

    target: Target
    own: bool
    sized: bool = False
    length: int = 0

    def sentences(self) -> list[str]:
        """Return the demands in the words of the prompt."""
        one, found = self.target, []
        where = f" in `{one.field}`" if one.field else ""
        if self.own and one.kind == "thin_cell" and one.way:
            found.append("Get the label in the given `way` and in no other.")
        if self.own and one.kind == "shortcut" and one.field:
            found.append(f"`{one.field}` read alone must fit every label.")
        if self.own and one.demand:
            found.append(one.demand)
        least, most = one.least_words, one.most_words
        if (self.own or self.sized) and (least or most):
            size = f"{least} to {most}" if least and most else f"at least {least}"
            size = size if least else f"at most {most}"
            size = size if least != most else f"exactly {least}"
            found.append(f"Write {size} words{where}.")
        avoid = one.avoid
        for words, said in (
            (avoid.words, f"Do not use these words{where}: "),
            (avoid.names, f"Do not use these names{where}: "),
            (avoid.templates, f"Do not follow these patterns{where}: "),
            (avoid.openings, f"Do not begin{where} with: "),
        ):
            if words:
                found.append(said + "; ".join(words) + ".")
        return found

    def problem(self, values: Mapping[str, Any]) -> str | None:
        """Return how written values break the demands, None if they do not."""
        one = self.target
        texts = {n: v for n, v in values.items() if isinstance(v, str) and one.field in (None, n)}
        for name, text in texts.items():
            said = words_of(text)
            if self.own and not self._fits(len(said)):
                return f"{name}: it has {len(said)} words"
            found = _avoided(one, text, said)
            if found:
                return f"{name}: it has {found}"
        return None

    def _fits(self, size: int) -> bool:
        """Return whether a length is in the range, or much nearer to it than the old length."""
        missed, before = _missed(size, self.target), _missed(self.length, self.target)
        return missed == 0 or (self.length > 0 and missed <= NEARER * before)


def word_range(least: int, most: int, limit: int | None) -> tuple[int, int]:
    """Return the range of lengths that a prompt names.

    Args:
        least: of the wanted range, which is widened to `WIDTH` if it is not `SHORT`.
        most: of the wanted range.
        limit: the field's greatest length, if any.
    """
    middle = (least + most) / 2
    if most > SHORT:
        least = min(least, int(middle / WIDTH**0.5))
        most = max(most, math.ceil(middle * WIDTH**0.5))
    if limit is not None and most > ROOM * limit:
        most = max(1, int(ROOM * limit))
        least = min(least, int(most / WIDTH))
    return least, most


def range_around(length: int, limit: int | None) -> tuple[int, int]:
    """Return a range that has a length in it, the same one for lengths that are alike.

    Rows that replace rows of about one length are then asked for together.
    """
    least = 1
    while (above := max(least + 1, round(least * STEP))) <= length:
        least = above
    return word_range(least, above - 1, limit)


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case, with inner apostrophes."""
    return _WORD.findall(text.lower())


def _missed(size: int, target: Target) -> float:
    """Return by how many words a length misses the range of a target."""
    low = (target.least_words or 0) * (1 - _SLACK)
    high = math.inf if target.most_words is None else target.most_words * (1 + _SLACK)
    return max(0.0, low - size, size - high)


def _avoided(one: Target, text: str, said: Sequence[str]) -> str | None:
    avoid = one.avoid
    for word in avoid.words:
        if word.lower() in said:
            return f"the word '{word}'"
    for name in avoid.names:
        if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text):
            return f"the name '{name}'"
    joined = " ".join(said)
    for template in avoid.templates:
        if follows(template, joined):
            return f"the pattern '{template}'"
    for opening in avoid.openings:
        if f"{joined} ".startswith(f"{' '.join(words_of(opening))} "):
            return f"the opening '{opening}'"
    return None


def follows(template: str, text: str) -> bool:
    """Return whether a text of words in lower case follows a template.

    It uses no regular expression, because the time would grow exponentially with the number of
    gaps.
    """
    said = text.split()
    # The numbers of words that the parts before can take.
    ends = {0}
    for part in template.split():
        if part == GAP:
            ends = {*range(min(ends) + 1, len(said) + 1)}
        else:
            ends = {end + 1 for end in ends if end < len(said) and said[end] == part}
        if not ends:
            return False
    return len(said) in ends


def demands(
    target: Target,
    before: Iterable[Target],
    label: Any,
    sized: Iterable[Target] = (),
    length: int = 0,
) -> list[Demand]:
    """Return the demands on a row that is written for a target.

    Args:
        target: the target.
        before: the targets of its round and of earlier rounds.
        label: the row's label. What another target wants to avoid counts if it is for this label
            or for all.
        sized: further targets with the lengths that the row should have in other fields.
        length: see `Demand`.
    """
    others = [
        one for one in before if one.target_id != target.target_id and one.label in (None, label)
    ]
    return [
        Demand(target, True, length=length),
        *(Demand(one, False) for one in others),
        *(Demand(one, False, sized=True) for one in sized),
    ]


def must(found: Iterable[Demand]) -> list[str]:
    """Return the sentences of demands, each once."""
    return list(dict.fromkeys(sentence for one in found for sentence in one.sentences()))
