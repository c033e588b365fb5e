"""Suites as data: what follows from a task, without the library."""

import subprocess
import sys

import polars as pl

from targen import steps
from targen.quality import gates, suites
from targen.quality.collector import Measure, MetricCollector
from targen.tasks import checks
from targen.tasks.sections import Gate
from tests.support.specs import MOOD, real_task, spec_of


def empty(step, spec):
    return pl.DataFrame(schema=steps.schema(step, spec.field_types, spec.answer.kind))


def types(suite, column=None):
    return [e.type for e in suite if column is None or e.kwargs.get("column") == column]


def test_the_suite_says_columns_labels_lengths_and_references():
    spec = real_task("rte", 100)
    instances = empty("instances", spec)
    suite = suites.build("corrected_set", spec, empty("corrected_set", spec), {
        "instances": instances})  # fmt: skip
    (columns,) = [e for e in suite if e.type == "expect_table_columns_to_match_ordered_list"]
    assert columns.kwargs["column_list"] == list(steps.schema("corrected_set", spec.field_types))
    sets = {e.kwargs["column"]: e.kwargs["value_set"] for e in suite if "value_set" in e.kwargs}
    assert sets["label"] == ["entailment", "not_entailment"]
    assert sets["instance_id"] == []
    assert "expect_column_values_to_match_regex" in types(suite, "premise")
    assert "expect_compound_columns_to_be_unique" in types(suite)
    (count,) = [e for e in suite if e.type == "expect_table_row_count_to_be_between"]
    assert count.kwargs == {"min_value": 50, "max_value": 100}


def test_own_rows_may_be_fewer_than_half_of_those_wanted():
    spec = real_task("inbox")
    suite = suites.build("corrected_set", spec, empty("corrected_set", spec), {})
    (count,) = [e for e in suite if e.type == "expect_table_row_count_to_be_between"]
    assert count.kwargs == {"min_value": 1, "max_value": 40}


def test_every_expectation_of_ours_is_shipped():
    assert len(checks.shipped()) > 40
    for name in ("rte", "record", "inbox", "copa", "instructions", "bioasq"):
        spec = real_task(name)
        for step in steps.STEPS:
            for one in suites.build(step, spec, empty(step, spec), {}):
                assert one.type in checks.shipped()


def test_balance_is_expected_where_labels_were_planned():
    spec = real_task("cb", 30)
    table = empty("corrected_set", spec)
    one_row = pl.concat([table, pl.DataFrame([{"intended_label": "neutral"}])], how="diagonal")
    assert "expect_column_kl_divergence_to_be_less_than" in types(
        suites.build("corrected_set", spec, one_row, {}), "label"
    )
    unplanned = one_row.with_columns(intended_label=pl.lit(None, dtype=pl.String))
    assert "expect_column_kl_divergence_to_be_less_than" not in types(
        suites.build("corrected_set", spec, unplanned, {})
    )


def test_gates_become_expectations_on_the_report():
    spec = real_task("rte")
    sheet = MetricCollector()
    sheet.add(Measure("kappa", 0.7, 9, "a"), Measure("kappa", 0.4, 9, "b"))
    judged = gates.judge([Gate(metric="kappa", at_least=0.5, severity="warn")], sheet)
    suite = suites.build("quality_report", spec, empty("quality_report", spec), {}, judged)
    bounds = [e for e in suite if e.kwargs.get("min_value") == 0.5]
    assert [e.kwargs["row_condition"]["conditions"][1]["parameter"] for e in bounds] == ["a", "b"]
    assert {e.severity for e in bounds} == {"warn"}


def test_the_tasks_own_come_last(tmp_path):
    text = MOOD + (
        "expectations:\n  instances:\n"
        "    - {type: expect_column_max_to_be_between, kwargs: {column: slot, max_value: 9}}\n"
    )
    spec = spec_of(tmp_path, text)
    suite = suites.build("instances", spec, empty("instances", spec), {})
    assert suite[-1].type == "expect_column_max_to_be_between"
    assert suite[-1].severity == "error"


def test_names_are_known_without_the_library():
    code = (
        "import sys; from targen.tasks import checks; assert checks.shipped();"
        "assert not {'great_expectations', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
