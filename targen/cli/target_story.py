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
    edited = " Code made it from another row, which is its parent." if row.get("edit") else ""
    return (
        f"It was written for the target {item['id']} of round {row['round']}, which the report of "
        f"data version {shown(row['report'][:16])} asked for: {shown(row['reason'])}{edited}"
    )


def parents_story(item: Mapping[str, Any] | None, many: str) -> str:
    """Return what a row has from its parents, as part of a sentence.

    Args:
        item: the row of instances, as an item of an audit.
        many: the number of rows above it, in words.
    """
    if item is not None and item["row"].get("request_id") is None:
        return f"as a copy of one of {many}, edited by code"
    return f"after {many} shown as examples, including their own examples"
