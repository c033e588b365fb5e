"""Limits for the length of an answer, derived from what was asked for.

A small model can loop until it reaches its limit, which costs minutes on a slow endpoint.
"""

from typing import Final, TypeVar

from targen.operators.base import LLMParams
from targen.tasks.sections import ENGLISH

TOKENS_PER_WORD: Final = 2.2
"""English text has about 1.4 tokens per word; the rest is a margin for long words and names."""
OTHER_LANGUAGES: Final = 2.0
"""Other languages need up to twice as many tokens for the same content."""
TOKENS_PER_PROPERTY: Final = 10
"""Name, quotes and separators of one property of an answer's item."""
AT_LEAST: Final = 128

AnyParams = TypeVar("AnyParams", bound=LLMParams)


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
    per_word = TOKENS_PER_WORD * (1 if language == ENGLISH else OTHER_LANGUAGES)
    needed = AT_LEAST + items * (properties * TOKENS_PER_PROPERTY + round(words * per_word))
    return params.model_copy(update={"max_output_tokens": min(params.max_output_tokens, needed)})
