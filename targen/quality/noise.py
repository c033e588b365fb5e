"""How many of the final labels are wrong?"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from targen.quality.agreement import annotated
from targen.quality.balance import label_set
from targen.quality.collector import Measure, MetricCollector
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import Floats, percentiles, rate, wilson
from targen.quality.text import Ints, generator
from targen.steps import CORRECTED_SET, INSTANCES

READINGS = ("intended", "annotated", "corrected")
CHAINS = 500
CHAIN_STEPS = 60
ROUNDS = 300
TOLERANCE = 1e-7

ASSUMPTION = (
    "Assumes that the intended, the annotated and the corrected label err independently of each "
    "other once the true label is given, that each is right more often than wrong, and that all "
    "rows are equally hard. Where one model gives all three, errors tend to be shared, and the "
    "estimate is then too low."
)


def prior_counts(labels: int) -> Floats:
    """Return the rows that each confusion table is taken to have seen before the first one.

    Jeffreys' half a row on every answer and one row more on the right one. Without it a cell
    that no row happens to fill would be a sure zero, and the interval would miss rare errors.
    In simulations with 2 to 4 labels it errs upwards, by less than 0.01 at 100 rows; sparser
    priors erred upwards by more.
    """
    return np.full((labels, labels), 0.5) + np.eye(labels)


def posterior_of(prior: Floats, confusion: Floats, patterns: Ints) -> Floats:
    """Return P(true label | pattern), shape (draws, patterns, labels).

    Args:
        prior: share of each true label, (draws, labels).
        confusion: P(given | true), (draws, readings, true, given).
        patterns: label numbers, (patterns, readings).
    """
    logs = np.log(prior)[:, None, :]
    for r in range(patterns.shape[1]):
        logs = logs + np.log(confusion[:, r])[:, :, patterns[:, r]].transpose(0, 2, 1)
    shares = np.exp(logs - logs.max(axis=2, keepdims=True))
    return np.asarray(shares / shares.sum(axis=2, keepdims=True), dtype=np.float64)


def dawid_skene(patterns: Ints, weights: Floats, labels: int) -> tuple[Floats, Floats, Floats]:
    """Fit latent classes to label patterns by expectation maximisation.

    Model: P(pattern) = sum over true label t of prior[t] * product over readings r of
    confusion[r, t, given by r]. Source: Dawid and Skene 1979. It starts from the majority vote,
    which settles the names of the classes, and adds `prior_counts`.

    Args:
        patterns: label numbers, (patterns, readings); each pattern once.
        weights: rows per pattern, (patterns,).
        labels: number of labels.

    Returns:
        Prior (labels,), confusion (readings, true, given), posterior (patterns, labels).
    """
    given = np.eye(labels)[patterns]
    posterior = given.mean(axis=1)
    for _ in range(ROUNDS):
        mass = posterior * weights[:, None]
        prior = mass.sum(axis=0) + 0.5
        prior /= prior.sum()
        confusion = np.einsum("pt,prg->rtg", mass, given) + prior_counts(labels)
        confusion /= confusion.sum(axis=2, keepdims=True)
        fresh = posterior_of(prior[None], confusion[None], patterns)[0]
        moved = float(np.abs(fresh - posterior).max())
        posterior = fresh
        if moved < TOLERANCE:
            break
    return prior, confusion, posterior


def sampled(
    patterns: Ints, counts: Ints, labels: int, start: Floats, random: np.random.Generator
) -> tuple[Floats, Floats]:
    """Draw priors and confusion tables from the model's posterior by Gibbs sampling.

    `CHAINS` chains run side by side from the fitted posterior `start` for `CHAIN_STEPS` steps; the
    last state of each is one draw. In turn the true labels of all rows are drawn given the
    tables, and the tables (Dirichlet, with `prior_counts`) given the true labels.

    Returns:
        Priors (chains, labels) and confusion tables (chains, readings, true, given).
    """
    given = np.eye(labels)[patterns]
    belief = np.repeat(start[None], CHAINS, axis=0)
    rows = np.repeat(counts[None], CHAINS, axis=0)
    for _ in range(CHAIN_STEPS):
        truth = random.multinomial(rows, belief).astype(np.float64)
        prior = random.gamma(truth.sum(axis=1) + 0.5)
        prior /= prior.sum(axis=1, keepdims=True)
        mass = np.einsum("dpt,prg->drtg", truth, given, optimize=True) + prior_counts(labels)
        confusion = np.maximum(random.gamma(mass), 1e-300)
        confusion /= confusion.sum(axis=3, keepdims=True)
        belief = posterior_of(prior, confusion, patterns)
    return prior, confusion


@dataclass(frozen=True)
class Estimate:
    """A share with its 95% interval."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Noise:
    """What latent classes say of the labels.

    Attributes:
        left: share of the kept rows whose final label is wrong.
        accuracy: reading -> share of its labels that are right.
        n: rows the model was fitted to.
    """

    left: Estimate
    accuracy: dict[str, Estimate]
    n: int


def estimate(readings: pl.DataFrame, labels: list[str]) -> Noise:
    """Estimate the noise left in the final labels; the assumption is `ASSUMPTION`.

    Value and interval are the mean and the central 95% of the number of wrong final labels,
    over draws of the model's parameters given the data (`sampled`) and, given each, of which
    rows are wrong: parameter doubt and the luck of the draw together.

    Args:
        readings: columns intended, annotated, corrected (labels), for pairs the twin's as well,
            and final (label, null where the row was not kept). Rows lacking a reading, or with a
            label outside `labels`, are left out.
        labels: the label set.
    """
    numbers = {label: i for i, label in enumerate(labels)}
    names = [name for name in readings.columns if name != "final"]
    coded = readings.select(
        pl.col(name).replace_strict(numbers, default=None, return_dtype=pl.Int64)
        for name in (*names, "final")
    ).drop_nulls(names)
    cells = coded.group_by(*names, "final").len().sort(*names, "final", nulls_last=True)
    counts = cells["len"].to_numpy().astype(np.int64)
    n = int(counts.sum())
    patterns, place = np.unique(cells.select(names).to_numpy(), axis=0, return_inverse=True)
    rows = np.bincount(place, counts, len(patterns)).astype(np.int64)
    start = dawid_skene(patterns, rows.astype(np.float64), len(labels))[2]
    random = generator("dawid-skene", n)
    prior, confusion = sampled(patterns, rows, len(labels), start, random)
    final = cells["final"].fill_null(-1).to_numpy()
    kept = final >= 0
    doubt = 1 - posterior_of(prior, confusion, patterns)[:, place[kept], final[kept]]
    seen = np.repeat(counts[kept][None], CHAINS, axis=0)
    wrong = random.binomial(seen, np.clip(doubt, 0, 1)).sum(axis=1) / max(counts[kept].sum(), 1)
    right = np.einsum("dt,drtt->dr", prior, confusion)
    accuracy = {}
    for reading in READINGS:
        own = [r for r, name in enumerate(names) if name.startswith(reading)]
        share = right[:, own].mean(axis=1)
        accuracy[reading] = Estimate(float(share.mean()), *percentiles(share))
    return Noise(Estimate(float(wrong.mean()), *percentiles(wrong)), accuracy, n)


def reviewed_share(reviewed: pl.DataFrame, *seed: Any) -> Estimate:
    """Share of wrong labels among rows that people looked at, each counted by its weight.

    sum(weight of wrong rows) / sum(weight) (Hájek's estimator), so that over-sampled suspicious
    rows do not count double. Interval: percentile bootstrap over rows within each weight, the
    strata of the sample; Wilson's where all weights are equal.
    """
    wrong = (~reviewed["right"]).cast(pl.Float64).to_numpy()
    weight = reviewed["weight"].cast(pl.Float64).to_numpy()
    value = float((wrong * weight).sum() / weight.sum())
    if np.unique(weight).size == 1:
        return Estimate(value, *wilson(int(wrong.sum()), wrong.size))
    random = generator("reviewed", *seed)
    sums, total = np.zeros(2000), 0.0
    for level in np.unique(weight):
        part = wrong[weight == level]
        # Half a wrong and half a right row more (Jeffreys): a stratum without a wrong row is no
        # proof that it has none.
        share = random.beta(part.sum() + 0.5, part.size - part.sum() + 0.5, size=2000)
        sums += level * part.size * share
        total += level * part.size
    return Estimate(value, *percentiles(sums / total))


def readings_of(inputs: ReportInputs) -> pl.DataFrame:
    """Gather the three readings of all rows that correction saw, and the final label of kept.

    Twins have one true label, which all readings of both settle: they are one line with the
    second twin's annotated and corrected label besides.
    """
    names = [f"{name}_label" for name in READINGS]
    called = dict(zip(names, READINGS, strict=True))
    twins = inputs.pair_field is not None and INSTANCES in inputs.tables
    ids = ["instance_id"] if twins else []
    parts = [inputs.rows.select(*ids, *names, final="label").rename(called)]
    rejected = inputs.rejected.get(CORRECTED_SET)
    if rejected is not None:
        lost = rejected.rename({"item_id": "instance_id"}, strict=False)
        nothing = pl.lit(None, dtype=pl.String)
        parts.append(lost.select(*ids, *names, final=nothing).rename(called))
    found = pl.concat(parts)
    if not twins:
        return found
    slots = inputs.tables[INSTANCES].select("instance_id", "slot")
    pairs = found.join(slots, on="instance_id", how="left", maintain_order="left")
    second = {f"{name}, twin": pl.col(name).last() for name in READINGS[1:]}
    whole = pairs.group_by("slot", maintain_order=True).agg(
        pl.col(*READINGS, "final").first(), rows=pl.len(), **second
    )
    return whole.filter(pl.col("rows") == 2).drop("slot", "rows")


def _planted(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add how often correction notices a wrong label, and how often it doubts a right one.

    detection: share of planted wrong labels that the corrector did not confirm. false_alarm:
    share of the rows on whose label plan and annotator agree (of all rows, where nobody
    annotated) that the corrector changed; as a few of these are wrong in truth, it is an upper
    bound. Both from 0 to 1. Planted labels are
    drawn at random and may be easier to notice than real errors.
    """
    planted = inputs.planted_errors
    if planted is None or not planted.height:
        collector.skip("detection", "no errors were planted")
        return
    noticed = planted["corrected_label"] != planted["planted_label"]
    collector.add(rate("detection", "planted errors", noticed))
    names = [f"{name}_label" for name in READINGS]
    if set(names) <= set(inputs.rows.columns):
        seen = readings_of(inputs)
        intended, annotated_, corrected = (pl.col(name) for name in READINGS)
        agreed = seen.filter(annotated_.is_null() | (intended == annotated_))
        changed = agreed.select(changed=intended != corrected)["changed"]
        collector.add(rate("false_alarm", "all", changed))


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add the share of wrong final labels, and how often each reading is right."""
    _planted(inputs, collector)
    if inputs.reviewed is not None and inputs.reviewed.height:
        share = reviewed_share(inputs.reviewed)
        n = inputs.reviewed.height
        collector.add(Measure("label_noise", share.value, n, "reviewed", share.low, share.high))
    names = {f"{name}_label" for name in READINGS}
    why = None
    if inputs.answer_kind != "class":
        why = f"answers of kind {inputs.answer_kind} have no fixed set of classes"
    elif not names <= set(inputs.rows.columns) or not annotated(inputs):
        why = "needs an intended, an annotated and a corrected label"
    elif not inputs.corrector_blind:
        why = "the corrector was shown the intended label: the readings are not independent"
    elif len(label_set(inputs)) < 2:
        why = "there is one label only"
    readings = readings_of(inputs) if why is None else None
    if readings is not None:
        known = [pl.col(name).is_in(label_set(inputs)) for name in READINGS]
        if readings.filter(*known).height < 30:
            why = "fewer than 30 rows have all three readings"
    if readings is None or why is not None:
        collector.skip("label_noise", why or "")
        return
    found = estimate(readings, label_set(inputs))
    collector.details["noise_assumption"] = ASSUMPTION
    left = found.left
    kept = inputs.rows.height
    collector.add(Measure("label_noise", left.value, kept, "latent classes", left.low, left.high))
    for name, share in found.accuracy.items():
        collector.add(
            Measure("reading_accuracy", share.value, found.n, name, share.low, share.high)
        )
