import json
import re
from datetime import date
from functools import cache
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest

import targen
from targen import steps
from targen.quality import first_screen
from targen.quality.first_screen import Origin
from targen.quality.inputs import Embedded
from targen.quality.page import breakable, money, number, render, shade, visible
from targen.quality.report import BANNER, build
from targen.tasks.sections import Gate
from tests.support.report_inputs import inputs, own_inputs

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
VOID = {"meta", "wbr", "link", "img", "br", "input", "hr"}


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
    """Rows whose every text, label, attribute and reason is hostile, with a reference."""
    given = inputs(60)
    count = given.rows.height
    rows = given.rows.with_columns(
        instance_id=pl.Series([f"{HOSTILE[i % len(HOSTILE)]}{i}" for i in range(count)]),
        premise=pl.Series([HOSTILE[i % len(HOSTILE)] for i in range(count)]),
        hypothesis=pl.Series([f"{HOSTILE[i // 3 % len(HOSTILE)]} {i}" for i in range(count)]),
        label=pl.Series([HOSTILE[i % 6] for i in range(count)]),
        intended_label=pl.Series([HOSTILE[(i // 2) % 6] for i in range(count)]),
        annotated_label=pl.Series([HOSTILE[i % 5] for i in range(count)]),
        corrected_label=pl.Series([HOSTILE[(i + 1) % 6] for i in range(count)]),
    )
    contexts = steps.frame(
        [
            {"context_id": f"c{i}", "text": HOSTILE[i], "term_ids": [], "attributes": [
                {"name": HOSTILE[1], "value": HOSTILE[i % 3]},
                {"name": HOSTILE[4], "value": HOSTILE[i]},
            ]}
            for i in range(len(HOSTILE))
        ],
        steps.schema("contexts", {}),
    )  # fmt: skip
    instances = given.tables["instances"].head(count).with_columns(
        instance_id=rows["instance_id"],
        context_id=pl.Series([f"c{i % len(HOSTILE)}" for i in range(count)]),
    )  # fmt: skip
    rejected = given.rejected["instances"].with_columns(reason=pl.lit(HOSTILE[1]))
    made = {"corrected_set": rows, "instances": instances, "contexts": contexts}
    return inputs(
        60,
        tables=made,
        rejected={"instances": rejected},
        title=HOSTILE[0],
        description=HOSTILE[2] + "\ud800",
        models=(HOSTILE[1],),
        reference=rows.head(40),
        reference_name=HOSTILE[9],
        embeddings=Embedded(np.eye(count), np.arange(count)),
        gates=(
            Gate(metric="label_share", slice=HOSTILE[0], at_least=0.9),
            Gate(metric="kappa", at_least=2),
        ),
    )


@cache
def hostile_page():
    return render(build(hostile_inputs()))


def test_the_page_is_well_formed_and_fetches_nothing():
    page = render(build(inputs(60, reference=inputs(30).rows)))
    reader = Reader(page)
    assert not reader.open
    assert not {"script", "link", "img", "iframe", "object", "form"} & set(reader.tags)
    names = {name for name, _ in reader.attributes}
    assert not {name for name in names if name.startswith("on")} | ({"src", "action"} & names)
    assert not re.search(r"https?://|url\(|@import|@font-face", page)


def test_links_lead_to_places_on_the_page_and_every_section_is_in_the_contents():
    page = render(
        build(inputs(60, reference=inputs(30).rows, embeddings=Embedded(np.eye(60), np.arange(60))))
    )
    ids = re.findall(r' id="([^"]+)"', page)
    links = re.findall(r' href="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert {link[0] for link in links} == {"#"}
    assert {link[1:] for link in links} == set(ids)
    assert '<a href="#review">' in page, "the number of rows to review leads to them"


def test_the_policy_stands_before_anything_that_it_could_forbid():
    head = hostile_page()[:400]
    policy = "Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\""
    assert policy in head
    assert head.index("Content-Security-Policy") < head.index("<title")


def test_what_was_not_measured_is_named_in_words():
    page = render(build(inputs(20, embeddings=None)))
    unmeasured = page[page.index('<section id="unmeasured">') :]
    assert "Mean cosine similarity of two rows" in unmeasured
    assert not re.search(r"<th scope=\"row\">[^<]*_", unmeasured), "no name of the code"


def test_gates_lead_on_the_first_screen_and_in_their_section():
    gates = (
        Gate(metric="rows", at_least=25),
        Gate(metric="near_duplicates", at_most=0, severity="warn"),
    )
    page = render(build(inputs(25, gates=gates)))
    first = page[: page.index("<nav")]
    assert "(warning only)" in first
    assert re.search(r'href="#gates">Near duplicates: [\d.]+%; required: at most 0%', first)
    assert "<p>1 of 2 passed</p>" in first
    # A value has the unit of its bound.
    assert re.search(r'at most 0%</td><td class="n" data-name="value">[\d.]+%</td>', page)
    assert "none set in the task" in render(build(inputs(25)))


def test_a_set_with_many_labels_lists_its_changes_instead_of_a_matrix():
    names = [f"label {i:02}" for i in range(25)]
    given = inputs(100)
    labels = [names[i % 25] for i in range(100)]
    rows = given.rows.with_columns(
        label=pl.Series(labels), intended_label=pl.Series(["label 03", *labels[1:]])
    )
    page = render(build(inputs(100, labels=tuple(names), tables={"corrected_set": rows})))
    Reader(page)
    assert "most frequent changes" in page
    assert not re.search(r'class="heat', page)


def test_the_depth_of_a_cell_is_its_share():
    assert [shade(1, None, [1, 3]), shade(3, 4, [3]), shade(None, None, [None])] == [
        "0.250",
        "0.750",
        "0.000",
    ]


def test_hostile_text_stays_text():
    page = hostile_page()
    reader = Reader(page)
    assert not {"script", "img", "iframe"} & set(reader.tags)
    assert reader.tags.count("h1") == 1
    assert reader.tags.count("style") == 1
    assert not [name for name, _ in reader.attributes if name.startswith("on")]
    text = "".join(reader.text)
    assert "<script>alert(1)</script>" in text
    assert "{{ 7 * 7 }}" in text
    assert not set(page) & {"\x00", "\x07", "\u202e", "\u2066"}
    assert "⟨right-to-left override⟩" in text
    assert "x" * 500 not in text, "a word of 4,000 letters is cut"
    for part in ("agreement", "meaning", "coverage", "review", "reference", "gates"):
        assert f'<section id="{part}">' in page, "the hostile rows reach every part"
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
    page = render(build(inputs(20, answer_kind=kind, labels=(), tables=given.tables)))
    assert not Reader(page).open
    assert '<section id="wording">' in page and "Rows per label" not in page


@pytest.mark.parametrize("kind", ["class", "span", "none"])
@pytest.mark.parametrize("language", ["en", "de"])
def test_anybodys_rows_render(kind, language):
    rows = pl.DataFrame({"text": ["one row", "another", "third"], "label": ["a", "b", "a"]})
    texts = {"text": "text"}
    given = own_inputs(rows, fields=texts, answer_kind=kind, language=language, labels=())
    page = render(build(given))
    assert not Reader(page).open
    assert "no record of calls" in page
    assert '<section id="yield">' not in page


def test_a_bar_of_a_share_is_as_long_as_the_share():
    """Beside each bar stands its share: half of a track is half of the rows."""
    told = ("The woman left", "Nobody left", "The old man left")
    premises = [told[n % len(told)] for n in range(60)]
    rows = inputs(60).rows.with_columns(premise=pl.Series(premises))
    made = build(inputs(60, tables={"corrected_set": rows}))
    groups = json.loads(made.json_text())["mentions"]
    assert 0 < max(group["share"] for group in groups) < 0.9
    page = render(made)
    for section, count in (("mentions", len(groups)), ("balance", 2)):
        part = re.search(f'<section id="{section}">.*?</table>', page, re.S)
        assert part
        bars = re.findall(r'<rect class="mark" width="([\d.]+)".*?([\d.]+)%', part[0], re.S)
        assert len(bars) == count
        for width, share in bars:
            assert float(width) == pytest.approx(float(share), abs=0.6)


def test_an_empty_set_renders():
    given = inputs(20)
    empty = {name: frame.clear() for name, frame in given.tables.items()}
    page = render(build(inputs(20, tables=empty, rejected={})))
    assert not Reader(page).open
    assert '<p class="big">0 <small>of 20</small>' in page


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


def test_the_page_says_where_it_comes_from():
    made = build(inputs(20, recipe="targen", reference=inputs(30).rows, reference_name="gold-file"))
    page = render(made, Origin(date(2026, 11, 2), "0123456789abcdef"))
    facts = dict(
        re.findall(
            r"<dt>([^<]+)</dt><dd><bdi>([^<]+)</bdi></dd>",
            page[: page.index('<div class="verdict">')],
        )
    )
    assert facts == {
        "Date": "November 2, 2026",
        "Task": "rte",
        "Recipe": "targen",
        "Gold rows": f"gold-file ({made.json['reference_rows']})",
        "Models": "demo",
        "Run": "01234567",
        "TarGEN": targen.__version__,
    }
    assert "gold-file" not in page[page.index("<nav") : page.index("<footer")], (
        "a heading says gold"
    )


def test_a_page_keeps_its_origin():
    origin = Origin(date(2026, 11, 2), "0123456789abcdef")
    made = build(inputs(20))
    assert Origin.read(render(made, origin)) == origin
    assert Origin.read(render(made, Origin(date(2026, 11, 2)))) == Origin(date(2026, 11, 2))
    assert Origin.read(render(made)) is None


def findings(*levels):
    return [
        {"level": level, "text": f"{level} {i}", "metric": "rows", "at": "yield", "action": "Act."}
        for i, level in enumerate(levels)
    ]


def gate(severity, passed=False):
    return {"severity": severity, "passed": passed, "text": f"gate {severity}"}


def test_the_worst_finding_and_blocking_gates_come_first():
    content = {
        "gates": [gate("warn"), gate("error"), gate("error", True)],
        "findings": findings("note", "good", "warn", "bad"),
    }
    found = first_screen.troubles(content)
    assert [item["text"] for item in found] == [
        "gate error", "bad 3", "gate warn", "warn 2", "note 0"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"findings": findings("note", "warn")}, "Act. Then make the report again."),
        ({"findings": [], "gates": [gate("warn", None)]}, "See the gates below"),
        ({"findings": [findings("note")[0] | {"action": "", "unmeasured": True}]}, "Measure what"),
        ({"findings": findings("good")}, "The checks ask for no repair. Read some rows"),
    ],
)
def test_the_first_screen_says_what_to_do_next(given, words):
    content = {"gates": []} | given
    assert first_screen.next_step(content, first_screen.troubles(content)).startswith(words)


def test_the_contents_mark_sections_with_a_finding():
    sections = {"yield": "Yield", "wording": "Wording", "own": "Own"}
    made = first_screen.contents(sections, findings("note", "warn"))
    assert made == [
        ("Variety", [("wording", "Wording", None)]),
        ("Production", [("yield", "Yield", "warn"), ("own", "Own", None)]),
    ]


def test_a_long_label_breaks_at_an_underscore_only():
    assert breakable("not_entailment") == "not_<wbr>entailment"
    assert breakable("<b>_x") == "&lt;b&gt;_<wbr>x"


@pytest.mark.parametrize(
    ("readers", "said"),
    [
        ({"annotated": ["m1"], "corrected": []}, "Annotator: m1. Corrector: unknown."),
        ({"strict": ["m1"], "<b>": ["m2"]}, "strict: m1. &lt;b&gt;: m2."),
        ({"annotated": [], "corrected": []}, None),
    ],
)
def test_the_readers_behind_label_errors_are_named(readers, said):
    made = build(inputs(40))
    made.json["noise"] = {"bounds": [], "readers": readers, "different_readers": False}
    page = render(made)
    assert (said in page) if said else ("Annotator:" not in page)
