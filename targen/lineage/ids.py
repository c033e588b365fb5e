"""The ids of all kinds of rows: the first 16 hex digits of a sha256 of the row's content.

Operators compute ids with these functions, and audits compute them again.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from targen.hashing import short_id

NONE_CONTEXT_ID: Final = short_id(["context", "none"])
"""`context_id` of the placeholder row of a recipe without contexts."""

NONE_SEED_ID: Final = short_id(["seed", "none"])
"""`seed_id` of the placeholder row of a recipe without seeds."""


def term_id(category: str, term: str, label: str | None = None) -> str:
    """Return the id of a row of vocabularies."""
    return short_id(["term", category, term, *([] if label is None else [label])])


def context_id(text: str, attributes: Sequence[Mapping[str, str]]) -> str:
    """Return the id of a context that a model wrote; attributes are {"name", "value"} dicts."""
    return short_id(["context", text, attributes])


def drawn_context_id(slot: int, text: str, attributes: Sequence[Mapping[str, str]]) -> str:
    """Return the id of a context drawn for a slot; equal draws for two slots have two ids."""
    return short_id(["context", slot, text, attributes])


def seed_id(context: str | None, kind: str, fields: Mapping[str, Any]) -> str:
    """Return the id of a seed within its context; None for seeds from a file."""
    return short_id(["seed", context, kind, fields])


def example_id(kind: str, fields: Mapping[str, Any], label: str | None) -> str:
    """Return the id of a seed that is one of the task's examples."""
    return short_id(["seed", kind, fields, label])


def instance_id(task: str, slot: int, intended_label: Any, fields: Mapping[str, Any]) -> str:
    """Return the id of an instance, which its rows in labels and corrected_set share."""
    return short_id(["instance", task, slot, intended_label, fields])


def reviewed_content(fields: Mapping[str, Any], label: Any) -> str:
    """Return the hash of a row as a reviewer saw it; a verdict lapses if it changes."""
    return short_id(["review", fields, label])


def rejected_id(
    task: str, step: str, number: int, request_ids: Sequence[str], slot: int | None
) -> str:
    """Return the id of a rejected item; `number` is its row in the table, from 0."""
    return short_id(["rejected", task, step, number, request_ids, slot])
