"""The findings at the top of the page, derived from the metrics by fixed rules."""

from collections.abc import Sequence
from typing import Any

from targen.quality.collector import MetricCollector
from targen.quality.inputs import ReportInputs
from targen.quality.metrics import METRICS

Finding = tuple[str, str, str]
"""Level, sentence, and the metric that it is based on."""

MOSTLY = 0.5
"""Share of copied rows above which the set and its reference are effectively the same."""


def _notable(metric: str) -> float:
    return METRICS[metric].notable or 0.0


def plural(number: int, word: str) -> str:
    """Return the number with its noun."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def percent(value: float | None) -> str:
    """Return a share in percent with at most one decimal."""
    if value is None:
        return "unknown"
    text = f"{value * 100:.1f}"
    return (text[:-2] if text.endswith(".0") else text) + "%"


def findings(inputs: ReportInputs, collector: MetricCollector) -> list[dict[str, str]]:
    """Return findings, the most urgent first.

    Each has a sentence, a level (good, note or warn) and in `at` the section of its metric.
    """
    found: list[Finding] = []
    rows, asked = inputs.rows.height, inputs.rows_asked
    if asked is not None and rows < asked:
        missing = f"{asked - rows:,} of the {asked:,} requested rows are missing."
        found.append(("warn", missing, "rows"))
    elif asked is not None:
        found.append(("good", f"Complete: {rows:,} of {asked:,} rows.", "rows"))
    found += _labels(collector)
    p = collector.get("position_p")
    if p is not None and p.value is not None:
        if p.value < _notable("position_p"):
            level, how = "warn", f"unevenly distributed over the options (p = {p.value:.2g})"
        else:
            level, how = "good", "evenly distributed over the options"
        found.append((level, f"The position of the correct answer is {how}.", "position_p"))
    final = collector.get("flip_rate", "intended to final")
    if final is not None and final.value:
        n = round(final.value * final.n)
        text = f"{percent(final.value)} of the rows ({n:,}) have a different label than intended."
        found.append(("note", text, "flip_rate"))
    found += _noise(collector)
    found += _duplicates(collector)
    found += _cues(collector)
    totals = collector.details.get("totals", {})
    if totals.get("unpriced_calls") and not inputs.simulated:
        unpriced = plural(totals["unpriced_calls"], "call")
        found.append(("note", f"The price of {unpriced} is unknown.", "cost_usd"))
    order = ("warn", "note", "good")
    found.sort(key=lambda item: order.index(item[0]))
    return [
        {"level": level, "text": text, "at": METRICS[metric].section}
        for level, text, metric in found
    ]


def _labels(collector: MetricCollector) -> list[Finding]:
    labels = collector.details.get("labels")
    if labels is None or len(labels["names"]) < 2 or not sum(labels["counts"]):
        return []
    counts = dict(zip(labels["names"], labels["counts"], strict=True))
    least, most = min(counts, key=lambda x: counts[x]), max(counts, key=lambda x: counts[x])
    if counts[most] - counts[least] <= 1:
        return [("good", "The labels are balanced to within one row.", "label_share")]
    total = sum(counts.values())
    text = (
        f"The labels are uneven: {most} has {percent(counts[most] / total)}, "
        f"{least} {percent(counts[least] / total)}."
    )
    if counts[least] * 10 >= counts[most] * 9:
        return [("good", text.replace("uneven", "nearly even"), "label_share")]
    return [("note" if counts[least] * 2 >= counts[most] else "warn", text, "label_share")]


def _duplicates(collector: MetricCollector) -> list[Finding]:
    exact, near = collector.get("exact_duplicates"), collector.get("near_duplicates")
    if exact is None or near is None or exact.value is None or near.value is None:
        return []
    found: list[Finding] = []
    if exact.value:
        count = round(exact.value * exact.n)
        verb = "repeats" if count == 1 else "repeat"
        text = f"{plural(count, 'row')} {verb} an earlier row exactly."
        found.append(("warn", text, "exact_duplicates"))
    if near.value:
        level = "warn" if near.value > _notable("near_duplicates") else "note"
        text = f"{percent(near.value)} of the rows are near duplicates of an earlier row."
        found.append((level, text, "near_duplicates"))
    return found or [("good", "No exact or near duplicates.", "exact_duplicates")]


def _noise(collector: MetricCollector) -> list[Finding]:
    for slice_, source in (("reviewed", "human review"), ("latent classes", "three readings")):
        noise = collector.get("label_noise", slice_)
        if noise is not None and noise.value is not None:
            level = "note" if noise.value <= _notable("label_noise") else "warn"
            text = (
                f"An estimated {percent(noise.value)} of the labels are wrong "
                f"({percent(noise.low)} to {percent(noise.high)}, from {source})."
            )
            return [(level, text, "label_noise")]
    return []


def _cues(collector: MetricCollector) -> list[Finding]:
    found: list[Finding] = []
    least = _notable("shortcut")
    parts = [m for m in collector.measures if m.metric == "shortcut" and (m.low or 0) > least]
    if parts:
        top = max(parts, key=lambda m: m.value or 0)
        text = f"The label is predictable from {top.slice}, {(top.value or 0) * 100:.0f} points"
        text += " better than guessing"
        # One field may legitimately determine the label (a ticket's body); length never does.
        if top.slice == "length only":
            found.append(("warn", f"{text}.", "shortcut"))
        else:
            text += ": a shortcut, unless that part determines the label."
            found.append(("note", text, "shortcut"))
    gap = _notable("word_log_odds")
    cues = [c for c in collector.details.get("cues", []) if c["inside"] - c["outside"] >= gap]
    if cues:
        cue = max(cues, key=lambda cue: (cue["inside"] - cue["outside"], cue["z"]))
        text = (
            f"The word “{cue['word']}” in {cue['field']} is associated with {cue['label']}: "
            f"it is in {percent(cue['inside'])} of its rows and "
            f"{percent(cue['outside'])} of the others."
        )
        found.append(("note", text, "word_log_odds"))
    copied = collector.get("contamination")
    if copied is not None and copied.value:
        text = f"{percent(copied.value)} of the rows copy text of the reference data"
        # The two are then effectively one set.
        text += ", so comparisons with it mean little." if copied.value > MOSTLY else "."
        found.append(("warn", text, "contamination"))
    return found


def headline(judged: Sequence[dict[str, Any]], found: Sequence[dict[str, str]]) -> dict[str, str]:
    """Return the headline and its level (good, note, bad).

    Failed gates come first, then the number of warnings or notes. It never calls the rows good:
    only their use can show that.
    """
    missed = [gate for gate in judged if gate["passed"] is not True]
    if missed:
        blocks = any(gate["severity"] == "error" for gate in missed)
        text = f"{len(missed)} of {plural(len(judged), 'gate')} not passed"
        unknown = sum(gate["passed"] is None for gate in missed)
        if unknown:
            text += f", {unknown} of them not measured"
        ends = "not fit for release" if blocks else "warning only"
        return {"level": "bad" if blocks else "note", "text": f"{text}: {ends}."}
    warnings = sum(item["level"] == "warn" for item in found)
    passed = "The gate passed." if len(judged) == 1 else f"All {len(judged)} gates passed."
    if warnings:
        rest = "1 warning." if warnings == 1 else f"{warnings} warnings."
        return {"level": "note", "text": f"{passed} {rest}" if judged else rest}
    notes = sum(item["level"] == "note" for item in found)
    rest = "No warnings." if not notes else f"No warnings, {plural(notes, 'note')}."
    return {"level": "good", "text": passed if judged else rest}
