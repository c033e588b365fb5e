"""A large set with an artefact, as SuperGen makes them, beside gold rows of several sizes."""

import numpy as np
import polars as pl
import pytest

from targen.quality import (
    copies,
    difficulty,
    duplicates,
    gates,
    repeats,
    self_similarity,
    shortcuts,
)
from targen.quality.collector import MetricCollector
from targen.tasks.sections import Gate
from tests.support.report_inputs import inputs

ROWS = 6000
BESIDE = {"at_reference_size"}
GATES = (
    Gate(metric="shortcut", slice="hypothesis only", at_most=0.25),
    Gate(metric="v_information", at_least=0.1),
    Gate(metric="near_duplicates", at_most=0.05),
)


def pairs(count: int, artefact: float, seed: int) -> pl.DataFrame:
    """Return premises and hypotheses; a share of the hypotheses of one label begins in one way."""
    random = np.random.default_rng(seed)
    common = 1 / np.arange(5, 3005)
    words = random.choice(3000, (count, 22), p=common / common.sum())
    labels = random.integers(0, 2, count)
    told = (random.random(count) < artefact) & (labels == 0)
    premises = [" ".join(f"w{i:x}" for i in row[:14]) for row in words]
    hypotheses = [
        ("it is true that " if cue else "") + " ".join(f"w{i:x}" for i in row[14:])
        for row, cue in zip(words, told, strict=True)
    ]
    names = np.where(labels == 0, "entailment", "not_entailment")
    return pl.DataFrame({"premise": premises, "hypothesis": hypotheses, "label": names})


def measured(rows: pl.DataFrame, gold: pl.DataFrame | None) -> MetricCollector:
    given = inputs(
        1, tables={"corrected_set": rows}, rejected={}, completions=None, rows_asked=None,
        reference=gold, most_rows=800,
    )  # fmt: skip
    sheet = MetricCollector()
    for module in (duplicates, copies, repeats, self_similarity, difficulty, shortcuts):
        module.measure(given, sheet)
    return sheet


def own(sheet: MetricCollector) -> list[tuple[object, ...]]:
    return [
        (m.metric, m.slice, m.value, m.low, m.high, m.n)
        for m in sheet.measures
        if m.metric not in BESIDE
    ]


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return pairs(ROWS, 0.7, seed=1)


@pytest.fixture(scope="module")
def alone(rows) -> MetricCollector:
    return measured(rows, None)


def test_the_artefact_is_seen_and_fails_its_gate(alone) -> None:
    part = alone.get("shortcut", "hypothesis only")
    assert part.value > 0.25 and part.low > 0.2
    judged = {gate["metric"]: gate["passed"] for gate in gates.judge(GATES, alone)}
    assert judged == {"shortcut": False, "v_information": True, "near_duplicates": True}


@pytest.mark.parametrize("count", [100, 277, 3000])
def test_gold_of_any_size_changes_no_own_figure_and_no_gate(rows, alone, count) -> None:
    beside = measured(rows, pairs(count, 0.0, seed=2))
    assert own(beside) == own(alone)
    assert gates.judge(GATES, beside) == gates.judge(GATES, alone)
    assert beside.get("shortcut", "hypothesis only").reference < 0.1
