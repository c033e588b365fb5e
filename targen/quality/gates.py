"""Gates: bounds that a task sets for its metrics."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import polars as pl

from targen.hashing import short_id
from targen.quality.collector import Measure, MetricCollector
from targen.quality.metrics import find
from targen.quality.noise import LATENT, REVIEWED
from targen.tasks.sections import Gate
from targen.tasks.yamlfile import nearest

WHOLE = "all"
NOISE = "label_noise"
"""The metric that only a human review or independent readings can decide."""


def names(gates: Sequence[Gate]) -> list[str]:
    """Return a name for each gate of a task: letters, digits and underscores, without repetition.

    The name depends on metric and slice only, so gates of several tasks share it.
    """
    found: Counter[str] = Counter()
    named = []
    for gate in gates:
        name = "_".join(["gate", gate.metric, *([_slug(gate.slice)] if gate.slice else [])])
        found[name] += 1
        named.append(name if found[name] == 1 else f"{name}_{found[name]}")
    return named


def _slug(slice_: str) -> str:
    """Return a slice as part of a name, with a digest if characters were lost."""
    kept = re.sub(r"[^a-z0-9]+", "_", slice_.lower()).strip("_")[:40]
    whole = re.fullmatch(r"[A-Za-z0-9 _,-]{1,40}", slice_)
    return kept if whole and kept else f"{kept}_{short_id(slice_)[:6]}".lstrip("_")


def looked_at(gate: Gate, collector: MetricCollector) -> list[Measure]:
    """Return the figures that a gate bounds.

    With a slice, that one. Otherwise the figure for all rows, or of the human review, or else
    every slice of the metric, each of which must be within the bounds.
    """
    found = [measure for measure in collector.measures if measure.metric == gate.metric]
    if gate.slice is not None:
        return [measure for measure in found if measure.slice == gate.slice]
    for best in (WHOLE, REVIEWED):
        only = [measure for measure in found if measure.slice == best]
        if only:
            return only
    return found


def judge(wanted: Sequence[Gate], collector: MetricCollector) -> list[dict[str, Any]]:
    """Judge each gate.

    Returns:
        Per gate name, metric, slice, slices (each slice -> whether it passed), at_least,
        at_most, wanted (the bounds in words), value (the worst of the slices), passed, severity,
        undecided, why (it was not measured or not decided) and text (one sentence). `passed` is
        None if nothing was measured, or if the figure does not decide the gate (`undecided`);
        both count as a failure.
    """
    judged = (_judge(gate, collector) for gate in wanted)
    return [{"name": name, **one} for name, one in zip(names(wanted), judged, strict=True)]


def _judge(gate: Gate, collector: MetricCollector) -> dict[str, Any]:
    found = looked_at(gate, collector)
    known = [measure for measure in found if measure.value is not None]
    worst = max(known, key=lambda measure: _excess(gate, measure), default=None)
    passed: bool | None = None
    if worst is not None and _excess(gate, worst) > 0:
        passed = False
    elif found and len(known) == len(found):
        passed = True
    undecided = [] if not passed else [why for m in known if (why := _open(gate, m, collector))]
    if undecided:
        passed = None
    slice_ = gate.slice or (worst or found[0]).slice if found else gate.slice or WHOLE
    judged: dict[str, Any] = {
        "metric": gate.metric,
        "slice": slice_,
        "slices": {m.slice: _kept(gate, m) and not undecided for m in found} or {slice_: False},
        "at_least": gate.at_least,
        "at_most": gate.at_most,
        "wanted": bounds(gate),
        "value": None if worst is None else worst.value,
        "passed": passed,
        "severity": gate.severity,
        "undecided": bool(undecided),
        "why": " ".join(undecided) or (_absent(gate, collector, found) if passed is None else ""),
    }
    return judged | {"text": _sentence(judged)}


def _open(gate: Gate, measure: Measure, collector: MetricCollector) -> str:
    """Return why a figure within its bounds does not decide the gate; empty if it does.

    Only label noise can be undecided, and only for gates of severity `error`: readings of one model
    share errors, so their estimate is a lower bound, and a review of few rows excludes little.
    """
    if gate.metric != NOISE or gate.severity != "error" or gate.at_most is None:
        return ""
    review = collector.get(NOISE, REVIEWED)
    if review is not None:
        if review.high is not None and review.high <= gate.at_most:
            return ""
        return (
            f"the reviewed rows ({review.n:,}) allow up to {shown(NOISE, review.high or 1.0)}: "
            "review more rows with `targen review export`"
        )
    if collector.details.get("noise", {}).get("different_readers"):
        return ""
    high = 1.0 if measure.high is None else measure.high
    return (
        "the annotator and the corrector are not known to be different models. If they share "
        f"errors, up to {shown(NOISE, high)} may be wrong. Review rows with `targen review "
        "export`, or give the steps `labels` and `correction` different models"
    )


def _kept(gate: Gate, measure: Measure) -> bool:
    return measure.value is not None and _excess(gate, measure) <= 0


def _excess(gate: Gate, measure: Measure) -> float:
    """Return how far a figure is out of bounds; at most 0 if it is within them."""
    value = measure.value or 0.0
    below = float("-inf") if gate.at_least is None else gate.at_least - value
    above = float("-inf") if gate.at_most is None else value - gate.at_most
    return max(below, above)


def _absent(gate: Gate, collector: MetricCollector, found: Sequence[Measure]) -> str:
    if found:
        return "its value is unknown"
    slices = [measure.slice for measure in collector.measures if measure.metric == gate.metric]
    if slices:
        return f"the report has no slice '{gate.slice}'; {nearest(gate.slice, slices)}"
    reasons = (collector.skipped.get(key) for key in (f"{gate.metric}, {gate.slice}", gate.metric))
    return next((reason for reason in reasons if reason), "the report has no such figure")


def shown(metric: str, value: float) -> str:
    """Return a value with enough digits to compare it with a bound, shares in percent."""
    known = find(metric)
    if known and known.share:
        return f"{value * 100:.4g}%"
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.6g}"


def bounds(gate: Gate) -> str:
    """Return the bounds in words."""
    parts = []
    if gate.at_least is not None:
        parts.append(f"at least {shown(gate.metric, gate.at_least)}")
    if gate.at_most is not None:
        parts.append(f"at most {shown(gate.metric, gate.at_most)}")
    return " and ".join(parts)


def _sentence(judged: dict[str, Any]) -> str:
    metric = judged["metric"]
    known = find(metric)
    words = metric if known is None else known.words
    part = "" if judged["slice"] == WHOLE else f" ({judged['slice']})"
    if judged["undecided"]:
        state = f"{shown(metric, judged['value'])}, but not decided, because {judged['why']}"
    elif judged["passed"] is None:
        state = f"not measured ({judged['why']})"
    else:
        state = shown(metric, judged["value"])
        if metric == NOISE and judged["slice"] == LATENT and judged["passed"]:
            state += " if the readings err independently"
    text = f"{words[:1].upper()}{words[1:]}{part}: {state}; required: {judged['wanted']}"
    mild = judged["severity"] == "warn" and judged["passed"] is not True
    return f"{text} (warning only)." if mild else f"{text}."


def outcome(judged: Mapping[str, Any]) -> Literal["passed", "warned", "failed"]:
    """Return what a judged gate means for a run; a gate without a figure is not passed."""
    if judged["passed"] is True:
        return "passed"
    return "failed" if judged["severity"] == "error" else "warned"


def failed(judged: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return name -> sentence of the gates whose bounds are not met.

    A gate without a figure counts only if its severity is `error`.
    """
    return {
        gate["name"]: gate["text"]
        for gate in judged
        if gate["passed"] is False or outcome(gate) == "failed"
    }


def tally(judged: Sequence[Mapping[str, Any]]) -> str:
    """Return how many gates passed, warned and failed, in words."""
    if not judged:
        return "none set"
    counts = Counter(map(outcome, judged))
    return ", ".join(f"{counts[one]} {one}" for one in ("passed", "warned", "failed"))


def with_passed(table: pl.DataFrame, judged: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """Fill the column `passed`; a gate without a figure gets a row without a value."""
    state: dict[tuple[str, str], bool] = {}
    for gate in judged:
        for slice_, kept in gate["slices"].items():
            key = (gate["metric"], slice_)
            state[key] = state.get(key, True) and kept
    present = set(table.select("metric", "slice").iter_rows())
    absent = [Measure(m, None, 0, s).as_row() for m, s in state if (m, s) not in present]
    frame = pl.concat([table, pl.DataFrame(absent, schema=table.schema)])
    passed = [state.get(key) for key in frame.select("metric", "slice").iter_rows()]
    return frame.with_columns(passed=pl.Series(passed, dtype=pl.Boolean))
