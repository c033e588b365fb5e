"""Limits of output tokens, derived from the lengths that a task allows.

A small model can loop until it reaches its limit, which takes minutes on a slow endpoint.
"""

import re
from collections.abc import Iterable
from typing import Final, TypeVar

from targen.operators.base import LLMParams
from targen.tasks.sections import ENGLISH, TaskField
from targen.tasks.spec import TaskSpec

RATIONALE_CHARACTERS: Final = 400
"""Longest rationale that is stored; the prompts name the same number."""

RATIONALE_WORDS: Final = RATIONALE_CHARACTERS // 6
"""A word has about six characters with the space after it."""

ENTITIES_WORDS: Final = 80
"""For the list of entities of a row: texts, types and their keys."""

_DEFAULT_WORDS: Final = 250
"""For a field whose task gives no length."""

_SHORT_WORDS: Final = 20
"""For a choice, a number, a date, or the answer of a span task."""

_TOKENS_PER_WORD: Final = 2.2
"""English text has about 1.4 tokens per word; the rest is a margin for long words and names."""

_OTHER_LANGUAGES: Final = 2.5
"""Tokenizers split other languages and scripts more finely."""

_TOKENS_PER_PROPERTY: Final = 12
"""Name, quotes and separators of one property of an item."""

_AT_LEAST: Final = 64
"""For the object around the items, and a fence or a sentence before it."""

_RANGE: Final = re.compile(r"(\d+)(?:\s*(?:to|-|–)\s*(\d+))?\s+words")

AnyParams = TypeVar("AnyParams", bound=LLMParams)


def words_at_most(field: TaskField) -> int:
    """Return how many words a field may have.

    This is `max_words`, else one and a half times the length that the description names ("10 to 25
    words"), else 250.
    """
    if field.values or field.type not in ("text", "texts"):
        return _SHORT_WORDS
    if field.max_words is not None:
        return field.max_words
    named = [int(number) for pair in _RANGE.findall(field.description) for number in pair if number]
    return max(named) * 3 // 2 if named else _DEFAULT_WORDS


def words_of(spec: TaskSpec, names: Iterable[str]) -> int:
    """Return how many words these properties of an item may have together.

    Properties that are no field of the task count as short texts.
    """
    fields = (spec.fields.get(name) for name in names)
    return sum(_SHORT_WORDS if field is None else words_at_most(field) for field in fields)


def bounded(
    params: AnyParams, items: int, properties: int, words: int, language: str = ENGLISH
) -> AnyParams:
    """Return parameters whose `max_output_tokens` is no higher than an answer needs.

    With `reasoning_effort` they stay as they are: the model writes an unknown number of further
    tokens.

    Args:
        params: the operator's parameters; their own limit is never raised.
        items: number of items in the answer.
        properties: number of properties of an item.
        words: words that the longest plausible item has in all its properties together.
        language: ISO 639-1 code of the task.
    """
    if params.reasoning_effort is not None:
        return params
    per_word = _TOKENS_PER_WORD * (1 if language == ENGLISH else _OTHER_LANGUAGES)
    needed = _AT_LEAST + items * (properties * _TOKENS_PER_PROPERTY + round(words * per_word))
    return params.model_copy(update={"max_output_tokens": min(params.max_output_tokens, needed)})
