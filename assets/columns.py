"""Descriptions of table columns, and the columns that each is derived from, for the UI."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from dagster import AssetKey, TableColumn, TableColumnDep, TableColumnLineage, TableSchema

from targen import steps
from targen.quality.metrics import comparison_columns
from targen.steps import (
    COMPARISON,
    CONTEXTS,
    CORRECTED_SET,
    INSTANCES,
    LABELS,
    QUALITY_REPORT,
    SEEDS,
    VOCABULARIES,
)

TABLES: Final = {**steps.TABLES, COMPARISON: comparison_columns()}
"""Table -> its columns, for every table."""
_FIELDS: Final = steps.FIELDS_NAME
_SOURCES: Final[Mapping[str, Mapping[str, tuple[tuple[str, str], ...]]]] = {
    CONTEXTS: {
        "text": ((VOCABULARIES, "term"),),
        "attributes": ((VOCABULARIES, "term"), (VOCABULARIES, "category")),
        "term_ids": ((VOCABULARIES, "term_id"),),
    },
    SEEDS: {
        "context_id": ((CONTEXTS, "context_id"),),
        "fields": ((CONTEXTS, "text"),),
        "attributes": ((CONTEXTS, "attributes"),),
    },
    INSTANCES: {
        "seed_id": ((SEEDS, "seed_id"),),
        "context_id": ((CONTEXTS, "context_id"),),
        _FIELDS: ((CONTEXTS, "text"), (SEEDS, "fields")),
    },
    LABELS: {
        "instance_id": ((INSTANCES, "instance_id"),),
        "intended_label": ((INSTANCES, "intended_label"),),
        "label": ((INSTANCES, _FIELDS),),
        "votes": ((INSTANCES, _FIELDS),),
    },
    CORRECTED_SET: {
        "instance_id": ((INSTANCES, "instance_id"),),
        _FIELDS: ((INSTANCES, _FIELDS),),
        "intended_label": ((INSTANCES, "intended_label"),),
        "annotated_label": ((LABELS, "label"),),
        "corrected_label": ((INSTANCES, _FIELDS),),
        "label": (
            (INSTANCES, _FIELDS),
            (INSTANCES, "intended_label"),
            (LABELS, "label"),
        ),
        "request_ids": ((INSTANCES, "request_id"), (LABELS, "request_ids")),
    },
    QUALITY_REPORT: {
        "value": ((CORRECTED_SET, _FIELDS), (CORRECTED_SET, "label"), (LABELS, "label")),
    },
}
"""Table -> column -> the columns it is derived from; `*` means the task's fields.

If both columns are `*`, each field is derived from the field of the same name.
"""


def meaning(table: str, column: str) -> str | None:
    """Return the description of a column; None for a field of the task."""
    found = (one.description for one in TABLES[table] if one.name == column)
    return next(found, None)


def table_schema(
    step: str, columns: Mapping[str, Any], fields: Mapping[str, str] | None = None
) -> TableSchema:
    """Return the columns of a table with types and descriptions, for Dagster.

    Args:
        step: the asset's name.
        columns: column -> Polars type, including the task's own fields.
        fields: field of the task -> its description.
    """
    own = fields or {}
    return TableSchema(
        columns=[
            TableColumn(name, type=str(dtype), description=meaning(step, name) or own.get(name))
            for name, dtype in columns.items()
        ]
    )


def fixed_schema(step: str) -> TableSchema:
    """Return the columns that a table has for every task."""
    if step == COMPARISON:
        return table_schema(step, {column.name: column.dtype for column in TABLES[step]})
    return table_schema(step, steps.schema(step, {}))


def lineage(step: str, fields: Iterable[str]) -> TableColumnLineage:
    """Return the upstream columns that each column of a table is derived from."""
    own = list(fields)
    deps: dict[str, list[TableColumnDep]] = {}
    for column, sources in _SOURCES.get(step, {}).items():
        is_field = column == _FIELDS
        for name in own if is_field else [column]:
            deps[name] = [
                TableColumnDep(AssetKey(table), upstream)
                for table, source in sources
                for upstream in _expanded(source, own, name if is_field else None)
            ]
    return TableColumnLineage(deps_by_column=deps)


def _expanded(source: str, fields: list[str], same: str | None) -> list[str]:
    """Return the columns of a source; `*` means the field `same`, or all fields."""
    if source != _FIELDS:
        return [source]
    return fields if same is None else [same]
