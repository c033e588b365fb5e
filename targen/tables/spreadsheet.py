"""Rows as CSV or TSV that a spreadsheet takes for text, whatever a model wrote."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

_BREAKS: Final = re.compile(r"[\t\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+")
_UNSEEN: Final = (
    r"\s\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"
)
_FORMULA: Final = re.compile(rf"(^|[;,|])([{_UNSEEN}\"']*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])")
"""Where a formula would begin (OWASP, CSV Injection), also in fullwidth characters, and also where
a spreadsheet that expects another separator would begin a cell."""


def separated(columns: Sequence[str], rows: Iterable[Sequence[Any]], separator: str = ",") -> str:
    """Return a header and rows; every cell is quoted, unless it is empty."""
    lines = [columns, *rows]
    return "".join(f"{separator.join(map(_quoted, line))}\n" for line in lines)


def cell(value: Any) -> str:
    """Return a value as a cell that no spreadsheet takes for a formula or for several cells.

    Line breaks and tabs become spaces, and an apostrophe is put before the beginning of a formula.
    Lists are written as JSON.
    """
    if isinstance(value, bool):
        return str(value).lower()
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, list) else str(value)
    if not isinstance(value, str | list):
        return text
    text = _BREAKS.sub(" ", text.replace("\x00", ""))
    return _FORMULA.sub(r"\1\2'", text)


def _quoted(value: Any) -> str:
    if value is None or value == "":
        return ""
    return '"' + cell(value).replace('"', '""') + '"'
