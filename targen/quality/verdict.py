"""The findings at the top of the page, derived from the metrics by fixed rules."""

from collections.abc import Sequence
from typing import Any

from targen.quality import judgment, rules
from targen.quality.actions import action
from targen.quality.collector import Measure, MetricCollector
from targen.quality.inputs import ReportInputs
from targen.quality.judgment import Found
from targen.quality.metrics import METRICS, find
from targen.quality.rules import percent
from targen.wording import plural

__all__ = ["findings", "headline", "percent"]

UNMEASURED = "unmeasured"
ORDER = ("bad", "warn", UNMEASURED, "note", "good")


def findings(
    inputs: ReportInputs, collector: MetricCollector, judged: Sequence[dict[str, Any]] = ()
) -> list[dict[str, Any]]:
    """Return findings, the most harmful first.

    Each has a sentence (`text`), a `level` (bad, warn, note or good), its `metric`, in `at` the
    section of the metric, in `action` what to do about it, and `unmeasured`, true if it says that
    something was not measured.
    """
    found: list[Found] = [
        *_rows(inputs, collector),
        *rules.from_shares(collector),
        *judgment.label_quality(inputs, collector),
        *judgment.balance(collector),
        *judgment.spellings(collector),
        *judgment.duplicates(collector),
        *judgment.shortcuts(inputs, collector),
        *judgment.diversity(collector),
        *judgment.utility(inputs, collector),
        *_positions(collector),
        *_changes(collector),
    ]
    passed = gates_passed(judged)
    if passed:
        found.append(("good", passed, "rows", 0.0))
    found.sort(key=lambda item: (ORDER.index(item[0]), -item[3]))
    return [
        {
            "level": "note" if level == UNMEASURED else level,
            "text": text,
            "metric": metric,
            "at": getattr(find(metric), "section", "other"),
            "action": action(metric, level, inputs.own_texts),
            UNMEASURED: level == UNMEASURED,
        }
        for level, text, metric, _ in found
    ]


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add the number of failures, so that a gate can block releases with any."""
    levels = [item["level"] for item in findings(inputs, collector)]
    collector.add(Measure("failures", levels.count("bad"), inputs.rows.height))


def _rows(inputs: ReportInputs, collector: MetricCollector) -> list[Found]:
    rows, asked = inputs.rows.height, inputs.rows_asked
    found: list[Found] = []
    if asked is not None and rows < asked:
        missing = f"{asked - rows:,} of the {asked:,} requested rows are missing."
        found.append(("warn", missing, "rows", 0.5 * (1 - rows / asked)))
    elif asked is not None:
        found.append(("good", f"Complete: {rows:,} of {asked:,} rows.", "rows", 0.0))
    totals = collector.details.get("totals", {})
    if totals.get("unpriced_calls") and not inputs.simulated:
        unpriced = plural(totals["unpriced_calls"], "call")
        found.append(("note", f"The price of {unpriced} is unknown.", "cost_usd", 0.0))
    return found


def _positions(collector: MetricCollector) -> list[Found]:
    p = collector.get("position_p")
    if p is None or p.value is None:
        return []
    text = "The position of the correct answer is "
    if p.value >= (METRICS["position_p"].notable or 0.0):
        return [("good", f"{text}evenly distributed over the options.", "position_p", 0.0)]
    text += f"unevenly distributed over the options (p = {p.value:.2g})."
    return [("warn", text, "position_p", 0.1)]


def _changes(collector: MetricCollector) -> list[Found]:
    final = collector.get("flip_rate", "intended to final")
    if final is None or not final.value:
        return []
    n = round(final.value * final.n)
    text = f"{percent(final.value)} of the rows ({n:,}) have a different label than intended."
    return [("note", text, "flip_rate", 0.0)]


def headline(judged: Sequence[dict[str, Any]], found: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return the headline (`text`), a `short` one that counts the findings, and the `level`.

    The level is good, note or bad. `text` quotes the worst finding; `short` goes above a list.
    Failed gates come first, then the worst finding. It is good only if label quality and training
    value were measured and nothing serious was found. It never calls the rows good: only their use
    can show that.
    """
    missed = [gate for gate in judged if gate["passed"] is not True]
    blocks = any(gate["severity"] == "error" for gate in missed)
    worst = rules.worst_of([item["level"] for item in found])
    first = next((item["text"] for item in found if item["level"] == worst), "")
    if missed and (blocks or worst != "bad"):
        text = f"{len(missed)} of {plural(len(judged), 'gate')} not passed"
        undecided = sum(bool(gate.get("undecided")) for gate in missed)
        unknown = sum(gate["passed"] is None for gate in missed) - undecided
        states = [f"{unknown} of them not measured"] * bool(unknown)
        states += [f"{undecided} of them not decided"] * bool(undecided)
        text = ", ".join([text, *states])
        ends = "not fit for release" if blocks else "warning only"
        return _headline("bad" if blocks else "note", f"{text}: {ends}.")
    levels = [item["level"] for item in found]
    warnings = plural(levels.count("warn"), "warning")
    if worst == "bad":
        short = f"Not fit for release: {plural(levels.count('bad'), 'failure')}"
        short += f", {warnings}." if "warn" in levels else "."
        return _headline("bad", f"Not fit for release. {first}", short)
    if worst == "warn":
        short = f"Check before release: {warnings}."
        return _headline("note", f"Check before release. {first}", short)
    unmeasured = [item for item in found if item.get(UNMEASURED)]
    if unmeasured:
        names = " and ".join(dict.fromkeys(_subject(item["metric"]) for item in unmeasured))
        verb = "were" if " and " in names else "was"
        return _headline("note", f"No verdict: {names} {verb} not measured.")
    notes = sum(item["level"] == "note" for item in found)
    rest = "No warnings." if not notes else f"No warnings, {plural(notes, 'note')}."
    return _headline("good", gates_passed(judged) if judged and not notes else rest)


def _headline(level: str, text: str, short: str = "") -> dict[str, str]:
    return {"level": level, "text": text, "short": short or text}


def _subject(metric: str) -> str:
    return "training value" if metric == "utility" else "label quality"


def gates_passed(judged: Sequence[dict[str, Any]]) -> str:
    """Return that all gates passed; empty if there are none or one did not pass."""
    if not judged or any(gate["passed"] is not True for gate in judged):
        return ""
    return "The gate passed." if len(judged) == 1 else f"All {len(judged)} gates passed."
