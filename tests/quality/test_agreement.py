from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import cohen_kappa_score, confusion_matrix

from targen.quality import agreement, page, report
from targen.quality.collector import MetricCollector
from targen.quality.first_screen import Origin
from tests.support.report_inputs import LABELS, inputs


def measured(given):
    sheet = MetricCollector()
    agreement.measure(given, sheet)
    return sheet


def test_kappa_and_matrix_equal_sklearn():
    random = np.random.default_rng(3)
    names = ["a", "b", "c"]
    first = [names[i] for i in random.integers(0, 3, 200)]
    second = [x if random.random() < 0.7 else names[random.integers(3)] for x in first]
    counts = agreement.matrix(pl.Series(first), pl.Series(second), names)
    assert counts.tolist() == confusion_matrix(first, second, labels=names).tolist()
    assert agreement.kappa(counts) == pytest.approx(cohen_kappa_score(first, second), abs=1e-12)


def test_kappa_is_undefined_with_one_label():
    assert np.isnan(agreement.kappa(np.array([[9, 0], [0, 0]])))


def test_flips_are_counted_on_all_annotated_rows():
    given = inputs(80)
    sheet = measured(given)
    labels = given.tables["labels"]
    wanted = sum(a != b for a, b in labels.select("intended_label", "label").iter_rows())
    measure = sheet.get("flip_rate", "intended to annotated")
    assert measure.value == wanted / labels.height
    assert measure.low < measure.value < measure.high
    table = sheet.details["flips"]["final"]
    assert table["columns"] == [*LABELS, "(dropped)"]
    dropped = given.rejected["corrected_set"].filter(pl.col("reason") == "dropped").height
    assert sum(map(sum, table["counts"])) == 80 + dropped
    assert sheet.get("dropped_share").value == pytest.approx(dropped / (80 + dropped))


def test_without_votes_annotation_is_skipped_with_a_reason():
    given = inputs(20)
    labels = given.tables["labels"].with_columns(votes=pl.lit([], dtype=pl.List(pl.String)))
    sheet = measured(inputs(20, tables={**given.tables, "labels": labels}))
    assert sheet.skipped["kappa"] == agreement.NOT_ANNOTATED
    assert sheet.get("flip_rate", "intended to final") is not None


def test_review_lists_divided_rows_most_divided_first():
    rows = measured(inputs(60)).details["review"]
    doubts = [row["doubt"] for row in rows]
    assert doubts == sorted(doubts, reverse=True)
    for row in rows:
        given = [row["intended_label"], *row["votes"], row["corrected_label"]]
        assert len(set(given)) == 2


def test_spans_compare_as_superglue_does():
    same = agreement.equal(
        pl.Series(["The U.S.", "Ann", "the an"]), pl.Series(["u s", "Bob", ""]), "span"
    )
    # Punctuation goes without leaving a space: "U.S." is "us", not "u s".
    assert same.to_list() == [False, False, True]
    missing = agreement.equal(
        pl.Series(["  A  Big, Dog! ", None]), pl.Series(["big dog", ""]), "span"
    )
    assert missing.to_list() == [True, None]


def test_multi_labels_have_one_kappa_each():
    rows = pl.DataFrame(
        {
            "instance_id": ["1", "2", "3", "4"],
            "text": ["a", "b", "c", "d"],
            "label": [["x"], ["x", "y"], ["y"], []],
            "intended_label": [["x"], ["x", "y"], ["x"], []],
            "annotated_label": [["x"], ["x"], ["y"], []],
        }
    )
    sheet = measured(
        inputs(
            1,
            fields={"text": "text"},
            answer_kind="multi",
            labels=("x", "y"),
            tables={"corrected_set": rows},
            rejected={},
        )
    )
    assert sheet.get("kappa", "x").value == pytest.approx(
        cohen_kappa_score([1, 1, 1, 0], [1, 1, 0, 0])
    )
    assert sheet.get("flip_rate", "intended to annotated").value == 0.5


def without_intended(rows=80):
    given = inputs(rows)
    no_label = pl.lit(None, dtype=pl.String).alias("intended_label")
    no_request = pl.lit(None, dtype=pl.String).alias("request_id")
    tables = {name: frame.with_columns(no_label) for name, frame in given.tables.items()}
    tables["instances"] = tables["instances"].with_columns(no_request)
    return replace(given, tables=tables)


def test_texts_that_were_written_for_no_label_get_no_figures_on_intended_labels():
    given = without_intended()
    sheet = measured(given)
    rows = given.rows
    changed = sheet.get("flip_rate", "annotated to final")
    assert changed.value == (rows["annotated_label"] != rows["label"]).mean()
    assert sheet.get("dropped_share").n > rows.height
    assert "flips" not in sheet.details and sheet.get("kappa", "intended, annotated") is None
    assert sheet.skipped["kappa"] == agreement.UNPLANNED and sheet.details["review"]


def test_the_page_on_own_texts_neither_asks_for_others_nor_speaks_of_intended_labels():
    made = report.build(without_intended())
    shown = page.render(made, Origin(date(2026, 1, 1), "run"))
    assert "intended" not in shown.split("<h2>Agreement on labels</h2>")[1].split("</section>")[0]
    actions = {one["action"] for one in made.json["findings"]} - {""}
    assert actions and not any("Write" in one or "headroom" in one for one in actions)
