"""What the story of a row says about the plug-ins that made it."""

from collections.abc import Mapping
from typing import Any

from targen.quality.page import visible

_LONGEST = 80
_DIGITS = 12


def plugin_story(known: Mapping[str, Any]) -> str:
    """Return a sentence on the plug-ins that the steps of a row used; empty without any."""
    used: dict[str, list[str]] = {}
    for table in known["tables"]:
        for one in table.get("plugins") or ():
            kind, digits = one["version"].partition(":")[::2]
            version = f"{kind} {digits[:_DIGITS]}" if digits else one["version"]
            text = f"{one['kind']} {one['name']} ({one['source']}, {version})"
            used.setdefault(visible(text, _LONGEST * 2), []).append(table["table"])
    if not used:
        return ""
    parts = (f"{text} in {' and '.join(dict.fromkeys(tables))}" for text, tables in used.items())
    return f"It was made with plug-ins: {'; '.join(parts)}."
