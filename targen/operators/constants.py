"""How tables say 'this recipe uses none': shared by the operators and the views on their rows.

Here belong names that stand in tables and that more than one module must read alike; what a single
operator writes stands with it.
"""

from collections.abc import Mapping
from typing import Any, Final

from targen.hashing import short_id

NONE_CONTEXT_ID: Final = short_id(["context", "none"])
"""`context_id` of the one row of a recipe without contexts."""

NONE_SEED_KIND: Final = "none"
"""`kind` of the one row of a recipe without seeds."""

LABEL: Final = "label"
"""The attribute of a drawn context that names its slot's label; prompts show labels elsewhere."""

CONFUSABLE: Final = "confusable"
"""The vocabulary category that lists, for each label, the labels it is easily taken for."""

ASKED: Final = "(asked)"
"""The vocabulary category of calls that brought no term and yet decided which there are: what is
drawn passes them over, and they keep such calls in the lineage and the costs."""


DIMENSIONS: Final = "dimensions"
"""What the call was about that named the categories themselves."""


def asked_about(category: str, turn: int) -> str:
    """Return the term that stands for the `turn`-th call about a category's terms."""
    return f"about {category}, turn {turn}"


def about(row: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return which category and label a row of the category `ASKED` decided on."""
    return row["term"].removeprefix("about ").rsplit(", turn ", 1)[0], row["label"]
