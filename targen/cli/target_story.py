"""Says which target a row was written for."""

from collections.abc import Callable, Mapping
from typing import Any


def target_story(item: Mapping[str, Any] | None, shown: Callable[[Any], str]) -> str:
    """Return which target and which report asked for a row, as a sentence; empty without one.

    Args:
        item: the target, as an item of an audit.
        shown: makes a text safe to print.
    """
    if item is None:
        return ""
    row = item["row"]
    return (
        f"It was written for the target {item['id']} of round {row['round']}, which the report of "
        f"data version {shown(row['report'][:16])} asked for: {shown(row['reason'])}"
    )
