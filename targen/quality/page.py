"""The report as one self-contained HTML page.

Here belong rendering and the forms numbers take on the page. The page is made from the report's
JSON alone, so it cannot show a figure that the JSON lacks.
"""

import re
import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from targen.quality import svg
from targen.quality.report import Report
from targen.quality.verdict import percent, plural

TEMPLATE = "page.html.jinja"
SHOWN = 480
"""Characters of a text that the page shows; the whole stands in the tables."""
REVIEW_SHOWN = 20

_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def visible(value: Any, limit: int = SHOWN) -> str:
    """Return a value as text that can neither hide nor turn what stands around it.

    Control and direction characters are shown by their code, long texts are cut. Escaping for
    HTML is the template's work.
    """
    if value is None:
        return "–"
    if isinstance(value, list):
        return ", ".join(visible(part, limit) for part in value[:20])
    text = str(value)
    cut = text if len(text) <= limit else text[:limit] + "…"
    cut = _SURROGATE.sub("\ufffd", cut)
    return _UNSEEN.sub(_code, cut)


def _code(match: re.Match[str]) -> str:
    """Return the code of a character that has no glyph; joiners inside words stay as they are."""
    char = match.group()
    if char in "\u200c\u200d":
        return char
    return f"⟨{unicodedata.name(char, f'U+{ord(char):04X}').lower()}⟩"


def number(value: float | None) -> str:
    """Return a figure with as many digits as it deserves."""
    if value is None:
        return "unknown"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.2g}"


def money(value: float | None, *, simulated: bool = False) -> str:
    """Return US dollars; an unknown price is never 0."""
    if simulated:
        return "0 (simulated)"
    if value is None:
        return "unknown"
    if value == 0:
        return "$0"
    return f"${value:,.2f}" if value >= 1 else f"${value:.2g}"


class Figures:
    """Looks figures up by metric and slice for the template."""

    def __init__(self, figures: list[dict[str, Any]]) -> None:
        self._by_key = {(row["metric"], row["slice"]): row for row in figures}
        self._rows = figures

    def __call__(self, metric: str, slice_: str = "all") -> dict[str, Any] | None:
        """Return one figure's row, None where it is absent."""
        return self._by_key.get((metric, slice_))

    def of(self, metric: str) -> list[dict[str, Any]]:
        """Return all slices of a metric."""
        return [row for row in self._rows if row["metric"] == metric]


@lru_cache
def template(name: str) -> Template:
    """Return one of this package's page templates, with the filters and charts of all pages."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "visible": visible, "number": number, "percent": percent, "money": money, "plural": plural
    }  # fmt: skip
    environment.globals |= {
        "bar": svg.bar, "stacked": svg.stacked, "heat": svg.heat,
        "histogram": svg.histogram, "curves": svg.curves, "dots": svg.dots,
    }  # fmt: skip
    return environment.get_template(name)


def render(report: Report) -> str:
    """Return the whole page: no script, nothing fetched, every text escaped."""
    content = report.json
    return template(TEMPLATE).render(
        r=content, fig=Figures(content["figures"]), review_shown=REVIEW_SHOWN
    )
