"""What operators share: reading answers, and saying what is wrong with an item."""

import pytest

from targen.llm.types import Outcome, Request
from targen.operators.requests import missing_reason, numbered_items, tally
from targen.steps import REASONS
from targen.tasks.validators import empty_field, first_violation, needed
from tests.support.models import ok
from tests.support.specs import real_task

REQUEST = Request(({"role": "user", "content": "x"},), {"type": "object"})


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([1, 2, 3], {1: "a", 2: "b", 3: "c"}),
        ([3, 1, 2], {3: "a", 1: "b", 2: "c"}),
        ([0, 1, 2], {1: "a", 2: "b", 3: "c"}),
        ([7, 7, 9], {1: "a", 2: "b", 3: "c"}),
        ([2], {2: "a"}),
        ([None, None], {1: "a", 2: "b"}),
        ([], {}),
        ([1, 2, 3, 4], {1: "a", 2: "b", 3: "c"}),
    ],
)
def test_items_are_matched_by_number_where_the_numbers_fit(numbers, expected):
    items = [{"slot": n, "v": v} for n, v in zip(numbers, "abcd", strict=False)]
    found = numbered_items(ok(REQUEST, {"items": items}), "slot", 3)
    assert {n: item["v"] for n, item in found.items()} == expected


@pytest.mark.parametrize("value", [None, "", "  ", [], ["a", " "]])
def test_an_empty_field_is_named(value):
    assert empty_field({"a": "x", "b": value}) == "not_empty: b is empty"


def test_an_optional_field_may_be_empty():
    spec = real_task("instructions")
    optional = [name for name, field in spec.fields.items() if field.optional]
    values = dict.fromkeys(spec.fields, "x") | dict.fromkeys(optional, "")
    assert optional and empty_field(values) is not None
    assert empty_field(needed(values, spec)) is None


def test_invariants_are_counted_by_name():
    validators = [{"differ": {"a": "a", "b": "b"}}]
    problem = first_violation({"a": "x", "b": "x"}, validators)
    assert problem == "differ: a and b are the same"
    assert tally([problem, problem, "max_words: long"]) == "differ 2, max_words 1"


@pytest.mark.parametrize(
    ("status", "raw", "detail"),
    [
        (
            "malformed",
            "Sure!\n\nHere are \x1b[31m ...",
            r"no JSON; it begins 'Sure! Here are \x1b[31m ...'",
        ),
        ("truncated", "word " * 99, f"no JSON; it begins '{'word ' * 16}'"),
        ("malformed", " \n", "no JSON"),
        ("refused", "I will not", "no JSON"),
        ("failed", None, "no JSON"),
    ],
)
def test_an_answer_that_cannot_be_read_is_quoted_in_one_line(status, raw, detail):
    found = missing_reason(Outcome(REQUEST, "id", status, None, raw, "no JSON"))
    assert found == (status if status in REASONS else "missing", detail)


def test_answers_that_begin_otherwise_are_counted_as_one():
    lost = [
        missing_reason(Outcome(REQUEST, "id", "malformed", None, raw, "no JSON"))[1]
        for raw in ("Sure: a", "Well, b")
    ]
    assert lost[0] != lost[1] and tally(lost) == "no JSON 2"
