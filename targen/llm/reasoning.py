"""Separates a model's answer from the reasoning that precedes it in the same text."""

import json
import re
from collections.abc import Callable

_WORD = r"think|thought|reason|reflect|scratch_?pad|monologue|rationale|deliberat"
_MARK = re.compile(
    # <think id="1">, </seed:think>, <antThinking>; not <think/>, which holds nothing.
    rf"<(?=[\s/a-z])\s?(?P<tag_end>/)?\s?(?:[a-z]{{1,20}}:)?[a-z_]{{0,20}}(?:{_WORD})[a-z_]{{0,20}}"
    r"(?:\s[^<>]{0,300})?(?<!/)>"
    rf"|\[(?=[/a-z])(?P<bracket_end>/)?(?:{_WORD})[a-z]{{0,10}}\]"
    # Kimi.
    r"|\u25c1(?P<kimi_end>/)?think(?:ing)?\u25b7"
    # Cohere and others: <|START_THINKING|>, <|end_of_thought|>, <|/think|>.
    r"|<(?=[|\uff5c][a-z_/\u2581])[|\uff5c](?:(?P<token_end>end|/)|start|begin)?[_\u2581]?(?:of[_\u2581])?"
    rf"(?:{_WORD})[a-z_]{{0,10}}(?:_(?:(?P<token_stop>end)|start|begin))?[|\uff5c]>"
    # Harmony: the answer is in the channel "final". What is left where its marks are stripped.
    r"|<\|channel\|>\s?(?:(?P<final>final)|[a-z]{1,20})[^<>{}]{0,80}(?:<\|constrain\|>[^<>{}]{0,20})?"
    r"<\|message\|>"
    r"|\A(?-i:analysis(?=[A-Z]))|(?P<stripped>(?-i:assistantfinal)(?=[^a-z]|json))",
    re.IGNORECASE,
)
_HINTS = ("<", "[", "\u25c1", "assistantfinal", "analysis")
_HARMONY_END = re.compile(r"<\|(?:end|return|call|start)\|>")
_VALUE = re.compile(r"\{|\[(?=[{\"])")
_SHIELDS = 64
"""Values in which marks count as text, at most: enough for an answer, and bounds the work."""

Decode = Callable[[str, int], tuple[object, int]]
_DECODE: Decode = json.JSONDecoder(strict=False).raw_decode


def answer_part(text: str) -> str | None:
    """Return what follows the last mark that ends reasoning; None if the reasoning does not end.

    A mark inside a JSON value is text. Text before a block that never ends counts as the answer;
    the block itself never does.
    """
    if not any(hint in text for hint in _HINTS) or _MARK.search(text) is None:
        return text
    start = at = tries = 0
    while (mark := _MARK.search(text, at)) is not None:
        while tries < _SHIELDS and (value := _VALUE.search(text, at, mark.start())):
            tries += 1
            at = _after(text, value.start())
        if at > mark.start():
            continue
        at = mark.end()
        if _ends(mark):
            start = at
            continue
        # Inside a block only its end matters: drafts may hold anything.
        end = _next_end(text, at)
        if end is None:
            return text[start : mark.start()].strip() or None
        start = at = end
    return _HARMONY_END.split(text[start:], maxsplit=1)[0]


def _after(text: str, start: int) -> int:
    """Return the place behind the JSON value at `start`, or the next place if there is none."""
    try:
        return _DECODE(text, start)[1]
    except (ValueError, RecursionError):
        return start + 1


def _next_end(text: str, at: int) -> int | None:
    for mark in _MARK.finditer(text, at):
        if _ends(mark):
            return mark.end()
    return None


def _ends(mark: re.Match[str]) -> bool:
    # Only what ends reasoning has a name in the pattern.
    return mark.lastgroup is not None
