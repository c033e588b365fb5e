"""The columns that leave, and tables that are of another edition of the task."""

import csv
import io
import json

import polars as pl
import pytest

from targen.errors import TableError
from targen.release.rows import finished, label_counts, separated
from tests.support.samples import corrected, corrected_of
from tests.support.specs import real_task


def test_ids_fields_and_labels_in_this_order():
    spec, rows = corrected_of("rte")
    assert finished(spec, rows).columns == [
        "instance_id", "premise", "hypothesis",
        "label", "intended_label", "annotated_label", "corrected_label", "verdict",
    ]  # fmt: skip


def test_a_task_without_answers_has_no_label():
    spec = real_task("textbook-python")
    rows = corrected(spec, [{"overview": "o", "example": "e", "snippets": ["s"], "label": None}])
    assert finished(spec, rows).columns == ["instance_id", "overview", "example", "snippets"]
    assert label_counts(spec, rows) == {}


def test_labels_are_counted_in_the_tasks_order_and_each_of_several():
    spec, rows = corrected_of("cb")
    assert label_counts(spec, rows) == {"entailment": 1, "contradiction": 0, "neutral": 1}
    spec = real_task("stories")
    rows = corrected(
        spec,
        [{"story": "a", "label": ["twist", "dialogue"]}, {"story": "b", "label": ["twist"]},
         {"story": "c", "label": []}],
    )  # fmt: skip
    assert label_counts(spec, finished(spec, rows)) == {
        "dialogue": 1, "bad_ending": 0, "conflict": 0, "foreshadowing": 0, "twist": 2,
        "moral_value": 0,
    }  # fmt: skip


def test_a_column_or_a_label_that_the_task_no_longer_has_is_an_error():
    spec, rows = corrected_of("rte")
    with pytest.raises(TableError, match="rte has no column hypothesis.*materialize corrected_set"):
        finished(spec, rows.drop("hypothesis"))
    with pytest.raises(TableError, match="rte has the label 'neutral'"):
        finished(spec, corrected_of("cb")[1])


def test_no_cell_is_a_formula_and_lists_stay_readable() -> None:
    texts = ["=1+1", "+1", "-x", "@SUM(A1)", "\t=1", " =1", "a=1", 'say "hi", x', "a\nb", None, ""]
    table = pl.DataFrame(
        {"text": texts, "number": [-1] * len(texts), "parts": [["=a", 'b"']] * len(texts)}
    )
    for separator in (",", "\t"):
        text = separated(table, separator).decode()
        read = list(csv.reader(io.StringIO(text), delimiter=separator))
        assert read[0] == ["text", "number", "parts"] and len(read) == len(texts) + 1
        for text, row in zip(texts, read[1:], strict=True):
            assert not row[0].lstrip().startswith(("=", "+", "-", "@"))
            kept = (text or "").replace("\t", " ").replace("\n", " ")
            assert row[0].replace("'", "") == kept
            assert row[1] == "-1" and json.loads(row[2]) == ["=a", 'b"']
