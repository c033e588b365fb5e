import json
import time
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
    assert parse('"perhaps"', LABEL).value is None
    assert parse('"yes"', SCHEMA).value is None
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


# Reasoning.

DRAFT, FINAL = '{"label": "yes"}', '{"label": "no"}'


@pytest.mark.parametrize(
    "text",
    [
        f"Perhaps {DRAFT}? No.\n</think>\n{FINAL}",
        f'<think id="1">{DRAFT}</think>{FINAL}',
        f"<think>{DRAFT}</think>\n\n```json\n{FINAL}\n```",
        f"<THINK>{DRAFT}</Think>{FINAL}",
        f"<thinking>{DRAFT}</thinking>{FINAL}",
        f"<thought>{DRAFT}</thought>{FINAL}",
        f"<thoughts>{DRAFT}</thoughts>{FINAL}",
        f"<reasoning>{DRAFT}</reasoning>{FINAL}",
        f"<reflection>{DRAFT}</reflection>{FINAL}",
        f"<seed:think>{DRAFT}</seed:think>{FINAL}",
        f"<antThinking>{DRAFT}</antThinking>{FINAL}",
        f"[THINK]{DRAFT}[/THINK]{FINAL}",
        f"[think]{DRAFT}[/think]{FINAL}",
        f"\u25c1think\u25b7{DRAFT}\u25c1/think\u25b7{FINAL}",
        f"{DRAFT}\u25c1/think\u25b7{FINAL}",
        f"<|channel|>analysis<|message|>{DRAFT}<|end|><|start|>assistant<|channel|>final<|message|>"
        f"{FINAL}",
        f"<|channel|>analysis<|message|>{DRAFT}<|end|><|start|>assistant<|channel|>final "
        f"<|constrain|>json<|message|>{FINAL}<|return|>",
        f"<|channel|>final<|message|>{FINAL}<|end|><|start|>assistant<|channel|>analysis",
        f"analysisMaybe {DRAFT}.assistantfinal{FINAL}",
        f"<|START_THINKING|>{DRAFT}<|END_THINKING|><|START_RESPONSE|>{FINAL}<|END_RESPONSE|>",
        f"<|begin_of_thought|>{DRAFT}<|end_of_thought|>{FINAL}",
        f"<think>a<think>b</think>{DRAFT}</think>{FINAL}",
        f"<think>{DRAFT}</think>{DRAFT}<think>No!</think>{FINAL}",
        f"<think>{DRAFT}</think><answer>{FINAL}</answer>",
    ],
)
def test_only_what_follows_the_reasoning_is_the_answer(text: str) -> None:
    found = parse(text, LABEL)
    assert (found.value, found.error) == ({"label": "no"}, None)


@pytest.mark.parametrize(
    "text",
    [
        f"<think>Perhaps {DRAFT}? Let me see",
        f"<think>a</think><think>{DRAFT}",
        f"<reasoning>{DRAFT}",
        f"[THINK]{DRAFT}",
        f"\u25c1think\u25b7{DRAFT}",
        f"<|channel|>analysis<|message|>{DRAFT}<|end|>",
        f"analysisMaybe {DRAFT}.",
        f"<think>{DRAFT}</think>",
        f"{DRAFT}</think>",
    ],
)
def test_reasoning_holds_no_answer(text: str) -> None:
    found = parse(text, LABEL)
    assert found.value is None
    assert found.error in ("the answer ends inside its reasoning", "the answer is empty")


@pytest.mark.parametrize("mark", ["<think>", "</think>", "[/THINK]", "<|channel|>final<|message|>"])
@pytest.mark.parametrize("before", ["", "Sure: ", "<think>hm</think>", "hm</think>", "```json\n"])
def test_a_mark_in_a_text_of_the_answer_is_text(mark: str, before: str) -> None:
    value = {"items": [{"text": f"the tag {mark} is used"}]}
    assert parse(before + json.dumps(value), SCHEMA).value == value


# Several objects.


@pytest.mark.parametrize(
    ("text", "label"),
    [
        (f"{DRAFT}\nWait, that is wrong. Corrected:\n{FINAL}", "no"),
        (f"{FINAL} {FINAL}", "no"),
        (f'{DRAFT} {{"label": "No."}}', "no"),
        (f'{FINAL} {{"confidence": 0.9}}', "no"),
        (f"[{FINAL}]", "no"),
        (f"See [1] and [note]: {FINAL} [2]", "no"),
        (f"[{FINAL}, {DRAFT}]", None),
        (f'{DRAFT} Corrected: {{"label": "n', None),
    ],
)
def test_of_several_objects_the_last_valid_one_counts(text: str, label: str | None) -> None:
    found = parse(text, LABEL)
    assert found.value == (None if label is None else {"label": label})
    assert (found.error is None) == (label is not None)


# Forms.


@pytest.mark.parametrize(
    "written",
    [
        "No", "NO", " no ", "no.", '"no"', "'no'", "`no`", "**no**", "no!", "1. no", "(a) no",
        "A) no", "2) No.", "- no", "ii. no", "a: no", "Label: no", "Answer: (b) No.",
        "\u201cno\u201d", "no \u2705", "no\u200b", "-> no",
        "no (the text does not say so)", "No: the text does not say so",
        "no - the text does not say so", "no \u2014 it does not follow", "no, because it is absent",
        "**No.** The text does not say so.", "no\nThe text does not say so.",
    ],
)  # fmt: skip
def test_a_label_in_another_form_is_the_label(written: str) -> None:
    found = parse(json.dumps({"label": written}), LABEL)
    assert (found.value, found.error) == ({"label": "no"}, None)


@pytest.mark.parametrize(
    "written",
    [
        "maybe",
        "yes or no",
        "not no",
        "yes, no",
        "",
        "n",
        "the answer is no",
        "not: no",
        "no: yes is wrong, too",
        "no (not yes, since it is absent)",
        "no: not at all likely",
        "no: 0.2, says the model",
        "No. I cannot judge such a text.",
        "no: unlikely",
        None,
        0,
        [],
    ],
)
def test_what_is_not_one_label_is_none(written: Any) -> None:
    assert parse(json.dumps({"label": written}), LABEL).value is None


@pytest.mark.parametrize(
    ("options", "written", "read"),
    [
        (["not_entailment", "entailment"], "Not Entailment", "not_entailment"),
        (["not_entailment", "entailment"], "not-entailment.", "not_entailment"),
        (["A", "B"], "b", "B"),
        (["A", "B"], "B) because of this", "B"),
        (["A", "B"], "(A)", "A"),
        (["a", "b"], "a) b", None),
        (["Yes", "yes"], "YES", None),
        (["Yes", "yes"], "yes", "yes"),
        ([1, 2, 3], "2", 2),
        ([1, 2, 3], "2.", 2),
        (["1", "2"], 2, "2"),
        ([1, "1"], "1.", None),
        ([True, False], "True", True),
        (["true", "false"], True, "true"),
        (["very_late", "on_time"], "VeryLate", "very_late"),
        (["very_late", "on_time"], "very\u2011late", "very_late"),
        (["very_late", "verylate"], "VERY LATE", "very_late"),
        (["very late", "very-late"], "veryLate", None),
        (["C++", "C"], "c++", "C++"),
        (["-1", "1"], "-1.", "-1"),
    ],
)
def test_an_option_is_meant_if_it_is_the_only_one(options: Any, written: Any, read: Any) -> None:
    schema = {"type": "object", "properties": {"x": {"enum": options}}, "required": ["x"]}
    found = parse(json.dumps({"x": written}), schema)
    assert found.value == (None if read is None else {"x": read})
    if found.value:
        assert type(found.value["x"]) is type(read)


ONE_ITEM = {"items": [{"text": "a"}]}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(json.dumps(ONE_ITEM)),
        json.dumps(json.dumps(json.dumps(ONE_ITEM))),
        json.dumps(ONE_ITEM).replace('"', '\\"'),
        json.dumps({"items": json.dumps(ONE_ITEM["items"])}),
        json.dumps({"items": [json.dumps({"text": "a"})]}),
        json.dumps({"answer": ONE_ITEM}),
        json.dumps({"answer": ONE_ITEM["items"]}),
        json.dumps({"response": {"result": ONE_ITEM}}),
        json.dumps({"response": json.dumps(ONE_ITEM), "status": "done"}),
        json.dumps([ONE_ITEM]),
        json.dumps({**ONE_ITEM, "thought": "hm"}),
        json.dumps({"items": [{"text": "a", "why": "b"}]}),
        json.dumps({"Items": [{" Text": "a"}]}),
        json.dumps({"items": {"text": "a"}}),
        json.dumps({"items": [{"text": ["a"]}]}),
    ],
)
def test_a_drifted_form_is_read(text: str) -> None:
    for written in (text, f"```json\n{text}\n```", f"<think>hm</think>\n{text}"):
        found = parse(written, SCHEMA)
        if written != text and text.startswith(('"', "{\\")):
            continue
        assert (found.value, found.error) == (ONE_ITEM, None)


TWO_ITEMS = {"items": [{"text": "a"}, {"text": "b"}]}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"items": {"1": {"text": "a"}, "2": {"text": "b"}}}),
        json.dumps({"1": {"text": "a"}, "2": {"text": "b"}}),
        json.dumps({"item_1": {"text": "a"}, "item_2": {"text": "b"}}),
        json.dumps({"answer": {"Row 0": {"text": "a"}, "Row 1": {"text": "b"}}}),
        '{"text": "a"}\n{"text": "b"}',
        '1. {"text": "a"}\n2. {"text": "b"}',
        '```json\n{"text": "a"}\n```\n```json\n{"text": "b"}\n```',
    ],
)
def test_items_in_another_container_are_read(text: str) -> None:
    found = parse(text, SCHEMA)
    assert (found.value, found.error) == (TWO_ITEMS, None)


def test_of_numbered_items_the_valid_ones_are_kept() -> None:
    found = parse('{"items": {"1": {"text": "a"}, "2": {"text": 3}}}', SCHEMA)
    assert found.value == ONE_ITEM
    assert found.error is not None


@pytest.mark.parametrize(
    "text",
    ["no", "No.", '"No"', "**no**", "label: no", "Answer: No.", "```\nno\n```",
     '{"answer": "no"}', '{"classification": "NO", "why": "yes is wrong"}',
     '{"output": {"label": "no"}}'],
)  # fmt: skip
def test_a_bare_label_or_one_under_another_name_is_the_label(text: str) -> None:
    found = parse(text, LABEL)
    assert (found.value, found.error) == ({"label": "no"}, None)


@pytest.mark.parametrize(
    "text",
    ["No, I cannot do that.", "No. The text is offensive.", "no yes", "yes or no",
     '{"answer": "no", "verdict": "yes"}', '{"explanation": "no", "score": 3}'],
)  # fmt: skip
def test_a_sentence_is_no_label(text: str) -> None:
    assert parse(text, LABEL).value is None


@pytest.mark.parametrize(
    "value",
    [
        {"draft": {"items": [{"text": "a"}]}, "final": {"items": [{"text": "b"}]}},
        {"items": [{"text": "a"}, {"text": 3}]},
        {"items": [{"Text": "a", "TEXT": "b"}]},
        {"text": "a"},
        {"other": 1},
    ],
)
def test_what_has_two_readings_or_none_is_malformed(value: Any) -> None:
    assert parse(json.dumps(value), SCHEMA).error is not None


@pytest.mark.parametrize(
    ("kind", "written", "read"),
    [
        ("integer", "3", 3), ("integer", " 3 ", 3), ("integer", "3.", 3), ("integer", "3.0", 3),
        ("integer", "-3", -3), ("integer", "3.5", None), ("integer", "three", None),
        ("integer", "1,000", None), ("integer", True, None), ("integer", 3, 3),
        ("number", "0.5", 0.5), ("number", "1e-2", 0.01), ("number", "50%", None),
        ("boolean", "True", True), ("boolean", "false", False), ("boolean", "yes", None),
        ("boolean", 1, None), ("string", 3, None), ("string", "3", "3"),
        ("number", float("nan"), None), ("number", float("inf"), None),
    ],
)  # fmt: skip
def test_a_number_in_quotes_is_a_number(kind: str, written: Any, read: Any) -> None:
    schema = {"type": "object", "properties": {"x": {"type": kind}}, "required": ["x"]}
    found = parse(json.dumps({"x": written}), schema)
    assert found.value == (None if read is None else {"x": read})
    if found.value:
        assert type(found.value["x"]) is type(read)


def test_what_is_valid_is_never_changed() -> None:
    free = {"type": "object", "properties": {"x": {"type": "string"}, "y": {}}, "required": ["x"]}
    for value in ({"x": " 1. No. "}, {"x": "{}", "X": "b"}, {"x": "a", "y": '{"x": "b"}'}):
        assert parse(json.dumps(value), free).value == value


def test_reading_again_what_was_read_changes_nothing() -> None:
    for text in ('{"label": "1. No."}', '{"Answer": {"LABEL": "no"}}'):
        once = parse(text, LABEL).value
        assert once == parse(text, LABEL).value == parse(json.dumps(once), LABEL).value


# Texts that cannot be stored.


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("a \\ud83d b", "a \ufffd b"),
        ("a \ud83d b", "a \ufffd b"),
        ("\\ud83d\\ude00", "\U0001f600"),
        ("a\\u0000b", "ab"),
        ("a\0b", "ab"),
    ],
)
def test_values_hold_storable_texts_only(written: str, text: str) -> None:
    for before in ("", "Sure: ", "<think>a</think>"):
        found = parse(f'{before}{{"items": [{{"text": "{written}"}}]}}', SCHEMA)
        assert found.value == {"items": [{"text": text}]}


@pytest.mark.parametrize(
    ("before", "unit", "count", "after"),
    [
        ("", "<think>", 60_000, ""),
        ("", "</think>", 60_000, ""),
        ("", "<think>x</think>", 30_000, ""),
        ("", "<think ", 60_000, ""),
        ("", '</think>{"label": "no"', 40_000, ""),
        ("<think>", "{", 1_000_000, ""),
        ("", "{", 1_000_000, ""),
        ("", "[", 1_000_000, ""),
        ("", "<", 1_000_000, ""),
        ("", '"', 1_000_000, ""),
        ("", "\\", 1_000_000, ""),
        ("", "{}", 300_000, ""),
        ("", "[1]", 300_000, ""),
        ("", "{x}", 300_000, ""),
        ("", "{'a", 300_000, ""),
        ("", '{"items":[', 100_000, ""),
        ("", '{"a":"', 150_000, ""),
        ('{"items":[', '{"text":1},', 80_000, ""),
        ('{"items":[', "{x},", 200_000, "]}"),
        ('{"items"', " ", 1_000_000, ""),
        ("", '{"a" "a" "a" "a"}', 50_000, ""),
        ('{"label":', "1", 1_000_000, "}"),
        ("", '{"a":', 90, '"yes"' + "}" * 90),
    ],
)
def test_parsing_takes_linear_time(before: str, unit: str, count: int, after: str) -> None:
    start = time.process_time()
    assert parse(f"{before}{unit * count}{after}", LABEL).value is None
    parse(f"{before}{unit * count}{after}", SCHEMA)
    assert time.process_time() - start < 10
