"""Point estimates with 95% confidence intervals, which cover sampling error only."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from targen.quality.collector import Measure
from targen.quality.text import generator

Floats = npt.NDArray[np.float64]

DRAWS = 1000
Z95 = 1.959963984540054


class IntervalEstimate(NamedTuple):
    """A point estimate with its 95% interval; the bounds are None where they are undefined."""

    value: float
    low: float | None
    high: float | None


def wilson(hits: float, n: float) -> tuple[float | None, float | None]:
    """Return the Wilson score interval of a proportion; (None, None) for n = 0.

    Unlike the percentile bootstrap it does not shrink to a point at 0 and 1 (Wilson 1927;
    Brown, Cai and DasGupta 2001, who recommend it for small n).
    """
    if n == 0:
        return None, None
    share, z2 = hits / n, Z95 * Z95
    center = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    low = 0.0 if hits == 0 else max(0.0, center - half)
    high = 1.0 if hits == n else min(1.0, center + half)
    return low, high


def proportion(
    metric: str, slice_: str, hits: int, n: int, reference: float | None = None
) -> Measure:
    """Return the figure hits / n with its Wilson interval; its value is None for n = 0."""
    low, high = wilson(hits, n)
    return Measure(metric, hits / n if n else None, n, slice_, low, high, reference)


def rate(metric: str, slice_: str, flags: pl.Series) -> Measure:
    """Return the share of true flags as a figure; nulls are excluded."""
    known = flags.drop_nulls()
    return proportion(metric, slice_, int(known.sum()), known.len())


def percentiles(draws: Floats) -> tuple[float | None, float | None]:
    """Return the 2.5th and 97.5th percentile of the finite draws; (None, None) without any."""
    finite = draws[np.isfinite(draws)]
    if finite.size == 0:
        return None, None
    low, high = np.percentile(finite, [2.5, 97.5])
    return float(low), float(high)


def bootstrap_counts(
    counts: Sequence[int] | npt.NDArray[Any],
    statistic: Callable[[Floats], Floats],
    *seed: Any,
    draws: int = DRAWS,
) -> tuple[float | None, float | None]:
    """Percentile bootstrap (Efron 1979) of a statistic of cell counts.

    Resampling n rows with replacement is one multinomial draw of the cells, so this gives the
    interval of the row bootstrap at a fraction of its time.

    Args:
        counts: rows per cell, any shape.
        statistic: (draws, cells) -> (draws,), NaN where undefined.
        seed: seeds the random numbers.
        draws: number of resamples.
    """
    flat = np.asarray(counts, dtype=np.float64).ravel()
    total = int(flat.sum())
    if total == 0:
        return None, None
    sample = generator("bootstrap", *seed).multinomial(total, flat / flat.sum(), size=draws)
    return percentiles(statistic(sample.astype(np.float64)))


def bootstrap_mean(values: npt.NDArray[Any], *seed: Any) -> tuple[float | None, float | None]:
    """Percentile bootstrap of the mean of per-row values; (None, None) without rows.

    Above 5,000 rows the mean is practically normal, and the interval is the mean plus or minus
    1.96 standard errors; the bootstrap would give the same at 1,000 times the work.
    """
    n = values.size
    if n == 0:
        return None, None
    numbers = values.astype(np.float64)
    if n > 5000:
        half = Z95 * float(numbers.std()) / math.sqrt(n)
        return float(numbers.mean()) - half, float(numbers.mean()) + half
    random = generator("bootstrap mean", *seed)
    means = np.empty(DRAWS)
    for i in range(DRAWS):
        means[i] = numbers[random.integers(0, n, n)].mean()
    return percentiles(means)


def held_out_mean(
    values: npt.NDArray[Any], folds: int, least: float = 0.0, factor: float = 1.0
) -> tuple[float | None, float | None]:
    """Return the interval of the mean of results per row of a cross-validation.

    The rows of all folds share training rows, so their results are correlated, and the standard
    error of independent rows is too small. With k folds it is multiplied by sqrt(1 + k / (k - 1)),
    the corrected variance of Nadeau and Bengio (2003) for k splits of which each tests 1 / k.

    Args:
        values: the results.
        folds: number of folds.
        least: the least standard error.
        factor: the standard error is multiplied by it.

    Returns:
        The bounds; (None, None) without rows, or if there is no variation and no least error.
    """
    n = values.size
    if n == 0:
        return None, None
    numbers = values.astype(np.float64)
    error = float(numbers.std()) / math.sqrt(n) * math.sqrt(1 + folds / (folds - 1)) * factor
    error = max(error, least)
    if error == 0:
        return None, None
    mean = float(numbers.mean())
    return mean - Z95 * error, mean + Z95 * error


def jackknife(value: float, without: Sequence[float] | Floats) -> tuple[float | None, float | None]:
    """Return the interval of a statistic from its values without one group of rows each.

    The delete-a-group jackknife: with G groups, the variance is (G - 1) / G times the sum of
    squared deviations from their mean (Shao and Tu 1995, section 5.2.2), and Student's t has G - 1
    degrees of freedom. It is for statistics in which a row also affects the values of other rows.

    Returns:
        The bounds; (None, None) if a value is not finite or all are equal.
    """
    from scipy.stats import t  # noqa: PLC0415  (slow to import)

    values = np.asarray(without, dtype=np.float64)
    if values.size < 2 or not np.isfinite(values).all() or np.ptp(values) == 0:
        return None, None
    spread = values - values.mean()
    error = math.sqrt((values.size - 1) / values.size * float((spread**2).sum()))
    half = float(t.ppf(0.975, values.size - 1)) * error
    return value - half, value + half


def accuracy_error(correct: npt.NDArray[Any]) -> float:
    """Return the standard error of an accuracy, with two right and two wrong rows added.

    The addition keeps it above 0 where all rows are right (Agresti and Coull 1998).
    """
    n = correct.size + 4
    share = (float(correct.sum()) + 2) / n
    return math.sqrt(share * (1 - share) / n)


def mean_measure(metric: str, slice_: str, values: Floats, *seed: Any) -> Measure:
    """Return the mean of per-row values as a figure."""
    low, high = bootstrap_mean(values, *seed)
    return Measure(metric, float(values.mean()), values.size, slice_, low, high)
