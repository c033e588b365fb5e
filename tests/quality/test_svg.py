import itertools
import re
from importlib.resources import files
from xml.etree import ElementTree

import numpy as np
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
    first, second = (float(x) for x in re.findall(r'class="marker[^>]*translate\(([\d.]+) ', drawn))
    low, high = re.search(r'class="whisker l1" d="M([\d.]+) [\d.]+H([\d.]+)"', drawn).groups()
    assert float(low) == pytest.approx((first + second) / 2, abs=0.2)
    assert float(high) == pytest.approx(second + (second - first) / 2, abs=0.2)
    assert ">c</text>" in drawn and drawn.count('class="marker') == 2


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


def test_no_two_of_fifty_methods_look_alike():
    looks = [
        re.search(r'class="marker (s\d)".* d="([^"]+)"', svg.key(i)).groups() for i in range(50)
    ]
    assert len(set(looks)) == 50
    assert len({color for color, _ in looks[:8]}) == 8


def test_charts_draw_the_marker_of_the_key_for_each_line():
    lines = [(str(i), 1.0, None, None, "1") for i in range(9)]
    shapes = [re.search(r' d="([^"]+)"', svg.key(i)).group(1) for i in range(9)]
    for zero in (True, False):
        drawn = str(svg.dots(lines, "t", zero=zero))
        assert re.findall(r'class="marker [^>]* d="([^"]+)"', drawn) == shapes


def test_shares_beyond_the_colors_of_the_key_are_gray():
    drawn = re.findall(r'class="(\w+)"', svg.stacked([0.1] * 10))[1:]
    assert drawn == [*(f"s{i}" for i in range(8)), "others", "others"]


# Machado, Oliveira and Fernandes (2009), severity 1.0, on linear RGB.
VISION = {
    "all cones": np.eye(3),
    "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "tritanopia": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}
TO_XYZ = np.array([[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]])


def linear(color):
    rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    xyz = TO_XYZ @ np.clip(rgb, 0, 1) / np.array([0.9505, 1, 1.0888])
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_colors_differ_for_every_kind_of_color_vision_and_stand_out_from_the_page(scheme):
    style = (files("targen.quality") / "style.css.jinja").read_text()
    block = re.findall(r":root \{(.*?)\}", style, re.S)[["light", "dark", "print"].index(scheme)]
    known = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block.replace("#fff;", "#ffffff;")))
    colors = [linear(known[f"s{i}"]) for i in range(svg.COLORS)]
    paper = linear(known["paper"]) @ TO_XYZ[1] + 0.05
    for color in colors:
        light = color @ TO_XYZ[1] + 0.05
        assert max(light, paper) / min(light, paper) >= 3, "WCAG 1.4.11"
    for matrix in VISION.values():
        seen = [lab(np.array(matrix) @ color) for color in colors]
        assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 14
