"""Whether the stated range of label errors contains the true share when readings share errors."""

import os
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from targen.quality import noise

ROWS: Final = 500
SIMULATIONS: Final = 200
LABELS: Final = ("no", "yes")
Ints = npt.NDArray[np.int64]
Case = Callable[[np.random.Generator, int], tuple[Ints, list[Ints]]]
"""(random numbers, rows) -> true labels, and the intended, annotated and corrected labels."""


def _read(random: np.random.Generator, truth: Ints, error: Any) -> Ints:
    """Return a reading of two labels with this share of errors, per row or for all rows."""
    return np.where(random.random(truth.size) < error, 1 - truth, truth)


def independent(*errors: float) -> Case:
    """Return the case of three readings whose errors are independent."""

    def case(random: np.random.Generator, rows: int) -> tuple[Ints, list[Ints]]:
        truth = random.integers(0, 2, rows)
        return truth, [_read(random, truth, error) for error in errors]

    return case


def shared(share: float, *errors: float) -> Case:
    """Return the case in which all readings are wrong on a share of the rows."""

    def case(random: np.random.Generator, rows: int) -> tuple[Ints, list[Ints]]:
        truth = random.integers(0, 2, rows)
        seen = np.where(random.random(rows) < share, 1 - truth, truth)
        return truth, [
            np.where(seen == truth, _read(random, truth, error), seen) for error in errors
        ]

    return case


def hard(share: float, hard_error: float, *errors: float) -> Case:
    """Return the case in which all readings err more often on a share of the rows."""

    def case(random: np.random.Generator, rows: int) -> tuple[Ints, list[Ints]]:
        truth = random.integers(0, 2, rows)
        difficult = random.random(rows) < share
        return truth, [
            _read(random, truth, np.where(difficult, hard_error, error)) for error in errors
        ]

    return case


def copied(share: float, *errors: float) -> Case:
    """Return the case in which the corrector repeats the annotator's label on a share of rows."""

    def case(random: np.random.Generator, rows: int) -> tuple[Ints, list[Ints]]:
        truth, readings = independent(*errors)(random, rows)
        copies = random.random(rows) < share
        return truth, [*readings[:2], np.where(copies, readings[1], readings[2])]

    return case


CASES: Final[dict[str, Case]] = {
    "independent errors, 10% each": independent(0.1, 0.1, 0.1),
    "independent errors, 10%, 6%, 6%": independent(0.1, 0.06, 0.06),
    "3% of the rows with one shared error": shared(0.03, 0.1, 0.06, 0.06),
    "10% of the rows with one shared error": shared(0.1, 0.1, 0.06, 0.06),
    "20% of the rows with one shared error": shared(0.2, 0.1, 0.06, 0.06),
    "20% of the rows are hard": hard(0.2, 0.35, 0.1, 0.06, 0.06),
    "the corrector copies the annotator in 80% of the rows": copied(0.8, 0.1, 0.1, 0.1),
    "the corrector copies the annotator in all rows": copied(1.0, 0.1, 0.1, 0.1),
}


def simulated(case: Case, seed: int, rows: int = ROWS) -> tuple[pl.DataFrame, float]:
    """Return the readings of a case with the label of the majority, and the true noise."""
    truth, readings = case(np.random.default_rng(seed), rows)
    final = (np.sum(readings, axis=0) > len(readings) / 2).astype(np.int64)
    columns = dict(zip((*noise.READINGS, "final"), [*readings, final], strict=True))
    frame = pl.DataFrame({name: np.array(LABELS)[values] for name, values in columns.items()})
    return frame, float(np.mean(final != truth))


def measure(simulations: int = SIMULATIONS, rows: int = ROWS) -> list[dict[str, Any]]:
    """Return per case the true noise, the estimate, the range, and how often it has the truth."""
    found = []
    for name, case in CASES.items():
        lines = []
        for seed in range(simulations):
            frame, true = simulated(case, seed, rows)
            made = noise.estimate(frame, list(LABELS))
            low, high = made.range
            value, least, most = made.left
            assert least is not None and most is not None
            lines.append((true, value, low, high, low <= true <= high, least <= true <= most))
        means = np.mean(np.array(lines, dtype=float), axis=0)
        keys = ("truth", "estimate", "low", "high", "range_covers", "interval_covers")
        found.append(
            {"case": name} | dict(zip(keys, (round(float(m), 3) for m in means), strict=True))
        )
    return found


def run() -> dict[str, Any]:
    """Measure `SIMULATIONS` sets of `ROWS` rows per case; TARGEN_BENCH_SIMULATIONS changes this."""
    number = int(os.environ.get("TARGEN_BENCH_SIMULATIONS", str(SIMULATIONS)))
    return {"simulations": number, "rows": ROWS, "cases": measure(number)}
