"""Selects the columns of finished rows that exports and releases contain."""

import polars as pl

from targen.errors import TableError
from targen.steps import label_dtype
from targen.tasks.spec import TaskSpec

LABELS = ("label", "intended_label", "annotated_label", "corrected_label", "verdict")
"""What is told of a label: the one that counts, the three readings, and whether it was changed."""


def finished(spec: TaskSpec, corrected: pl.DataFrame) -> pl.DataFrame:
    """Return the id, the task's fields in its order and, where it has answers, all labels.

    Args:
        spec: the task.
        corrected: its corrected set.

    Raises:
        TableError: the set is of another edition of the task: a column or a label is not the
            task's.
    """
    labels = list(LABELS) if spec.answer.kind != "none" else []
    wanted = ["instance_id", *spec.fields, *labels]
    missing = [name for name in wanted if name not in corrected.columns]
    remedy = "The task has changed since: materialise corrected_set again."
    if missing:
        raise TableError(f"The corrected set of {spec.name} has no column {missing[0]}. {remedy}")
    unknown = _unknown_labels(spec, corrected)
    if unknown:
        raise TableError(
            f"The corrected set of {spec.name} has the label {unknown[0]!r}, which the task does "
            f"not know. {remedy}"
        )
    return corrected.select(wanted)


def label_counts(spec: TaskSpec, rows: pl.DataFrame) -> dict[str, int]:
    """Return label -> rows that have it, in the task's order; empty for span and none."""
    if not spec.labels:
        return {}
    column = rows["label"]
    if label_dtype(spec.answer.kind) == pl.List(pl.String):
        column = column.explode(empty_as_null=True, keep_nulls=True)
    counts = dict(column.drop_nulls().value_counts().iter_rows())
    return {label: counts.get(label, 0) for label in spec.labels}


def _unknown_labels(spec: TaskSpec, corrected: pl.DataFrame) -> list[str]:
    if not spec.labels:
        return []
    column = corrected["label"]
    if column.dtype == pl.List(pl.String):
        column = column.explode(empty_as_null=True, keep_nulls=True)
    return sorted(set(column.drop_nulls().to_list()) - set(spec.labels))
