"""The contract of the report."""

import polars as pl
from dagster import AssetCheckSeverity

from assets.checks import gates_result, report_violations
from targen import steps

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


def gate(passed: bool | None, severity: str, text: str = "so") -> dict:
    return {"passed": passed, "severity": severity, "text": text}


def test_gates_pass_warn_or_fail() -> None:
    good = gates_result([gate(True, "error"), gate(True, "warn")])
    assert good.passed and good.description is None
    assert gates_result([]).passed
    mild = gates_result([gate(True, "error"), gate(None, "warn")])
    assert not mild.passed and mild.severity == AssetCheckSeverity.WARN
    # Not measured is not passed.
    for state in (False, None):
        bad = gates_result([gate(False, "warn", "mild."), gate(state, "error", "bad.")])
        assert not bad.passed and bad.severity == AssetCheckSeverity.ERROR
        assert bad.description == "bad. mild."
    assert bad.metadata["not_measured"].value == 1 and bad.metadata["failed"].value == 1
