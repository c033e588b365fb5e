"""The mean log-probability is over the texts of an answer, not over its JSON."""

import json
from typing import Any

import pytest

from targen.llm.logprobs import mean_logprob


def content(*tokens: tuple[str, float]) -> dict[str, Any]:
    return {"content": [{"token": text, "logprob": value} for text, value in tokens]}


def test_keys_quotes_brackets_and_numbers_do_not_count() -> None:
    """The texts are 'a b', 'c' and 'x': five tokens, with mean -3."""
    tokens = content(
        ('{"', -9), ("items", -9), ('": [{"slot": ', -9), ("1", -9), (', "note": "', -9),
        ("a", -1), (" b", -2), ('", "other"', -9), (' : "', -9), ("c", -3), ('", "list": ["', -9),
        ("x", -4), ('.', -5), ('"]}]}', -9),
    )  # fmt: skip
    assert mean_logprob(tokens) == -3


def test_a_token_that_joins_text_and_punctuation_counts() -> None:
    assert mean_logprob(content(('{"a": "yes', -1), ('!"}', -3), ("\n", -50))) == -2


def test_escapes_and_colons_inside_a_text_belong_to_it() -> None:
    tokens = content(('{"a": "', -9), ("he said ", -1), ('\\"', -2), ("no\\\\", -3), ('"', -9),
                     (', "b": "', -9), ("key: value", -4), ('"}', -9))  # fmt: skip
    assert mean_logprob(tokens) == -2.5


def test_the_bytes_of_a_token_count_where_its_text_is_inexact() -> None:
    """A snowman split over two tokens: their texts would be two replacement characters."""
    first, second = "☃".encode()[:1], "☃".encode()[1:]
    made = content(('{"a": "', -9), ("�", -1), ("�", -3), ('"', -7), ("}", -9))
    for token, raw in zip(made["content"][1:3], (first, second), strict=True):
        token["bytes"] = list(raw)
    assert mean_logprob(made) == -2


def test_reasoning_before_the_answer_does_not_count() -> None:
    tokens = content(('<think>try {"a": "', -8), ("draft", -8), ('"}</think>{"a": "', -9),
                     ("text", -2), ('"}', -9))  # fmt: skip
    assert mean_logprob(tokens) == -2


def test_the_older_form_of_the_api() -> None:
    made = {"tokens": ['{"a": "', "x", '"}'], "token_logprobs": [-9.0, -1.0, -9.0]}
    assert mean_logprob(made) == -1


@pytest.mark.parametrize(
    ("tokens", "mean"),
    [
        (content(("plain ", -1), ("text", -3)), -2),
        (content(('{"n": ', -1), ("5}", -3)), -2),
        (content(('{"a": "', -1), ('"}', -3)), -2),
        ({"content": [{"logprob": -1.0}, {"logprob": -3.0}]}, -2),
        ({"tokens": ["a"], "token_logprobs": [-1.0, -3.0]}, -2),
        ({"content": []}, None),
        (content(('{"a": "', -9), ("sure", 0.0), ('"}', -9)), 0),
    ],
)
def test_odd_answers(tokens: Any, mean: float | None) -> None:
    assert mean_logprob(tokens) == mean


def test_hostile_strings_take_linear_time() -> None:
    """Quadratic time would be minutes."""
    text = '{"a": "' + '\\"' * 200_000
    tokens = content(*((one, -1.0) for one in text))
    assert mean_logprob(tokens) == -1
    assert mean_logprob(content(('{"' * 50_000, -1.0))) is not None


def test_a_value_without_a_valid_number_is_left_out() -> None:
    made = content(('{"a": "', -9), ("x", float("nan")), (" y", -2), ('"}', -9))
    assert mean_logprob(made) == -2
    assert json.dumps(mean_logprob(content(('{"a": "', -9), ("x", 3), ('"}', -9)))) == "-9.0"
