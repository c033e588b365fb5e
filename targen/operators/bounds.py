"""Bounds on the length of answers, derived from the words that a task allows."""

from collections.abc import Iterable
from typing import Final

from targen.tasks.spec import TaskSpec

UNBOUNDED_WORDS: Final = 120
"""Words allowed for a field without `max_words`."""

_ANSWER_TOKENS: Final = 32
_ITEM_TOKENS: Final = 24
_TOKENS_PER_WORD: Final = 2.2
"""Twice the usual ratio for English, so that other languages and escapes fit too."""


def words_of(spec: TaskSpec, names: Iterable[str]) -> int:
    """Return the number of words that these fields may have together."""
    return sum(spec.fields[name].max_words or UNBOUNDED_WORDS for name in names)


def output_tokens(words: int, items: int, limit: int) -> int:
    """Return the output bound of a call, in tokens.

    Args:
        words: words that the texts of one item may have together.
        items: number of items requested.
        limit: the operator's `max_output_tokens`, which is never exceeded.
    """
    return min(limit, int(_ANSWER_TOKENS + items * (_ITEM_TOKENS + _TOKENS_PER_WORD * words)))
