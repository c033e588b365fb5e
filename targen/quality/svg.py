"""Charts as inline SVG: bars, heat maps, histograms, curves.

Here belongs drawing. Every text goes through `Markup.format` and is escaped; colours are CSS
classes of the page, so that a chart follows light, dark and print. Choosing what to draw belongs
in the page's template.
"""

from collections.abc import Sequence
from itertools import pairwise

from markupsafe import Markup

LETTER = 6.6
"""Width of a letter at 12 px, on average: SVG cannot measure text without a script."""


def bar(share: float, kind: str = "mark") -> Markup:
    """Draw one horizontal bar that fills `share` (0 to 1) of its place; meant for table cells."""
    width = max(0.0, min(1.0, share)) * 100
    return Markup(
        '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="track" width="100" height="10"/>'
        '<rect class="{}" width="{:.3f}" height="10"/></svg>'
    ).format(kind, width)


def stacked(shares: Sequence[float]) -> Markup:
    """Draw one bar cut into shares, each with its own shade (classes s0 to s5, in turn)."""
    parts, at = [], 0.0
    for i, share in enumerate(shares):
        parts.append(
            Markup('<rect class="s{}" x="{:.3f}" width="{:.3f}" height="10"/>').format(
                i % 6, at, max(share * 100 - 0.4, 0.05)
            )
        )
        at += share * 100
    return Markup(
        '<svg class="stack" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        "{}</svg>"
    ).format(Markup().join(parts))


def short(text: str, width: int = 22) -> str:
    """Cut a label to `width` letters."""
    return text if len(text) <= width else text[: width - 1] + "…"


def heat(
    rows: Sequence[str],
    columns: Sequence[str],
    counts: Sequence[Sequence[float | None]],
    title: str,
    digits: int = 0,
    top_value: float | None = None,
) -> Markup:
    """Draw a table of numbers shaded by their share of `top_value`, or of the row without it.

    Args:
        rows: labels, from top to bottom.
        columns: labels, from left to right.
        counts: numbers, one list per row.
        title: what the chart shows, for those who do not see it.
        top_value: the number that gets the full shade.
        digits: decimals of the numbers written into the cells.
    """
    names = [short(name) for name in rows]
    heads = [short(name, 14) for name in columns]
    left = max((len(name) for name in names), default=0) * LETTER + 14
    cell = max(58.0, max((len(head) for head in heads), default=0) * LETTER + 10)
    height, top = 40, 26
    body = []
    for j, head in enumerate(heads):
        body.append(
            Markup('<text x="{:.1f}" y="16" text-anchor="middle" class="axis">{}</text>').format(
                left + cell * (j + 0.5), head
            )
        )
    for i, name in enumerate(names):
        y = top + i * height
        total = top_value or sum(n for n in counts[i] if n) or 1
        body.append(
            Markup('<text x="{:.1f}" y="{}" text-anchor="end" class="axis">{}</text>').format(
                left - 8, y + 24, name
            )
        )
        for j, number in enumerate(counts[i]):
            share = max(0.0, min(1.0, (number or 0) / total))
            body.append(
                Markup(
                    '<rect x="{:.1f}" y="{}" width="{:.1f}" height="{}" class="heat" '
                    'fill-opacity="{:.3f}"/>'
                    '<text x="{:.1f}" y="{}" text-anchor="middle" class="{}">{}</text>'
                ).format(
                    left + cell * j + 1,
                    y + 1,
                    cell - 2,
                    height - 2,
                    0.06 + 0.94 * share,
                    left + cell * (j + 0.5),
                    y + 25,
                    "onheat" if share > 0.5 else "cell",
                    "–" if number is None else f"{number:.{digits}f}",
                )
            )
    width = left + cell * len(heads) + 2
    return Markup(
        '<svg class="heatmap" viewBox="0 0 {w:.0f} {h}" width="{w:.0f}" role="img" '
        'aria-label="{title}">{body}</svg>'
    ).format(w=width, h=top + height * len(names) + 4, title=title, body=Markup().join(body))


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Return round numbers that divide low..high into about `count` steps."""
    span = high - low
    if span <= 0:
        return [low]
    rough = span / count
    size = 10 ** len(str(int(rough))) / 10 if rough >= 1 else 1.0
    while size > rough:
        size /= 10
    step = next(s * size for s in (1, 2, 2.5, 5, 10) if s * size >= rough)
    first = -(-low // step) * step
    return [round(first + i * step, 10) for i in range(int((high - first) / step + 1e-9) + 1)]


def histogram(
    edges: Sequence[float],
    counts: Sequence[int],
    title: str,
    reference: Sequence[int] | None = None,
) -> Markup:
    """Draw counts as columns, and the reference, if any, as a line over them.

    Both are drawn as shares of their own total, so that unequal sizes compare.
    """
    width, height, base = 340, 150, 122
    low, high = edges[0], edges[-1]
    scale = (width - 16) / ((high - low) or 1)
    shares = [n / (sum(counts) or 1) for n in counts]
    other = [n / (sum(reference) or 1) for n in reference] if reference else []
    peak = max([*shares, *other, 1e-9])
    body = []
    for (a, b), share in zip(pairwise(edges), shares, strict=True):
        tall = share / peak * (base - 12)
        body.append(
            Markup(
                '<rect class="mark" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>'
            ).format(8 + (a - low) * scale, base - tall, max((b - a) * scale - 1, 0.6), tall)
        )
    if other:
        path = f"M8 {base}"
        for (a, b), share in zip(pairwise(edges), other, strict=True):
            y = base - share / peak * (base - 12)
            path += f"L{8 + (a - low) * scale:.1f} {y:.1f}L{8 + (b - low) * scale:.1f} {y:.1f}"
        body.append(Markup('<path class="outline" d="{}"/>').format(path))
    body.append(Markup('<path class="base" d="M8 {0}H{1}"/>').format(base + 0.5, width - 8))
    for tick in ticks(low, high):
        body.append(
            Markup('<text x="{:.1f}" y="{}" text-anchor="middle" class="axis">{:g}</text>').format(
                min(max(8 + (tick - low) * scale, 10), width - 14), base + 18, tick
            )
        )
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>'
    ).format(width, height, title, Markup().join(body))


def curves(
    series: Sequence[tuple[str, Sequence[tuple[float, float]]]],
    title: str,
) -> Markup:
    """Draw lines over even steps of x, each named at its right end; y runs from 0 to 1.

    Args:
        series: name and its (x, y) points; all share the same x values.
        title: what the chart shows, for those who do not see it.
    """
    width, height, left, base = 560, 240, 34, 206
    places = sorted({x for _, points in series for x, _ in points})
    step = (width - left - 130) / max(len(places) - 1, 1)
    body = []
    for y in (0, 0.25, 0.5, 0.75, 1):
        at = base - y * (base - 14)
        body.append(
            Markup(
                '<path class="grid" d="M{} {:.1f}H{}"/>'
                '<text x="{}" y="{:.1f}" text-anchor="end" class="axis">{:g}</text>'
            ).format(left, at, width - 126, left - 6, at + 4, y)
        )
    for i, x in enumerate(places):
        body.append(
            Markup('<text x="{:.1f}" y="{}" text-anchor="middle" class="axis">{:,.0f}</text>')
            .format(left + i * step, base + 18, x)
        )  # fmt: skip
    labels: list[float] = []
    for number, (name, points) in enumerate(series):
        dots = [(left + places.index(x) * step, base - y * (base - 14)) for x, y in points]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in dots)
        body.append(Markup('<path class="line l{}" d="M{}"/>').format(number % 6, path))
        at = dots[-1][1] + 4
        while any(abs(at - other) < 14 for other in labels):
            at += 2
        labels.append(at)
        body.extend(
            Markup('<circle class="dot l{}" cx="{:.1f}" cy="{:.1f}" r="2.6"/>').format(
                number % 6, x, y
            )
            for x, y in dots
        )
        body.append(
            Markup('<text x="{:.1f}" y="{:.1f}" class="name">{}</text>').format(
                dots[-1][0] + 9, at, short(name, 18)
            )
        )
    return Markup(
        '<svg class="curves" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>'
    ).format(width, height, title, Markup().join(body))
