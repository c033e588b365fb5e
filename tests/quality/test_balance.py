import math

import polars as pl
import pytest
from scipy import stats

from targen.quality import balance
from targen.quality.collector import MetricCollector
from tests.support.report_inputs import inputs


@pytest.mark.parametrize("counts", [[5, 5], [1, 9, 30], [3, 0, 4, 4], [7, 0]])
def test_entropy_equals_scipy(counts):
    theirs = stats.entropy(counts) / math.log(len(counts))
    assert balance.normalized_entropy(counts) == pytest.approx(theirs, abs=1e-12)


def test_entropy_is_undefined_for_one_label_or_no_row():
    assert math.isnan(balance.normalized_entropy([4]))
    assert math.isnan(balance.normalized_entropy([0, 0]))


def test_chi_square_equals_scipy():
    observed = [16, 18, 16, 14, 12, 24]
    theirs = stats.chisquare(observed)
    mine = balance.chi_square(observed, [sum(observed) / 6] * 6)
    assert mine == pytest.approx((theirs.statistic, theirs.pvalue), abs=1e-12)


def test_positions_by_number_of_the_field():
    frame = pl.DataFrame({"label": ["1", "1", "0"], "a": ["", "", ""], "b": ["", "", ""]})
    assert balance.positions(frame, ("a", "b")) == ([1, 2], [1.5, 1.5])


def test_positions_in_a_list_expect_one_over_its_size():
    frame = pl.DataFrame(
        {"names": [["x", "y"], ["x", "y", "z", "w"], ["q"]], "label": ["y", "w", "elsewhere"]}
    )
    observed, expected = balance.positions(frame, ("names",))
    assert observed == [0, 1, 0, 1]
    assert expected == pytest.approx([0.75, 0.75, 0.25, 0.25])


def test_label_shares_name_unknown_labels_too():
    given = inputs(20)
    rows = given.rows.with_columns(label=pl.lit("maybe"))
    sheet = MetricCollector()
    balance.measure(inputs(20, tables={**given.tables, "corrected_set": rows}), sheet)
    assert sheet.get("label_share", "maybe").value == 1
    assert sheet.get("label_entropy").value == 0


def test_multi_labels_count_each():
    assert balance.counts(pl.Series([["a", "b"], ["a"], []]), ["a", "b", "c"]) == [2, 1, 0]
