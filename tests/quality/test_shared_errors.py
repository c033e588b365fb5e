"""What errors that the readings share can do to the labels."""

import numpy as np
import polars as pl
import pytest

from bench import shared_errors as cases
from targen.quality import noise, shared_errors
from tests.support.report_inputs import inputs


def cells(*table):
    """Return cells of (readings, final label, rows)."""
    patterns, final, rows = zip(*table, strict=True)
    return shared_errors.filled(np.array(patterns), np.array(final), np.array(rows))


def at_most(table, labels, accuracy):
    (bound,) = shared_errors.most_wrong(table, labels, [accuracy])
    return bound.at_most


@pytest.mark.parametrize("name", cases.CASES)
def test_the_range_has_the_truth_in_every_case(name, monkeypatch):
    monkeypatch.setattr(noise, "CHAINS", 200)
    covered, widths = 0, []
    for seed in range(6):
        frame, truth = cases.simulated(cases.CASES[name], seed)
        low, high = noise.estimate(frame, list(cases.LABELS)).range
        covered += low <= truth <= high
        widths.append(high - low)
    assert covered >= 5
    assert 0.2 < np.mean(widths) < 0.36


@pytest.mark.parametrize(("accuracy", "wrong"), [(0.75, 0.25), (0.9, 0.1), (1.0, 0.0)])
def test_where_all_readings_agree_the_accuracy_is_the_bound(accuracy, wrong):
    table = cells(([0, 0, 0], 0, 60), ([1, 1, 1], 1, 40))
    assert at_most(table, 2, accuracy) == pytest.approx(wrong, abs=1e-6)


def test_a_reading_that_differs_uses_up_its_errors():
    # The intended label differs on 10 of 100 rows. With x wrong rows among the 90 and y among the
    # 10: x + 10 - y <= 5 (intended) and x + y <= 5 (the others), so at most 5, all of them y.
    table = cells(([0, 0, 0], 0, 90), ([1, 0, 0], 0, 10))
    assert at_most(table, 2, 0.95) == pytest.approx(0.05, abs=1e-6)
    # Readings that differ this often cannot all be right on 99% of the rows.
    (found,) = shared_errors.most_wrong(table, 2, [0.99])
    assert found.accuracy == pytest.approx(0.95, abs=1e-6)
    # A third label may be the true one of any row.
    two = cells(([0, 1, 1], 1, 100))
    assert at_most(two, 2, 0.4) == pytest.approx(0.6, abs=1e-6)
    assert at_most(two, 3, 0.4) == pytest.approx(0.6, abs=1e-6)


def test_rows_that_were_not_kept_cannot_be_wrong():
    table = cells(([0, 0, 0], 0, 50), ([0, 1, 1], -1, 50))
    # x of the first 50 are wrong, y of the others have the intended label's error:
    # x + y <= 50 and x + 50 - y <= 50.
    assert at_most(table, 2, 0.5) == pytest.approx(0.5, abs=1e-6)
    assert at_most(cells(([0, 1, 1], -1, 50)), 2, 0.75) == 0


def test_a_missing_reading_is_filled_in_as_in_rows_with_equal_labels():
    found = cells(([0, 0, 0], 0, 30), ([0, 0, 1], 0, 10), ([0, 0, -1], 0, 80), ([1, 1, -1], 1, 5))
    table = {tuple(p): r for p, r in zip(found.patterns.tolist(), found.rows, strict=True)}
    assert table == pytest.approx({(0, 0, 0): 90, (0, 0, 1): 30, (1, 1, 1): 5})
    assert found.rows.sum() == pytest.approx(125)


def test_readers_are_different_only_if_their_models_are_known():
    given = inputs(20)
    assert not shared_errors.independent(shared_errors.readers(given))
    tables = dict(given.tables)
    tables["instances"] = pl.DataFrame({"request_id": ["write"] * 2})
    tables["labels"] = pl.DataFrame({"request_ids": [["a1"], ["a2"]]})
    tables["corrected_set"] = given.rows.with_columns(
        request_ids=pl.lit(["write", "a1", "c1"], dtype=pl.List(pl.String))
    )

    def models(**of):
        known = pl.DataFrame({"request_id": list(of), "model": list(of.values())})
        return shared_errors.readers(inputs(20, tables=tables, completions=known, rejected={}))

    one = models(write="small", a1="large", a2="large", c1="large")
    assert one == {"annotated": ["large"], "corrected": ["large"]}
    assert not shared_errors.independent(one)
    assert shared_errors.independent(models(write="large", a1="large", a2="large", c1="other"))
    assert not shared_errors.independent(models(a1="large", a2="other", c1="other"))
    assert not shared_errors.independent(models(a1="large"))
