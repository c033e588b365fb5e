"""Columns of finished rows in exports and releases, and their text formats."""

import json
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, Final

import polars as pl

from targen.columns import label_dtype
from targen.errors import TableError
from targen.hashing import iso_date
from targen.tables import spreadsheet
from targen.tasks import entities
from targen.tasks.spec import TaskSpec

# Some readers also split lines at these characters, which JSON does not escape.
_BREAKS: Final = {ord(mark): f"\\u{ord(mark):04x}" for mark in "\x85\u2028\u2029"}

_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
"""Unicode categories of line breaks, direction controls and invisible characters."""


def one_line(text: str) -> str:
    """Return a text without line breaks and invisible characters."""
    seen = "".join(" " if unicodedata.category(c) in _UNSEEN else c for c in text)
    return " ".join(seen.split())


def json_lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Return one JSON object per line, in UTF-8, with keys in the given order."""
    texts = (json.dumps(row, ensure_ascii=False, allow_nan=False, default=iso_date) for row in rows)
    return "".join(f"{text.translate(_BREAKS)}\n" for text in texts).encode()


def separated(rows: pl.DataFrame, separator: str) -> bytes:
    """Return rows as CSV or TSV in UTF-8, with a header, safe to open in a spreadsheet."""
    return spreadsheet.separated(rows.columns, rows.iter_rows(), separator).encode()


LABELS = ("label", "intended_label", "annotated_label", "corrected_label", "verdict")
"""Columns about a row's label: final, intended, annotated and corrected label, and verdict."""
READINGS = LABELS[:-1]
"""The columns that hold a label."""


def finished(spec: TaskSpec, corrected: pl.DataFrame) -> pl.DataFrame:
    """Return the id, the task's fields in order and, for tasks with answers, the labels.

    Raises:
        TableError: a column or a label does not match the task, which was changed since.
    """
    labels = list(LABELS) if spec.answer.kind != "none" else []
    wanted = ["instance_id", *spec.fields, *labels]
    missing = [name for name in wanted if name not in corrected.columns]
    remedy = "The task was changed: materialize corrected_set again."
    if missing:
        raise TableError(f"The corrected set of {spec.name} has no column {missing[0]}. {remedy}")
    unknown = _unknown_labels(spec, corrected)
    if unknown:
        raise TableError(
            f"The corrected set of {spec.name} has the label {unknown[0]!r}, which the task does "
            f"not have. {remedy}"
        )
    rows = corrected.select(wanted)
    return rows.with_columns(entities_of(spec, rows)) if spec.answer.kind == "spans" else rows


ENTITIES: Final = "entities"
"""Column of finished rows with the entities of the final label and their offsets."""
ENTITIES_DTYPE: Final = pl.List(
    pl.Struct({"start": pl.Int64, "end": pl.Int64, "type": pl.String, "text": pl.String})
)


def entities_of(spec: TaskSpec, rows: pl.DataFrame) -> pl.Series:
    """Return the column `entities` of rows with a text and a label."""
    pairs = rows.select(spec.answer.text or "", "label").iter_rows()
    found = [entities.as_rows(text or "", label or ()) for text, label in pairs]
    return pl.Series(ENTITIES, found, dtype=ENTITIES_DTYPE)


def reviewed_rows(corrected: pl.DataFrame) -> int:
    """Return the number of rows that a person reviewed."""
    return corrected["human_reviewer"].count() if "human_reviewer" in corrected.columns else 0


def label_counts(spec: TaskSpec, rows: pl.DataFrame) -> dict[str, int]:
    """Return label -> number of rows, in the task's order; empty for span and none."""
    if not spec.labels:
        return {}
    column = rows["label"]
    if label_dtype(spec.answer.kind) == pl.List(pl.String):
        column = column.explode(empty_as_null=True, keep_nulls=True)
    if spec.answer.kind == "spans":
        # Rows with an entity of the type.
        types = rows["label"].list.eval(pl.element().str.split(entities.SEPARATOR).list.first())
        column = types.list.unique().explode(empty_as_null=True, keep_nulls=True)
    counts = dict(column.drop_nulls().value_counts().iter_rows())
    return {label: counts.get(label, 0) for label in spec.labels}


def _unknown_labels(spec: TaskSpec, corrected: pl.DataFrame) -> list[str]:
    if not spec.labels:
        return []
    column = corrected["label"]
    if column.dtype == pl.List(pl.String):
        column = column.explode(empty_as_null=True, keep_nulls=True)
    known = set(column.drop_nulls().to_list())
    if spec.answer.kind == "spans":
        known = {entities.parts(one)[0] for one in known}
    return sorted(known - set(spec.labels))
