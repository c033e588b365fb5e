"""Charts as inline SVG. `Markup.format` escapes every text; colors are CSS classes of the page."""

from collections.abc import Sequence
from itertools import pairwise

from markupsafe import Markup

LETTER = 6.6
"""Average width of a letter at 12 px: SVG cannot measure text without a script."""

_MARKER = Markup('<path class="marker s{}" transform="translate({:.1f} {:.1f}) scale({})" d="{}"/>')
_CHART_KEY = Markup('<svg class="sign" viewBox="0 0 12 12" aria-hidden="true">{}</svg>')
_BAR = Markup(
    '<svg class="{}" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">{}</svg>'
)
_CHART = Markup('<svg class="{}" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>')
_PATH = Markup('<path class="{}" d="{}"/>')
_TICK = Markup('<text x="{:.1f}" y="{}" text-anchor="middle" class="axis">{}</text>')
_SIDE = Markup('<text x="{}" y="{:.1f}" text-anchor="end" class="axis">{}</text>')
_AXIS_TITLE = Markup('<text x="{:.1f}" y="{}" text-anchor="{}" class="axis title">{}</text>')
_COLUMN = Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>')

COLORS = 8
"""Colors of a chart, the CSS classes s0 to s7. `style.css.jinja` has them for each scheme; a test
checks that they differ for people with each kind of color blindness, too."""

_MARKERS = (
    "M-4.4 0A4.4 4.4 0 1 1 4.4 0A4.4 4.4 0 1 1 -4.4 0Z",  # circle
    "M-3.9 -3.9H3.9V3.9H-3.9Z",  # square
    "M0 -5.2L4.9 3.8H-4.9Z",  # triangle
    "M0 -5.4L5.4 0L0 5.4L-5.4 0Z",  # diamond
    "M-1.7 -5H1.7V-1.7H5V1.7H1.7V5H-1.7V1.7H-5V-1.7H-1.7Z",  # plus
    "M0 5.2L4.9 -3.8H-4.9Z",  # triangle, point down
    "M-5 0L-2.5 -4.3H2.5L5 0L2.5 4.3H-2.5Z",  # hexagon
)
"""7 and 8 have no common divisor: the pairs of color and shape repeat after 56 series."""

Line = tuple[str, float | None, float | None, float | None, str]
"""A line of `dots`: name, value, low and high end of the interval, and the value as text."""


def bar(share: float, kind: str = "mark") -> Markup:
    """Draw a horizontal bar that fills `share` (0 to 1) of its width, for table cells."""
    width = max(0.0, min(1.0, share)) * 100
    rects = Markup(
        '<rect class="track" width="100" height="10"/><rect class="{}" width="{:.3f}" height="10"/>'
    )
    return _BAR.format("bar", rects.format(kind, width))


def marker(number: int, x: float, y: float, scale: float = 1.0) -> Markup:
    """Draw the marker of a series: its color and its shape, centered at (x, y)."""
    shape = _MARKERS[number % len(_MARKERS)]
    return _MARKER.format(number % COLORS, x, y, scale, shape)


def key(number: int) -> Markup:
    """Return the marker of a series as a picture of its own, for keys and tables."""
    return _CHART_KEY.format(marker(number, 6, 6))


def stacked(shares: Sequence[float]) -> Markup:
    """Draw a bar divided into shares: `COLORS` of them in colors, the others in gray."""
    rect = Markup('<rect class="{}" x="{:.3f}" width="{:.3f}" height="10"/>')
    parts, at = [], 0.0
    for i, share in enumerate(shares):
        kind = f"s{i}" if i < COLORS else "others"
        parts.append(rect.format(kind, at, max(share * 100 - 0.4, 0.05)))
        at += share * 100
    return _BAR.format("stack", Markup().join(parts))


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
    unit: str = "",
    overflow: bool = False,
) -> Markup:
    """Draw counts as columns, and the reference, if any, as a line over them.

    Both are drawn as shares of their own total, so that sets of different sizes are comparable.
    The description for screen readers has the range and the highest column.

    Args:
        edges: number of bins + 1, ascending.
        counts: rows per bin.
        title: the description for screen readers.
        reference: gold rows per bin.
        unit: title of the horizontal axis.
        overflow: the last bin includes larger values; it is marked with a plus sign.
    """
    width, height, left, top, base = 380, 200, 42, 26, 156
    low, high = edges[0], edges[-1]
    scale = (width - left - 12) / ((high - low) or 1)
    shares = [n / (sum(counts) or 1) for n in counts]
    other = [n / (sum(reference) or 1) for n in reference] if reference else []
    peak = max([*shares, *other, 1e-9])
    fullest = shares.index(max(shares))
    title += f": from {low:.3g} to {high:.3g}, most between {edges[fullest]:.3g}"
    title += f" and {edges[fullest + 1]:.3g}"
    tall = (base - top) / peak
    body = [_AXIS_TITLE.format(0, 12, "start", "share of rows")]
    for tick in ticks(0.0, peak, 3):
        at = base - tick * tall
        body.append(_PATH.format("grid", f"M{left} {at:.1f}H{width - 12}"))
        body.append(_SIDE.format(left - 6, at + 4, f"{tick * 100:g}%"))
    for i, ((a, b), share) in enumerate(zip(pairwise(edges), shares, strict=True)):
        kind = "mark over" if overflow and i == len(shares) - 1 else "mark"
        x, wide = left + (a - low) * scale, max((b - a) * scale - 1, 0.6)
        body.append(_COLUMN.format(kind, x, base - share * tall, wide, share * tall))
    if other:
        path = f"M{left} {base}"
        for (a, b), share in zip(pairwise(edges), other, strict=True):
            y = base - share * tall
            path += (
                f"L{left + (a - low) * scale:.1f} {y:.1f}L{left + (b - low) * scale:.1f} {y:.1f}"
            )
        body.append(_PATH.format("outline", path))
    body.append(_PATH.format("base", f"M{left} {base + 0.5}H{width - 12}"))
    last = f"{edges[-2]:.3g}+" if overflow else ""
    room = width - 12 - (len(last) * LETTER + 16 if last else 0)
    for tick in ticks(low, high):
        at = left + (tick - low) * scale
        text = f"{tick:g}"
        if at + len(text) * LETTER / 2 <= (room if last else width):
            body.append(_TICK.format(at, base + 16, text))
    if last:
        body.append(_SIDE.format(width - 4, base + 16, last))
    body.append(_AXIS_TITLE.format((left + width - 12) / 2, base + 36, "middle", unit))
    return _CHART.format("chart", width, height, title, Markup().join(body))


Series = Sequence[tuple[str, Sequence[tuple[float, float]]]]
"""Lines of `curves`: name and (x, y) points."""


def curves(
    series: Series, title: str, reference: Series = (), x_title: str = "", y_title: str = ""
) -> Markup:
    """Draw lines over equal steps of x, each with its name at the right end; y is from 0 to 1.

    Args:
        series: the lines; all share the same x values.
        title: the description for screen readers.
        reference: dashed lines in the colors of `series`, at some of its x values.
        x_title: title of the horizontal axis.
        y_title: title of the vertical axis.
    """
    width, height, left, top, base = 380, 234, 36, 28, 186
    right = max((len(short(name, 18)) for name, _ in series), default=0) * LETTER + 16
    xs = sorted({x for _, points in series for x, _ in points})
    step = (width - left - right) / max(len(xs) - 1, 1)
    body = [_AXIS_TITLE.format(0, 12, "start", y_title)]
    for y in (0, 0.25, 0.5, 0.75, 1):
        at = base - y * (base - top)
        body.append(_PATH.format("grid", f"M{left} {at:.1f}H{width - right + 4:.1f}"))
        body.append(_SIDE.format(left - 6, at + 4, f"{y:g}"))
    for i, x in enumerate(xs):
        # Every second number if all would touch; the last is always drawn.
        if step > 48 or (len(xs) - 1 - i) % 2 == 0:
            body.append(_TICK.format(left + i * step, base + 16, f"{x:,.6g}"))
    body.append(_AXIS_TITLE.format((left + width - right) / 2, base + 38, "middle", x_title))
    name_text = Markup('<text x="{:.1f}" y="{:.1f}" class="name">{}</text>')
    labels: list[float] = []
    drawn = [(i, False, *line) for i, line in enumerate(series)]
    drawn += [(i, True, *line) for i, line in enumerate(reference)]
    for number, dashed, name, points in drawn:
        known = [(x, y) for x, y in points if x in xs]
        if not known:
            continue
        dots = [(left + xs.index(x) * step, base - y * (base - top)) for x, y in known]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in dots)
        kind = "line dashed" if dashed else "line"
        body.append(_PATH.format(f"{kind} l{number % COLORS}", f"M{path}"))
        (first_x, first_y), (last_x, last_y) = known[0], known[-1]
        title += f"; {name} {first_y:.2f} at {first_x:,} to {last_y:.2f} at {last_x:,}"
        if not dashed:
            at = dots[-1][1] + 4
            while any(abs(at - other) < 14 for other in labels):
                at += 2
            labels.append(at)
            body.append(name_text.format(dots[-1][0] + 9, at, short(name, 18)))
        body.extend(marker(number, x, y, 0.5 if dashed else 0.72) for x, y in dots)
    return _CHART.format("curves", width, height, title, Markup().join(body))


def dots(series: Sequence[Line], title: str, *, zero: bool = False, share: bool = False) -> Markup:
    """Draw one line per name: its value as a marker, its interval, and the value as text.

    Lines keep their order, color and shape in all charts. A line without a value keeps its
    position.

    Args:
        series: the lines.
        title: the description for screen readers.
        zero: the axis starts at 0, and values are drawn as bars from there, with the marker between
            the name and the bar.
        share: the axis is in percent.
    """
    names = [short(line[0]) for line in series]
    width, row, top = 330, 25, 4
    sign = 18 if zero else 0
    left = max((len(name) for name in names), default=0) * LETTER + 15 + sign
    right = width - max((len(line[4]) for line in series), default=0) * LETTER - 12
    values = [x for line in series for x in line[1:4] if x is not None]
    low, high = min(values, default=0.0), max(values, default=1.0)
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
        body.append(_PATH.format("base" if tick == 0 else "grid", f"M{at:.1f} {top}V{base}"))
        body.append(_TICK.format(at, base + 15, text))
    name_text = Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="end">{}</text>')
    value_text = Markup('<text x="{}" y="{:.1f}" text-anchor="end" class="{}">{}</text>')
    rect = Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="11"/>')
    for i, (name, (_, value, least, most, text)) in enumerate(zip(names, series, strict=True)):
        at = top + row * (i + 0.5)
        body.append(name_text.format(left - 8 - sign, at + 4, name))
        body.append(value_text.format(width, at + 4, "axis" if value is None else "", text))
        if value is None:
            continue
        x, start = left + (value - low) * scale, left - low * scale
        if zero:
            body.append(marker(i, left - 12, at))
            body.append(rect.format(f"s{i % COLORS}", start, at - 5.5, max(x - start, 0.8)))
        if least is not None and most is not None:
            ends = left + (least - low) * scale, left + (most - low) * scale
            kind = "whisker" if zero else f"whisker l{i % COLORS}"
            body.append(_PATH.format(kind, f"M{ends[0]:.1f} {at:.1f}H{ends[1]:.1f}"))
        if not zero:
            body.append(marker(i, x, at))
    return _CHART.format("dots", width, base + 20, title, Markup().join(body))


def _fitting(low: float, high: float, room: float, *, share: bool) -> list[tuple[float, str]]:
    """Return as many ticks, with their texts, as fit into `room` pixels."""
    found: list[tuple[float, str]] = []
    for count in (4, 3, 2, 1):
        at = ticks(low, high, count)
        found = [(x, f"{x * 100:g}%" if share else f"{x:,.10g}") for x in at]
        if sum(len(text) * LETTER + 12 for _, text in found) <= room:
            break
    return found
