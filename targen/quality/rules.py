"""When a metric becomes a finding, how severe it is, and what it says.

Severity follows from the harm that a fault does to a model trained on the rows: `bad` makes the set
unfit for release, `warn` needs attention, `note` is only information.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from targen.quality.collector import Measure, MetricCollector

LEVELS: Final = ("bad", "warn", "note", "good")
"""The most severe first."""


@dataclass(frozen=True)
class Rule:
    """The rule for one share of rows, of which lower is better.

    Attributes:
        metric: its name.
        note, warn, bad: shares from which the finding has this level; above `note`, if it is 0.
        says: the sentence; {share}, {count}, {rows} and {slice} are filled in, and the keys that
            `more` returns.
        least: rows that must be affected.
        beside_gold: the reference may have as much of it, because it belongs to the task. The
            finding is then left out, unless the set has `OVER` times as much.
        weight: harm in comparison with other findings of equal level.
        more: further words for the sentence, from the details of the report.
        doubtful: whether the finding is only a note, since other evidence is absent.
        contested: whether the finding is at most a warning, since other evidence contradicts it.
    """

    metric: str
    note: float
    warn: float
    bad: float
    says: str
    least: int = 1
    beside_gold: bool = False
    weight: float = 1.0
    more: Callable[[MetricCollector, Measure], Mapping[str, str]] | None = None
    doubtful: Callable[[MetricCollector, Measure], bool] | None = None
    contested: Callable[[MetricCollector, Measure], bool] | None = None


DANGLING: Final = 0.1
"""Share of texts without final punctuation that must end in the middle of a phrase; texts that are
cut at random do in about a third of the cases in English."""
PLANTED: Final = (0.5, 0.02)
"""Least share of one label's rows, and greatest share of the other rows, with a planted word."""
PHRASE: Final = 3
"""Planted words of one label and field that count as a phrase even where texts have a topic."""
CONFIRMED: Final = 0.8
"""Share of the suspect labels that the blind annotator gives as well, from which the classifier's
doubt is contested."""
TOPICAL: Final = 0.15
"""Share of rows that state their own label, up to which a single text may be about its label."""
OVER: Final = 2.0
"""Times the reference's share from which a share counts as more."""


def _kinds(metric: str, collector: MetricCollector) -> str:
    """Return the slices of a metric with their numbers of rows, the commonest first."""
    parts = [m for m in collector.measures if m.metric == metric and m.slice != "all" and m.value]
    parts.sort(key=lambda m: (-(m.value or 0), m.slice))
    return ", ".join(f"{m.slice} ({round((m.value or 0) * m.n):,})" for m in parts)


def _of_kinds(metric: str) -> Callable[[MetricCollector, Measure], Mapping[str, str]]:
    return lambda collector, _: {"kinds": _kinds(metric, collector)}


def _phrase(collector: MetricCollector, measure: Measure) -> Mapping[str, str]:
    return {"phrase": collector.details["uniformity"][measure.slice]["phrase"]}


def _template(collector: MetricCollector, measure: Measure) -> Mapping[str, str]:
    found = collector.details["uniformity"][measure.slice]["templates"]
    return {"template": found[0][0].replace("_", "…") if found else ""}


def _name(collector: MetricCollector, _: Measure) -> Mapping[str, str]:
    return {"name": collector.details["uniformity"].get("name", "")}


def _language(collector: MetricCollector, _: Measure) -> Mapping[str, str]:
    return {"language": collector.details["expected_language"]}


def is_planted(cue: Mapping[str, Any]) -> bool:
    """Return whether a word is in most rows of one label and in hardly any other row."""
    inside, outside = float(cue["inside"]), float(cue["outside"])
    return inside >= PLANTED[0] and outside <= PLANTED[1]


def planted_phrase(cues: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether one label has `PHRASE` planted words: a topic rarely has as many."""
    found = Counter((cue["label"], cue["field"]) for cue in cues if is_planted(cue))
    return max(found.values(), default=0) >= PHRASE


def _several(collector: MetricCollector) -> bool:
    """Return whether the rows have several text fields, by the shortcuts that were measured."""
    return any(m.metric == "shortcut" and m.slice.endswith(" only")
               and m.slice not in ("length only", "punctuation only")
               for m in collector.measures)  # fmt: skip


def _topical(collector: MetricCollector, measure: Measure) -> bool:
    """Return whether so few rows name their label that it may be what they are about.

    Texts on sports mention sports. A premise and a hypothesis do not mention entailment.
    """
    return not _several(collector) and (measure.value or 0.0) < TOPICAL


def _unreliable(collector: MetricCollector, measure: Measure) -> bool:
    """Return whether a review excludes this many wrong labels, or a word decides the predictions.

    In the second case the classifier doubts the rows without the word. A single field of text may
    rightly have such words.
    """
    several = _several(collector)
    planted = any(is_planted(cue) for cue in collector.details.get("cues", []))
    return _reviewed(collector, measure) or (several and planted)


def _confirmed(collector: MetricCollector, _: Measure) -> bool:
    """Return whether a reader who did not see the labels gives most of the suspect ones as well."""
    read = collector.details.get("suspects_read", {"rows": 0, "confirmed": 0})
    return bool(read["rows"]) and read["confirmed"] >= CONFIRMED * read["rows"]


def _reading(collector: MetricCollector, _: Measure) -> Mapping[str, str]:
    read = collector.details.get("suspects_read", {"rows": 0, "confirmed": 0})
    words = f" The blind annotator agrees with {read['confirmed']} of {read['rows']} of them."
    return {"reading": words if read["rows"] else ""}


def _reviewed(collector: MetricCollector, measure: Measure) -> bool:
    """Return whether a human review excludes this many wrong labels."""
    review = collector.get("label_noise", "reviewed")
    return review is not None and review.high is not None and review.high < (measure.value or 0.0)


def _complete(collector: MetricCollector, measure: Measure) -> bool:
    """Return whether hardly any of the unfinished texts ends in a word such as `the`."""
    return bool(collector.shared.get("dangling", {}).get(measure.slice, 1.0) < DANGLING)


RULES: Final = (
    Rule("label_suspects", 0.02, 0.04, 0.1,
         "About {share} of the labels are suspect, so wrong or hard: a classifier trained on the "
         "other rows contradicts them.{reading}", 3, True, 3.0, _reading, _unreliable, _confirmed),
    Rule("contradictory_duplicates", 0.0, 0.005, 0.02,
         "{share} of the rows ({count}) have a copy with a different label: at least one of the "
         "labels is wrong.", weight=2.5),
    Rule("label_in_text", 0.01, 0.01, 0.05,
         "About {share} of the rows state their own label in the text.", 5, True, 2.5,
         contested=_topical),
    Rule("refusals", 0.0, 0.005, 0.02,
         "{share} of the rows ({count}) are refusals of a model.", weight=2.0),
    Rule("empty_texts", 0.0, 0.005, 0.05, "{share} of the rows ({count}) have an empty {slice}.",
         weight=2.0, beside_gold=True),
    Rule("prompt_remains", 0.0, 0.005, 0.05,
         "{share} of the rows ({count}) have remains of a model's answer, such as “Sure! Here "
         "is…”, in the text.", weight=1.6),
    Rule("other_language", 0.01, 0.02, 0.1,
         "{share} of the rows ({count}) have text in another language than {language}.", 3, True,
         1.8, _language),
    Rule("loops", 0.0, 0.01, 0.05, "{share} of the rows ({count}) repeat the same words in a loop.",
         2, weight=1.6),
    Rule("truncated_texts", 0.04, 0.04, 0.2,
         "{share} of the texts in {slice} lack final punctuation, unlike the others: they may be "
         "truncated.", 3, True, 1.5, doubtful=_complete),
    Rule("personal_data", 0.0, 0.005, 0.1,
         "{share} of the rows ({count}) have personal data: {kinds}.", beside_gold=False,
         weight=1.8, more=_of_kinds("personal_data")),
    Rule("odd_texts", 0.0, 0.015, 0.15,
         "{share} of the rows ({count}) have odd text: {kinds}.", 2, True,
         1.2, _of_kinds("odd_texts")),
    Rule("template_share", 0.12, 0.2, 0.5,
         "{share} of the texts in {slice} follow ten templates, such as “{template}”.", 10, True,
         1.7, _template),
    Rule("repeated_phrase", 0.12, 0.2, 0.5,
         "{share} of the texts in {slice} have the same phrase, “{phrase}”.", 10, True, 1.4,
         _phrase),
    Rule("repeated_name", 0.12, 0.25, 0.5, "{share} of the rows have the same name, {name}.", 10,
         True, 1.4, _name),
    Rule("repeated_field", 0.05, 0.1, 0.3,
         "{share} of the rows ({count}) have an identical {slice}.", 5, True, 1.5),
    Rule("exact_duplicates", 0.0, 0.01, 0.05,
         "{share} of the rows ({count}) repeat an earlier row exactly."),
    Rule("contamination", 0.0, 0.02, 0.1,
         "{share} of the rows ({count}) copy text of the reference data: results on it would be "
         "too good.", weight=2.2),
)  # fmt: skip
"""The findings from shares of rows."""


def percent(value: float | None) -> str:
    """Return a share in percent with at most one decimal; two below 0.1%."""
    if value is None:
        return "unknown"
    if 0 < abs(value) < 0.0005:
        return f"{value * 100:.2g}%"
    text = f"{value * 100:.1f}"
    return (text[:-2] if text.endswith(".0") else text) + "%"


def level_of(rule: Rule, measure: Measure) -> str | None:
    """Return the level of one figure under its rule; None if it is no finding."""
    value = measure.value or 0.0
    if not value or round(value * measure.n) < rule.least or value < rule.note:
        return None
    if rule.beside_gold and measure.reference is not None and value < OVER * measure.reference:
        return None
    return "bad" if value >= rule.bad else "warn" if value >= rule.warn else "note"


def sentence(rule: Rule, measure: Measure, collector: MetricCollector) -> str:
    """Return the sentence of a finding."""
    value = measure.value or 0.0
    words: dict[str, Any] = {
        "share": percent(value),
        "count": f"{round(value * measure.n):,}",
        "rows": f"{measure.n:,}",
        "slice": measure.slice,
    }
    return rule.says.format(**words, **(rule.more(collector, measure) if rule.more else {}))


def from_shares(collector: MetricCollector) -> list[tuple[str, str, str, float]]:
    """Return level, sentence, metric and harm of each share that is a finding.

    Of several slices, the figure for all rows counts, or else the largest.
    """
    found = []
    for rule in RULES:
        parts = [m for m in collector.measures if m.metric == rule.metric and m.value is not None]
        whole = [m for m in parts if m.slice == "all"]
        judged = [(level_of(rule, m), m) for m in whole or parts]
        known = [(level, m) for level, m in judged if level is not None]
        if known:
            level, worst = max(known, key=lambda one: one[1].value or 0)
            assert level is not None
            if rule.doubtful is not None and rule.doubtful(collector, worst):
                level = "note"
            elif level == "bad" and rule.contested is not None:
                level = "warn" if rule.contested(collector, worst) else level
            harm = rule.weight * (worst.value or 0)
            found.append((level, sentence(rule, worst, collector), rule.metric, harm))
    return found


def worst_of(levels: Sequence[str]) -> str | None:
    """Return the most severe of some levels; None without any."""
    return min(levels, key=LEVELS.index, default=None)
