"""Markdown tables of untrusted rows."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from targen.release.rows import one_line

_WIDTH = 160


def table(
    rows: Iterable[Mapping[str, Any]], columns: Iterable[str], links: Sequence[str] = ()
) -> str:
    """Return `rows` as a Markdown table with these columns.

    Values are code spans, which cannot contain links, images or HTML.

    Args:
        rows: the rows.
        columns: the keys of the rows to show.
        links: Markdown for each row's first column, which has no heading; none by default.
    """
    names, found = list(columns), list(rows)
    heading = [*([""] if links else []), *names]
    lines = ["| " + " | ".join(heading) + " |", "|" + " --- |" * len(heading)]
    firsts = [[link] for link in links] or [[]] * len(found)
    for first, row in zip(firsts, found, strict=True):
        lines.append("| " + " | ".join([*first, *(cell(row.get(name)) for name in names)]) + " |")
    return "\n".join(lines)


def block(text: str) -> str:
    """Return a text of several lines as a code block that its content cannot close."""
    from targen.quality.page import visible  # noqa: PLC0415 - not when loading

    lines = [visible(line, len(line)) for line in text.splitlines()]
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, 1 + longest)
    return "\n".join([fence, *lines, fence])


def cell(value: Any) -> str:
    """Return a value as a code span that its content cannot close."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    # Markdown splits cells at pipes before it parses code spans, and escapes are not reliable.
    text = one_line(text).replace("|", "\N{BROKEN BAR}")
    if len(text) > _WIDTH:
        text = text[: _WIDTH - 1] + "…"
    if not text:
        return ""
    fence = "`" * (1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"
