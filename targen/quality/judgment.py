"""Findings that depend on several figures: labels, duplicates, shortcuts, diversity and utility."""

from typing import Final

from targen.quality import rules
from targen.quality.collector import Measure, MetricCollector
from targen.quality.inputs import ReportInputs
from targen.quality.noise import LATENT, REVIEWED
from targen.quality.rules import percent
from targen.quality.shortcuts import FORM, LENGTH

Found = tuple[str, str, str, float]
"""Level, sentence, metric that it is based on, and harm."""

NEAR: Final = (0.0, 0.05, 0.2)
"""Shares of near duplicates from which there is a note, a warning, and a failure."""
GAIN: Final = (0.05, 0.15)
"""Accuracy gains of a part of the input from which there is a warning, and a failure."""
FORMAL_GAIN: Final = (0.05, 0.25)
"""The same for length and punctuation where there is one text field: kinds of text can differ in
both."""
CUE: Final = 0.2
"""Difference between the shares of rows with a word from which it is mentioned."""
CUES: Final = 2
"""Words mentioned."""
BLEU: Final = (0.5, 0.65)
"""Self-BLEU of 500 rows from which there is a warning, and a failure, whatever the reference."""
OVER_BLEU: Final = (0.15, 0.3)
"""The same above the reference's, at equal numbers of rows."""
SMALL: Final = 0.12
"""Share of the rarest label, relative to an even share, below which it is hardly learned."""
USEFUL: Final = 0.25
"""Share of the gain of gold rows over guessing below which a set counts as useless."""
LESS: Final = 0.75
"""The same from which a set counts as nearly as useful as gold rows."""


def balance(collector: MetricCollector) -> list[Found]:
    """Return whether the labels are even."""
    labels = collector.details.get("labels")
    if labels is None or len(labels["names"]) < 2 or not sum(labels["counts"]):
        return []
    counts = dict(zip(labels["names"], labels["counts"], strict=True))
    least, most = min(counts, key=lambda x: counts[x]), max(counts, key=lambda x: counts[x])
    if counts[most] - counts[least] <= 1:
        return [("good", "The labels are balanced to within one row.", "label_share", 0.0)]
    total = sum(counts.values())
    low, high = counts[least] / total, counts[most] / total
    text = f"The labels are uneven: {most} has {percent(high)}, {least} {percent(low)}."
    if counts[least] * 10 >= counts[most] * 9:
        return [("good", text.replace("uneven", "nearly even"), "label_share", 0.0)]
    theirs = labels.get("reference")
    alike = theirs and abs(theirs[labels["names"].index(most)] / max(sum(theirs), 1) - high) < 0.05
    if low * len(counts) < SMALL:
        level = "warn" if alike else "bad"
    elif counts[least] * 2 >= counts[most]:
        level = "note"
    else:
        level = "note" if alike else "warn"
    return [(level, text, "label_share", high - 1 / len(counts))]


def spellings(collector: MetricCollector) -> list[Found]:
    """Return the labels that differ only in case or spaces; they are counted as different ones."""
    labels = collector.details.get("labels")
    if labels is None:
        return []
    counts = dict(zip(labels["names"], labels["counts"], strict=True))
    alike: dict[str, list[str]] = {}
    for name in counts:
        alike.setdefault(" ".join(name.casefold().split()), []).append(name)
    groups = [names for names in alike.values() if len(names) > 1]
    if not groups:
        return []
    said = "; ".join(" and ".join(f"“{n}” ({counts[n]:,})" for n in names) for names in groups)
    text = f"Labels that differ only in case or spaces count as different ones: {said}."
    lesser = sum(sum(counts[n] for n in g) - max(counts[n] for n in g) for g in groups)
    return [("warn", text, "label_entropy", 3 * lesser / max(sum(counts.values()), 1))]


def duplicates(collector: MetricCollector) -> list[Found]:
    """Return the share of near duplicates: by characters, or by words in order if that is more."""
    near, copies = collector.get("near_duplicates"), collector.get("edited_copies")
    found = [m for m in (near, copies) if m is not None and m.value]
    if not found:
        exact = collector.get("exact_duplicates")
        if exact is not None and exact.value == 0:
            return [("good", "No exact or near duplicates.", "exact_duplicates", 0.0)]
        return []
    top = max(found, key=lambda m: m.value or 0)
    value = top.value or 0.0
    if _as_in_reference(collector):
        return []
    level = "bad" if value >= NEAR[2] else "warn" if value >= NEAR[1] else "note"
    alike = "are near duplicates of an earlier row"
    if top.metric == "edited_copies":
        alike = "nearly duplicate an earlier row, with a few words changed"
    text = f"{percent(value)} of the rows {alike}."
    return [(level, text, top.metric, value)]


def _as_in_reference(collector: MetricCollector) -> bool:
    """Return whether gold rows repeat each other at least half as often, at equal numbers."""
    equal = [
        m
        for m in collector.measures
        if (m.metric == "repeats" or m.slice.startswith("repeats,")) and m.reference is not None
    ]
    largest = max(equal, key=lambda m: m.n, default=None)
    if largest is None or largest.value is None or largest.reference is None:
        return False
    return 0 < largest.value < 2 * largest.reference


def shortcuts(inputs: ReportInputs, collector: MetricCollector) -> list[Found]:
    """Return the part of the input that predicts the label best, and words that do."""
    found: list[Found] = []
    several = len(inputs.text_fields) > 1
    for measure in collector.measures:
        if measure.metric != "shortcut" or (measure.low or 0) <= 0 or not measure.value:
            continue
        formal = measure.slice in (LENGTH, FORM)
        warn, bad = FORMAL_GAIN if formal and not several else GAIN
        points = f"{measure.value * 100:.0f} points"
        gold = measure.reference
        # The gain grows with the number of rows, and gold data are often few.
        if gold is not None and (measure.value - gold < warn or gold >= measure.value / 2):
            continue
        if measure.value < warn:
            continue
        beside = "" if gold is None else f" ({round(gold * 100)} points in the reference)"
        text = (
            f"The label is predictable from {measure.slice}, {points} better than guessing{beside}."
        )
        # One kind of text may legitimately be longer; only gold rows can tell.
        excused = formal and not several and gold is None
        level = "bad" if measure.value >= bad and not excused else "warn"
        found.append((level, text, "shortcut", 1.5 * measure.value))
    found.sort(key=lambda item: -item[3])
    # Fields share their causes, and so do length and punctuation: the best of each is enough.
    formal_parts = [
        item for item in found if f"from {LENGTH}" in item[1] or f"from {FORM}" in item[1]
    ]
    fields = [item for item in found if item not in formal_parts]
    return fields[:1] + formal_parts[:1] + cues(inputs, collector, several)


def cues(inputs: ReportInputs, collector: MetricCollector, several: bool) -> list[Found]:
    """Return the words that occur with one label much more often than with the others."""
    rows = inputs.rows.height
    strong = [c for c in collector.details.get("cues", []) if c["inside"] - c["outside"] >= CUE]
    strong.sort(key=lambda cue: (cue["outside"] - cue["inside"], -cue["z"], cue["word"]))
    if not strong:
        return []
    named, most = [], 0.0
    for cue in strong[:CUES]:
        named.append(
            f"“{cue['word']}” in {cue['field']} ({percent(cue['inside'])} with {cue['label']}, "
            f"otherwise {percent(cue['outside'])})"
        )
        most = max(most, cue["rows"] / max(rows, 1))
    text = "Words that come with one label: " + ", ".join(named) + "."
    if len(strong) > CUES:
        text = f"{text[:-1]}, and {len(strong) - CUES} more."
    gap = strong[0]["inside"] - strong[0]["outside"]
    level = "warn" if (several and gap >= 0.25) or rules.planted_phrase(strong) else "note"
    if several and any(rules.is_planted(cue) for cue in strong):
        level = "bad"
    return [(level, text, "word_log_odds", gap / 2)]


def diversity(collector: MetricCollector) -> list[Found]:
    """Return whether the wording is less varied than the reference's, or than any free text's."""
    own = next((m for m in collector.measures if m.metric == "self_bleu"), None)
    if own is None or own.value is None:
        return []
    equal = next(
        (
            m
            for m in collector.measures
            if m.metric == "at_reference_size" and m.slice.startswith("self_bleu")
        ),
        None,
    )
    text = f"The rows are worded alike: self-BLEU {own.value:.2f}"
    level = "bad" if own.value >= BLEU[1] else "warn" if own.value >= BLEU[0] else None
    if equal is not None and equal.value is not None and equal.reference is not None:
        more = equal.value - equal.reference
        text = (
            f"The rows are worded alike: self-BLEU {equal.value:.2f}, in the reference "
            f"{equal.reference:.2f}, at {equal.n:,} rows"
        )
        level = "bad" if more >= OVER_BLEU[1] else "warn" if more >= OVER_BLEU[0] else None
    if level is None:
        return []
    return [(level, f"{text} (1 is a copy).", "self_bleu", own.value / 2)]


def utility(inputs: ReportInputs, collector: MetricCollector) -> list[Found]:
    """Return what a classifier learns from the set, compared with gold rows and with chance."""
    own, gold = collector.get("utility", "set to gold"), collector.get("utility", "gold to gold")
    chance = next(
        (
            m
            for m in collector.measures
            if m.metric == "utility" and m.slice in ("commonest label", "an option at random")
        ),
        None,
    )
    if own is None or gold is None or chance is None:
        reason = collector.skipped.get("utility", "it needs reference data")
        text = (
            f"Training value was not measured: {reason}. Give labeled gold rows with --reference "
            "or in the task."
        )
        return [("unmeasured", text, "utility", 0.0)]
    assert own.value is not None and gold.value is not None and chance.value is not None
    figures = (
        f"trained on this set {percent(own.value)}, on as many gold rows {percent(gold.value)}, "
        f"guessing {percent(chance.value)}"
    )
    if (gold.low or 0.0) <= chance.value:
        text = (
            f"This classifier cannot judge the task: it guesses even when trained on gold rows "
            f"({figures}). Measure the training value with a larger model: targen train."
        )
        return [("unmeasured", text, "utility", 0.0)]
    gain, most = own.value - chance.value, gold.value - chance.value
    minus = collector.get("utility_gap")
    sure = minus is None or minus.high is None or minus.high < 0
    if gain < USEFUL * most and sure:
        text = (
            "A classifier learns no more from this set than guessing: accuracy on gold rows, "
            f"{figures}."
        )
        return [("bad", text, "utility", 3.0)]
    if gain < LESS * most and sure:
        text = f"The set teaches less than gold rows do: accuracy on gold rows, {figures}."
        return [("warn", text, "utility", 1.0)]
    return [("good", f"Accuracy on gold rows: {figures}.", "utility", 0.0)]


def label_quality(inputs: ReportInputs, collector: MetricCollector) -> list[Found]:
    """Return the estimated share of wrong labels, or that nothing estimates it."""
    review = collector.get("label_noise", REVIEWED)
    if review is not None and review.value is not None:
        return [_reviewed(review)]
    noise = collector.get("label_noise", LATENT)
    if noise is not None and noise.value is not None:
        return [_bounded(noise, collector)]
    if inputs.answer_kind == "none" or collector.get("label_suspects") is not None:
        return []
    reason = collector.skipped.get("label_suspects") or collector.skipped.get("label_noise", "")
    text = (
        f"Label quality was not measured: {reason}. Have people review a sample of the rows, or "
        "let another model read them and put its label into the column annotated_label."
    )
    return [("unmeasured", text, "label_noise", 0.0)]


def _reviewed(noise: Measure) -> Found:
    value = noise.value or 0.0
    text = (
        f"An estimated {percent(value)} of the labels are wrong "
        f"({percent(noise.low)} to {percent(noise.high)}, from {noise.n:,} rows that people "
        "reviewed)."
    )
    return (_level(value), text, "label_noise", 3.0 * value)


def _bounded(noise: Measure, collector: MetricCollector) -> Found:
    """Return the range that three readings leave.

    It counts as unmeasured if the readers may be one model and no classifier checked the labels.
    """
    value = noise.value or 0.0
    text = (
        f"{percent(noise.low)} to {percent(noise.high)} of the labels are wrong: about "
        f"{percent(value)} if the three readings err independently, up to {percent(noise.high)} "
        "if they share errors."
    )
    level = _level(value)
    different = collector.details.get("noise", {}).get("different_readers")
    if level == "note" and not different and collector.get("label_suspects") is None:
        text += " A human review narrows this down: targen review export."
        level = "unmeasured"
    return (level, text, "label_noise", 3.0 * value)


def _level(noise: float) -> str:
    return "bad" if noise >= 0.1 else "warn" if noise > 0.05 else "note"
