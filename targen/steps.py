"""The schema of every table, in one place."""

from collections.abc import Mapping
from typing import Any, Final

import polars as pl

SCHEMA_VERSION: Final = 1
"""Raised when a column is added, removed or changes its meaning."""

DAMAGED: Final = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)
"""What reading a damaged Parquet file raises; a panic of Polars' native part is no `Exception`."""

ATTRIBUTES: Final = pl.List(pl.Struct({"name": pl.String, "value": pl.String}))
"""A list of named values: what was drawn for a context or a seed."""

VOCABULARIES: Final = {
    "term_id": pl.String,
    "category": pl.String,
    "term": pl.String,
    "label": pl.String,
    "request_id": pl.String,
}
CONTEXTS: Final = {
    "context_id": pl.String,
    "text": pl.String,
    "attributes": ATTRIBUTES,
    "term_ids": pl.List(pl.String),
    "request_id": pl.String,
}
SEEDS: Final = {
    "seed_id": pl.String,
    "context_id": pl.String,
    "kind": pl.String,
    "fields": pl.String,
    "attributes": ATTRIBUTES,
    "request_id": pl.String,
}
INSTANCES_HEAD: Final = {
    "instance_id": pl.String,
    "slot": pl.Int64,
    "seed_id": pl.String,
    "context_id": pl.String,
    "parent_ids": pl.List(pl.String),
    "depth": pl.Int64,
    "intended_label": pl.String,
}
INSTANCES_TAIL: Final = {"rationale": pl.String, "request_id": pl.String}
CORRECTED_TAIL: Final = {
    "label": pl.String,
    "intended_label": pl.String,
    "annotated_label": pl.String,
    "corrected_label": pl.String,
    "verdict": pl.String,
    "reason": pl.String,
    "request_ids": pl.List(pl.String),
}
QUALITY_REPORT: Final = {
    "metric": pl.String,
    "slice": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "n": pl.Int64,
    "reference": pl.Float64,
    "passed": pl.Boolean,
}
COMPARISON: Final = {
    "base": pl.String,
    "task": pl.String,
    "recipe": pl.String,
    "made": pl.Boolean,
    "rows": pl.Int64,
    "calls_per_row": pl.Float64,
    "tokens_per_row": pl.Float64,
    "cost_per_row_usd": pl.Float64,
    "words": pl.Int64,
    "compared_rows": pl.Int64,
    "shortcut_part": pl.String,
    **{
        name + end: pl.Float64
        for name in (
            "yield", "label_noise", "distinct_1", "distinct_2", "distinct_3", "self_bleu",
            "nearest_rouge_l", "similarity", "v_information", "shortcut", "utility",
        )
        for end in ("", "_low", "_high")
    },
}  # fmt: skip
"""The methods side by side, one row per task; not partitioned."""

REJECTED: Final = {
    "item_id": pl.String,
    "step": pl.String,
    "slot": pl.Int64,
    "reason": pl.String,
    "detail": pl.String,
    "text": pl.String,
    "intended_label": pl.String,
    "annotated_label": pl.String,
    "corrected_label": pl.String,
    "request_ids": pl.List(pl.String),
}

PLANTED: Final = {
    "instance_id": pl.String,
    "planted_label": pl.String,
    "corrected_label": pl.String,
    "request_id": pl.String,
}
"""Rows that went through correction a second time under a label known to be wrong."""

REASONS: Final = (
    "malformed",
    "refused",
    "filtered",
    "truncated",
    "missing",
    "invalid",
    "duplicate",
    "given_up",
    "misleading",
    "outranked",
    "dropped",
    "surplus",
)
"""Why an item that was asked for is not a row: the values of `rejected.reason`."""

FIELD_DTYPES: Final[Mapping[str, Any]] = {
    "text": pl.String,
    "choice": pl.String,
    "integer": pl.Int64,
    "texts": pl.List(pl.String),
}
"""Field type of a task -> column type."""

STEPS: Final = (
    "vocabularies",
    "contexts",
    "seeds",
    "instances",
    "labels",
    "corrected_set",
    "quality_report",
)
"""The tables in the order in which each is made from those before it."""

ROW_STEPS: Final = STEPS[:-1]
"""The tables that rows are made in: all but the report."""

RESERVED: Final = frozenset(
    {*INSTANCES_HEAD, *INSTANCES_TAIL, *CORRECTED_TAIL, "votes", "agreement"}
)
"""Column names that a task's field must not take."""

Schema = dict[str, Any]


def label_dtype(answer_kind: str) -> Any:
    """Return the column type of a label: a sorted list for `multi`, else a string."""
    return pl.List(pl.String) if answer_kind == "multi" else pl.String


def schema(table: str, fields: Mapping[str, str], answer_kind: str = "class") -> Schema:
    """Return column -> dtype of `table`.

    Args:
        table: one of `STEPS`, `comparison`, `rejected` or `planted`.
        fields: the task's fields, name -> type, in the task's order.
        answer_kind: class, span, multi or none.
    """
    columns = {name: FIELD_DTYPES[kind] for name, kind in fields.items()}
    label = label_dtype(answer_kind)
    if table == "instances":
        head = dict(INSTANCES_HEAD) | {"intended_label": label}
        return head | columns | dict(INSTANCES_TAIL)
    if table == "labels":
        return {
            "instance_id": pl.String,
            "intended_label": label,
            "label": label,
            "votes": pl.List(label),
            "agreement": pl.Float64,
            "request_ids": pl.List(pl.String),
        }
    if table == "corrected_set":
        names = ("label", "intended_label", "annotated_label", "corrected_label")
        tail = {**CORRECTED_TAIL, **dict.fromkeys(names, label)}
        return {"instance_id": pl.String} | columns | tail
    fixed: dict[str, Schema] = {
        "vocabularies": dict(VOCABULARIES),
        "contexts": dict(CONTEXTS),
        "seeds": dict(SEEDS),
        "quality_report": dict(QUALITY_REPORT),
        "comparison": dict(COMPARISON),
        "rejected": dict(REJECTED),
        "planted": dict(PLANTED),
    }
    return fixed[table]


def frame(rows: list[dict[str, Any]], columns: Schema) -> pl.DataFrame:
    """Return `rows` as a frame of exactly these columns; a missing value is null."""
    return pl.DataFrame(
        {name: [row.get(name) for row in rows] for name in columns}, schema=columns, strict=True
    )


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


RECIPE_STEP: Final[Mapping[str, str]] = {
    "vocabularies": "vocabularies",
    "contexts": "contexts",
    "seeds": "seeds",
    "instances": "instances",
    "labels": "labels",
    "corrected_set": "correction",
}
"""Table -> the recipe's step that makes it."""

UPSTREAM: Final[Mapping[str, tuple[str, ...]]] = {
    "vocabularies": (),
    "contexts": ("vocabularies",),
    "seeds": ("contexts",),
    "instances": ("contexts", "seeds"),
    "labels": ("instances",),
    "corrected_set": ("instances", "labels"),
}
"""Table -> the tables that it is made from."""
