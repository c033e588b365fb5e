"""Renders the comparison's JSON as one self-contained HTML page."""

from collections.abc import Mapping, Sequence
from typing import Any

from targen.quality.comparison import Comparison
from targen.quality.page import money, number, template
from targen.quality.svg import Line
from targen.quality.verdict import percent

TEMPLATE = "comparison.html.jinja"
COSTS = ("yield", "calls_per_row", "tokens_per_row", "cost_per_row_usd")
"""Metrics in the table of methods: the cost of a row."""


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
    """Return what `svg.dots` draws for one metric, a line per method."""
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


def render(comparison: Comparison) -> str:
    """Return the page: no script, no requests, every text escaped."""
    content = comparison.json
    by_name = {metric["name"]: metric for metric in content["metrics"]}
    made = [g for g in content["groups"] if any(method["made"] for method in g["methods"])]
    return template(TEMPLATE).render(
        c=content,
        made=made,
        waiting=[group for group in content["groups"] if group not in made],
        metric=by_name,
        costs=[by_name[name] for name in COSTS],
        lines=lines,
        unmeasured=unmeasured,
        written=written,
    )
