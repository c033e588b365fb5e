"""Limits of output tokens, derived from the lengths that a task allows."""

import re
from collections.abc import Iterable
from typing import Final

from targen.tasks.sections import ENGLISH, TaskField
from targen.tasks.spec import TaskSpec

RATIONALE_CHARACTERS: Final = 400
"""Longest rationale that is stored; the prompts name the same number."""

_DEFAULT_WORDS: Final = 250
"""For a field whose task gives no length: 2,000 characters of 8 a word."""

_TOKENS_A_WORD: Final = 2
"""English text has about 1.3 tokens a word; escaped quotes and rare names need more."""

_TOKENS_A_WORD_ELSEWHERE: Final = 6
"""Tokenizers split other languages and scripts more finely."""

_TOKENS_A_KEY: Final = 16
"""Key, quotes and separators of one property."""

_SPARE: Final = 64
"""For the object around the items, and a fence or a sentence before it."""

_RANGE: Final = re.compile(r"(\d+)(?:\s*(?:to|-|–)\s*(\d+))?\s+words")


def words_at_most(field: TaskField) -> int:
    """Return how many words a field may have.

    This is `max_words`, else one and a half times the length that the description names ("10 to 25
    words"), else 250.
    """
    if field.max_words is not None:
        return field.max_words
    named = [int(number) for pair in _RANGE.findall(field.description) for number in pair if number]
    return max(named) * 3 // 2 if named else _DEFAULT_WORDS


def output_tokens(
    spec: TaskSpec, names: Iterable[str], count: int, *, rationale: bool, about: bool
) -> int:
    """Return how many tokens an answer with `count` items may need.

    Args:
        spec: the task.
        names: the properties of an item: fields, or `answer` for the text that a span task wants.
        count: items of the answer.
        rationale: whether items have a rationale.
        about: whether items repeat the first words of their slot's text.
    """
    a_word = _TOKENS_A_WORD if spec.language == ENGLISH else _TOKENS_A_WORD_ELSEWHERE
    tokens = _TOKENS_A_KEY
    for name in names:
        field = spec.fields.get(name)
        tokens += _TOKENS_A_KEY
        if field is None or field.values:
            tokens += 20 * a_word
        elif field.type != "integer":
            tokens += words_at_most(field) * a_word
    # A word has about six characters with the space after it.
    tokens += RATIONALE_CHARACTERS // 6 * a_word + _TOKENS_A_KEY if rationale else 0
    tokens += 10 * a_word + _TOKENS_A_KEY if about else 0
    return _SPARE + count * tokens
