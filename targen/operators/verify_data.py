"""What audits read: the data block of a stored prompt, and the types of checks."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from targen.lineage.completions import StoredCompletion

Problems = Iterator[tuple[str, str]]
"""(column, problem) pairs."""

Completions = Mapping[str, StoredCompletion]
Record = Mapping[str, Any]
"""The record of how a table was made; empty if there is none."""


def prompt_data(completion: StoredCompletion) -> dict[str, Any]:
    """Return the data block of a prompt; empty if it has none."""
    try:
        text = str(completion.messages[1]["content"]).split("```json\n", 1)[1].rsplit("\n```", 1)[0]
        block = json.loads(text)
    except (IndexError, KeyError, ValueError):
        return {}
    return block if isinstance(block, dict) else {}
