"""Kinds of answers, equality of labels, majority votes and agreement."""

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Final, Literal

Kind = Literal["class", "span", "multi", "none"]
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


def majority(kind: Kind, labels: Sequence[Label | None]) -> Label | None:
    """Return the label with the most votes; None if several labels have the most, or no votes.

    Missing votes do not count. For `multi`, each label is decided separately: it is in the result
    if more than half of the votes contain it. If exactly half contain it, the result is None.
    """
    cast = [label for label in labels if label is not None]
    if not cast:
        return None
    if kind == "multi":
        return _majority_of_each(cast)
    votes: dict[str, list[Label]] = {}
    for label in cast:
        votes.setdefault(label_key(kind, label), []).append(label)
    ranked = sorted(votes.values(), key=len, reverse=True)
    if len(ranked) > 1 and len(ranked[0]) == len(ranked[1]):
        return None
    return ranked[0][0]


def _majority_of_each(cast: Sequence[Label]) -> list[str] | None:
    counts = Counter(name for vote in cast for name in set(vote))
    if any(2 * count == len(cast) for count in counts.values()):
        return None
    return sorted(name for name, count in counts.items() if 2 * count > len(cast))


def agreement(kind: Kind, labels: Sequence[Label], winner: Label | None) -> float | None:
    """Return the share of votes for the winner, 0 to 1; None without votes.

    For `multi`, this is the mean over all labels in the votes of the share of votes that agree with
    the winner about the label; 1 if all votes are empty.
    """
    if not labels:
        return None
    if winner is None:
        return 0.0
    if kind != "multi":
        same = sum(label_key(kind, vote) == label_key(kind, winner) for vote in labels)
        return same / len(labels)
    named = {name for vote in labels for name in vote}
    if not named:
        return 1.0
    same = sum((name in vote) == (name in winner) for name in named for vote in labels)
    return same / (len(named) * len(labels))
