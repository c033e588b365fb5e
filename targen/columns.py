"""Columns of tables: their types, and those types that depend on the task."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import polars as pl

FIELD_DTYPES: Final[Mapping[str, Any]] = {
    "text": pl.String,
    "choice": pl.String,
    "integer": pl.Int64,
    "texts": pl.List(pl.String),
    "float": pl.Float64,
    "boolean": pl.Boolean,
    "date": pl.Date,
}
"""Type of a task's field -> column type."""

ATTRIBUTES: Final = pl.List(pl.Struct({"name": pl.String, "value": pl.String}))
"""The named values drawn for a context or a seed."""

READINGS: Final = pl.List(
    pl.Struct(
        {
            "reader": pl.String,
            "label": pl.String,
            "flaw": pl.String,
            "naturalness": pl.Int64,
            "constraint_met": pl.Boolean,
            "weight": pl.Float64,
            "request_id": pl.String,
        }
    )
)
"""What each reader of a panel said about a row, in the order of the recipe."""


class TaskType(Enum):
    """Column types that depend on the task."""

    FIELDS = "one column per field of the task"
    LABEL = "String, or List(String) for `multi` and `spans`"
    LABELS = "a list of labels"


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: of the column; `targen.steps.FIELDS_NAME` for the task's fields.
        dtype: a Polars type or a `TaskType`.
        description: one sentence for the UI and the data dictionary.
    """

    name: str
    dtype: Any
    description: str


def label_dtype(answer_kind: str) -> Any:
    """Return the column type of a label: a sorted list for `multi` and `spans`, else a string."""
    return pl.List(pl.String) if answer_kind in ("multi", "spans") else pl.String
