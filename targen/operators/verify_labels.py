"""Whether a row's labels are what annotator and corrector said, and the policy made of them."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from targen.lineage.audit import Verify
from targen.lineage.completions import StoredCompletion
from targen.lineage.graph import Item, Row, RowLineage, fields_of
from targen.operators import verify_rows
from targen.operators.correction import decide
from targen.operators.verify_rows import Problems, prompt_data
from targen.steps import ROW_STEPS
from targen.tasks.answers import agreement, label_key, majority

Keep = Mapping[str, StoredCompletion]
Made = Mapping[str, Any]
"""How a table was made, from its record; empty where nobody knows."""


def _made(check: Callable[[Item, RowLineage, StoredCompletion | None], Problems]) -> Verify:
    """Return a check that reads one completion in the form that audits call."""

    def verify(item: Item, way: RowLineage, kept: Keep, made: Made) -> Problems:
        del made
        names = item.request_ids
        return check(item, way, kept.get(names[-1]) if names else None)

    return verify


def said_label(kept: StoredCompletion) -> Any:
    """Return the label that an answer names, a sorted list where it names several."""
    said = (kept.value or {}).get("label")
    if isinstance(said, list):
        return sorted({str(name) for name in said})
    return said if isinstance(said, str) else None


def labels(item: Item, way: RowLineage, kept: Keep, made: Made) -> Problems:
    """Check a row of labels against its instance and the annotators' answers."""
    row = item.row
    above = way.by_id.get(("instances", item.item_id))
    if above and row["intended_label"] != above.row["intended_label"]:
        yield "intended_label", "it is not its instance's"
    asked = [kept.get(name) for name in item.request_ids]
    if not asked:
        if row["label"] != row["intended_label"] or row["votes"]:
            yield "label", "nobody was asked, and yet it is not the intended one"
        return
    if None in asked:
        return
    known = [one for one in asked if one is not None]
    yield from _row_shown(above, known)
    votes = [said for one in known if (said := said_label(one)) is not None]
    if votes != list(row["votes"] or ()):
        yield "votes", "they are not what the annotators said"
    kind = _kind(row["label"], made)
    winner = majority(kind, votes)
    if winner != row["label"]:
        yield "label", "it is not the majority of the votes"
    share = agreement(kind, votes, winner)
    if share != row["agreement"]:
        yield "agreement", "it is not the share of the votes"


def corrected(item: Item, way: RowLineage, kept: Keep, made: Made) -> Problems:
    """Check a finished row, or one that correction left out, against all before it."""
    row = dict(item.row)
    lost = item.asset.startswith("rejected/")
    above = way.by_id.get(("instances", item.item_id))
    said = way.by_id.get(("labels", item.item_id))
    if above is None or said is None:
        return
    if lost:
        fields = json.loads(row["text"] or "{}")
        row["intended_label"] = _text(row["intended_label"])
    else:
        fields = {name: row[name] for name in fields_of(above.row)}
    for name, value in fields_of(above.row).items():
        if fields.get(name) != value:
            yield "text" if lost else name, "it is not its instance's"
    want = {
        "intended_label": above.row["intended_label"],
        "annotated_label": said.row["label"] if said.row["votes"] else None,
    }
    for name, value in want.items():
        if row[name] != (_text(value) if lost else value):
            yield name, "it is not what stands in the tables above"
    earlier = [n for n in [above.row["request_id"], *said.row["request_ids"]] if n]
    if item.request_ids[: len(earlier)] != earlier or len(item.request_ids) > len(earlier) + 1:
        yield "request_ids", "they are not those of its instance, its labels and its correction"
        return
    judge = item.request_ids[len(earlier) :]
    yield from _correction(item, above, kept.get(judge[0]) if judge else None, asked=bool(judge))
    if not lost:
        yield from _settled(item, way, made)


def _correction(
    item: Item, above: Item, corrector: StoredCompletion | None, *, asked: bool
) -> Problems:
    """Check what a finished or rejected row holds of its correction."""
    row, lost = item.row, item.asset.startswith("rejected/")
    if asked and corrector is None:
        return
    label, reason = None, None
    if corrector is not None:
        yield from _row_shown(above, [corrector])
        label, reason = said_label(corrector), (corrector.value or {}).get("reasons")
    who = "what the corrector said" if asked else "null, and nobody was asked"
    if row["corrected_label"] != (_text(label) if lost else label):
        yield "corrected_label", f"it is not {who}"
    if not lost and row["reason"] != reason:
        yield "reason", f"it is not {who}"


def _row_shown(above: Item | None, asked: list[StoredCompletion]) -> Problems:
    """Check that whoever judged a row was shown that row."""
    for one in asked:
        shown = prompt_data(one).get("row")
        fields = fields_of(above.row) if above else {}
        if above and (
            not isinstance(shown, dict) or any(fields.get(n) != v for n, v in shown.items())
        ):
            yield "request_ids", f"{one.request_id} was asked about another row"


def _settled(item: Item, way: RowLineage, made: Made) -> Problems:
    """Check label and verdict of a finished row against its unit's votes and the policy."""
    row = item.row
    intended = row["intended_label"]
    kind = _kind(row["label"], made)
    differs = row["label"] is not None and intended is not None
    differs = differs and label_key(kind, row["label"]) != label_key(kind, intended)
    if row["verdict"] != ("relabelled" if differs else "kept"):
        yield "verdict", "it does not follow from the labels"
    policy = made.get("params", {}).get("policy")
    if policy is None:
        named = [row[name] for name in ("intended_label", "annotated_label", "corrected_label")]
        if row["label"] is not None and row["label"] not in named:
            yield "label", "nobody gave it"
        return
    unit: list[Row] = [row]
    for other in way.items:
        # A pair is kept or dropped as one, so the other half is a finished row as well.
        if other.asset == "corrected_set" and other.role == "twin":
            unit.append(other.row)
    unit.sort(key=lambda one: one["#"])
    votes = [
        [one[name] for one in unit]
        for name in ("intended_label", "annotated_label", "corrected_label")
    ]
    if decide(policy, kind, *votes) != row["label"]:
        yield "label", f"the policy {policy} makes another of the votes"


def _kind(label: Any, made: Made) -> Any:
    return made.get("answer_kind") or ("multi" if isinstance(label, list) else "class")


def _text(label: Any) -> Any:
    """Return a label as rejected items hold it."""
    return ", ".join(label) if isinstance(label, list) else label


ROW_CHECKS: dict[str, Verify] = {
    **{step: _made(check) for step, check in verify_rows.CHECKS.items()},
    **{f"rejected/{step}": _made(verify_rows.rejected) for step in ROW_STEPS},
    "labels": labels,
    "corrected_set": corrected,
    "rejected/corrected_set": corrected,
}
"""Table -> how a row of it is checked; what audits take."""
