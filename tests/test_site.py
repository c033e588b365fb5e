"""The documentation builds as a site without warnings, and pages load nothing from elsewhere."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.support.specs import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    # A broken link, or a page without an entry in the navigation, is an error.
    assert done.returncode == 0, done.stderr
    return folder


class Loaded(HTMLParser):
    """Collects the addresses that a browser loads for a page, and the page's code blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        name = {"script": "src", "img": "src", "iframe": "src", "link": "href"}.get(tag)
        address = known.get(name or "")
        # The canonical address of a page is not loaded.
        if address and known.get("rel") != "canonical":
            self.addresses.append(address)


def test_every_page_loads_only_files_of_the_site(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert {page.stem for page in pages} >= {page.stem for page in (ROOT / "docs").glob("*.md")}
    for page in pages:
        text = page.read_text(encoding="utf-8")
        parser = Loaded()
        parser.feed(text)
        assert parser.addresses
        for address in parser.addresses:
            assert not re.match(r"(https?:)?//", address), (page.name, address)
            if page.name != "404.html":
                assert (page.parent / address.partition("?")[0]).is_file(), (page.name, address)
        assert "analytics" not in text and "fonts.g" not in text
        assert "```" not in text.replace("```json", ""), page.name
    for style in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", style.read_text()), style
