"""The page in a real browser: nothing runs, nothing is fetched, nothing overflows."""

import shutil

import pytest

from targen.quality.page import render
from targen.quality.report import build

from .sample import inputs
from .test_page import hostile_inputs

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_hostile_rows_neither_run_nor_fetch_nor_overflow(tmp_path):
    sync_api = pytest.importorskip("playwright.sync_api")
    pages = {"hostile": hostile_inputs(), "plain": inputs(60, reference=inputs(80).rows)}
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            for name, given in pages.items():
                file = tmp_path / f"{name}.html"
                file.write_text(render(build(given)), encoding="utf-8")
                for scheme, width in (("light", 1200), ("dark", 375)):
                    page = browser.new_page(
                        viewport={"width": width, "height": 900}, color_scheme=scheme
                    )
                    asked, spoken = [], []
                    page.on("request", lambda request, asked=asked: asked.append(request.url))
                    page.on("dialog", lambda dialog, spoken=spoken: spoken.append(dialog.message))
                    page.on("console", lambda line, spoken=spoken: spoken.append(line.text))
                    page.goto(file.as_uri())
                    assert asked == [file.as_uri()]
                    assert spoken == []
                    assert page.evaluate("document.querySelectorAll('script, img').length") == 0
                    over = "document.documentElement.scrollWidth - window.innerWidth"
                    assert page.evaluate(over) <= 0
                    picture = page.screenshot(full_page=True, path=tmp_path / f"{name}{width}.png")
                    assert len(picture) > 20_000
                    page.close()
        finally:
            browser.close()
