"""What a reader should take away, in words."""

from collections.abc import Sequence
from typing import Any

from targen.quality.collector import MetricCollector
from targen.quality.inputs import ReportInputs
from targen.quality.metrics import section

Finding = tuple[str, str, str]
"""Level, sentence, and the metric that it is drawn from."""

NEAR_DUPLICATES = 0.05
SKEWED = 0.01
MOSTLY = 0.5
"""Share of copied rows above which the set and its reference are the same set for all purposes."""
NOISY = 0.05
TELLING = 0.05
"""Lower end of the accuracy gained from part of the input from which it is worth a warning."""
STRONG = 0.25
"""Difference between the shares of rows that hold a word from which it is worth a sentence."""


def plural(number: int, word: str) -> str:
    """Return the number with its noun."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def percent(value: float | None) -> str:
    """Return a share in percent, one decimal where it is not round."""
    if value is None:
        return "unknown"
    text = f"{value * 100:.1f}"
    return (text[:-2] if text.endswith(".0") else text) + "%"


def findings(inputs: ReportInputs, sheet: MetricCollector) -> list[dict[str, str]]:
    """Return sentences, what to act on first.

    Each has a level, good, note (read it) or warn (act on it), and in `at` the id of the section
    of the page that it is drawn from.
    """
    found: list[Finding] = []
    rows, asked = inputs.rows.height, inputs.rows_asked
    if asked is not None and rows < asked:
        missing = f"{asked - rows:,} of the {asked:,} rows asked for are missing."
        found.append(("warn", missing, "rows"))
    elif asked is not None:
        found.append(("good", f"Complete: {rows:,} of {asked:,} rows.", "rows"))
    found += _labels(sheet)
    p = sheet.get("position_p")
    if p is not None and p.value is not None:
        skewed = p.value < SKEWED
        words = f"stands unevenly over the options (p = {p.value:.2g})" if skewed else (
            "is spread evenly over the options"
        )  # fmt: skip
        found.append(("warn" if skewed else "good", f"The right answer {words}.", "position_p"))
    final = sheet.get("flip_rate", "intended to final")
    if final is not None and final.value:
        n = round(final.value * final.n)
        text = f"{percent(final.value)} of the rows ({n:,}) carry another label than was intended."
        found.append(("note", text, "flip_rate"))
    found += _noise(sheet)
    found += _duplicates(sheet)
    found += _cues(sheet)
    totals = sheet.details.get("totals", {})
    if totals.get("unpriced_calls") and not inputs.simulated:
        unpriced = plural(totals["unpriced_calls"], "call")
        found.append(("note", f"The price of {unpriced} is unknown.", "cost_usd"))
    order = ("warn", "note", "good")
    found.sort(key=lambda item: order.index(item[0]))
    return [{"level": level, "text": text, "at": section(metric)} for level, text, metric in found]


def _labels(sheet: MetricCollector) -> list[Finding]:
    """Say how even the labels are."""
    labels = sheet.details.get("labels")
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


def _duplicates(sheet: MetricCollector) -> list[Finding]:
    """Say how many rows repeat others."""
    exact, near = sheet.get("exact_duplicates"), sheet.get("near_duplicates")
    if exact is None or near is None or exact.value is None or near.value is None:
        return []
    found: list[Finding] = []
    if exact.value:
        count = round(exact.value * exact.n)
        verb = "repeats" if count == 1 else "repeat"
        text = f"{plural(count, 'row')} {verb} an earlier one exactly."
        found.append(("warn", text, "exact_duplicates"))
    if near.value:
        level = "warn" if near.value > NEAR_DUPLICATES else "note"
        text = f"{percent(near.value)} of the rows are nearly the same as an earlier one."
        found.append((level, text, "near_duplicates"))
    return found or [("good", "No row repeats another, exactly or nearly.", "exact_duplicates")]


def _noise(sheet: MetricCollector) -> list[Finding]:
    """Say how many labels are thought to be wrong."""
    for slice_, source in (("reviewed", "people’s review"), ("latent classes", "three readings")):
        noise = sheet.get("label_noise", slice_)
        if noise is not None and noise.value is not None:
            text = (
                f"About {percent(noise.value)} of the labels are still wrong "
                f"({percent(noise.low)} to {percent(noise.high)}, by {source})."
            )
            return [("note" if noise.value <= NOISY else "warn", text, "label_noise")]
    return []


def _cues(sheet: MetricCollector) -> list[Finding]:
    """Name the strongest shortcut, the copied rows and what they mean."""
    found: list[Finding] = []
    parts = [m for m in sheet.measures if m.metric == "shortcut" and (m.low or 0) > TELLING]
    if parts:
        top = max(parts, key=lambda m: m.value or 0)
        gain = f"{(top.value or 0) * 100:.0f} points better than guessing"
        text = f"The label can be told from {top.slice}, {gain}"
        # From one field it may rightly be told (a ticket's body); from the length never.
        if top.slice == "length only":
            found.append(("warn", f"{text}.", "shortcut"))
        else:
            found.append(("note", f"{text}: a shortcut, unless that part settles it.", "shortcut"))
    cues = [
        cue for cue in sheet.details.get("cues", []) if cue["inside"] - cue["outside"] >= STRONG
    ]
    if cues:
        cue = max(cues, key=lambda cue: (cue["inside"] - cue["outside"], cue["z"]))
        found.append(
            (
                "note",
                f"The word “{cue['word']}” in {cue['field']} goes with {cue['label']}: it stands "
                f"in {percent(cue['inside'])} of its rows and {percent(cue['outside'])} of the "
                "others.",
                "word_log_odds",
            )
        )
    copied = sheet.get("contamination")
    if copied is not None and copied.value:
        text = f"{percent(copied.value)} of the rows repeat text of the reference data"
        # Then the two are one set, and every difference between them says nothing.
        text += ": what is measured against it says little." if copied.value > MOSTLY else "."
        found.append(("warn", text, "contamination"))
    return found


def headline(judged: Sequence[dict[str, Any]], found: Sequence[dict[str, str]]) -> dict[str, str]:
    """Return the one line above everything, with its level (good, note, bad).

    Gates that fail come first; of what passes, or where nobody set a gate, it says how much is
    left to act on or to know. It never calls rows good: that is for their use to show.
    """
    missed = [gate for gate in judged if gate["passed"] is not True]
    if missed:
        blocks = any(gate["severity"] == "error" for gate in missed)
        text = f"{len(missed)} of {plural(len(judged), 'gate')} not passed"
        unknown = sum(gate["passed"] is None for gate in missed)
        if unknown:
            text += f", {unknown} of them not measured"
        ends = "not fit for release" if blocks else "a warning only"
        return {"level": "bad" if blocks else "note", "text": f"{text}: {ends}."}
    warnings = sum(item["level"] == "warn" for item in found)
    passed = "The gate passed." if len(judged) == 1 else f"All {len(judged)} gates passed."
    if warnings:
        rest = "One thing to act on." if warnings == 1 else f"{warnings} things to act on."
        return {"level": "note", "text": f"{passed} {rest}" if judged else rest}
    notes = sum(item["level"] == "note" for item in found)
    rest = "No warning." if not notes else f"No warning, {plural(notes, 'note')}."
    return {"level": "good", "text": passed if judged else rest}
