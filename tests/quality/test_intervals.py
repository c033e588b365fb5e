import numpy as np
import pytest
from scipy import stats

from targen.quality.intervals import (
    bootstrap_counts,
    bootstrap_mean,
    held_out_mean,
    jackknife,
    percentiles,
    wilson,
)


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (3, 10), (10, 10), (17, 400)])
def test_wilson_equals_scipy(hits, n):
    theirs = stats.binomtest(hits, n).proportion_ci(method="wilson")
    assert wilson(hits, n) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_no_rows_no_interval():
    assert wilson(0, 0) == (None, None)
    assert bootstrap_counts([0, 0], lambda c: c[:, 0]) == (None, None)
    assert bootstrap_mean(np.array([])) == (None, None)
    assert percentiles(np.array([np.nan])) == (None, None)


def test_multinomial_draws_are_the_row_bootstrap():
    values = np.array([1] * 30 + [0] * 70)
    low, high = bootstrap_counts([30, 70], lambda c: c[:, 0] / c.sum(axis=1), "x", draws=4000)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", rng=1, n_resamples=4000)
    assert low == pytest.approx(theirs.confidence_interval.low, abs=0.021)
    assert high == pytest.approx(theirs.confidence_interval.high, abs=0.021)


def test_bootstrap_mean_is_seeded_and_close_to_the_normal_one():
    values = np.random.default_rng(0).normal(size=400)
    first, again = bootstrap_mean(values, "a"), bootstrap_mean(values, "a")
    assert first == again != bootstrap_mean(values, "b")
    half = 1.96 * values.std() / 20
    assert first[0] == pytest.approx(values.mean() - half, abs=0.02)
    assert first[1] == pytest.approx(values.mean() + half, abs=0.02)


def test_the_interval_of_cross_validated_rows_is_wider_by_a_known_factor():
    values = np.random.default_rng(1).normal(0.3, 1, 400)
    low, high = held_out_mean(values, 5)
    half = 1.959964 * 1.5 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=1e-5)
    assert held_out_mean(np.zeros(9), 5) == (None, None)
    assert held_out_mean(np.zeros(9), 5, least=0.1)[1] == pytest.approx(0.196, abs=1e-3)


def test_the_jackknife_of_a_mean_is_the_standard_error():
    values = np.random.default_rng(2).normal(0, 2, 30)
    without = [np.delete(values, i).mean() for i in range(30)]
    low, high = jackknife(values.mean(), without)
    half = stats.t.ppf(0.975, 29) * values.std(ddof=1) / np.sqrt(30)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=1e-9)
    assert jackknife(1.0, [1.0, 1.0]) == (None, None)
    assert jackknife(1.0, [1.0, float("nan")]) == (None, None)
