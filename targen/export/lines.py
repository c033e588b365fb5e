"""JSON lines that every reader takes for as many lines as were written.

Here belongs one row as one line of text. Which keys a row has is the format's business.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

# Some readers split at these too, which JSON leaves as they are inside a text.
_BREAKS: Final = {ord(mark): f"\\u{ord(mark):04x}" for mark in "\x85\u2028\u2029"}


def json_lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Return one JSON object a line, keys in the order given, UTF-8; nothing for no row."""
    texts = (json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows)
    return "".join(f"{text.translate(_BREAKS)}\n" for text in texts).encode()
