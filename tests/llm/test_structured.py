import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targen.llm.structured import parse
from tests.support.endpoint import SCHEMA

ONE = {"items": [{"text": "a"}, {"text": 'say "b", {c}]\n end'}]}
WHOLE = json.dumps(ONE)
LABEL = {
    "type": "object",
    "properties": {"label": {"type": "string", "enum": ["yes", "no"]}},
    "required": ["label"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    "text",
    [
        WHOLE,
        f"```json\n{WHOLE}\n```",
        f"Sure! Here it is {{as asked}}:\n{WHOLE}\nAnything else?",
        f"<think>maybe {{}} or [1]</think>{WHOLE}",
        json.dumps(ONE["items"]),
        WHOLE.replace("}]}", "},]}"),
        WHOLE.replace('"a"', '"a"').replace("}, {", "}\n {"),
    ],
)
def test_a_whole_answer_is_found_in_any_wrapping(text: str) -> None:
    found = parse(text, SCHEMA)
    assert (found.value, found.error) == (ONE, None)


@pytest.mark.parametrize("end", range(len(WHOLE)))
def test_of_a_cut_off_answer_only_whole_items_are_kept(end: int) -> None:
    found = parse(WHOLE[:end], SCHEMA)
    assert found.error is not None
    items = found.value["items"] if found.value else []
    assert items == ONE["items"][: len(items)]
    closed = [len('{"items": [{"text": "a"}'), len(WHOLE) - 2]
    assert len(items) == sum(end >= place for place in closed)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('{"items": [{"text": "a"}, {"text": 1}, {"word": "c"}]}', [{"text": "a"}]),
        ('{"items": [{"text": "a"}, {"text": 2}], "more": 1}', [{"text": "a"}]),
        ('{"items": [{"text": "a"}, {"text": "b"', [{"text": "a"}]),
        ('[{"text": "a"}, {"te', [{"text": "a"}]),
        ('{"items": [{"text": 1}]}', None),
        ('{"items": "none"}', None),
        ("", None),
        ("<html><body>502</body></html>", None),
        ("I cannot do that.", None),
        ("[" * 100_000, None),
        ('{"items":' * 20_000, None),
    ],
)
def test_what_does_not_fit_is_left_out(text: str, kept: Any) -> None:
    found = parse(text, SCHEMA)
    assert found.error
    assert found.value == (None if kept is None else {"items": kept})


def test_the_error_names_the_place() -> None:
    assert parse('{"label": "maybe"}', LABEL).error == (
        """at ['label']: "maybe" is not one of "yes" or "no\""""
    )


@pytest.mark.parametrize("text", ['{"slot": 2.0}', "{'slot': 2.0,}", '{"slot": 2e0}'])
def test_a_whole_number_is_an_integer_however_it_is_written(text: str) -> None:
    schema = {"type": "object", "properties": {"slot": {"type": "integer"}}, "required": ["slot"]}
    found = parse(text, schema)
    assert found.error is None
    assert found.value == {"slot": 2}
    assert type(found.value["slot"]) is int


def test_a_value_of_the_wrong_kind_is_no_answer() -> None:
    assert parse('"yes"', LABEL).value is None
    assert parse("[1]", LABEL).value is None


@given(st.text(max_size=200))
def test_no_text_breaks_the_parser(text: str) -> None:
    found = parse(text, SCHEMA)
    assert found.error is not None or found.value is not None


@given(st.lists(st.text(), max_size=5), st.integers(0, 400))
def test_what_is_kept_was_written(texts: list[str], end: int) -> None:
    written = [{"text": text} for text in texts]
    found = parse(json.dumps({"items": written})[:end], SCHEMA)
    items = found.value["items"] if found.value else []
    assert items == written[: len(items)]


def test_an_error_does_not_quote_a_whole_answer() -> None:
    parsed = parse(json.dumps({"items": "word " * 1000}), SCHEMA)
    assert parsed.error is not None
    assert len(parsed.error) < 300
    assert parsed.error.startswith("at ['items']: \"word word")
    assert parsed.error.endswith('is not of type "array"')


def test_half_a_character_is_no_label() -> None:
    parsed = parse('{"label": "\\ud800"}', LABEL)
    assert parsed.value is None
    assert parsed.error == """at ['label']: "\ufffd" is not one of "yes" or "no\""""
