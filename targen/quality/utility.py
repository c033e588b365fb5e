"""Accuracy on gold data of a simple classifier that is trained on the set."""

import math
from collections.abc import Sequence

import numpy as np
import polars as pl

from targen.quality.choices import OptionClassifier
from targen.quality.collector import Measure, MetricCollector
from targen.quality.difficulty import FEWEST, ROWS, classifier_for, reason_not_learnable
from targen.quality.duplicates import normalized
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import Z95, Floats, IntervalEstimate
from targen.quality.learner import LabelClassifier
from targen.quality.text import Ints, generator, joined

SEEDS = 5


def accuracy_grid(
    train: Sequence[pl.DataFrame],
    test: Sequence[pl.DataFrame],
    classifier: LabelClassifier | OptionClassifier,
) -> list[Floats]:
    """Train on each frame of `train`; return the accuracy per row of its counterpart in `test`."""
    return [
        classifier.accuracy(one, two, "utility", seed)
        for seed, (one, two) in enumerate(zip(train, test, strict=True))
    ]


def summary(
    results: Sequence[Floats],
    rows: Sequence[Ints],
    trained: int,
    extremes: tuple[float, float] = (0.0, 1.0),
) -> IntervalEstimate:
    """Return the mean of results over repeated splits, with its interval.

    The splits test the same gold rows again and again. The standard error is therefore that of
    the gold rows, each with the sum of its results (linearization of a ratio, Cochran 1977), times
    sqrt(1 + rows tested / rows trained on), because the training rows are a sample as well (after
    Nadeau and Bengio 2003, whose splits overlap in the same way). One more row at each of the
    extremes counts for the error, so that equal results still have an interval.

    Args:
        results: per split, the result of each test row.
        rows: per split, the number of each test row; equal numbers are the same row.
        trained: number of rows that a model is trained on.
        extremes: lowest and highest possible result.
    """
    every, at = np.concatenate(results), np.concatenate(rows)
    mean = float(np.mean([result.mean() for result in results]))
    _, index, counts = np.unique(at, return_inverse=True, return_counts=True)
    sums = np.bincount(index, weights=every) - counts * mean
    more = sum((counts.mean() * (extreme - mean)) ** 2 for extreme in extremes)
    variance = (float((sums**2).sum()) + more) / every.size**2
    tested = every.size / len(results)
    half = Z95 * math.sqrt(variance * (1 + tested / trained))
    return IntervalEstimate(mean, mean - half, mean + half)


def halves(height: int, seed: int) -> tuple[Ints, Ints]:
    """Split row numbers at random into a half to train on and a half to test on."""
    order = generator("halves", height, seed).permutation(height)
    return order[: height // 2], order[height // 2 :]


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add the accuracy on gold data after training on the set, and after training on gold data.

    Accuracy of a TF-IDF logistic regression, 0 to 1, over `SEEDS` random splits: one half of the
    gold rows is the test set; the other half, or as many rows of the set without rows that repeat
    a test row, is the training set. If each row has its own options, the regression ranks them
    (`choices`). The baseline is always predicting the commonest label, or a random option.
    Source: Esteban et al. 2017 (train on synthetic, test on real). The result does not carry over
    to large classifiers, and a gap may be due to style.
    """
    gold = inputs.reference
    reason = (
        "there is no reference data to test on" if gold is None else reason_not_learnable(inputs)
    )
    classifier = classifier_for(inputs)
    usable = None if gold is None or reason else classifier.usable(gold)
    if usable is not None and (usable.height < 2 * FEWEST or usable["label"].n_unique() < 2):
        reason = f"the reference needs {2 * FEWEST} rows and two labels"
    if usable is None or reason is not None:
        collector.skip("utility", reason or "")
        return
    own = classifier.usable(inputs.rows)
    splits = [halves(usable.height, seed) for seed in range(SEEDS)]
    tests = [usable[test] for _, test in splits]
    size = min(own.height, ROWS, *(train.size for train, _ in splits))
    from_set = [
        _draw(_unseen(own, test, classifier.identity_fields), size, seed)
        for seed, test in enumerate(tests)
    ]
    from_gold = [_draw(usable[train], size, seed) for seed, (train, _) in enumerate(splits)]
    runs = {"set to gold": (from_set, tests), "gold to gold": (from_gold, tests)}
    numbers = {name: [test for _, test in splits] for name in runs}
    for name, frame in inputs.elsewhere.items():
        other = classifier.usable(frame)
        if other.height:
            for side, train in (("set", from_set), ("gold", from_gold)):
                runs[f"{side} to {name}"] = (train, [other] * SEEDS)
                numbers[f"{side} to {name}"] = [np.arange(other.height)] * SEEDS
    grids = {name: accuracy_grid(train, test, classifier) for name, (train, test) in runs.items()}
    found = {name: summary(grid, numbers[name], size) for name, grid in grids.items()}
    for name, (value, low, high) in found.items():
        gold_value = None
        if name.startswith("set"):
            gold_value = found[name.replace("set", "gold", 1)].value
        count = sum(frame.height for frame in runs[name][1])
        collector.add(Measure("utility", value, count, name, low, high, gold_value))
    n = sum(test.height for test in tests)
    # Both are tested on the same rows, so the interval of the difference is that of the pairs.
    pairs = zip(grids["set to gold"], grids["gold to gold"], strict=True)
    gaps = [own_ - gold_ for own_, gold_ in pairs]
    minus = summary(gaps, numbers["set to gold"], size, (-1.0, 1.0))
    collector.add(Measure("utility_gap", minus.value, n, "all", minus.low, minus.high))
    baseline = classifier.baseline_accuracy(usable)
    collector.add(Measure("utility", baseline, n, classifier.baseline))
    collector.details["utility_rows"] = size


def _unseen(rows: pl.DataFrame, test: pl.DataFrame, fields: Sequence[str]) -> pl.DataFrame:
    """Return the rows whose text is not in `test`, or all rows if too few of them remain."""
    known = normalized(joined(test, fields)).unique()
    fresh = rows.filter(~normalized(joined(rows, fields)).is_in(known.implode()))
    return fresh if fresh.height >= FEWEST and fresh["label"].n_unique() > 1 else rows


def _draw(frame: pl.DataFrame, size: int, seed: int) -> pl.DataFrame:
    order = generator("draw", frame.height, seed).permutation(frame.height)[:size]
    return frame[order]
