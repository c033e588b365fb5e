"""The content hashes that name terms, contexts, seeds and rows."""

from typing import Final

from targen.hashing import short_id

NONE_CONTEXT_ID: Final = short_id(["context", "none"])
"""`context_id` of the one row of a recipe without contexts."""
