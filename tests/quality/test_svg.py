import re
from xml.etree import ElementTree

import pytest

from targen.quality import svg

HOSTILE = '"><script>alert(1)</script>'


@pytest.mark.parametrize(
    "chart",
    [
        svg.bar(0.5),
        svg.bar(7.0),
        svg.stacked([0.2, 0.8, 0.0]),
        svg.histogram([0, 1, 2], [3, 0], HOSTILE, [1, 1]),
        svg.histogram([5, 5], [0], "t"),
        svg.dots([(HOSTILE, 1.0, 0.5, 2.0, HOSTILE)], HOSTILE, share=True),
        svg.curves([(HOSTILE, [(1000, 0.5), (2000, 0.4)]), ("b", [(1000, 0.5)])], HOSTILE),
    ],
)
def test_every_chart_is_well_formed_and_holds_no_foreign_markup(chart):
    root = ElementTree.fromstring(chart)
    assert not [node for node in root.iter() if "script" in node.tag]
    assert root.get("role") == "img" or root.get("aria-hidden") == "true"


def test_a_bar_is_as_long_as_its_share():
    assert 'width="25.000"' in svg.bar(0.25)
    assert 'width="100.000"' in svg.bar(3.0)


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [
        (0, 10, [0, 2.5, 5, 7.5, 10]),
        (3, 3, [3]),
        (12.5, 41, [20, 30, 40]),
        (0, 0.8, [0, 0.2, 0.4, 0.6, 0.8]),
    ],
)
def test_ticks_are_round_and_inside(low, high, wanted):
    assert svg.ticks(low, high) == pytest.approx(wanted)


def test_histogram_of_all_rows_uses_the_whole_height_for_the_fullest_bin():
    assert 'height="130.0"' in svg.histogram([0, 1, 2], [4, 1], "t")


def test_dots_stand_where_their_values_are_and_a_missing_one_has_none():
    lines = [("a", 0.0, None, None, "0"), ("b", 1.0, 0.5, 1.5, "1"), ("c", None, None, None, "–")]
    drawn = str(svg.dots(lines, "t"))
    first, second = (float(x) for x in re.findall(r'<circle[^>]* cx="([\d.]+)"', drawn))
    low, high = re.search(r'class="whisker l1" d="M([\d.]+) [\d.]+H([\d.]+)"', drawn).groups()
    assert float(low) == pytest.approx((first + second) / 2, abs=0.2)
    assert float(high) == pytest.approx(second + (second - first) / 2, abs=0.2)
    assert ">c</text>" in drawn and drawn.count("<circle") == 2


def test_bars_of_dots_start_at_zero():
    drawn = str(
        svg.dots([("a", 2.0, None, None, "2"), ("b", 4.0, None, None, "4")], "t", zero=True)
    )
    (one, two) = re.findall(r'<rect class="s\d" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', drawn)
    assert one[0] == two[0]
    assert float(two[1]) == pytest.approx(2 * float(one[1]), abs=0.2)


def test_a_histogram_tells_its_range_and_peak_to_those_who_do_not_see_it():
    drawn = str(svg.histogram([0, 10, 20, 30], [1, 5, 2], "Rows by length"))
    assert 'aria-label="Rows by length: from 0 to 30, most between 10 and 20"' in drawn


def test_curves_name_their_ends_to_those_who_do_not_see_them():
    drawn = str(svg.curves([("distinct-1", [(1000, 0.5), (2000, 0.4)])], "Words"))
    assert 'aria-label="Words; distinct-1 0.50 at 1,000 to 0.40 at 2,000"' in drawn


def test_a_histogram_has_axes_and_marks_its_last_bin_if_it_takes_the_rest():
    drawn = str(svg.histogram([0, 10, 20, 30], [1, 5, 2], "t", unit="words", overflow=True))
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", drawn)
    assert {"share of rows", "words", "25%", "20+"} <= set(texts)
    assert drawn.count('class="mark over"') == 1
    assert "over" not in str(svg.histogram([0, 10, 20, 30], [1, 5, 2], "t"))


def test_curves_have_a_dashed_line_for_each_line_of_the_reference():
    own = [("a", [(1000, 0.5), (2000, 0.4)]), ("b", [(1000, 0.9), (2000, 0.8)])]
    gold = [("gold a", [(1000, 0.7)]), ("gold b", [])]
    drawn = str(svg.curves(own, "t", gold, "words", "share"))
    assert re.findall(r'class="(line[^"]*)"', drawn) == ["line l0", "line l1", "line dashed l0"]
    assert "gold a 0.70 at 1,000" in drawn
    assert ">words</text>" in drawn and ">share</text>" in drawn
