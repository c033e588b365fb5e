"""The columns that leave, and tables that are of another edition of the task."""

import pytest

from targen.errors import TableError
from targen.release.rows import finished, label_counts
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
    with pytest.raises(TableError, match="rte has no column hypothesis.*materialise corrected_set"):
        finished(spec, rows.drop("hypothesis"))
    with pytest.raises(TableError, match="rte has the label 'neutral'"):
        finished(spec, corrected_of("cb")[1])
