"""JSON Lines, and text reduced to one printable line."""

import json
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, Final

# Some readers split lines at these too, which JSON leaves as they are inside a text.
_BREAKS: Final = {ord(mark): f"\\u{ord(mark):04x}" for mark in "\x85\u2028\u2029"}

_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
"""Unicode's categories of characters that break lines, turn the writing or show nothing."""


def one_line(text: str) -> str:
    """Return a text without line breaks and without what cannot be seen."""
    seen = "".join(" " if unicodedata.category(c) in _UNSEEN else c for c in text)
    return " ".join(seen.split())


def json_lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Return one JSON object a line, keys in the order given, UTF-8; nothing for no row."""
    texts = (json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows)
    return "".join(f"{text.translate(_BREAKS)}\n" for text in texts).encode()
