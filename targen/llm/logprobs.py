"""Mean log-probability of an answer, over the texts in its JSON."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

_STRING: Final = re.compile(rb'"((?:[^"\\]|\\.)*+)"?(\s*+:)?', re.DOTALL)
"""A string, or the rest of the answer after a quote without an end."""

_REASONING_END: Final = b"</think>"

_Token = tuple[bytes | None, float | None]


def mean_logprob(logprobs: Any) -> float | None:
    """Return the mean natural log-probability of a token of the answer.

    If the answer is JSON, only tokens of its string values count. Brackets, keys, quotes and
    numbers are prescribed by the schema, so their tokens are nearly certain and say nothing about
    the text. A token that joins the end of a value and punctuation counts. Without JSON, or if the
    endpoint does not return the tokens' texts, all tokens count. Values that cannot be
    log-probabilities are left out.
    """
    tokens = list(_tokens(logprobs))
    of_values = _mean(_of_values(tokens))
    return _mean([value for _, value in tokens]) if of_values is None else of_values


def _tokens(logprobs: Any) -> Iterator[_Token]:
    """Yield the text (None if unknown) and the log-probability (None if invalid) of each token."""
    if not isinstance(logprobs, Mapping):
        return
    listed = logprobs.get("content")
    if isinstance(listed, list):
        for token in listed:
            if isinstance(token, Mapping):
                yield _text(token), _valid(token.get("logprob"))
        return
    values = logprobs.get("token_logprobs")
    values = values if isinstance(values, list) else []
    texts = logprobs.get("tokens")
    if not isinstance(texts, list) or len(texts) != len(values):
        texts = [None] * len(values)
    for text, value in zip(texts, values, strict=True):
        yield _text({"token": text}), _valid(value)


def _text(token: Mapping[str, Any]) -> bytes | None:
    """Return a token's bytes. A token's text is inexact if it ends inside a character."""
    listed = token.get("bytes")
    if isinstance(listed, list) and all(type(b) is int and 0 <= b < 256 for b in listed):
        return bytes(listed)
    text = token.get("token")
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else None


def _valid(value: Any) -> float | None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if number and -1e6 < value <= 0.0 else None


def _of_values(tokens: list[_Token]) -> list[float | None]:
    """Return the log-probabilities of the tokens that overlap a string value of the JSON."""
    texts = [text for text, _ in tokens]
    if None in texts:
        return []
    answer = b"".join(text for text in texts if text is not None)
    spans = list(_value_spans(answer))
    found: list[float | None] = []
    start = at = 0
    for text, value in tokens:
        end = start + len(text or b"")
        while at < len(spans) and spans[at][1] <= start:
            at += 1
        if at < len(spans) and spans[at][0] < end and start < end:
            found.append(value)
        start = end
    return found


def _value_spans(answer: bytes) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of the string values, without quotes, that follow the reasoning."""
    begin = answer.find(b"{", max(0, answer.rfind(_REASONING_END)))
    if begin < 0:
        return
    for found in _STRING.finditer(answer, begin):
        if found[2] is None and found[1]:
            yield found.span(1)


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
