"""The contract of the report."""

import polars as pl
from dagster import AssetCheckSeverity, AssetKey

from assets.checks import _statistics, gate_checks, gate_result, report_violations
from targen import steps
from targen.tasks.sections import Gate

COLUMNS = steps.schema("quality_report", {})


def report(*rows: dict) -> pl.DataFrame:
    return steps.frame(list(rows), COLUMNS)


def test_a_proper_report_holds() -> None:
    rows = [{"metric": "yield", "slice": s, "value": 0.5} for s in ("all", "instances")]
    assert report_violations(report(*rows)) == []


def test_what_is_wrong_is_said() -> None:
    twice = {"metric": "yield", "slice": "all"}
    assert "2 rows have the same metric and slice" in report_violations(report(twice, twice))[0]
    assert report_violations(report()) == ["the report contains no metric"]
    assert "columns" in report_violations(report(twice).drop("n"))[0]


def test_warnings_are_joined_as_sentences_or_as_a_list() -> None:
    key = AssetKey("quality_report")
    assert _statistics(key, ["One is bad.", "Two is bad."], {}).description == (
        "One is bad. Two is bad."
    )
    assert _statistics(key, ["1 of 2 rows", "2 doubles"], {}).description == (
        "1 of 2 rows; 2 doubles"
    )


def gate(passed: bool | None, severity: str = "error", value: float | None = 0.2) -> dict:
    text = "Near duplicates: 20%; required: at most 10%."
    return {
        "name": "gate_near_duplicates", "metric": "near_duplicates", "slice": "all", "text": text,
        "passed": passed, "severity": severity, "value": value, "at_least": None, "at_most": 0.1,
        "wanted": "at most 10%", "why": "" if value is not None else "too few rows",
    }  # fmt: skip


def test_each_gate_has_its_own_severity_value_bound_and_sentence() -> None:
    key = AssetKey(["nlp", "quality_report"])
    failed = gate_result(key, gate(False))
    assert (failed.passed, failed.severity) == (False, AssetCheckSeverity.ERROR)
    assert failed.asset_key == key and failed.check_name == "gate_near_duplicates"
    assert failed.description == "Near duplicates: 20%; required: at most 10%."
    assert failed.metadata["value"].value == 0.2 and failed.metadata["at_most"].value == 0.1
    assert "at_least" not in failed.metadata
    assert gate_result(key, gate(False, "warn")).severity == AssetCheckSeverity.WARN
    assert gate_result(key, gate(True)).passed
    # Not measured is not passed.
    unknown = gate_result(key, gate(None, value=None))
    assert not unknown.passed and "value" not in unknown.metadata
    assert unknown.metadata["state"].value == "not measured"
    assert unknown.metadata["why"].value == "too few rows"


def test_gates_of_several_tasks_for_one_figure_share_a_check() -> None:
    noise = Gate(metric="label_noise", at_most=0.1, severity="warn")
    short = Gate(metric="shortcut", slice="hypothesis only", at_most=0.25)
    found = gate_checks({"rte": [noise, short], "cb": [noise], "copa": []})
    assert list(found) == ["gate_label_noise", "gate_shortcut_hypothesis_only"]
    assert "rte: at most 10% (warn); cb: at most 10% (warn)" in found["gate_label_noise"]
