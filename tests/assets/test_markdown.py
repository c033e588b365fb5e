"""Samples of rows in Markdown: what came from a model stays text."""

import re

import pytest

from assets import markdown

HOSTILE = [
    "<script>alert(1)</script>",
    "[click](javascript:alert(1))",
    "![x](https://example.org/pixel.png)",
    "https://example.org/phish",
    "a | b | c",
    "escaped \\| pipe",
    "`code` and ``more``",
    "```\nfence\n```",
    "` | <img src=x onerror=alert(1)> | `",
    "line\none\r\ntwo\u2028three",
    "right to left \u202e override",
    "\\",
    "`",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_value_cannot_leave_its_code_span(text: str) -> None:
    cell = markdown.cell(text)
    fence = re.match("`+", cell)
    assert fence is not None
    ticks = fence.group()
    assert cell.endswith(ticks) and len(cell) > 2 * len(ticks)
    inside = cell[len(ticks) : -len(ticks)]
    assert ticks not in re.findall("`+", inside), "a run as long as the fence would close it"
    assert not re.search("[|\n\r\u2028\u202e]", cell)


def test_a_table_has_one_line_per_row_and_one_cell_per_column() -> None:
    rows = [{"text": text, "n": 1} for text in HOSTILE]
    lines = markdown.table(rows, ["text", "n"]).splitlines()
    assert len(lines) == 2 + len(HOSTILE)
    assert {line.count("|") for line in lines} == {3}


def test_values_of_other_types_are_shown_as_json() -> None:
    assert markdown.cell(["a", None]) == '`["a", null]`'
    assert markdown.cell({"name": "é"}) == '`{"name": "é"}`'
    assert markdown.cell(None) == ""
    assert markdown.cell("") == ""


def test_a_long_text_is_cut() -> None:
    assert len(markdown.cell("x" * 10_000)) < 200
