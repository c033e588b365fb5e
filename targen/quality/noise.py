"""Estimated share of wrong final labels."""

from typing import NamedTuple

import numpy as np
import polars as pl

from targen.hashing import rng
from targen.quality import shared_errors
from targen.quality.agreement import annotated
from targen.quality.balance import label_set
from targen.quality.collector import Measure, MetricCollector
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import Floats, IntervalEstimate, percentiles, rate
from targen.quality.ordinal import steps_in_words
from targen.quality.panel import has_panel, models_of, readings_table
from targen.quality.review_strata import people_saw, share_wrong
from targen.quality.shared_errors import ACCURACIES, ACCURACY, MISSING, Bound
from targen.quality.text import Ints, generator
from targen.steps import CORRECTED_SET, INSTANCES, LABELS
from targen.tasks.answers import ONE_LABEL, label_key

LEAST_ROWS = 30
LEAST_AUDITED = 10
"""Rows with all three labels that an estimate needs, and such rows with equal intended and
annotated labels."""
CORRECTED = "corrected"
LATENT = "latent classes"
REVIEWED = "reviewed"
"""Slices of `label_noise`: from the readings, and from a human review, which takes precedence."""
READINGS = ("intended", "annotated", CORRECTED)
CHAINS = 500
CHAIN_STEPS = 60
ROUNDS = 300
TOLERANCE = 1e-7

ASSUMPTION = (
    "The estimate is a lower bound: it assumes that errors in the intended, the annotated and the "
    "corrected label are independent given the true label, that each label is right more often "
    "than wrong, and that all rows are equally hard. Readings of one model share errors, and those "
    "of different models do to some extent. The upper end of the range allows any shared errors, "
    f"as long as each reading is right on {ACCURACY:.0%} of the rows. The labels alone cannot show "
    "where in the range the true share is; a human review can."
)


def prior_counts(labels: int) -> Floats:
    """Return the Dirichlet prior of a confusion table, in rows, (true, given).

    0.5 rows per answer (Jeffreys) and one more for the correct answer. Without a prior, an empty
    cell would be a certain zero, and the interval would miss rare errors. In simulations with 2
    to 4 labels the estimate is too high by less than 0.01 at 100 rows; with sparser priors by
    more.
    """
    return np.full((labels, labels), 0.5) + np.eye(labels)


def posterior_of(prior: Floats, confusion: Floats, patterns: Ints) -> Floats:
    """Return P(true label | pattern), shape (draws, patterns, labels).

    Args:
        prior: share of each true label, (draws, labels).
        confusion: P(given | true), (draws, readings, true, given).
        patterns: label numbers, (patterns, readings). A `MISSING` one says nothing.
    """
    logs = np.log(prior)[:, None, :]
    for r in range(patterns.shape[1]):
        given = np.log(confusion[:, r])[:, :, patterns[:, r]].transpose(0, 2, 1)
        logs = logs + np.where(patterns[:, r, None] == MISSING, 0.0, given)
    shares = np.exp(logs - logs.max(axis=2, keepdims=True))
    return np.asarray(shares / shares.sum(axis=2, keepdims=True), dtype=np.float64)


def _given(patterns: Ints, labels: int) -> Floats:
    """Return one-hot labels, (patterns, readings, labels); all zeros where a label is missing."""
    return np.asarray(np.eye(labels)[patterns] * (patterns != MISSING)[..., None])


def dawid_skene(patterns: Ints, weights: Floats, labels: int) -> tuple[Floats, Floats, Floats]:
    """Fit latent classes to label patterns by expectation maximization.

    Model: P(pattern) = sum over true label t of prior[t] * product over readings r of
    confusion[r, t, given by r], with `prior_counts`. Source: Dawid and Skene 1979. It starts from
    the majority vote, which determines which class is which label.

    A missing label adds nothing to the confusion table of its reading. This is exact if, given the
    labels that are there, it is missing at random (Rubin 1976), which `readings_of` ensures.

    Args:
        patterns: distinct patterns of label numbers, (patterns, readings).
        weights: rows per pattern, (patterns,).
        labels: number of labels.

    Returns:
        Prior (labels,), confusion (readings, true, given), posterior (patterns, labels).
    """
    given = _given(patterns, labels)
    posterior = given.sum(axis=1) / given.sum(axis=(1, 2))[:, None]
    for _ in range(ROUNDS):
        mass = posterior * weights[:, None]
        prior = mass.sum(axis=0) + 0.5
        prior /= prior.sum()
        confusion = np.einsum("pt,prg->rtg", mass, given) + prior_counts(labels)
        confusion /= confusion.sum(axis=2, keepdims=True)
        previous = posterior
        posterior = posterior_of(prior[None], confusion[None], patterns)[0]
        if float(np.abs(posterior - previous).max()) < TOLERANCE:
            break
    return prior, confusion, posterior


def sampled(
    patterns: Ints, counts: Ints, labels: int, start: Floats, random: np.random.Generator
) -> tuple[Floats, Floats]:
    """Draw priors and confusion tables from the model's posterior by Gibbs sampling.

    `CHAINS` parallel chains start from the fitted posterior `start` and run for `CHAIN_STEPS`
    steps; the last state of each is one draw. Each step draws the true labels of all rows given
    the tables, then the tables (Dirichlet, with `prior_counts`) given the true labels.

    Returns:
        Priors (chains, labels) and confusion tables (chains, readings, true, given).
    """
    given = _given(patterns, labels)
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


class Noise(NamedTuple):
    """The estimate from latent classes.

    Attributes:
        left: share of the kept rows whose final label is wrong, if errors are independent; the
            interval covers sampling error only.
        accuracy: reading -> share of its labels that are right.
        n: number of rows that the model was fitted to.
        bounds: the greatest share of wrong final labels if errors are shared, by `ACCURACIES`.
        steps: distance from the true label, from 1 -> share of the kept rows with such an error, if
            errors are independent. The distance is one of places in the label set.
    """

    left: IntervalEstimate
    accuracy: dict[str, IntervalEstimate]
    n: int
    bounds: tuple[Bound, ...]
    steps: dict[int, IntervalEstimate]

    @property
    def range(self) -> tuple[float, float]:
        """Lower end if errors are independent, and upper end if they are shared (`ACCURACY`)."""
        value, low, high = self.left
        return value if low is None else low, max(high or value, self.bounds[-1].at_most)


def estimate(readings: pl.DataFrame, labels: list[str]) -> Noise:
    """Estimate the share of wrong final labels, under `ASSUMPTION`.

    Value and interval are the mean and the central 95% of the share over draws of the model's
    parameters (`sampled`) and, given each, of which rows are wrong. The interval thus includes
    parameter uncertainty and sampling error.

    Args:
        readings: columns intended, annotated and corrected (labels), for pairs also those of the
            second row, and final (label; null if the row was not kept). An annotated or
            corrected label is null if there is none. Rows without an intended label, or with a
            label outside `labels`, are excluded.
        labels: the label set.
    """
    numbers = {label: i for i, label in enumerate(labels)}
    names = [name for name in readings.columns if name != "final"]
    coded = readings.select(
        pl.when(pl.col(name).is_null() & pl.lit(name.startswith(READINGS[1:])))
        .then(MISSING)
        .otherwise(pl.col(name).replace_strict(numbers, default=None, return_dtype=pl.Int64))
        .alias(name)
        for name in (*names, "final")
    ).drop_nulls(names)
    cells = coded.group_by(*names, "final").len().sort(*names, "final", nulls_last=True)
    counts = cells["len"].to_numpy().astype(np.int64)
    n = int(counts.sum())
    patterns, index = np.unique(cells.select(names).to_numpy(), axis=0, return_inverse=True)
    rows = np.bincount(index, counts, len(patterns)).astype(np.int64)
    start = dawid_skene(patterns, rows.astype(np.float64), len(labels))[2]
    random = generator("dawid-skene", n)
    prior, confusion = sampled(patterns, rows, len(labels), start, random)
    final = cells["final"].fill_null(-1).to_numpy()
    kept = final >= 0
    belief = posterior_of(prior, confusion, patterns)[:, index[kept]]
    error = 1 - belief[:, np.arange(int(kept.sum())), final[kept]]
    trials = np.repeat(counts[kept][None], CHAINS, axis=0)
    wrong = random.binomial(trials, np.clip(error, 0, 1)).sum(axis=1) / max(counts[kept].sum(), 1)
    right = np.einsum("dt,drtt->dr", prior, confusion)
    accuracy = {}
    for reading in READINGS:
        own = [r for r, name in enumerate(names) if name.startswith(reading)]
        share = right[:, own].mean(axis=1)
        accuracy[reading] = IntervalEstimate(float(share.mean()), *percentiles(share))
    filled = shared_errors.filled(patterns[index], final.astype(np.int64), counts)
    bounds = tuple(shared_errors.most_wrong(filled, len(labels), ACCURACIES))
    left = IntervalEstimate(float(wrong.mean()), *percentiles(wrong))
    return Noise(left, accuracy, n, bounds, _by_steps(belief, final[kept], counts[kept]))


def _by_steps(belief: Floats, final: Ints, counts: Ints) -> dict[int, IntervalEstimate]:
    """Return `Noise.steps`.

    Args:
        belief: P(true label), (draws, cells, labels).
        final: final label of each cell.
        counts: rows of each cell.
    """
    labels = belief.shape[2]
    apart = np.abs(np.arange(labels)[None, :] - final[:, None])
    found = {}
    for steps in range(1, labels):
        share = np.einsum("dcl,cl,c->d", belief, apart == steps, counts) / max(counts.sum(), 1)
        found[steps] = IntervalEstimate(float(share.mean()), *percentiles(share))
    return found


def readings_of(inputs: ReportInputs) -> pl.DataFrame:
    """Return the three readings of each row that correction saw, and the final label.

    The final label is null if the row was not kept, or if a person saw it.

    The corrector is asked about all disputed rows and about a random share of the others. The
    estimate thus needs no weights: given the intended and the annotated label, it is chance
    whether a corrected label is there. Some rows with equal labels are corrected for another
    reason, a flaw or a split vote. So that they do not count too much, only the audited share of
    them keeps its corrected label here.

    The rows of a pair share one true label. They become one row, with the annotated and the
    corrected label of the second as additional readings. If a panel has read the rows, its readers
    of different models come first: see `panel.readings_table`.
    """
    names = {f"{name}_label": name for name in READINGS}
    if has_panel(inputs):
        return readings_table(inputs)
    # The rows of a contrast set have different labels.
    paired = inputs.pair_field is not None and INSTANCES in inputs.tables and not inputs.contrast
    known = "instance_id" in inputs.rows.columns
    ids = ["instance_id"] if known else []
    final = pl.col("label")
    if "label_before_review" in inputs.rows.columns:
        # Rows that a person saw are right, whatever the readings say.
        final = pl.when(pl.col("label_before_review").is_null()).then(final)
    parts = [inputs.rows.select(*ids, *names, final=final).rename(names)]
    rejected = inputs.rejected.get(CORRECTED_SET)
    if rejected is not None:
        lost = rejected.rename({"item_id": "instance_id"}, strict=False)
        missing = pl.lit(None, dtype=pl.String)
        parts.append(lost.select(*ids, *names, final=missing).rename(names))
    found = pl.concat(parts)
    if not known:
        return found
    found = found.with_columns(doubted=_doubted(inputs, found), unit=pl.col("instance_id"))
    if paired:
        slots = inputs.tables[INSTANCES].select("instance_id", "slot")
        rows = found.join(slots, on="instance_id", how="left", maintain_order="left")
        second = {f"{name}, twin": pl.col(name).last() for name in READINGS[1:]}
        found = (
            rows.group_by("slot", maintain_order=True)
            .agg(
                pl.col(*READINGS, "final", "unit").first(),
                pl.col("doubted").any(),
                rows=pl.len(),
                **second,
            )
            .filter(pl.col("rows") == 2)
        )
    twins = [name for name in found.columns if name.endswith(", twin")]
    return _thinned(found).select(*READINGS, "final", *twins)


def _doubted(inputs: ReportInputs, rows: pl.DataFrame) -> pl.Series:
    """Return, per row, whether its annotator named a flaw or its votes differ."""
    labels = inputs.tables.get(LABELS)
    if labels is None or not {"votes", "flaws"} <= set(labels.columns):
        return pl.Series("doubted", [False] * rows.height)
    kind = inputs.answer_kind
    doubted = {
        row["instance_id"]: len({label_key(kind, vote) for vote in row["votes"] or ()}) > 1
        or any(flaw != "none" for flaw in row["flaws"] or ())
        for row in labels.select("instance_id", "votes", "flaws").iter_rows(named=True)
    }
    return pl.Series("doubted", [doubted.get(name, False) for name in rows["instance_id"]])


def _thinned(rows: pl.DataFrame) -> pl.DataFrame:
    """Remove corrected labels of doubted rows with equal labels, down to the audited share."""
    corrected = [name for name in rows.columns if name.startswith(CORRECTED)]
    equal = rows["intended"] == rows["annotated"]
    if "annotated, twin" in rows.columns:
        equal &= rows["intended"] == rows["annotated, twin"]
    equal = equal.fill_null(value=False)
    plain = rows.filter(equal & ~rows["doubted"])
    audited = plain.filter(pl.col(CORRECTED).is_not_null()).height / max(1, plain.height)
    if audited == 1:
        return rows
    drawn = [rng("thinned", name).random() < audited for name in rows["unit"]]
    keep = ~(equal & rows["doubted"]) | pl.Series(drawn, dtype=pl.Boolean)
    return rows.with_columns(pl.when(keep).then(pl.col(name)).alias(name) for name in corrected)


def _planted(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add how often correction detects a planted wrong label and changes an agreed one.

    detection: share of planted wrong labels that the corrector did not confirm. false_alarm:
    share of the corrected rows with equal intended and annotated labels (of all corrected rows
    without annotation) that the corrector changed. A few of these labels are wrong, so it is an
    upper bound. Both are from 0 to 1. Planted labels are drawn at random and may be easier to
    detect than real errors.
    """
    planted = inputs.planted_errors
    if planted is None or not planted.height:
        collector.skip("detection", "no errors were planted")
        return
    detected = planted["corrected_label"] != planted["planted_label"]
    collector.add(rate("detection", "planted errors", detected))
    if _has_readings(inputs):
        intended, annotated_, corrected = (pl.col(name) for name in READINGS)
        agreed = readings_of(inputs).filter(
            annotated_.is_null() | (intended == annotated_), corrected.is_not_null()
        )
        changed = agreed.select(changed=intended != corrected)["changed"]
        collector.add(rate("false_alarm", "all", changed))


def _has_readings(inputs: ReportInputs) -> bool:
    return {f"{name}_label" for name in READINGS} <= set(inputs.rows.columns)


def _reason_not_estimable(inputs: ReportInputs) -> str | None:
    """Return why latent classes cannot be fitted, None if they can."""
    if inputs.answer_kind not in ONE_LABEL:
        return f"answers of kind {inputs.answer_kind} have no fixed set of classes"
    if not (has_panel(inputs) or (_has_readings(inputs) and annotated(inputs))):
        return "needs an intended, an annotated and a corrected label"
    if not inputs.corrector_blind:
        return "the corrector was shown the intended label, so the readings are not independent"
    if len(label_set(inputs)) < 2:
        return "there is only one label"
    return _too_few(inputs)


def _too_few(inputs: ReportInputs) -> str | None:
    known = [pl.col(name).is_in(label_set(inputs)) for name in READINGS]
    complete = readings_of(inputs).filter(*known)
    if complete.height < LEAST_ROWS:
        return f"fewer than {LEAST_ROWS} rows have all three readings"
    if complete.filter(pl.col("intended") == pl.col("annotated")).height < LEAST_AUDITED:
        return (
            f"fewer than {LEAST_AUDITED} rows with equal intended and annotated labels were "
            "corrected; raise `audit` or `audit_at_least`"
        )
    return None


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add the share of wrong final labels, the accuracy of each reading, and detection rates."""
    _planted(inputs, collector)
    saw = None if inputs.reviewed is None else people_saw(inputs.reviewed)
    if inputs.reviewed is not None and saw is not None and saw["verdicts"]:
        value, low, high = share_wrong(inputs.reviewed)
        collector.add(Measure("label_noise", value, saw["verdicts"], REVIEWED, low, high))
        collector.details["human_review"] = saw
    reason = _reason_not_estimable(inputs)
    if reason is not None:
        collector.skip("label_noise", reason)
        return
    found = estimate(readings_of(inputs), label_set(inputs))
    models = shared_errors.readers(inputs)
    if has_panel(inputs):
        models = {name: [one] if one else [] for name, one in models_of(inputs).items()}
    collector.details["noise_assumption"] = ASSUMPTION
    collector.details["noise"] = {
        "interval_if_independent": [found.left.low, found.left.high],
        # Accuracies above the greatest possible one share its bound.
        "bounds": [bound._asdict() for bound in dict.fromkeys(found.bounds)],
        "readers": models,
        "different_readers": shared_errors.independent(models),
    }
    kept = inputs.rows.height
    unseen = 1.0
    if "label_before_review" in inputs.rows.columns and kept:
        unseen = inputs.rows["label_before_review"].null_count() / kept
    value, low, high = (unseen * one for one in (found.left.value, *found.range))
    collector.add(Measure("label_noise", value, kept, LATENT, low, high))
    # Those of a panel's readers are in `reader_accuracy`, under their own names.
    accuracy = {} if has_panel(inputs) else found.accuracy
    for name, (value, low, high) in accuracy.items():
        collector.add(Measure("reading_accuracy", value, found.n, name, low, high))
    for steps, share in found.steps.items() if inputs.answer_kind == "ordinal" else ():
        value, low, high = (unseen * (one or 0.0) for one in share)
        name = steps_in_words(steps)
        collector.add(Measure("label_noise_steps", value, kept, name, low, high))
