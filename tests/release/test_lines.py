"""JSON lines: as many lines as rows, whatever a text holds."""

import json

import pytest

from targen.release.rows import json_lines, one_line

NASTY = 'a\nb\r\x85\u2028\u2029\x00\x0b"\\ \u200f<script>\U0001f600'


def test_no_text_breaks_a_line_and_all_come_back():
    text = json_lines([{"a": NASTY}, {"a": "b"}]).decode()
    assert [json.loads(line) for line in text.splitlines()] == [{"a": NASTY}, {"a": "b"}]
    assert "\U0001f600" in text


def test_no_row_is_no_line():
    assert json_lines([]) == b""


def test_what_json_does_not_know_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        json_lines([{"a": float("nan")}])


def test_a_text_on_one_line_hides_nothing():
    assert one_line("a\nb\r\u2028c \u202ed\x00\x1b[31m") == "a b c d [31m"
