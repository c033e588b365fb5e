"""Rows as a Markdown table that is safe to show."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from targen.release.rows import one_line

_WIDTH = 160


def table(rows: Iterable[Mapping[str, Any]], columns: Iterable[str]) -> str:
    """Return `rows` as a Markdown table with these columns.

    Every value stands in a code span, where Markdown knows no links, images or HTML.
    """
    names = list(columns)
    lines = ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
    lines += ["| " + " | ".join(cell(row.get(name)) for name in names) + " |" for row in rows]
    return "\n".join(lines)


def cell(value: Any) -> str:
    """Return one value as a code span that cannot be left from within."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    # A table splits cells at pipes before it looks for code spans, and an escape can be undone.
    text = one_line(text).replace("|", "\N{BROKEN BAR}")
    if len(text) > _WIDTH:
        text = text[: _WIDTH - 1] + "…"
    if not text:
        return ""
    fence = "`" * (1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"
