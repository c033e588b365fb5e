"""Says which target a row was written for."""

from collections.abc import Callable, Mapping
from typing import Any

from targen.tasks.targets import FIRST_SLOT


def target_story(item: Mapping[str, Any] | None, task: str, shown: Callable[[Any], str]) -> str:
    """Return which target and which report asked for a row; empty without a target."""
    if item is None:
        return ""
    row = item["row"]
    edited = " Code made it from another row, which is its parent." if row.get("edit") else ""
    return (
        f"It was written in round {row['round']} for the target {item['id']}, for which the report "
        f"of data version {shown(row['report'][:16])} gave the reason “{shown(row['reason'])}”; "
        f"targets/{task}.html shows what the round brought.{edited}"
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


def place_of(row: Mapping[str, Any], shown: Callable[[Any], str]) -> str:
    """Return the slot of a row of instances and its label, as part of a sentence."""
    number, label = row["slot"] - FIRST_SLOT, row["intended_label"]
    place = f"row {number + 1} of its targets" if number >= 0 else f"slot {row['slot']}"
    return place if label is None else f"{place}, label {shown(label)}"
