import numpy as np
import polars as pl
import pytest

from targen.quality import utility
from targen.quality.collector import MetricCollector
from tests.quality.test_shortcuts import entailment
from tests.support.report_inputs import inputs


def measured(rows, gold, **changes):
    sheet = MetricCollector()
    utility.measure(
        inputs(1, tables={"corrected_set": rows}, reference=gold, rejected={}, **changes), sheet
    )
    return sheet


def test_a_set_like_the_gold_is_as_useful_and_a_shuffled_one_is_not():
    rows, gold = entailment(120, " indeed"), entailment(160, " indeed", seed=1)
    good = measured(rows, gold)
    assert good.get("utility", "set to gold").value > 0.85
    assert good.get("utility", "gold to gold").value > 0.85
    shuffled = rows.with_columns(label=rows["label"].shuffle(3))
    assert measured(shuffled, gold).get("utility", "set to gold").value < 0.65
    assert 0.5 <= good.get("utility", "commonest label").value < 0.65
    assert good.details["utility_rows"] == 80


def test_other_gold_is_tested_on_too():
    rows, gold = entailment(120, " indeed"), entailment(160, " indeed", seed=1)
    far = entailment(60, " surely", seed=2)
    sheet = measured(rows, gold, elsewhere={"far": far})
    assert sheet.get("utility", "set to far").value < 0.7
    assert sheet.get("utility", "gold to far") is not None


def test_rows_that_repeat_a_tested_row_are_not_trained_on():
    gold = entailment(160, " w1", seed=4)
    kept = utility._unseen(gold, gold[:60], ["premise", "hypothesis"])
    assert kept.height == 100


def test_the_interval_counts_a_gold_row_once_however_often_it_is_tested():
    result = np.array([1.0] * 70 + [0.0] * 30)
    once = utility.summary([result], [np.arange(100)], trained=100)
    often = utility.summary([result] * 5, [np.arange(100)] * 5, trained=100)
    assert often == pytest.approx(once)
    # Twice the variance of a share, since as many rows were trained on as tested.
    half = 1.96 * (2 * (0.7 * 0.3 + (0.7**2 + 0.3**2) / 100) / 100) ** 0.5
    assert often == pytest.approx((0.7, 0.7 - half, 0.7 + half), abs=1e-4)
    fewer = utility.summary([result], [np.arange(100)], trained=25)
    assert fewer.high - fewer.low == pytest.approx(2 * half * (5 / 2) ** 0.5, abs=1e-3)


def test_equal_results_have_an_interval_all_the_same():
    value, low, high = utility.summary([np.ones(50)] * 2, [np.arange(50)] * 2, trained=50)
    assert value == 1 and low < 0.98 and high > 1
    value, low, high = utility.summary(
        [np.zeros(50)] * 2, [np.arange(50)] * 2, trained=50, extremes=(-1.0, 1.0)
    )
    assert value == 0 and -0.1 < low < 0 < high < 0.1


def test_skipped_without_gold():
    sheet = MetricCollector()
    utility.measure(inputs(40), sheet)
    assert sheet.skipped["utility"] == "there is no reference data to test on"
    small = measured(entailment(60, " w1"), pl.concat([entailment(20, " w1")]))
    assert small.skipped["utility"].startswith("the reference needs")
