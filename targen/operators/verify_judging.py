"""Checks rows of labels and of the corrected set against the readers' answers.

A problem is a phrase whose subject is the row's column.
"""

import json
from collections.abc import Mapping
from datetime import date
from typing import Any, NamedTuple

from targen.lineage.audit import REVIEWS_AS_MADE
from targen.lineage.completions import StoredCompletion
from targen.lineage.graph import Item, Row, RowLineage, fields_of
from targen.operators.correction import decide, disputed, flawed
from targen.operators.human_review import UNKNOWN, outcomes
from targen.operators.judging import (
    NO_FLAW,
    flaw_of,
    item_about,
    label_of,
    mirrored,
    reasons_of,
    scores_of,
)
from targen.operators.panel import (
    ANNOTATOR,
    WRITER,
    common_flaw,
    of_readers,
    settled,
)
from targen.operators.verify_data import Completions, Problems, Record, prompt_data
from targen.steps import CORRECTED_SET, INSTANCES, LABELS, REVIEWS
from targen.tasks.answers import Kind, Label, agreement, label_key, majority


class Said(NamedTuple):
    """What a completion says about a row."""

    label: Label
    flaw: str
    reasons: str | None
    naturalness: int | None = None
    constraint_met: bool | None = None


def said_about(
    row: Mapping[str, Any], completion: StoredCompletion, kind: Kind, text: str | None = None
) -> list[Said] | None:
    """Return what a reader's completion says about a row; None if its prompt does not show it.

    The list is empty if the answer gives the row no valid label. It has several entries if several
    equal rows were shown.
    """
    block = prompt_data(completion)
    entries = [e for e in block.get("rows") or () if isinstance(e, dict)]
    names = list(block.get("labels") or ())
    found: list[Said] = []
    is_shown = False
    for number, entry in enumerate(entries, 1):
        shown = {name: v for name, v in entry.items() if name not in ("row", "proposed")}
        order = _order(shown, row, names)
        if order is None:
            continue
        is_shown = True
        own = [text for value in shown.values() if isinstance(value, list) for text in value]
        item = item_about(completion.value, number, len(entries))
        label = label_of(item, kind, names or own, str(shown.get(text or "") or ""))
        if item is not None and label is not None:
            label = mirrored(label, len(names)) if order == "swapped" else label
            found.append(Said(label, flaw_of(item), reasons_of(item), *scores_of(item)))
    return found if is_shown else None


def _order(shown: Mapping[str, Any], row: Mapping[str, Any], names: list[str]) -> str | None:
    """Return how a prompt shows a row, `straight` or `swapped`; None if it shows another row.

    Lists of choices may be in any order. Fields may be exchanged if the labels number them.
    """
    if not shown or not set(shown) <= set(row):
        return None
    differ = [name for name in shown if _sorted(shown[name]) != _sorted(row[name])]
    if not differ:
        return "straight"
    numbered = all(name.isdigit() for name in names) and names
    same = sorted(str(shown[n]) for n in differ) == sorted(str(row[n]) for n in differ)
    return "swapped" if numbered and same else None


def _sorted(value: Any) -> Any:
    return sorted(map(str, value)) if isinstance(value, list) else _plain(value)


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: prompts and rejected rows have dates as text."""
    return value.isoformat() if isinstance(value, date) else value


def _heard(
    above: Item | None, kind: Kind, completions: list[StoredCompletion], record: Record
) -> tuple[list[list[Said]], list[str]]:
    """Return what completions say of a row where they label it, and the ids that do not show it."""
    if above is None:
        return [], []
    fields = fields_of(above.row)
    text = record.get("text")
    said = [(one.request_id, said_about(fields, one, kind, text)) for one in completions]
    return [one for _, one in said if one], [name for name, one in said if one is None]


def labels(item: Item, lineage: RowLineage, completions: Completions, record: Record) -> Problems:
    """Check a row of labels against its instance and the annotators' answers."""
    row = item.row
    above = lineage.by_id.get((INSTANCES, item.item_id))
    if above and row["intended_label"] != above.row["intended_label"]:
        yield "intended_label", "differs from the instance's"
    found = [completions.get(name) for name in item.request_ids]
    if not found:
        if row["label"] != row["intended_label"] or row["votes"]:
            yield "label", "differs from the intended label, but the row has no request"
        return
    annotations = [one for one in found if one is not None]
    if len(annotations) < len(found) or above is None:
        return
    kind = _kind(row["label"], record)
    heard, others = _heard(above, kind, annotations, record)
    yield from _others(others)
    votes, flaws = list(row["votes"] or ()), list(row["flaws"] or ())
    # Equal rows in one call are told apart by what the table says.
    given = [one.label for one in _closest(heard, [(vote,) for vote in votes])]
    if votes != given:
        yield "votes", "differ from the annotators' answers"
    pairs = list(zip(votes, flaws, strict=False))
    if flaws != [one.flaw for one in _closest(heard, pairs)]:
        yield "flaws", "differ from the annotators' answers"
    winner = majority(kind, given, record.get("order", ()))
    if winner != row["label"]:
        yield "label", "is not the majority of the votes"
    share = agreement(kind, given, winner)
    if share != row["agreement"]:
        yield "agreement", "is not the share of votes for the label"


def _closest(heard: list[list[Said]], wanted: list[tuple[Any, ...]]) -> list[Said]:
    """Return one answer per reading: the one that begins as wanted, else the first."""
    chosen = []
    for number, options in enumerate(heard):
        want = wanted[number] if number < len(wanted) else ()
        chosen.append(next((one for one in options if one[: len(want)] == want), options[0]))
    return chosen


def _others(names: list[str]) -> Problems:
    for name in names:
        yield "request_ids", f"contain {name}, whose prompt contains another row"


def corrected(
    item: Item, lineage: RowLineage, completions: Completions, record: Record
) -> Problems:
    """Check a corrected or rejected row against its instance, labels and correction."""
    row = dict(item.row)
    dropped = item.asset.startswith("rejected/")
    above = lineage.by_id.get((INSTANCES, item.item_id))
    labeled = lineage.by_id.get((LABELS, item.item_id))
    if above is None or labeled is None:
        return
    if dropped:
        fields = json.loads(row["text"] or "{}")
        row["intended_label"] = _text(row["intended_label"])
    else:
        fields = {name: row[name] for name in fields_of(above.row)}
    for name, value in fields_of(above.row).items():
        if _plain(fields.get(name)) != _plain(value):
            yield "text" if dropped else name, "differs from the instance"
    want = {
        "intended_label": above.row["intended_label"],
        "annotated_label": labeled.row["label"] if labeled.row["votes"] else None,
    }
    for name, value in want.items():
        if row[name] != (_text(value) if dropped else value):
            yield name, "differs from the instance or its annotation"
    earlier = [n for n in [above.row["request_id"], *labeled.row["request_ids"]] if n]
    yield from _reviewed(item, lineage, record)
    if row["readings"] is not None:
        yield from panel(item, lineage, earlier, completions, record)
        return
    # A row that a call of several rows says nothing about is asked about again, alone.
    if item.request_ids[: len(earlier)] != earlier or len(item.request_ids) > len(earlier) + 2:
        yield "request_ids", "are not those of the instance, its annotation and its correction"
        return
    asked = item.request_ids[len(earlier) :]
    corrections = [one for name in asked if (one := completions.get(name)) is not None]
    if len(corrections) == len(asked):
        yield from _correction(item, above, corrections, record)
    yield from _flawed(item, labeled, record)
    if not dropped:
        yield from _asked(item, lineage, bool(asked), record)
        yield from _settled(item, lineage, record)


def panel(
    item: Item,
    lineage: RowLineage,
    earlier: list[str],
    completions: Completions,
    record: Record,
) -> Problems:
    """Check a row that a panel has read: every reading, the votes, and what follows from them.

    The weights are those of the row. They follow from all rows of earlier slots.
    """
    row, dropped = item.row, item.asset.startswith("rejected/")
    kind: Kind = record.get("answer_kind") or "class"
    if not dropped and row["correction_asked"] != "always":
        yield "correction_asked", "must be always: a panel reads every row"
    own = [one for one in row["readings"] if one["request_id"] is not None]
    asked = item.request_ids[len(earlier) :]
    if item.request_ids[: len(earlier)] != earlier or any(
        o["request_id"] not in asked for o in own
    ):
        yield "request_ids", "are not those of the instance, its annotation and its readers"
        return
    given = {WRITER: row["intended_label"], ANNOTATOR: row["annotated_label"]}
    votes = {one["reader"]: one["label"] for one in row["readings"] if one["request_id"] is None}
    if votes != {name: label for name, label in given.items() if label is not None}:
        yield "readings", "give the writer or the annotator another label"
    above = lineage.by_id[INSTANCES, item.item_id]
    options = 0
    for one in own:
        completion = completions.get(one["request_id"])
        if completion is None:
            return
        heard, others = _heard(above, kind, [completion], record)
        yield from _others(others)
        options = max(options, _options(completion, fields_of(above.row), kind))
        said = [(s.label, s.naturalness, s.constraint_met) for s in heard[0]] if heard else []
        flaws = [s.flaw for s in heard[0]] if heard else []
        found = (one["label"], one["naturalness"], one["constraint_met"])
        differs = found not in said if said else found != (None, None, None)
        if differs or one["flaw"] not in (None, *flaws):
            yield "readings", f"differ from the answer of {one['reader']}"
    if row["corrected_label"] != of_readers(kind, row, options):
        yield "corrected_label", "does not follow from the readings"
    if dropped:
        return
    if row["flaw"] != common_flaw(row["readings"]):
        yield "flaw", "does not follow from the readings"
    unit = [row] if record.get("contrast") else _unit(lineage)
    label, confidence = settled(record["params"], kind, unit, options, record.get("order", ()))
    if _before_review(row) != label:
        yield "label", "does not follow from the readings"
    if row["confidence"] != confidence:
        yield "confidence", "does not follow from the readings"
    yield from _verdict(row, kind)


def _verdict(row: Row, kind: Kind) -> Problems:
    intended = row["intended_label"]
    differs = row["label"] is not None and intended is not None
    differs = differs and label_key(kind, row["label"]) != label_key(kind, intended)
    if row["verdict"] != ("relabelled" if differs else "kept"):
        yield "verdict", "does not follow from the labels"


def _options(completion: StoredCompletion, row: Mapping[str, Any], kind: Kind) -> int:
    """Return the number of different labels that a reader could give a row."""
    names = prompt_data(completion).get("labels") or ()
    lists = [value for value in row.values() if isinstance(value, list)]
    own = [text for value in lists for text in value]
    return len({label_key(kind, one) for one in names or own})


def _correction(
    item: Item, above: Item, corrections: list[StoredCompletion], record: Record
) -> Problems:
    """Check corrected label, reason and flaw; without a correction, they must be null."""
    row, dropped = item.row, item.asset.startswith("rejected/")
    lists = isinstance(row["corrected_label"], list) or isinstance(row["intended_label"], list)
    kind: Kind = record.get("answer_kind") or ("multi" if lists else "class")
    heard, others = _heard(above, kind, corrections, record)
    yield from _others(others)
    problem = "differs from the corrector's answer"
    if not corrections:
        problem = "is set, but the row has no correction request"
    if dropped:
        labels = {_text(one.label) for options in heard for one in options} or {None}
        if row["corrected_label"] not in labels:
            yield "corrected_label", problem
        return
    found = (row["corrected_label"], row["flaw"], row["reason"])
    chosen = _closest(heard, [found] * len(heard))
    expected = chosen[-1][:3] if chosen else (None, None, None)
    for name, is_, want in zip(("corrected_label", "flaw", "reason"), found, expected, strict=True):
        if is_ != want:
            yield name, problem


def _flawed(item: Item, labeled: Item, record: Record) -> Problems:
    """Check that a row was dropped as flawed if and only if its readers named the same flaw."""
    row = item.row
    if "flaw" in row:
        drops = record.get("params", {}).get("drop_flawed", False)
        if drops and flawed([*(labeled.row["flaws"] or ()), row["flaw"]]):
            yield "flaw", "is named by every reader, but the row was kept"
        return
    flaws = labeled.row["flaws"] or ()  # the corrector's is in the completion only
    if row["reason"] == "flawed" and "of this set" not in str(row["detail"]) and NO_FLAW in flaws:
        yield "reason", "is flawed, but an annotator named no flaw"


def _reviewed(item: Item, lineage: RowLineage, record: Record) -> Problems:
    """Check what the human review did to a row against the stored verdicts.

    Verdicts that were imported since the table was made are not in it, and replace others.
    """
    if not record.get(REVIEWS_AS_MADE, True):
        return
    row = item.row
    own = lineage.by_id.get((REVIEWS, item.item_id))
    if item.asset.startswith("rejected/"):
        unit = [one.row for one in lineage.items if one.asset == REVIEWS]
        if row["reason"] == "human_review" and not any(not one["right"] for one in unit):
            yield "reason", "is human_review, but no reviewer found the label wrong"
        return
    named = None if own is None else (own.row["reviewer"] or UNKNOWN, own.row["reviewed_at"])
    found = (row["human_reviewer"], row["human_reviewed_at"])
    if found != (named or (None, None)):
        yield "human_reviewer", "is not the one of the stored verdict"
        return
    contrast = bool(record.get("contrast"))
    unit = [row] if contrast else _unit(lineage)
    stored = [lineage.by_id.get((REVIEWS, one["instance_id"])) for one in unit]
    verdicts = [None if one is None else one.row for one in stored]
    before = row["label_before_review"]
    if (before is not None) != any(verdicts):
        yield "label_before_review", "does not match the stored verdicts"
    elif before is not None:
        kind = _kind(before, record)
        found_labels = outcomes(kind, verdicts, [before] * len(unit), contrast=contrast)
        if found_labels is None or row["label"] != found_labels[0]:
            yield "label", "is not the one of the human review"


def _unit(lineage: RowLineage) -> list[Row]:
    """Return the finished row and the others of its pair or set, in the table's order."""
    unit = [item.row for item in lineage.items if item.asset == CORRECTED_SET]
    return sorted(unit, key=lambda one: one["#"])


def _asked(item: Item, lineage: RowLineage, was_asked: bool, record: Record) -> Problems:
    """Check that the corrector was asked where the record says that it is asked."""
    why = item.row["correction_asked"]
    if (why is not None) != was_asked:
        yield "correction_asked", "does not match the row's requests"
        return
    params = record.get("params", {})
    if "ask" not in params:
        return
    if params["ask"] == "always" or params["policy"] != "majority":
        allowed: tuple[str | None, ...] = ("always",)
    else:
        joined = []
        for row in _unit(lineage):
            labeled = lineage.by_id.get((LABELS, row["instance_id"]))
            if labeled is None:
                return
            votes, flaws = labeled.row["votes"] or [], labeled.row["flaws"] or []
            joined.append({**row, "votes": votes, "flaws": flaws})
        kind = _kind(item.row["label"], record)
        allowed = ("disputed",) if disputed(kind, joined) else ("audit", None)
    if why not in allowed:
        yield "correction_asked", "does not follow from the labels"


def _settled(item: Item, lineage: RowLineage, record: Record) -> Problems:
    """Check a finished row's label and verdict against the votes and the policy."""
    row = item.row
    kind = _kind(row["label"], record)
    yield from _verdict(row, kind)
    policy = record.get("params", {}).get("policy")
    before = _before_review(row)
    if policy is None:
        named = [row[name] for name in ("intended_label", "annotated_label", "corrected_label")]
        if before is not None and before not in named:
            yield "label", "is none of the intended, annotated and corrected labels"
        return
    # The policy decides on both rows of a pair together, and on each row of a contrast set.
    unit = [row] if record.get("contrast") else _unit(lineage)
    votes = [
        [one[name] for one in unit]
        for name in ("intended_label", "annotated_label", "corrected_label")
    ]
    if decide(policy, kind, *votes, order=record.get("order", ())) != before:
        yield "label", f"is not what the policy {policy} decides"


def _before_review(row: Row) -> Any:
    """Return the label that the readings gave, which a human review may have replaced."""
    seen = row["label_before_review"]
    return row["label"] if seen is None else seen


def _kind(label: Any, record: Record) -> Any:
    return record.get("answer_kind") or ("multi" if isinstance(label, list) else "class")


def _text(label: Any) -> Any:
    """Return a label as the `rejected` table stores it."""
    return ", ".join(label) if isinstance(label, list) else label
