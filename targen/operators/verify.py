"""Checks of rows against the completions and upstream rows that they came from."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from targen.hashing import canonical
from targen.lineage import ids
from targen.lineage.audit import Verify
from targen.lineage.completions import StoredCompletion
from targen.lineage.graph import Item, Row, RowLineage, fields_of
from targen.operators.correction import decide
from targen.operators.materials import attributes, context_block
from targen.operators.seeds import KIND
from targen.steps import (
    ASKED,
    CONFUSABLE,
    CONTEXTS,
    CORRECTED_SET,
    INSTANCES,
    LABEL,
    LABELS,
    NONE_SEED_KIND,
    ROW_STEPS,
    SEEDS,
    VOCABULARIES,
)
from targen.tasks.answers import agreement, label_key, majority
from targen.tasks.validators import swap_gender

Problems = Iterator[tuple[str, str]]
"""(column, problem) pairs."""

Completions = Mapping[str, StoredCompletion]
Record = Mapping[str, Any]
"""The record of how a table was made; empty if there is none."""


def prompt_data(completion: StoredCompletion) -> dict[str, Any]:
    """Return the data block of a prompt; empty if it has none."""
    try:
        text = str(completion.messages[1]["content"]).split("```json\n", 1)[1].rsplit("\n```", 1)[0]
        block = json.loads(text)
    except (IndexError, KeyError, ValueError):
        return {}
    return block if isinstance(block, dict) else {}


def pairs(
    completion: StoredCompletion, entries: str, number: str
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return pairs of (prompt entry, answer item).

    Pairs whose numbers match come first. Models can number items wrongly, so all other pairs
    follow.

    Args:
        completion: the completion.
        entries: key of the prompt's list, `slots` or `items`.
        number: key of an item's number, `slot` or `item`.
    """
    asked = [e for e in prompt_data(completion).get(entries, [{}]) if isinstance(e, dict)]
    answered = [i for i in (completion.value or {}).get("items", []) if isinstance(i, dict)]
    matched = [(e, i) for e in asked for i in answered if e.get(number) == i.get(number)]
    return matched + [(e, i) for e in asked for i in answered if (e, i) not in matched]


def term(item: Item, lineage: RowLineage, completion: StoredCompletion | None) -> Problems:
    """Check a row of vocabularies."""
    del lineage
    row = item.row
    yield from _named(item, "term_id", ids.term_id(row["category"], row["term"], row["label"]))
    if completion is None or row["category"] == ASKED:
        return
    key = "label" if row["category"] == CONFUSABLE else "term"
    said = {str(answered.get(key, "")).strip() for _, answered in pairs(completion, "none", "none")}
    if row["term"] not in said:
        yield "term", "its completion does not say it"


def context(item: Item, lineage: RowLineage, completion: StoredCompletion | None) -> Problems:
    """Check a row of contexts, listed by a model or drawn."""
    row = item.row
    if row["context_id"] == ids.NONE_CONTEXT_ID:
        return
    named = [{"name": p["name"], "value": p["value"]} for p in row["attributes"] or ()]
    written = ids.context_id(row["text"], named)
    drawn = ids.drawn_context_id(row["#"], row["text"], named)
    yield from _named(item, "context_id", written if item.request_ids else drawn)
    values = attributes(row)
    terms = [lineage.by_id.get((VOCABULARIES, name)) for name in row["term_ids"] or ()]
    for found in terms:
        if found and found.row["term"] not in (
            *values.values(),
            *values.get(CONFUSABLE, "").split(", "),
        ):
            yield "term_ids", f"the term {found.row['term']!r} is not among its attributes"
    if not item.request_ids:
        text = "; ".join(f"{name}: {value}" for name, value in values.items() if name != LABEL)
        if row["text"] != text:
            yield "text", "it is not what its attributes make"
    if completion is None:
        return
    for _, said in pairs(completion, "none", "none"):
        if {name: str(said.get(name, "")).strip() for name in ("text", *values)} == {
            "text": row["text"],
            **values,
        }:
            return
    yield "text", "its completion does not say it"


def seed(item: Item, lineage: RowLineage, completion: StoredCompletion | None) -> Problems:
    """Check a row of seeds: generated, from a file, or a human-made example."""
    row = item.row
    if row["kind"] == NONE_SEED_KIND:
        return
    fields, typed = json.loads(row["fields"]), attributes(row)
    own = ids.seed_id(row["context_id"], row["kind"], fields)
    shown = ids.example_id(KIND, fields, typed.get(LABEL))
    yield from _named(
        item, "seed_id", shown if row["kind"] == KIND and not item.request_ids else own
    )
    if completion is None:
        return
    yield from _context_shown(item, lineage, prompt_data(completion))
    for entry, said in pairs(completion, "items", "item"):
        if all(said.get(name) == value for name, value in fields.items()) and all(
            entry.get(name) == value for name, value in typed.items()
        ):
            return
    yield "fields", "its completion does not say it"


def instance(item: Item, lineage: RowLineage, completion: StoredCompletion | None) -> Problems:
    """Check a row of instances: generated, swapped from its twin, or from the user's file."""
    row, fields = item.row, fields_of(item.row)
    yield from _named(
        item,
        "instance_id",
        ids.instance_id(lineage.task, row["slot"], row["intended_label"], fields),
    )
    depths = [
        above.row["depth"]
        for name in row["parent_ids"] or ()
        if (above := lineage.by_id.get((INSTANCES, name)))
    ]
    if row["depth"] != 1 + max([-1, *depths]):
        yield "depth", "it is not one more than its parents'"
    if not item.request_ids and row["rationale"] is not None:
        yield "rationale", "nobody was asked for one"
    if completion is None:
        return
    block = prompt_data(completion)
    entry, found = _answered(row, fields, completion)
    if not found and (original := _original(item, lineage)) is not None:
        entry, found = _answered(original, fields_of(original), completion)
    if not found:
        yield "request_id", "its completion does not hold this row, nor the other half of its pair"
        return
    yield from _sources_shown(item, lineage, block, entry)


def rejected(item: Item, lineage: RowLineage, completion: StoredCompletion | None) -> Problems:
    """Check a rejected item of any step but the last: its id and its text."""
    row = item.row
    yield from _named(
        item,
        "item_id",
        ids.rejected_id(lineage.task, row["step"], row["#"], row["request_ids"], row["slot"]),
    )
    if completion is None or row["text"] is None:
        return
    said = [answered for _, answered in pairs(completion, "none", "none")]
    if any(row["text"] in (canonical(one), *map(str, one.values())) for one in said):
        return
    try:
        fields = json.loads(row["text"])
    except ValueError:
        fields = None
    if isinstance(fields, dict):
        loose = {"intended_label": None, "rationale": None}
        if _answered(loose, fields, completion)[1]:
            return
    if row["reason"] != "misleading":
        yield "text", "its completion does not say it"


def written(row: Row, completion: StoredCompletion) -> bool:
    """Return whether a completion holds the fields of a row."""
    shown = {n for e, i in pairs(completion, "slots", "slot") for n in (*e.get("given", {}), *i)}
    fields = {name: value for name, value in row.items() if name in shown}
    loose = {"intended_label": None, "rationale": None}
    return bool(fields) and _answered(loose, fields, completion)[1]


def _named(item: Item, column: str, expected: str) -> Problems:
    """Check an id against the digest of the row's content."""
    if item.item_id != expected:
        yield column, "it is not the digest of the row's content"


def _answered(
    row: Row, fields: Mapping[str, Any], completion: StoredCompletion
) -> tuple[dict[str, Any], bool]:
    """Return the prompt entry that a row answers, and whether there is one."""
    label = prompt_data(completion).get("label", {}).get("name")
    for entry, said in pairs(completion, "slots", "slot"):
        given = entry.get("given", {})
        told = {name: given.get(name, said.get(name)) for name in fields}
        # Fields in neither are derived; the row's id covers them.
        told = {name: value for name, value in told.items() if value is not None}
        same = bool(told) and all(_same(value, fields[name]) for name, value in told.items())
        reasons = row["rationale"] in (None, said.get("rationale"))
        if same and reasons and _label_fits(row["intended_label"], label, entry, said):
            return entry, True
    return {}, False


def _same(said: Any, held: Any) -> bool:
    """Compare values; options may be shuffled and white space folded."""
    if isinstance(said, list) and isinstance(held, list):
        return sorted(map(str, said)) == sorted(map(str, held))
    return bool(said == held) or " ".join(str(said).split()) == held


def _label_fits(
    intended: Any, label: str | None, entry: Mapping[str, Any], said: Mapping[str, Any]
) -> bool:
    """Return whether a row's intended label is the prompt's, the plan's or the answer's."""
    if intended is None:
        return True
    if isinstance(intended, list):
        return sorted(entry.get("labels", [])) == sorted(intended)
    known = (label, said.get("label"), entry.get("answer"), said.get("answer"))
    named = [one for one in known if one is not None]
    return not named or intended in named


def _original(item: Item, lineage: RowLineage) -> dict[str, Any] | None:
    """Return the row that a twin was swapped from, None if the row is not a twin.

    The swap is recomputed from the two rows.
    """
    for other in lineage.items:
        if other.asset != INSTANCES or other.row["slot"] != item.row["slot"]:
            continue
        if other.item_id == item.item_id or other.row["rationale"] != item.row["rationale"]:
            continue
        first, second = fields_of(other.row), fields_of(item.row)
        differ = [name for name in first if first[name] != second[name]]
        if all(
            isinstance(first[name], str) and swap_gender(first[name]) == second[name]
            for name in differ
        ):
            return dict(other.row)
    return None


def _context_shown(item: Item, lineage: RowLineage, entry: Mapping[str, Any]) -> Problems:
    """Check that a row's prompt showed the context that the row names."""
    found = lineage.by_id.get((CONTEXTS, item.row["context_id"] or ""))
    block = None if found is None else context_block(found.row)
    if block is None:
        return
    if "context" in entry:
        shown = dict(entry["context"])
        if any(block.get(name) != value for name, value in shown.items()):
            yield "context_id", "its prompt showed another context"
    elif "requirements" in entry:
        words = "\n".join(map(str, entry["requirements"]))
        if not all(str(value) in words for value in block.get("attributes", {}).values()):
            yield "context_id", "its prompt showed another context"
    else:
        yield "context_id", "its prompt showed no context"


def _sources_shown(
    item: Item, lineage: RowLineage, block: Mapping[str, Any], entry: Mapping[str, Any]
) -> Problems:
    """Check that a row's prompt showed its context, seed and parents."""
    row = item.row
    examples = [e for e in block.get("examples", ()) if isinstance(e, dict)]
    seed_row = lineage.by_id.get((SEEDS, row["seed_id"] or ""))
    if row["context_id"]:
        yield from _context_shown(item, lineage, entry)
    if seed_row and examples:
        if not row["parent_ids"] and not _among(json.loads(seed_row.row["fields"]), examples):
            yield "seed_id", "its prompt did not show this seed"
    elif seed_row:
        shown = {**entry.get("seed", {}), **entry.get("given", {})}
        content = json.loads(seed_row.row["fields"]) | attributes(seed_row.row)
        if any(shown.get(name) != value for name, value in content.items()):
            yield "seed_id", "its prompt showed another seed"
    for name in row["parent_ids"] or ():
        parent = lineage.by_id.get((INSTANCES, name))
        if parent and not _among(fields_of(parent.row), examples):
            yield "parent_ids", f"its prompt did not show {name}"


def _among(fields: Mapping[str, Any], examples: list[dict[str, Any]]) -> bool:
    """Return whether a row is among the examples, which may show part of its fields."""
    shown = ({name: e[name] for name in e if name in fields} for e in examples)
    return any(part and all(fields[n] == v for n, v in part.items()) for part in shown)


def said_label(completion: StoredCompletion) -> Any:
    """Return the label in an answer; a sorted list if it gives several."""
    said = (completion.value or {}).get("label")
    if isinstance(said, list):
        return sorted({str(name) for name in said})
    return said if isinstance(said, str) else None


def labels(item: Item, lineage: RowLineage, completions: Completions, record: Record) -> Problems:
    """Check a row of labels against its instance and the annotators' answers."""
    row = item.row
    above = lineage.by_id.get((INSTANCES, item.item_id))
    if above and row["intended_label"] != above.row["intended_label"]:
        yield "intended_label", "it is not its instance's"
    asked = [completions.get(name) for name in item.request_ids]
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
    kind = _kind(row["label"], record)
    winner = majority(kind, votes)
    if winner != row["label"]:
        yield "label", "it is not the majority of the votes"
    share = agreement(kind, votes, winner)
    if share != row["agreement"]:
        yield "agreement", "it is not the share of the votes"


def corrected(
    item: Item, lineage: RowLineage, completions: Completions, record: Record
) -> Problems:
    """Check a corrected or rejected row against its instance, labels and correction."""
    row = dict(item.row)
    lost = item.asset.startswith("rejected/")
    above = lineage.by_id.get((INSTANCES, item.item_id))
    said = lineage.by_id.get((LABELS, item.item_id))
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
    yield from _correction(
        item, above, completions.get(judge[0]) if judge else None, asked=bool(judge)
    )
    if not lost:
        yield from _settled(item, lineage, record)


def _correction(
    item: Item, above: Item, corrector: StoredCompletion | None, *, asked: bool
) -> Problems:
    """Check corrected label and reason of a finished or rejected row."""
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
    """Check that the judging prompts showed this row."""
    for one in asked:
        shown = prompt_data(one).get("row")
        fields = fields_of(above.row) if above else {}
        if above and (
            not isinstance(shown, dict) or any(fields.get(n) != v for n, v in shown.items())
        ):
            yield "request_ids", f"{one.request_id} was asked about another row"


def _settled(item: Item, lineage: RowLineage, record: Record) -> Problems:
    """Check a finished row's label and verdict against the votes and the policy."""
    row = item.row
    intended = row["intended_label"]
    kind = _kind(row["label"], record)
    differs = row["label"] is not None and intended is not None
    differs = differs and label_key(kind, row["label"]) != label_key(kind, intended)
    if row["verdict"] != ("relabelled" if differs else "kept"):
        yield "verdict", "it does not follow from the labels"
    policy = record.get("params", {}).get("policy")
    if policy is None:
        named = [row[name] for name in ("intended_label", "annotated_label", "corrected_label")]
        if row["label"] is not None and row["label"] not in named:
            yield "label", "nobody gave it"
        return
    unit: list[Row] = [row]
    for other in lineage.items:
        # Both rows of a pair are kept or dropped together.
        if other.asset == CORRECTED_SET and other.role == "twin":
            unit.append(other.row)
    unit.sort(key=lambda one: one["#"])
    votes = [
        [one[name] for one in unit]
        for name in ("intended_label", "annotated_label", "corrected_label")
    ]
    if decide(policy, kind, *votes) != row["label"]:
        yield "label", f"the policy {policy} makes another of the votes"


def _kind(label: Any, record: Record) -> Any:
    return record.get("answer_kind") or ("multi" if isinstance(label, list) else "class")


def _text(label: Any) -> Any:
    """Return a label in the text form of rejected items."""
    return ", ".join(label) if isinstance(label, list) else label


def _with_last(check: Callable[[Item, RowLineage, StoredCompletion | None], Problems]) -> Verify:
    """Adapt a check that reads only the completion of the row's last request."""

    def verify(
        item: Item, lineage: RowLineage, completions: Completions, record: Record
    ) -> Problems:
        del record
        names = item.request_ids
        return check(item, lineage, completions.get(names[-1]) if names else None)

    return verify


ROW_CHECKS: dict[str, Verify] = {
    VOCABULARIES: _with_last(term),
    CONTEXTS: _with_last(context),
    SEEDS: _with_last(seed),
    INSTANCES: _with_last(instance),
    **{f"rejected/{step}": _with_last(rejected) for step in ROW_STEPS},
    LABELS: labels,
    CORRECTED_SET: corrected,
    "rejected/corrected_set": corrected,
}
"""Table -> check of its rows."""
