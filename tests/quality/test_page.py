import re
from html.parser import HTMLParser

import polars as pl
import pytest

from targen.quality.page import money, number, render, visible
from targen.quality.report import BANNER, build

from .sample import inputs

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "<!-- --><style>body{display:none}</style>",
    '=HYPERLINK("http://evil")',
    "\u202egnitrevni \u2066 text",
    "null \x00 byte and bell \x07",
    "x" * 4000,
    "../../etc/passwd",
    "{{ 7 * 7 }} {% include 'x' %}",
    "</svg></td></table><h1>gotcha",
)
VOID = {"meta", "link", "img", "br", "input", "hr"}


class Reader(HTMLParser):
    """Collects tags, attributes and text; checks that tags close."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.text, self.open = [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"{tag} closes something else"

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.text.append(data)


def hostile_inputs():
    given = inputs(40)
    count = given.rows.height
    rows = given.rows.with_columns(
        premise=pl.Series([HOSTILE[i % len(HOSTILE)] for i in range(count)]),
        label=pl.Series([HOSTILE[i % 3] for i in range(count)]),
        corrected_label=pl.Series([HOSTILE[(i + 1) % 3] for i in range(count)]),
    )
    rejected = given.rejected["instances"].with_columns(reason=pl.lit(HOSTILE[1]))
    return inputs(
        40,
        tables={**given.tables, "corrected_set": rows},
        rejected={"instances": rejected},
        title=HOSTILE[0],
        description=HOSTILE[2] + "\ud800",
        models=(HOSTILE[1],),
    )


def test_the_page_is_well_formed_and_fetches_nothing():
    page = render(build(inputs(60, reference=inputs(30).rows)))
    reader = Reader(page)
    assert not reader.open
    assert not {"script", "link", "img", "iframe", "object", "form"} & set(reader.tags)
    names = {name for name, _ in reader.attributes}
    assert not {name for name in names if name.startswith("on")} | ({"src", "href"} & names)
    assert not re.search(r"https?://|url\(|@import|@font-face", page)


def test_hostile_text_stays_text():
    page = render(build(hostile_inputs()))
    reader = Reader(page)
    assert not {"script", "img", "iframe"} & set(reader.tags)
    assert reader.tags.count("h1") == 1
    assert reader.tags.count("style") == 1
    assert not [name for name, _ in reader.attributes if name.startswith("on")]
    text = "".join(reader.text)
    assert "<script>alert(1)</script>" in text
    assert "{{ 7 * 7 }}" in text
    assert not set(text) & {"\x00", "\x07", "\u202e", "\u2066"}
    page.encode("utf-8")


def test_the_banner_stands_only_over_simulated_rows():
    assert BANNER[1:] in render(build(inputs(20)))
    assert BANNER[1:] not in render(build(inputs(20, simulated=False)))


def test_an_unknown_cost_reads_unknown():
    given = inputs(20, simulated=False)
    prices = given.completions.with_columns(cost_usd=pl.lit(None, dtype=pl.Float64))
    page = render(build(inputs(20, simulated=False, completions=prices)))
    assert re.search(r"Cost</p><p class=\"big\">unknown", page)


@pytest.mark.parametrize("kind", ["span", "none"])
def test_other_kinds_of_answers_render(kind):
    given = inputs(20)
    Reader(render(build(inputs(20, answer_kind=kind, labels=(), tables=given.tables))))


def test_an_empty_set_renders():
    given = inputs(20)
    empty = {name: frame.clear() for name, frame in given.tables.items()}
    Reader(render(build(inputs(20, tables=empty, rejected={}))))


def test_forms_of_numbers():
    assert [number(x) for x in (None, 3.0, 1234, 0.123456, 0.00123, 12.345)] == [
        "unknown",
        "3",
        "1,234",
        "0.12",
        "0.0012",
        "12.3",
    ]
    assert money(None) == "unknown"
    assert money(0.0) == "$0"
    assert money(None, simulated=True) == "0 (simulated)"
    assert visible("a\x00b") == "a⟨u+0000⟩b"
    assert visible(["x", None]) == "x, –"
