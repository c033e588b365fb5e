"""Renders the report and the comparison as self-contained HTML pages."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from targen.quality import first_screen, svg
from targen.quality.comparison import Comparison
from targen.quality.first_screen import Origin
from targen.quality.gates import shown
from targen.quality.metrics import METRICS, find
from targen.quality.report import Report
from targen.quality.svg import Line
from targen.quality.verdict import percent
from targen.wording import plural

TEMPLATE = "page.html.jinja"
BODY = "sections.html.jinja"
COMPARISON = "comparison.html.jinja"
COSTS = ("yield", "calls_per_row", "tokens_per_row", "cost_per_row_usd")
"""Metrics in the comparison's table of methods."""
SHOWN = 480
"""Characters of a text on the page; the tables have the full text."""
REVIEW_SHOWN = 20
FINDINGS_SHOWN = 4
"""Findings and gates that are visible at once, besides the good ones."""
CHANGES_SHOWN = 15
SECTIONS = {
    "yield": "Yield and cost",
    "balance": "Balance",
    "agreement": "Agreement on labels",
    "repetition": "Duplicates",
    "wording": "Wording",
    "topics": "Topics and phrases",
    "meaning": "Meaning",
    "difficulty": "Difficulty",
    "labels": "Suspect labels",
    "texts": "Faulty texts",
    "shortcuts": "Shortcuts",
    "mentions": "Entities mentioned",
    "coverage": "Coverage",
    "reference": "Comparison with the reference",
    "other": "Other metrics",
}
"""Id of a section -> its heading; `other` lists its metrics in one table, without a layout."""

_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_SECTION = re.compile(r'<section id="([a-z]+)">\s*<div class="about"><h2>([^<]+)</h2>')
_BREAKS = re.compile(r"(?<=[_/.\-])(?=\w)")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def visible(value: Any, limit: int = SHOWN) -> str:
    """Return a value as text that cannot hide or reverse the text around it.

    Control and direction characters are replaced by their names; long texts are cut. The
    template escapes HTML.
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
    """Return the name of a character without a glyph; joiners inside words are unchanged."""
    char = match.group()
    if char in "\u200c\u200d":
        return char
    return f"⟨{unicodedata.name(char, f'U+{ord(char):04X}').lower()}⟩"


def breakable(text: str) -> Markup:
    """Return a name that a line may break after an underscore, slash, dot or hyphen."""
    return Markup("<wbr>").join(_BREAKS.split(text))


def longest_part(text: str) -> int:
    """Return the length of the longest part of a name between the breaks of `breakable`."""
    return max(len(part) for part in _BREAKS.split(text))


def number(value: float | None) -> str:
    """Return a number with a sensible number of digits."""
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
        """Return one figure's row, None if it is absent."""
        return self._by_key.get((metric, slice_))

    def of(self, metric: str) -> list[dict[str, Any]]:
        """Return all slices of a metric."""
        return [row for row in self._rows if row["metric"] == metric]


def shade(value: float | None, top: float | None, row: Sequence[float | None]) -> str:
    """Return the opacity of a cell, 0 to 1: its share of `top`, or of its row without `top`."""
    total = top or sum(n for n in row if n) or 1
    return f"{max(0.0, min(1.0, (value or 0) / total)):.3f}"


def largest(table: Sequence[Sequence[float | None]]) -> float:
    """Return the largest number of a table, at least 1."""
    return max([1, *(n for row in table for n in row if n)])


def changes(table: dict[str, Any]) -> list[tuple[str, str, int]]:
    """Return the `CHANGES_SHOWN` most frequent changes of a flip matrix: from, to, rows."""
    found = [
        (first, second, count)
        for first, counts in zip(table["rows"], table["counts"], strict=True)
        for second, count in zip(table["columns"], counts, strict=True)
        if count and first != second
    ]
    return sorted(found, key=lambda change: -change[2])[:CHANGES_SHOWN]


@lru_cache
def title(metric: str) -> str:
    """Return a metric's name as a heading; an unknown name is returned unchanged.

    A slice may follow the name, as in `flip_rate, intended to annotated`.
    """
    name, comma, slice_ = metric.partition(", ")
    known = find(name)
    if known is None:
        return metric
    words = known.words
    return words[:1].upper() + words[1:] + comma + slice_


def template(name: str) -> Template:
    """Return one of this package's page templates, with the shared filters and charts."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "visible": visible, "number": number, "percent": percent, "money": money, "plural": plural,
        "title": title, "breakable": breakable, "longest_part": longest_part,
        "as_bound": lambda value, metric: shown(metric, value),
    }  # fmt: skip
    environment.globals |= {
        "bar": svg.bar, "stacked": svg.stacked, "histogram": svg.histogram,
        "curves": svg.curves, "dots": svg.dots, "sign": svg.key, "colors": svg.COLORS,
        "headings": SECTIONS, "metrics": METRICS, "metric": find,
        "shade": shade, "largest": largest, "changes": changes,
    }  # fmt: skip
    return environment.get_template(name)


def render(report: Report, origin: Origin | None = None) -> str:
    """Return the report as a self-contained page, without scripts; every text is escaped."""
    content = report.json
    known = {"r": content, "fig": Figures(content["figures"])}
    # The template has escaped its output, so a row's text cannot look like a section.
    other = [name for name, metric in METRICS.items() if metric.section == "other"]
    other += [one["name"] for one in content.get("plugins", ())]
    body = Markup(template(BODY).render(**known, review_shown=REVIEW_SHOWN, other_metrics=other))  # noqa: S704
    sections = {name: Markup(heading) for name, heading in _SECTION.findall(body)}  # noqa: S704
    troubles = first_screen.troubles(content)
    return template(TEMPLATE).render(
        **known,
        body=body,
        sections=sections,
        contents=first_screen.contents(sections, troubles),
        troubles=troubles,
        next_step=first_screen.next_step(content, troubles),
        origin=first_screen.origin(content, origin),
        mark=origin.mark if origin else "",
        findings_shown=FINDINGS_SHOWN,
    )


def written(value: float | None, unit: str) -> str:
    """Return a figure in its unit."""
    if value is None:
        return "–"
    if unit == "share":
        return percent(value)
    if unit == "usd":
        return money(value)
    if abs(value) >= 10:
        return number(value)
    # Equal decimals for all methods, and never minus zero.
    return f"{value:.2f}" if abs(value) >= 0.1 or value == 0 else f"{round(value, 3) + 0.0:.3f}"


def lines(metric: Mapping[str, Any], methods: Sequence[Mapping[str, Any]]) -> list[Line]:
    """Return the lines of `svg.dots` for one metric, one per method."""
    found: list[Line] = []
    for method in methods:
        figure = method["figures"].get(metric["name"])
        if figure is None:
            found.append((method["name"], None, None, None, "–"))
        else:
            value = figure["value"]
            text = written(value, metric["unit"])
            found.append((method["name"], value, figure["low"], figure["high"], text))
    return found


def unmeasured(metrics: Sequence[Mapping[str, Any]], group: Mapping[str, Any]) -> list[Any]:
    """Return (metric, [(reason, names of the methods)]) for every missing figure."""
    found = []
    for metric in metrics:
        reasons: dict[str, list[str]] = {}
        for method in group["methods"]:
            if metric["name"] in method["absent"]:
                reasons.setdefault(method["absent"][metric["name"]], []).append(method["name"])
        if reasons:
            found.append((metric, list(reasons.items())))
    return found


def comparison_pages(comparison: Comparison) -> dict[str, str]:
    """Return the pages of a comparison: suffix of the file -> page.

    `html` has all groups. Each group of which a task was made also has a page, `<base>.html`.
    """
    pages = {"html": render_comparison(comparison)}
    for group in comparison.json["groups"]:
        if any(method["made"] for method in group["methods"]):
            banner = comparison.json["banner"] if group["simulated"] else None
            alone = comparison.json | {"groups": [group], "banner": banner}
            pages[f"{group['base']}.html"] = render_comparison(Comparison(comparison.table, alone))
    return pages


def render_comparison(comparison: Comparison) -> str:
    """Return the comparison as a self-contained page, without scripts; every text is escaped."""
    content = comparison.json
    by_name = {metric["name"]: metric for metric in content["metrics"]}
    made = [g for g in content["groups"] if any(method["made"] for method in g["methods"])]
    return template(COMPARISON).render(
        c=content,
        made=made,
        waiting=[group for group in content["groups"] if group not in made],
        metric=by_name,
        costs=[by_name[name] for name in COSTS],
        lines=lines,
        unmeasured=unmeasured,
        written=written,
    )
