"""Charts as inline SVG. `Markup.format` escapes every text; colors are CSS classes of the page."""

from collections.abc import Sequence
from itertools import pairwise

from markupsafe import Markup

LETTER = 6.6
"""Width of a letter at 12 px, on average: SVG cannot measure text without a script."""


def bar(share: float, kind: str = "mark") -> Markup:
    """Draw one horizontal bar that fills `share` (0 to 1) of its width, for table cells."""
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

    Both are drawn as shares of their own total, so that unequal sizes compare. The description
    for screen readers names the range and the highest column.
    """
    width, height, base = 340, 150, 122
    low, high = edges[0], edges[-1]
    scale = (width - 16) / ((high - low) or 1)
    shares = [n / (sum(counts) or 1) for n in counts]
    other = [n / (sum(reference) or 1) for n in reference] if reference else []
    peak = max([*shares, *other, 1e-9])
    fullest = shares.index(max(shares))
    title += (
        f": from {low:.3g} to {high:.3g}, most between {edges[fullest]:.3g} and "
        f"{edges[fullest + 1]:.3g}"
    )
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
        title: the description for screen readers.
    """
    width, height, left, base = 380, 220, 36, 188
    right = max((len(short(name, 18)) for name, _ in series), default=0) * LETTER + 16
    places = sorted({x for _, points in series for x, _ in points})
    step = (width - left - right) / max(len(places) - 1, 1)
    body = []
    for y in (0, 0.25, 0.5, 0.75, 1):
        at = base - y * (base - 14)
        body.append(
            Markup(
                '<path class="grid" d="M{} {:.1f}H{}"/>'
                '<text x="{}" y="{:.1f}" text-anchor="end" class="axis">{:g}</text>'
            ).format(left, at, f"{width - right + 4:.1f}", left - 6, at + 4, y)
        )
    for i, x in enumerate(places):
        # Every second number if all would touch; the last is always drawn.
        if step > 48 or (len(places) - 1 - i) % 2 == 0:
            body.append(
                Markup('<text x="{:.1f}" y="{}" text-anchor="middle" class="axis">{}</text>')
                .format(left + i * step, base + 18, f"{x / 1000:g}k" if x >= 1000 else f"{x:g}")
            )  # fmt: skip
    labels: list[float] = []
    for number, (name, points) in enumerate(series):
        dots = [(left + places.index(x) * step, base - y * (base - 14)) for x, y in points]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in dots)
        body.append(Markup('<path class="line l{}" d="M{}"/>').format(number % 6, path))
        title += f"; {name} {points[0][1]:.2f} at {points[0][0]:,} to {points[-1][1]:.2f}"
        title += f" at {points[-1][0]:,}"
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


Line = tuple[str, float | None, float | None, float | None, str]


def dots(series: Sequence[Line], title: str, *, zero: bool = False, share: bool = False) -> Markup:
    """Draw one line per name: its value as a dot, its interval, and the value in words.

    Lines keep their order and shade (classes s0 to s5, in turn), so that a name is found again in
    the next chart. A line without a value keeps its place.

    Args:
        series: name, value, low and high end of the interval, and the text to write beside it.
        title: the description for screen readers.
        zero: the axis starts at 0 and the value is drawn as a bar from there.
        share: the axis is in percent.
    """
    names = [short(line[0]) for line in series]
    width, row, top = 330, 25, 4
    left = max((len(name) for name in names), default=0) * LETTER + 15
    right = width - max((len(line[4]) for line in series), default=0) * LETTER - 12
    places = [x for line in series for x in line[1:4] if x is not None]
    low, high = min(places, default=0.0), max(places, default=1.0)
    low = min(low, 0.0) if zero else low
    # A minimum width of the axis, so that small differences do not look large.
    room = max((high - low) * 0.06, max(abs(low), abs(high)) * 0.05) or 0.1
    low, high = low if zero else low - room, high + room
    scale = (right - left) / (high - low)
    base = top + row * len(series) + 3
    title += ": " + "; ".join(f"{name} {line[4]}" for name, line in zip(names, series, strict=True))
    body = []
    for tick, text in _fitting(low, high, right - left, share=share):
        at = left + (tick - low) * scale
        body.append(
            Markup(
                '<path class="{}" d="M{:.1f} {}V{}"/>'
                '<text x="{:.1f}" y="{}" text-anchor="middle" class="axis">{}</text>'
            ).format("base" if tick == 0 else "grid", at, top, base, at, base + 15, text)
        )
    for i, (name, line) in enumerate(zip(names, series, strict=True)):
        at = top + row * (i + 0.5)
        body.append(_dot_line(i, name, line, at, left, width, low, scale, zero=zero))
    return Markup(
        '<svg class="dots" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>'
    ).format(width, base + 20, title, Markup().join(body))


def _fitting(low: float, high: float, room: float, *, share: bool) -> list[tuple[float, str]]:
    """Return ticks and their texts, as many as stand side by side in `room` pixels."""
    found: list[tuple[float, str]] = []
    for count in (4, 3, 2, 1):
        places = ticks(low, high, count)
        found = [(at, f"{at * 100:g}%" if share else f"{at:,.10g}") for at in places]
        if sum(len(text) * LETTER + 12 for _, text in found) <= room:
            break
    return found


def _dot_line(
    number: int, name: str, line: Line, at: float, left: float, width: float, low: float,
    scale: float, *, zero: bool,
) -> Markup:  # fmt: skip
    """Draw one line of `dots`: name, mark, interval and text at height `at`."""
    _, value, least, most, text = line
    parts = [
        Markup(
            '<text x="{:.1f}" y="{:.1f}" text-anchor="end">{}</text>'
            '<text x="{}" y="{:.1f}" text-anchor="end" class="{}">{}</text>'
        ).format(left - 8, at + 4, name, width, at + 4, "axis" if value is None else "", text)
    ]
    if value is not None:
        x, shade = left + (value - low) * scale, f"s{number % 6}"
        if zero:
            start = left - low * scale
            parts.append(
                Markup(
                    '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="11"/>'
                ).format(shade, start, at - 5.5, max(x - start, 0.8))
            )
        if least is not None and most is not None:
            ends = left + (least - low) * scale, left + (most - low) * scale
            parts.append(
                Markup('<path class="{}" d="M{:.1f} {:.1f}H{:.1f}"/>').format(
                    "whisker" if zero else f"whisker l{number % 6}", ends[0], at, ends[1]
                )
            )
        if not zero:
            parts.append(
                Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="4.6"/>').format(shade, x, at)
            )
    return Markup().join(parts)
