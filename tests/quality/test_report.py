import json
import subprocess
import sys

import polars as pl
import pytest

from targen import steps
from targen.errors import TargenError
from targen.quality.actions import ACTIONS
from targen.quality.inputs import Gate
from targen.quality.report import build
from tests.support.report_inputs import inputs, own_inputs


def test_same_inputs_same_bytes_and_the_table_has_its_schema():
    first, again = build(inputs(60)), build(inputs(60))
    assert first.json_text() == again.json_text()
    assert first.table.equals(again.table)
    assert dict(first.table.schema) == steps.schema("quality_report", {})
    keys = first.table.select("metric", "slice")
    assert keys.is_unique().all()
    assert json.loads(first.json_text())["figures"] == first.table.to_dicts()


def test_gates_are_judged_and_lead():
    gates = (
        Gate(metric="rows", at_least=25),
        Gate(metric="near_duplicates", at_most=0.0, severity="warn"),
        Gate(metric="mean_similarity", at_most=0.9),
    )
    report = build(inputs(25, gates=gates))
    passed = {gate["metric"]: gate["passed"] for gate in report.json["gates"]}
    assert passed == {"rows": True, "near_duplicates": False, "mean_similarity": None}
    assert report.json["verdict"] == {
        "level": "bad",
        "text": "2 of 3 gates not passed, 1 of them not measured: not fit for release.",
        "short": "2 of 3 gates not passed, 1 of them not measured: not fit for release.",
    }
    column = {row["metric"]: row["passed"] for row in report.table.to_dicts()}
    assert column["rows"] is True
    assert column["mean_similarity"] is False
    assert column["tokens_per_row"] is None
    only_warning = build(inputs(25, gates=gates[:2]))
    # A failed gate that only warns does not hide a worse finding.
    assert only_warning.json["verdict"]["level"] == only_warning.json["findings"][0]["level"]
    assert only_warning.json["verdict"]["level"] == "bad"


def test_findings_say_what_is_short():
    report = build(inputs(25, rows_asked=40))
    assert {
        "level": "warn",
        "text": "15 of the 40 requested rows are missing.",
        "metric": "rows",
        "at": "yield",
        "action": ACTIONS["rows"],
        "unmeasured": False,
    } in report.json["findings"]


@pytest.mark.parametrize("kind", ["class", "span", "none"])
def test_anybodys_rows_make_a_report(kind):
    rows = pl.DataFrame({"text": ["one row", "another", "third"], "label": ["a", "b", "a"]})
    report = build(own_inputs(rows, fields={"text": "text"}, answer_kind=kind, labels=()))
    assert report.value("rows") == 3
    assert report.json["skipped"]["cost_usd"]
    assert (report.value("label_entropy") is not None) == (kind == "class")


def test_no_rows_make_a_report_too():
    given = inputs(20)
    empty = {name: frame.clear() for name, frame in given.tables.items()}
    report = build(inputs(20, tables=empty, rejected={}))
    assert report.value("rows") == 0


def test_a_missing_column_is_one_clear_error():
    with pytest.raises(TargenError, match="lack the column hypothesis"):
        inputs(1, tables={"corrected_set": pl.DataFrame({"premise": ["x"], "label": ["y"]})})


def test_importing_the_report_is_cheap():
    code = (
        "import sys, targen.quality.report, targen.quality.page\n"
        "heavy = {'sklearn', 'scipy', 'datasketch', 'pandas', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(sorted(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_very_long_text_is_cut_in_the_json_and_counted_whole():
    given = inputs(25)
    long = "word stop other thing " * 20_000
    first = pl.int_range(pl.len()) == 0
    rows = given.rows.with_columns(premise=pl.when(first).then(pl.lit(long)).otherwise("premise"))
    report = build(inputs(25, tables={**given.tables, "corrected_set": rows}))
    assert len(report.json_text()) < 60_000
    assert report.value("words", "premise") > 80_000 / 25
