"""The pages in a real browser: nothing runs, nothing is fetched, nothing is cut, all is legible.

Pictures of the report go to the folder TARGEN_REPORT_PICTURES, where it is set, to be looked at.
"""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from targen.quality.comparison import Method, compare
from targen.quality.inputs import Embedded
from targen.quality.page import render, render_comparison
from targen.quality.report import build
from targen.tasks.sections import Gate
from tests.quality.test_page import HOSTILE, hostile_page
from tests.support.report_inputs import inputs

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SIZES = {"light": (1200, "light"), "dark": (1200, "dark"), "narrow": (400, "light")}
POLICY = '<meta http-equiv="Content-Security-Policy"'

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

BEYOND = """() => {
  // What is wider than the screen, or is cut by a box that hides or scrolls what stands out of it.
  const out = [];
  for (const node of document.querySelectorAll('main *')) {
    if (node.closest('.sr, svg') && !node.matches('svg')) continue;
    const box = node.getBoundingClientRect();
    if (box.width && box.right > window.innerWidth + 1) out.push(node.className || node.tagName);
    if (node.scrollWidth > node.clientWidth + 1 && node.clientWidth
        && getComputedStyle(node).overflowX !== 'visible') out.push('scrolls: ' + node.tagName);
  }
  for (const text of document.querySelectorAll('svg[role=img] text')) {
    const box = text.getBBox(), room = text.ownerSVGElement.viewBox.baseVal;
    if (box.x < -1 || box.x + box.width > room.width + 1) out.push('svg: ' + text.textContent);
  }
  return out;
}"""

CONTRAST = """() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  canvas.canvas.width = canvas.canvas.height = 1;
  function rgba(colour) {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  }
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  function behind(node) {
    for (let at = node; at; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
      if (colour[3] !== 0) return null;   // half clear: this test cannot judge it
    }
    return [255, 255, 255, 255];
  }
  const poor = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode.parentElement;
    if (!walk.currentNode.textContent.trim() || node.closest('.sr, style')) continue;
    const style = getComputedStyle(node), ground = behind(node);
    const front = rgba(node.ownerSVGElement ? style.fill : style.color);
    const [a, b] = ground ? [light(front), light(ground)] : [0, 0];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push([walk.currentNode.textContent.trim().slice(0, 30), ratio]);
  }
  return poor;
}"""

UNSAID = """() => {
  const wrong = [];
  const heads = [...document.querySelectorAll('h1, h2, h3, h4')].map(h => +h.tagName[1]);
  if (heads[0] !== 1 || heads.filter(h => h === 1).length !== 1) wrong.push('h1');
  heads.forEach((h, i) => { if (i && h > heads[i - 1] + 1) wrong.push('heading ' + i); });
  if (document.documentElement.lang !== 'en') wrong.push('lang');
  if (!document.querySelector('main')) wrong.push('main');
  for (const svg of document.querySelectorAll('svg'))
    if (svg.getAttribute('aria-hidden') !== 'true'
        && !(svg.getAttribute('role') === 'img' && svg.getAttribute('aria-label').length > 20))
      wrong.push('svg without words');
  for (const chart of document.querySelectorAll('svg.chart'))
    if (!chart.closest('figure').querySelector('table')) wrong.push('chart without a table');
  for (const chart of document.querySelectorAll('svg.curves'))
    if (!chart.closest('.body').querySelector('table')) wrong.push('curve without a table');
  for (const bar of document.querySelectorAll('svg.bar'))
    if (!bar.closest('tr').querySelector('td.n')) wrong.push('bar without a number');
  for (const head of document.querySelectorAll('th'))
    if (!head.scope) wrong.push('th without scope: ' + head.textContent);
  for (const link of document.querySelectorAll('a'))
    if (!link.textContent.trim()) wrong.push('link without a text');
  return wrong;
}"""


@pytest.fixture(scope="module")
def browser():
    """Yield a headless Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as play:
        opened = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


def full_inputs():
    """Rows with all that a page can show: reference, embeddings, gates, attributes, a price."""
    given = inputs(150, simulated=False)
    random = np.random.default_rng(4)
    middle = random.normal(size=30)
    contexts = pl.DataFrame(
        {
            "context_id": [f"c{i}" for i in range(40)],
            "attributes": [
                [
                    {"name": "setting", "value": f"a rather long name of place {i % 8}"},
                    {"name": "tone", "value": f"in a tone that has {i % 9} sides"},
                ]
                for i in range(40)
            ],
        }
    )
    instances = given.tables["instances"].with_columns(
        context_id=pl.lit("c") + (pl.col("slot") % 37).cast(pl.String)
    )
    return inputs(
        150,
        simulated=False,
        tables={**given.tables, "contexts": contexts, "instances": instances},
        completions=given.completions.with_columns(cost_usd=pl.lit(0.0012)),
        reference=inputs(240).rows.tail(90),
        reference_name="RTE dev",
        embeddings=Embedded(middle + random.normal(size=(150, 30)), np.arange(150)),
        reference_embeddings=Embedded(middle + random.normal(size=(90, 30)), np.arange(90)),
        gates=(
            Gate(metric="rows", at_least=100),
            Gate(metric="near_duplicates", at_most=0.01, severity="warn"),
        ),
    )


def comparison_of(text):
    made = json.loads(build(inputs(60, title=text, models=(text,))).json_text())
    methods = [
        Method("rte", None, text, "targen", text, made),
        Method("rte-zerogen", "rte", text, "zerogen", text, made),
        Method("rte-paper", "rte", text, "targen-paper", text, None),
    ]
    return render_comparison(compare(methods))


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Return name -> file of each page that the tests open."""
    folder = tmp_path_factory.mktemp("pages")
    made = {
        "full": render(build(full_inputs())),
        "demo": render(build(inputs(60))),
        "hostile": hostile_page(),
        "comparison": comparison_of("Recognising Textual Entailment"),
        "hostile-comparison": comparison_of(" ".join(HOSTILE[:6])),
    }
    files = {}
    for name, text in made.items():
        files[name] = folder / f"{name}.html"
        files[name].write_text(text, encoding="utf-8")
        # Without its policy too: escaping alone has to hold.
        files[f"{name}-bare"] = folder / f"{name}-bare.html"
        bare = "".join(x for x in text.splitlines(keepends=True) if not x.startswith(POLICY))
        assert len(bare) < len(text)
        files[f"{name}-bare"].write_text(bare, encoding="utf-8")
    return files


class Watch:
    """A page, and all that it asked for or said."""

    def __init__(self, browser, file, width=1200, scheme="light"):
        self.page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.asked, self.spoken, self.refused = [], [], []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("requestfailed", lambda r: self.refused.append((r.url, r.failure)))
        self.page.on("dialog", self._dialog)
        self.page.on("console", lambda line: self.spoken.append(line.text))
        self.page.on("popup", lambda popup: self.spoken.append(popup.url))
        self.page.goto(file.as_uri())
        self.asked.remove(file.as_uri())

    def _dialog(self, dialog):
        self.spoken.append(dialog.message)
        dialog.dismiss()

    def touch_everything(self):
        """Open all that folds, then point at, focus and click whatever could react."""
        self.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        self.page.evaluate("""document.querySelectorAll('body *').forEach(node => {
            for (const name of ['mouseover', 'focus', 'error', 'load', 'toggle', 'animationend'])
                node.dispatchEvent(new Event(name, {bubbles: true}));
        })""")
        self.page.wait_for_timeout(50)


@pytest.mark.parametrize("name", ["hostile", "hostile-comparison", "full", "comparison"])
@pytest.mark.parametrize("kind", ["", "-bare"])
def test_nothing_runs_and_nothing_is_fetched(browser, pages, name, kind):
    watch = Watch(browser, pages[name + kind])
    watch.touch_everything()
    assert (watch.asked, watch.spoken) == ([], [])
    assert watch.page.locator("script, img, iframe, object, embed, form, link, base").count() == 0
    assert watch.page.locator("style").count() == 1
    for character in "\x00\x07\u202e\u2066":
        assert character not in watch.page.content()
    watch.page.close()


def test_the_watch_sees_what_runs_and_the_policy_stops_it(browser, pages, tmp_path):
    attack = "<script>alert(1)</script><img src='x.png' onerror='alert(2)'></main>"
    seen = {}
    for kind in ("", "-bare"):
        file = tmp_path / f"attacked{kind}.html"
        file.write_text(pages[f"demo{kind}"].read_text().replace("</main>", attack))
        watch = Watch(browser, file)
        seen[kind] = watch
    assert {"1", "2"} <= set(seen["-bare"].spoken)
    for kind, reason in (("", "csp"), ("-bare", "net::ERR_FILE_NOT_FOUND")):
        assert [(url.split("/")[-1], why) for url, why in seen[kind].refused] == [("x.png", reason)]
    assert not {"1", "2"} & set(seen[""].spoken)
    assert any("Content Security Policy" in line for line in seen[""].spoken)


@pytest.mark.parametrize("name", ["full", "demo", "hostile", "comparison", "hostile-comparison"])
@pytest.mark.parametrize("width", [400, 800, 1200])
def test_nothing_is_cut_at_any_width(browser, pages, name, width):
    watch = Watch(browser, pages[name], width)
    watch.touch_everything()
    assert watch.page.evaluate(BEYOND) == []
    watch.page.close()


@pytest.mark.parametrize("name", ["full", "demo", "comparison"])
@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_every_text_has_contrast(browser, pages, name, scheme):
    watch = Watch(browser, pages[name], scheme="light" if scheme == "print" else scheme)
    if scheme == "print":
        watch.page.emulate_media(media="print")
    watch.touch_everything()
    assert watch.page.evaluate(CONTRAST) == []
    watch.page.close()


@pytest.mark.parametrize("name", ["full", "demo", "hostile", "comparison"])
def test_it_can_be_read_without_seeing_it(browser, pages, name):
    watch = Watch(browser, pages[name])
    assert watch.page.evaluate(UNSAID) == []
    watch.page.close()


def test_what_has_the_focus_shows_it(browser, pages):
    watch = Watch(browser, pages["full"])
    seen = set()
    for _ in range(60):
        watch.page.keyboard.press("Tab")
        shown = "(() => { const e = document.activeElement, s = getComputedStyle(e); return "
        shown += "[e.tagName, s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2]; })()"
        tag, visible = watch.page.evaluate(shown)
        if tag != "BODY":
            seen.add(tag)
            assert visible, tag
    assert seen == {"A", "SUMMARY"}
    watch.page.close()


def test_the_first_screen_holds_what_matters(browser, pages):
    watch = Watch(browser, pages["demo"])
    for what in (".verdict h2", ".findings", ".strip", ".samples"):
        box = watch.page.locator(what).first.bounding_box()
        assert box["y"] < 800, what
    strip = watch.page.locator(".strip").inner_text()
    for word in ("Rows", "Labels", "Gates", "Labels changed", "Label errors (est.)", "Cost"):
        assert word in strip
    assert watch.page.locator(".samples article").count() == 3
    watch.page.click("text=to review")
    assert watch.page.locator("#review").bounding_box()["y"] < 300
    watch.page.close()


@pytest.mark.parametrize("name", ["full", "demo"])
def test_a_folded_page_is_short(browser, pages, name):
    watch = Watch(browser, pages[name], 1200)
    assert watch.page.evaluate("document.documentElement.scrollHeight") <= 6000
    watch.page.close()


def test_gates_that_passed_are_never_larger_than_the_worst_finding(browser, pages):
    watch = Watch(browser, pages["full"])
    size = """selector => [...document.querySelectorAll(selector)]
        .filter(node => /passed/.test(node.textContent) && !node.children.length)
        .map(node => parseFloat(getComputedStyle(node).fontSize))"""
    worst = watch.page.evaluate(
        "parseFloat(getComputedStyle(document.querySelector('.findings li')).fontSize)"
    )
    passed = watch.page.evaluate(size, "main *")
    assert passed and max(passed) <= worst
    watch.page.close()


@pytest.mark.parametrize("size", SIZES)
def test_pictures(browser, pages, tmp_path, size):
    kept = os.environ.get("TARGEN_REPORT_PICTURES")
    folder = Path(kept) if kept else tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    width, scheme = SIZES[size]
    for name in ("full", "hostile", "comparison"):
        watch = Watch(browser, pages[name], width, scheme)
        watch.page.screenshot(path=folder / f"{name}-{size}.png", full_page=True)
        first = watch.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert first == ("rgb(20, 23, 26)" if scheme == "dark" else "rgb(250, 249, 246)")
        assert (folder / f"{name}-{size}.png").stat().st_size > 50_000
        watch.page.close()


def test_it_prints_on_paper(browser, pages, tmp_path):
    watch = Watch(browser, pages["full"])
    watch.page.pdf(path=tmp_path / "report.pdf", format="A4")
    pdf = (tmp_path / "report.pdf").read_bytes()
    assert pdf.startswith(b"%PDF") and 3 <= pdf.count(b"/Type /Page\n") <= 25
    watch.page.close()
