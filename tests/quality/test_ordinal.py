"""Figures of labels with an order."""

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import cohen_kappa_score

from targen.quality import noise, ordinal
from targen.quality.agreement import matrix
from targen.quality.collector import MetricCollector
from tests.support.report_inputs import inputs

STARS = ("1 star", "2 stars", "3 stars", "4 stars", "5 stars")


def test_weighted_kappa_and_mean_distance_equal_those_of_label_lists():
    random = np.random.default_rng(5)
    first = random.integers(0, 5, 300)
    second = np.clip(first + random.integers(-2, 3, 300), 0, 4)
    names = [[STARS[i] for i in side] for side in (first, second)]
    cells = matrix(pl.Series(names[0]), pl.Series(names[1]), STARS).astype(float).reshape(1, -1)
    wanted = cohen_kappa_score(first, second, weights="quadratic")
    assert ordinal.weighted_kappas(cells, 5)[0] == pytest.approx(wanted, abs=1e-12)
    assert ordinal.mean_distances(cells, 5)[0] == pytest.approx(np.abs(first - second).mean())


def test_a_far_error_costs_more_than_a_near_one():
    near, far = np.eye(5) * 10, np.eye(5) * 10
    near[0, 1], far[0, 4] = 3, 3
    kappas = [ordinal.weighted_kappas(one.reshape(1, -1), 5)[0] for one in (near, far)]
    assert kappas[0] > kappas[1] + 0.1
    one_label = np.zeros((1, 25))
    one_label[0, 0] = 9
    assert np.isnan(ordinal.weighted_kappas(one_label, 5)[0])


def test_distances_are_measured_to_the_annotated_and_the_final_label():
    rows = pl.DataFrame(
        {
            "premise": list("abcd"),
            "hypothesis": list("efgh"),
            "intended_label": ["1 star", "5 stars", "3 stars", "3 stars"],
            "annotated_label": ["2 stars", "5 stars", "5 stars", "3 stars"],
            "label": ["1 star", "5 stars", "4 stars", "3 stars"],
        }
    )
    given = inputs(
        4, tables={"corrected_set": rows}, rejected={}, labels=STARS, answer_kind="ordinal"
    )
    sheet = MetricCollector()
    ordinal.measure(given, sheet)
    assert sheet.get("label_distance", "intended to annotated").value == 0.75
    assert sheet.get("label_distance", "intended to final").value == 0.25
    steps = {m.slice: m.value for m in sheet.measures if m.metric == "label_steps"}
    assert steps == {
        "intended to annotated, 1 step": 0.25,
        "intended to annotated, 2 steps": 0.25,
        "intended to final, 1 step": 0.25,
    }
    sheet = MetricCollector()
    ordinal.measure(inputs(10), sheet)
    assert sheet.skipped == {"weighted_kappa": ordinal.NOT_ORDINAL}


def test_errors_by_distance_add_up_to_the_estimated_share():
    random = np.random.default_rng(2)
    truth = random.integers(0, 4, 600)
    sides = [
        np.where(random.random(600) < p, np.clip(truth + random.choice([-1, 1], 600), 0, 3), truth)
        for p in (0.3, 0.25, 0.25)
    ]
    frame = pl.DataFrame(
        {name: [STARS[i] for i in side] for name, side in zip(noise.READINGS, sides, strict=True)}
    )
    middle = np.median(np.array(sides), axis=0).astype(int)
    final = pl.Series([STARS[i] for i in middle])
    found = noise.estimate(frame.with_columns(final=final), list(STARS[:4]))
    total = sum(one.value for one in found.steps.values())
    assert total == pytest.approx(found.left.value, abs=0.005)
    assert found.steps[1].value > 0.9 * total > 0.03
