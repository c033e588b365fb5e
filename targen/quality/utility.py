"""Is the set of use? Train on it, test on gold."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from targen.quality.choices import OptionClassifier
from targen.quality.collector import Measure, MetricCollector
from targen.quality.difficulty import FEWEST, ROWS, learner_of, why_not
from targen.quality.duplicates import normalised
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import Floats, percentiles
from targen.quality.learner import LabelClassifier
from targen.quality.text import generator, joined

SEEDS = 5
DRAWS = 200


def accuracy_grid(
    train: Sequence[pl.DataFrame],
    test: Sequence[pl.DataFrame],
    by: LabelClassifier | OptionClassifier,
) -> list[Floats]:
    """Train on each of `train`, test on the `test` beside it; return right (0 to 1) per row."""
    return [
        by.accuracy(one, two, "utility", seed)
        for seed, (one, two) in enumerate(zip(train, test, strict=True))
    ]


def summary(
    results: Sequence[npt.NDArray[Any]], *seed: str
) -> tuple[float, float | None, float | None]:
    """Return mean accuracy and its interval over seeds and test rows.

    Each draw resamples the seeds and, within each, the test rows (a two-stage bootstrap), as
    both are samples.
    """
    random = generator("utility", *seed)
    draws = np.empty(DRAWS)
    for i in range(DRAWS):
        picked = random.integers(0, len(results), len(results))
        draws[i] = np.mean(
            [
                results[k][random.integers(0, results[k].size, results[k].size)].mean()
                for k in picked
            ]
        )
    low, high = percentiles(draws)
    return float(np.mean([result.mean() for result in results])), low, high


def halves(gold: pl.DataFrame, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return a seeded half of `gold` to train on and the other to test on."""
    order = generator("halves", gold.height, seed).permutation(gold.height)
    middle = gold.height // 2
    return gold[order[:middle]], gold[order[middle:]]


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add accuracy on gold of training on the set, on gold, and of always naming one label.

    Accuracy of a TF-IDF logistic regression, share of rows, 0 to 1, over `SEEDS` seeded splits:
    one half of the gold is tested on, the other trained on, and as many rows of the set are
    drawn, without rows that repeat a tested one. Where a row brings its own options along, the
    regression ranks them (`choices`), and the last figure is that of an option at random. Source
    of the comparison: Esteban et al. 2017 (train on synthetic, test on real). A small classifier
    says little of a large one, and a gap may be style as well as substance.
    """
    gold = inputs.reference
    why = "there is no reference data to test on" if gold is None else why_not(inputs)
    by = learner_of(inputs)
    usable = None if gold is None or why else by.usable(gold)
    if usable is not None and (usable.height < 2 * FEWEST or usable["label"].n_unique() < 2):
        why = f"the reference needs {2 * FEWEST} rows and two labels"
    if usable is None or why is not None:
        collector.skip("utility", why or "")
        return
    mine = by.usable(inputs.rows)
    splits = [halves(usable, seed) for seed in range(SEEDS)]
    size = min(mine.height, ROWS, *(train.height for train, _ in splits))
    drawn = [
        _draw(_unseen(mine, test, by.identity_fields), size, seed)
        for seed, (_, test) in enumerate(splits)
    ]
    tests = [test for _, test in splits]
    same = [_draw(train, size, seed) for seed, (train, _) in enumerate(splits)]
    n = sum(test.height for test in tests)
    runs = {"set to gold": (drawn, tests), "gold to gold": (same, tests)}
    for name, frame in inputs.elsewhere.items():
        other = by.usable(frame)
        if other.height:
            runs[f"set to {name}"] = (drawn, [other] * SEEDS)
            runs[f"gold to {name}"] = (same, [other] * SEEDS)
    found = {
        name: summary(accuracy_grid(train, test, by), name) for name, (train, test) in runs.items()
    }
    for name, (value, low, high) in found.items():
        gold_value = found[name.replace("set", "gold", 1)][0] if name.startswith("set") else None
        count = sum(frame.height for frame in runs[name][1])
        collector.add(Measure("utility", value, count, name, low, high, gold_value))
    collector.add(Measure("utility", by.baseline_accuracy(usable), n, by.baseline))
    collector.details["utility_rows"] = size


def _unseen(rows: pl.DataFrame, test: pl.DataFrame, fields: Sequence[str]) -> pl.DataFrame:
    """Return the rows whose text is no row of `test`; all of them where none would be left."""
    known = normalised(joined(test, fields)).unique()
    fresh = rows.filter(~normalised(joined(rows, fields)).is_in(known.implode()))
    return fresh if fresh.height >= FEWEST and fresh["label"].n_unique() > 1 else rows


def _draw(frame: pl.DataFrame, size: int, seed: int) -> pl.DataFrame:
    """Return `size` rows by a seed."""
    order = generator("draw", frame.height, seed).permutation(frame.height)[:size]
    return frame[order]
