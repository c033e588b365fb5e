"""Rows in a spreadsheet: every cell is one cell of text, whatever the separator."""

import csv
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targen.tables.spreadsheet import cell, separated

FORMULAS = ["=1+1", "+1", "-1", "@a", "=cmd|' /C calc'!A0", "\uff1d1", "\u200b=1", '"=1', " =1"]
FORMULAS += ["\x01=1", "\x7f=1", "\xad=1", "\u202e=1", "\u2060=1", "\u061c=1"]


@pytest.mark.parametrize("text", FORMULAS)
@pytest.mark.parametrize("before", ["", "a;", "a,", "a|", "a; ", "a\t", "a\n", "a\r\n;", "x;y;"])
def test_no_part_of_a_cell_is_a_formula(before: str, text: str) -> None:
    made = cell(before + text)
    assert not re.search("[\t\r\n\x85\u2028]", made)
    for part in re.split("[;,|]", made):
        assert not re.match("[\\s\u200b\"']*[=+@\uff1d]", part) or "'" in part[:4]
        seen = "".join(char for char in part if char.isprintable())
        assert seen.strip(' "')[:1] not in ("=", "+", "-", "@", "\uff1d")


def test_other_text_stays() -> None:
    assert cell('a "quoted" text, 1 - 2 = -1') == 'a "quoted" text, 1 - 2 = -1'
    assert cell("two\n\nlines\tand\x00 more") == "two lines and more"
    assert (cell(["a", "b"]), cell(-1), cell(True)) == ('["a", "b"]', "-1", "true")


def test_cells_are_quoted() -> None:
    made = separated(["a", "b", "c"], [['x"y', None, ""], [-1, True, ["p", "=q"]]])
    assert made == '"a","b","c"\n"x""y",,\n"-1","True","[""p"", ""=q""]"\n' or "'=q" in made
    assert made.count("\n") == 3


@given(st.lists(st.text(max_size=20), min_size=2, max_size=2))
def test_any_text_is_one_cell(texts: list[str]) -> None:
    for separator in (",", "\t"):
        made = separated(["a", "b"], [texts], separator)
        assert list(csv.reader(made.splitlines(), delimiter=separator))[1:] == [
            [cell(text) for text in texts]
        ]
