"""The page of the comparison: whole, quiet, and deaf to hostile text."""

import json
import re

import pytest

from targen.quality.comparison import Method, compare
from targen.quality.page import render_comparison, written
from targen.quality.report import BANNER, build
from tests.quality.test_page import HOSTILE, Reader
from tests.quality.test_page_browser import CHROMIUM
from tests.support.report_inputs import inputs


def methods(title="A task", **changes):
    made = json.loads(build(inputs(60, **changes)).json_text())
    return [
        Method("rte", None, title, "targen", "TarGEN", made),
        Method("rte-zerogen", "rte", title, "zerogen", "ZeroGen", made),
        Method("rte-paper", "rte", title, "targen-paper", title, None),
    ]


def test_the_page_is_well_formed_and_fetches_nothing():
    page = render_comparison(compare(methods()))
    reader = Reader(page)
    assert not reader.open
    assert not {"script", "link", "img", "iframe", "object", "form"} & set(reader.tags)
    assert {v for n, v in reader.attributes if n == "href"} == {
        "../quality_report/rte.html",
        "../quality_report/rte-zerogen.html",
    }
    assert not re.search(r"https?://|url\(|@import|@font-face", page)
    text = "".join(reader.text)
    assert "make run TASK=rte-paper" in text and "Not materialized yet: rte-paper." in text


def test_every_figure_that_is_there_has_a_chart_with_a_line_for_each_method():
    page = render_comparison(compare(methods()))
    charts = re.findall(r'<svg class="dots".*?</svg>', page, re.S)
    titles = re.findall(r'<svg class="dots"[^>]*aria-label="([^":]*) by method: targen ', page)
    assert titles == [
        "Yield",
        "Calls per row",
        "Tokens per row",
        "Estimated label errors",
        "Distinct-2",
        "Self-BLEU",
        "Nearest row",
        "V-information",
        "Shortcut",
    ]
    for chart in charts:
        assert chart.count(">zerogen<") == 1 and chart.count(">targen-paper<") == 1
        assert chart.count('class="marker') == 2, "the one that is not made has no mark"


def test_groups_with_most_to_compare_come_first_and_one_alone_has_no_chart():
    made = methods()
    alone = [
        Method("boolq", None, "Alone", "targen", "TarGEN", made[0].report),
        Method("boolq-z", "boolq", "Alone", "zerogen", "ZeroGen", None),
    ]
    page = render_comparison(compare([*alone, *made]))
    first, second = re.findall(r'<article class="group" id="(\w+)">(.*?)</article>', page, re.S)
    assert (first[0], second[0]) == ("rte", "boolq")
    assert 'class="dots"' in first[1] and 'class="dots"' not in second[1]
    assert "make run TASK=boolq-z" in second[1]
    assert not Reader(page).open


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(text):
    page = render_comparison(compare(methods(text, models=(text,))))
    reader = Reader(page)
    assert not {"script", "img", "iframe", "h1gotcha"} & set(reader.tags)
    assert reader.tags.count("h1") == 1 and reader.tags.count("style") == 1
    assert not [name for name, _ in reader.attributes if name.startswith("on")]
    assert not set("".join(reader.text)) & {"\x00", "\x07", "\u202e", "\u2066"}


def test_the_banner_and_the_cost():
    simulated, real = (render_comparison(compare(methods(simulated=s))) for s in (True, False))
    assert BANNER[1:] in simulated and "0 (simulated)" in simulated
    assert BANNER[1:] not in real and "0 (simulated)" not in real and "Cost per row by" in real


def test_nothing_made_is_a_page_too():
    alone = [Method("rte", None, "RTE", "targen", "TarGEN", None)]
    Reader(render_comparison(compare(alone)))
    page = render_comparison(
        compare([*alone, Method("rte-z", "rte", "RTE", "zerogen", "ZeroGen", None)])
    )
    assert "make compare BASE=rte" in "".join(Reader(page).text)


def test_forms_of_figures():
    assert [written(x, "number") for x in (None, 3.0, 0.25, -0.00002, -0.017, 2041.1)] == [
        "–",
        "3.00",
        "0.25",
        "0.000",
        "-0.017",
        "2,041",
    ]
    assert written(0.2, "share") == "20%" and written(0.0042, "usd") == "$0.0042"


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_nothing_runs_or_overflows_in_a_browser(tmp_path):
    sync_api = pytest.importorskip("playwright.sync_api")
    file = tmp_path / "comparison.html"
    file.write_text(render_comparison(compare(methods(HOSTILE[1]))), encoding="utf-8")
    outside = """[...document.querySelectorAll('.dots text')].filter(text => {
        const box = text.getBBox(), width = text.ownerSVGElement.viewBox.baseVal.width;
        return box.x < 0 || box.x + box.width > width + 1;
    }).map(text => text.textContent)"""
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            for width in (375, 1200):
                page = browser.new_page(viewport={"width": width, "height": 900})
                asked = []
                page.on("request", lambda request, asked=asked: asked.append(request.url))
                page.goto(file.as_uri())
                page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
                over = "document.documentElement.scrollWidth - window.innerWidth"
                assert page.evaluate(over) <= 0
                assert page.evaluate(outside) == []
                assert asked == [file.as_uri()]
        finally:
            browser.close()
