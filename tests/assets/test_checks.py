"""The report's own contract; those of the other tables are tested with `targen.contracts`."""

import polars as pl

from assets.checks import report_violations
from targen import tables

COLUMNS = tables.schema("quality_report", {})


def report(*rows: dict) -> pl.DataFrame:
    return tables.frame(list(rows), COLUMNS)


def test_a_proper_report_holds() -> None:
    rows = [{"metric": "yield", "slice": s, "value": 0.5} for s in ("all", "instances")]
    assert report_violations(report(*rows)) == []


def test_what_is_wrong_is_said() -> None:
    twice = {"metric": "yield", "slice": "all"}
    assert "2 rows share" in report_violations(report(twice, twice))[0]
    assert report_violations(report()) == ["there is no figure"]
    assert "columns" in report_violations(report(twice).drop("n"))[0]
