"""The share of rows with negative PVI follows the share of wrong labels."""

import numpy as np
import polars as pl
import pytest

from targen.quality import difficulty
from targen.quality.collector import MetricCollector
from targen.quality.inputs import ReportInputs


def rows_with_wrong_labels(share: float, count: int = 400) -> pl.DataFrame:
    """Make texts in which two words tell the label, and flip a share of the labels."""
    draw = np.random.default_rng(7)
    labels = draw.integers(0, 2, count)
    texts = [
        " ".join(
            [f"w{n}" for n in draw.integers(0, 40, 12)]
            + [f"{'xy'[label]}{n}" for n in draw.integers(0, 8, 2)]
        )
        for label in labels
    ]
    flipped = draw.permutation(count) < share * count
    return pl.DataFrame({"text": texts, "label": np.where(flipped ^ (labels == 1), "y", "x")})


def negative(share: float) -> tuple[float, float, float]:
    collector = MetricCollector()
    given = ReportInputs(
        task_name="flips", title="", description="", fields={"text": "text"}, answer_kind="class",
        labels=("x", "y"), tables={"corrected_set": rows_with_wrong_labels(share)},
    )  # fmt: skip
    difficulty.measure(given, collector)
    found = collector.get("negative_pvi")
    assert found is not None
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    return found.low, found.value, found.high


def test_negative_pvi_rises_with_wrong_labels():
    shares = [0.0, 0.05, 0.1, 0.2, 0.3]
    found = [negative(share) for share in shares]
    values = [value for _, value, _ in found]
    assert values == sorted(values)
    assert values[0] < 0.02
    assert values[3] == pytest.approx(0.2, abs=0.1)
    assert all(
        later[0] > earlier[2] for earlier, later in zip(found[::2], found[2::2], strict=False)
    )
