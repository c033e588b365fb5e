"""The four kinds of answer, and when two answers are the same.

Here belongs equality of labels, for majority votes, agreement and selection. How labels are asked
for does not.
"""

import re
import string
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

    Missing votes do not count. One single vote is its own majority.
    """
    votes: dict[str, list[Label]] = {}
    for label in labels:
        if label is not None:
            votes.setdefault(label_key(kind, label), []).append(label)
    if not votes:
        return None
    ranked = sorted(votes.values(), key=len, reverse=True)
    if len(ranked) > 1 and len(ranked[0]) == len(ranked[1]):
        return None
    return ranked[0][0]
