"""The four kinds of answer, and when two answers are the same."""

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Final, Literal

Kind = Literal["class", "span", "multi", "none"]
Label = str | list[str]

_ARTICLES: Final = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION: Final = str.maketrans("", "", string.punctuation)


def normalise_span(text: str) -> str:
    """Lower, strip punctuation and articles, fold white space.

    Source: the answer normalisation of ReCoRD and SQuAD that SuperGLUE's evaluation uses.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def label_key(kind: Kind, label: Label) -> str:
    """Return the string that is equal for equal labels of this kind."""
    if isinstance(label, list):
        return "\x1f".join(sorted(label))
    return normalise_span(label) if kind == "span" else label


def majority(kind: Kind, labels: Sequence[Label | None]) -> Label | None:
    """Return the label that more than one vote and more votes than any other names, else None.

    Missing votes do not count. One single vote is its own majority. Of several labels (`multi`)
    each is settled by itself: it stands where more than half of the votes name it; where one
    stands at exactly half, nothing is settled.
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
    """Return the share of votes in [0, 1] that name the winner; None where nobody voted.

    For `multi`: the mean of that share over all labels that any vote names, each judged by
    itself; 1 where every vote names none.
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
