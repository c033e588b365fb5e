"""Kinds of answers, equality of labels, majority votes and agreement."""

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Final, Literal

Kind = Literal["class", "ordinal", "span", "spans", "multi", "none"]

ONE_LABEL: Final = frozenset({"class", "ordinal"})
"""Kinds of answers whose rows have one of the task's labels."""

LISTS: Final = frozenset({"multi", "spans"})
"""Kinds of answers whose label is a list: of labels, or of entities (`tasks.entities`)."""

Label = str | list[str]

_ARTICLES: Final = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION: Final = str.maketrans("", "", string.punctuation)


def normalize_span(text: str) -> str:
    """Return a text in lower case without punctuation, articles and extra white space.

    Source: the answer normalization of ReCoRD and SQuAD in SuperGLUE's evaluation.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def label_key(kind: Kind, label: Label) -> str:
    """Return a string that is the same for equal labels of this kind."""
    if isinstance(label, list):
        return "\x1f".join(sorted(label))
    return normalize_span(label) if kind == "span" else label


def majority(kind: Kind, labels: Sequence[Label | None], order: Sequence[str] = ()) -> Label | None:
    """Return the label with the most votes; None if several labels have the most, or no votes.

    For `ordinal`, the median decides if several labels have the most votes. If two labels share the
    middle, the result is None, because no vote lies between them.

    Missing votes do not count. For `multi` and `spans`, each label or entity is decided separately:
    it is in the result if more than half of the votes contain it. If exactly half contain it, the
    result is None.

    Args:
        kind: kind of answer.
        labels: the votes; None is a missing vote.
        order: for `ordinal`, the task's labels in order.
    """
    cast = [label for label in labels if label is not None]
    if not cast:
        return None
    if kind in LISTS:
        return _majority_of_each(cast)
    votes: dict[str, list[Label]] = {}
    for label in cast:
        votes.setdefault(label_key(kind, label), []).append(label)
    ranked = sorted(votes.values(), key=len, reverse=True)
    if len(ranked) > 1 and len(ranked[0]) == len(ranked[1]):
        return _median(cast, order) if kind == "ordinal" else None
    return ranked[0][0]


def _median(cast: Sequence[Label], order: Sequence[str]) -> Label | None:
    ranks = sorted(order.index(vote) for vote in cast if vote in order)
    if not ranks:
        return None
    low, high = ranks[(len(ranks) - 1) // 2], ranks[len(ranks) // 2]
    return order[low] if low == high else None


def _majority_of_each(cast: Sequence[Label]) -> list[str] | None:
    counts = Counter(name for vote in cast for name in set(vote))
    if any(2 * count == len(cast) for count in counts.values()):
        return None
    return sorted(name for name, count in counts.items() if 2 * count > len(cast))


def agreement(kind: Kind, labels: Sequence[Label], winner: Label | None) -> float | None:
    """Return the share of votes for the winner, 0 to 1; None without votes.

    For `multi` and `spans`, this is the mean over all labels in the votes of the share of
    votes that agree with the winner about the label; 1 if all votes are empty.
    """
    if not labels:
        return None
    if winner is None:
        return 0.0
    if kind not in LISTS:
        same = sum(label_key(kind, vote) == label_key(kind, winner) for vote in labels)
        return same / len(labels)
    named = {name for vote in labels for name in vote}
    if not named:
        return 1.0
    same = sum((name in vote) == (name in winner) for name in named for vote in labels)
    return same / (len(named) * len(labels))
