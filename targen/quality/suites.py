"""The suite of expectations for each table, as plain data."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from targen import steps
from targen.steps import (
    CONTEXTS,
    CORRECTED_SET,
    IDS,
    INSTANCES,
    LABELS,
    QUALITY_REPORT,
    REFERENCES,
    SEEDS,
    VOCABULARIES,
)
from targen.tasks.answers import ONE_LABEL
from targen.tasks.sections import Expectation
from targen.tasks.spec import TaskSpec

MAX_DIVERGENCE: Final = 0.1
"""Kullback-Leibler divergence of the labels from uniform above which to warn: 72 to 28."""
ID_PATTERN: Final = "^[0-9a-f]{16}$"
_TYPES: Final[Mapping[Any, tuple[str, ...]]] = {
    pl.String: ("str",),
    pl.Int64: ("int64", "Int64"),
    pl.Float64: ("float64",),
    pl.Boolean: ("bool",),
    pl.Date: ("date",),
}


def build(
    step: str,
    spec: TaskSpec,
    table: pl.DataFrame,
    upstream: Mapping[str, pl.DataFrame],
    judged: Sequence[Mapping[str, Any]] = (),
) -> list[Expectation]:
    """Return the suite of one table."""
    schema = steps.schema(step, spec.field_types, spec.answer.kind)
    suite = [_expect("table_columns_to_match_ordered_list", column_list=list(schema))]
    for column, dtype in schema.items():
        names = ("list",) if isinstance(dtype, pl.List) else _TYPES[dtype]
        suite.append(_expect("column_values_to_be_in_type_list", column, type_list=list(names)))
    suite += _identity(step, upstream)
    if step in (INSTANCES, CORRECTED_SET):
        suite += _texts(spec)
    suite += {
        VOCABULARIES: [_expect("column_values_to_not_be_null", "term")],
        CONTEXTS: [_expect("column_values_to_not_be_null", "text")],
        SEEDS: [_expect("column_values_to_be_json_parseable", "fields")],
        INSTANCES: [
            _expect("column_values_to_be_between", "slot", min_value=0),
            *_label_set(spec, "intended_label"),
        ],
        LABELS: [
            *_label_set(spec, "label"),
            _expect("column_values_to_be_between", "agreement", min_value=0, max_value=1),
        ],
        CORRECTED_SET: _corrected(spec, table) if step == CORRECTED_SET else [],
        QUALITY_REPORT: _report(judged),
    }[step]
    return suite + list(spec.expectations.get(step, ()))


def _expect(
    name: str, column: str | None = None, severity: str = "error", **kwargs: Any
) -> Expectation:
    named = {"column": column} if column else {}
    return Expectation.model_validate(
        {"type": f"expect_{name}", "kwargs": named | kwargs, "severity": severity}
    )


def _identity(step: str, upstream: Mapping[str, pl.DataFrame]) -> list[Expectation]:
    """Require unique, well-formed ids, and references to existing rows."""
    if step not in IDS:
        columns = ["metric", "slice"]
        return [_expect("compound_columns_to_be_unique", column_list=columns)]
    key = IDS[step]
    suite = [
        _expect("column_values_to_not_be_null", key),
        _expect("column_values_to_be_unique", key),
        _expect("column_values_to_match_regex", key, regex=ID_PATTERN),
    ]
    for column, other, target in REFERENCES.get(step, ()):
        # This expectation does not support lists of ids; the contract checks them.
        if other in upstream and not column.endswith("_ids"):
            known = upstream[other][target].drop_nulls().unique(maintain_order=True).to_list()
            suite.append(_expect("column_values_to_be_in_set", column, value_set=known))
    return suite


def _texts(spec: TaskSpec) -> list[Expectation]:
    """Require complete fields of the allowed length and values, and distinct rows."""
    suite = []
    for name, field in spec.fields.items():
        if not field.optional:
            suite.append(_expect("column_values_to_not_be_null", name))
        if field.type == "text" and not field.optional:
            suite.append(_expect("column_value_lengths_to_be_between", name, min_value=1))
        if field.type == "text" and field.max_words is not None:
            words = rf"^\s*(?:\S+\s+){{0,{field.max_words - 1}}}\S*\s*$"
            suite.append(_expect("column_values_to_match_regex", name, regex=words))
        if field.type in ("integer", "float") and (field.at_least, field.at_most) != (None, None):
            limits = {"min_value": field.at_least, "max_value": field.at_most}
            suite.append(_expect("column_values_to_be_between", name, **limits))
        if field.type == "choice":
            values = list(field.values or ())
            suite.append(_expect("column_values_to_be_in_set", name, value_set=values))
    columns = [name for name, field in spec.fields.items() if field.type != "texts"]
    if len(columns) == len(spec.fields):
        if len(columns) == 1:
            suite.append(_expect("column_values_to_be_unique", columns[0]))
        else:
            suite.append(_expect("compound_columns_to_be_unique", column_list=columns))
    return suite


def _label_set(spec: TaskSpec, column: str) -> list[Expectation]:
    if spec.answer.kind not in ONE_LABEL:
        return []
    return [_expect("column_values_to_be_in_set", column, value_set=list(spec.labels))]


def _corrected(spec: TaskSpec, table: pl.DataFrame) -> list[Expectation]:
    """Require labels and the requested number of rows; warn if planned labels are unbalanced."""
    suite = _label_set(spec, "label")
    if spec.answer.kind != "none":
        suite.append(_expect("column_values_to_not_be_null", "label"))
    verdicts = ["kept", "relabelled"]
    wanted = spec.wanted_rows
    least = 1 if spec.own_rows else -(-wanted // 2)
    suite += [
        _expect("column_values_to_be_in_set", "verdict", value_set=verdicts),
        _expect("table_row_count_to_be_between", min_value=least, max_value=wanted),
        _expect("table_row_count_to_equal", severity="warn", value=wanted),
    ]
    planned = table["intended_label"].null_count() < table.height
    if spec.answer.kind in ONE_LABEL and planned:
        shares = [1 / len(spec.labels)] * len(spec.labels)
        suite.append(
            _expect(
                "column_kl_divergence_to_be_less_than",
                "label",
                severity="warn",
                partition_object={"values": list(spec.labels), "weights": shares},
                threshold=MAX_DIVERGENCE,
            )
        )
    return suite


def _report(judged: Sequence[Mapping[str, Any]]) -> list[Expectation]:
    suite = [_expect("column_values_to_not_be_null", "metric")]
    for gate in judged:
        for slice_ in gate["slices"]:
            rows = {
                "type": "and",
                "conditions": [_is("metric", gate["metric"]), _is("slice", slice_)],
            }
            known: dict[str, Any] = {"row_condition": rows, "severity": gate["severity"]}
            suite.append(_expect("column_values_to_not_be_null", "value", **known))
            bounds = {"min_value": gate["at_least"], "max_value": gate["at_most"]}
            suite.append(_expect("column_values_to_be_between", "value", **known, **bounds))
            if gate.get("undecided"):
                only: dict[str, Any] = {"value_set": [True]}
                suite.append(_expect("column_values_to_be_in_set", "passed", **known, **only))
    return suite


def _is(column: str, value: str) -> dict[str, Any]:
    return {
        "type": "comparison", "column": {"name": column}, "operator": "==", "parameter": value
    }  # fmt: skip
