"""Coverage and width of the interval of a human review, for whole and partly filled-in sheets."""

from typing import Any, Final

import numpy as np
import polars as pl

from targen.quality.review import shares
from targen.quality.review_strata import STRATA, share_wrong

SIMULATIONS: Final = 200
SIZES: Final = {"agreed, a": 320, "agreed, b": 120, "divided, a": 40, "divided, b": 20}
"""Rows of the simulated set, by stratum."""
NOISE: Final = {"clean": (0.005, 0.1), "usual": (0.03, 0.3), "bad": (0.15, 0.5)}
"""Case -> shares of wrong labels among agreed and divided rows."""
REVIEWED: Final = {
    "100 rows": (100, 1.0),
    "the first 30 of 100": (100, 0.3),
    "300 rows": (300, 1.0),
}
"""Part of the rows that is reviewed -> rows of the sheet, and the part that is filled in."""


def simulated(noise: tuple[float, float], sheet: int, part: float, seed: int) -> tuple[Any, float]:
    """Return the strata after a review, and the true share of wrong labels among the rows left.

    Rows that the review found wrong are corrected.
    """
    random = np.random.default_rng([seed, sheet])
    taken = {name: round(n * part) for name, n in shares(SIZES, sheet).items()}
    rows, wrong = [], 0
    for name, size in SIZES.items():
        labels = random.random(size) < noise[name.startswith("divided")]
        found = int(labels[: taken[name]].sum())
        wrong += int(labels[taken[name] :].sum())
        rows.append((name, size - taken[name], 0, taken[name], taken[name], found))
    return pl.DataFrame(rows, schema=STRATA, orient="row"), wrong / sum(SIZES.values())


def measure(noise: tuple[float, float], sheet: int, part: float) -> dict[str, float]:
    """Return means over `SIMULATIONS` sets: truth, value, width, and share of intervals with it."""
    lines = []
    for seed in range(SIMULATIONS):
        strata, true = simulated(noise, sheet, part, seed)
        value, low, high = share_wrong(strata, seed)
        assert low is not None and high is not None
        lines.append((true, value, high - low, low <= true <= high))
    means = np.mean(np.array(lines, dtype=float), axis=0)
    return dict(zip(("truth", "value", "width", "covers"), means.round(3).tolist(), strict=True))


def run() -> dict[str, Any]:
    """Measure every case and part."""
    return {
        f"{case}, {part}": measure(NOISE[case], *REVIEWED[part])
        for case in NOISE
        for part in REVIEWED
    }
