"""Checks each row against its completions and upstream rows, for audits.

A problem is a phrase whose subject is the row's column.
"""

import json
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from targen.hashing import canonical
from targen.lineage import ids
from targen.lineage.audit import Verify
from targen.lineage.completions import StoredCompletion
from targen.lineage.graph import Item, Row, RowLineage, fields_of
from targen.operators.bounds import RATIONALE_CHARACTERS
from targen.operators.plan import attributes, context_block
from targen.operators.renaming import renamed
from targen.operators.seeds import KIND
from targen.operators.verify_data import Completions, Problems, Record, prompt_data
from targen.operators.verify_judging import corrected, labels
from targen.steps import (
    ASKED,
    CONFUSABLE,
    CONTEXTS,
    CORRECTED_SET,
    INSTANCES,
    LABEL,
    LABELS,
    NONE_SEED_KIND,
    REVIEWS,
    ROW_STEPS,
    SEEDS,
    TARGETS,
    VOCABULARIES,
)
from targen.tables.reviews import SEPARATOR
from targen.tasks import entities
from targen.tasks.validators import swap_gender

NOT_IN_COMPLETION = "is not in the completion"


def pairs(
    completion: StoredCompletion, entries: str, number: str
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return pairs of (prompt entry, answer item).

    Pairs with equal numbers come first, followed by all others, because models can number items
    wrongly.

    Args:
        completion: the completion.
        entries: key of the prompt's list, `slots` or `items`.
        number: key of an item's number, `slot` or `item`.
    """
    data = prompt_data(completion)
    shared = data.get("shared")
    common = shared if isinstance(shared, dict) else {}
    asked = [{**common, **e} for e in data.get(entries, [{}]) if isinstance(e, dict)]
    answered = _items(completion)
    matched = [(e, i) for e in asked for i in answered if e.get(number) == i.get(number)]
    return matched + [(e, i) for e in asked for i in answered if (e, i) not in matched]


def _items(completion: StoredCompletion) -> list[dict[str, Any]]:
    return [i for i in (completion.value or {}).get("items", []) if isinstance(i, dict)]


def term(item: Item, lineage: RowLineage, completion: StoredCompletion | None) -> Problems:
    """Check a row of vocabularies."""
    del lineage
    row = item.row
    yield from _check_id(item, "term_id", ids.term_id(row["category"], row["term"], row["label"]))
    if completion is None or row["category"] == ASKED:
        return
    key = "label" if row["category"] == CONFUSABLE else "term"
    if row["term"] not in {str(found.get(key, "")).strip() for found in _items(completion)}:
        yield "term", NOT_IN_COMPLETION


def context(item: Item, lineage: RowLineage, completion: StoredCompletion | None) -> Problems:
    """Check a row of contexts, listed by a model or drawn."""
    row = item.row
    if row["context_id"] == ids.NONE_CONTEXT_ID:
        return
    named = [{"name": p["name"], "value": p["value"]} for p in row["attributes"] or ()]
    written = ids.context_id(row["text"], named)
    drawn = ids.drawn_context_id(row["#"], row["text"], named)
    yield from _check_id(item, "context_id", written if item.request_ids else drawn)
    values = attributes(row)
    terms = [lineage.by_id.get((VOCABULARIES, name)) for name in row["term_ids"] or ()]
    known = (*values.values(), *values.get(CONFUSABLE, "").split(", "))
    for found in terms:
        if found and found.row["term"] not in known:
            yield "term_ids", f"contains {found.row['term']!r}, which is not among the attributes"
    if not item.request_ids:
        text = "; ".join(f"{name}: {value}" for name, value in values.items() if name != LABEL)
        if row["text"] != text:
            yield "text", "does not match the attributes"
    if completion is None:
        return
    expected = {"text": row["text"], **values}
    for answer in _items(completion):
        if {name: str(answer.get(name, "")).strip() for name in expected} == expected:
            return
    yield "text", NOT_IN_COMPLETION


def seed(item: Item, lineage: RowLineage, completion: StoredCompletion | None) -> Problems:
    """Check a row of seeds: generated, from a file, or a human-made example."""
    row = item.row
    if row["kind"] == NONE_SEED_KIND:
        return
    fields, typed = json.loads(row["fields"]), attributes(row)
    own = ids.seed_id(row["context_id"], row["kind"], fields)
    shown = ids.example_id(KIND, fields, typed.get(LABEL))
    yield from _check_id(
        item, "seed_id", shown if row["kind"] == KIND and not item.request_ids else own
    )
    if completion is None:
        return
    block = prompt_data(completion)
    contexts = {one.get("context"): one for one in block.get("contexts", ())}
    for entry, answer in pairs(completion, "items", "item"):
        if all(answer.get(name) == value for name, value in fields.items()) and all(
            entry.get(name) == value for name, value in typed.items()
        ):
            numbered = contexts.get(entry.get("context"))
            place = block if numbered is None else {"context": numbered}
            yield from _context_shown(item, lineage, place)
            return
    yield "fields", NOT_IN_COMPLETION


def instance(item: Item, lineage: RowLineage, completion: StoredCompletion | None) -> Problems:
    """Check a row of instances: generated, swapped from its twin, or from the user's file."""
    row, fields = item.row, fields_of(item.row)
    yield from _check_id(
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
        yield "depth", "is not the parents' maximum depth plus one"
    if not item.request_ids and row["rationale"] is not None:
        yield "rationale", "is set, but the row has no request"
    if completion is None:
        if not item.request_ids:
            yield from _edited(item, lineage)
        return
    block = prompt_data(completion)
    entry, found = _answered(row, fields, completion)
    if not found and (original := _original(item, lineage)) is not None:
        entry, found = _answered(original, fields_of(original), completion)
    if not found:
        yield "request_id", "names a completion that contains neither this row nor its twin"
        return
    yield from _sources_shown(item, lineage, block, entry)
    yield from _target_shown(item, lineage, block)


def _edited(item: Item, lineage: RowLineage) -> Problems:
    """Check that a row that code edited for a target is what the code makes of its parent."""
    found = lineage.by_id.get((TARGETS, item.row["target_id"] or ""))
    if found is None or not found.row.get("edit"):
        return
    for name in item.row["parent_ids"] or ():
        parent = lineage.by_id.get((INSTANCES, name))
        if parent is None:
            continue
        old = fields_of(parent.row)
        made = [renamed(parent.row, old, one, name) for one in found.row["avoid_names"] or ()]
        if fields_of(item.row) not in made:
            yield "parent_ids", f"names {name}, of which the edit makes another row"


def _target_shown(item: Item, lineage: RowLineage, block: Mapping[str, Any]) -> Problems:
    """Check that the prompt of a target's row has what its target demands."""
    found = lineage.by_id.get((TARGETS, item.row["target_id"] or ""))
    if found is None:
        return
    told = "\n".join(map(str, block.get("must", ())))
    for name in ("words", "names", "templates", "openings"):
        for one in found.row[f"avoid_{name}"] or ():
            if one not in told:
                yield "target_id", f"wants to avoid {one!r}, which is not in the prompt"
    if found.row["demand"] and found.row["demand"] not in told:
        yield "target_id", f"demands {found.row['demand']!r}, which is not in the prompt"
    if found.row["label"] not in (None, item.row["intended_label"]):
        yield "intended_label", "is not the label of its target"


def target(item: Item, lineage: RowLineage, completion: StoredCompletion | None) -> Problems:
    """Check a target: nothing but its file, since the user may edit it."""
    del item, lineage, completion
    yield from ()


def rejected(item: Item, lineage: RowLineage, completion: StoredCompletion | None) -> Problems:
    """Check a rejected item of any step but the last: its id and its text."""
    row = item.row
    yield from _check_id(
        item,
        "item_id",
        ids.rejected_id(lineage.task, row["step"], row["#"], row["request_ids"], row["slot"]),
    )
    if completion is None or row["text"] is None:
        return
    items = _items(completion)
    if any(row["text"] in (canonical(one), *map(str, one.values())) for one in items):
        return
    try:
        fields = json.loads(row["text"])
    except ValueError:
        fields = None
    if isinstance(fields, dict):
        unchecked = {"intended_label": None, "rationale": None}
        if _answered(unchecked, fields, completion)[1]:
            return
    if row["reason"] != "misleading":
        yield "text", NOT_IN_COMPLETION


def reviewed(item: Item, lineage: RowLineage, completion: StoredCompletion | None) -> Problems:
    """Check a human verdict: its hash is that of the fields and the label that were seen."""
    del completion
    above = lineage.by_id.get((INSTANCES, item.item_id))
    row = item.row
    if above is None or row["seen_label"] is None:
        return
    labels = [row["seen_label"], row["seen_label"].split(SEPARATOR)]
    fields = fields_of(above.row)
    if row["content"] not in [ids.reviewed_content(fields, label) for label in labels]:
        yield "content", "is not the hash of the row that was seen"


def written(row: Row, completion: StoredCompletion) -> bool:
    """Return whether a completion contains the fields of a row."""
    if "rows" in prompt_data(completion):
        # A reader's answer has a label, which is no field.
        return False
    shown = {n for e, i in pairs(completion, "slots", "slot") for n in (*e.get("given", {}), *i)}
    fields = {name: value for name, value in row.items() if name in shown}
    unchecked = {"intended_label": None, "rationale": None}
    return bool(fields) and _answered(unchecked, fields, completion)[1]


def _check_id(item: Item, column: str, expected: str) -> Problems:
    if item.item_id != expected:
        yield column, "is not the digest of the row's content"


def _answered(
    row: Row, fields: Mapping[str, Any], completion: StoredCompletion
) -> tuple[dict[str, Any], bool]:
    """Return the prompt entry that a row answers, and whether one was found."""
    label = prompt_data(completion).get("label", {}).get("name")
    for entry, answer in pairs(completion, "slots", "slot"):
        given = entry.get("given", {})
        values = {name: given.get(name, answer.get(name)) for name in fields}
        # Fields in neither are derived; the row's id covers them.
        values = {name: value for name, value in values.items() if value is not None}
        same = bool(values) and all(_same(value, fields[name]) for name, value in values.items())
        if (
            same
            and _reasons_fit(row["rationale"], answer)
            and _label_fits(row["intended_label"], label, entry, answer)
        ):
            return entry, True
    return {}, False


def _reasons_fit(stored: str | None, answer: Mapping[str, Any]) -> bool:
    """Return whether a rationale is the answer's; a long one is stored shortened."""
    return stored is None or stored == str(answer.get("rationale"))[:RATIONALE_CHARACTERS]


def _same(answered: Any, stored: Any) -> bool:
    """Compare values; options may be shuffled and white space folded."""
    if isinstance(answered, list) and isinstance(stored, list):
        return sorted(map(str, answered)) == sorted(map(str, stored))
    if isinstance(stored, date):
        return str(answered) == stored.isoformat()
    return bool(answered == stored) or " ".join(str(answered).split()) == stored


def _label_fits(
    intended: Any, label: str | None, entry: Mapping[str, Any], answer: Mapping[str, Any]
) -> bool:
    """Return whether a row's intended label is the prompt's, the plan's or the answer's."""
    if intended is None:
        return True
    if isinstance(intended, list) and "entities" in answer:
        listed = [one for one in answer["entities"] or () if isinstance(one, dict)]
        listed_ = [(str(one.get("type")), str(one.get("text")).strip()) for one in listed]
        return {entities.entry(kind, text) for kind, text in listed_} == set(intended)
    if isinstance(intended, list):
        return sorted(entry.get("labels", [])) == sorted(intended)
    # In a contrast set, each entry has a label, and the answers repeat none.
    own = answer.get("label") or entry.get("label")
    known = (label, own, entry.get("answer"), answer.get("answer"))
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
        shown = entry["context"]
        if any(block[name] != shown[name] for name in block.keys() & shown.keys()):
            yield "context_id", "differs from the context in the prompt"
    elif "requirements" in entry:
        words = "\n".join(map(str, entry["requirements"]))
        if not all(str(value) in words for value in block.get("attributes", {}).values()):
            yield "context_id", "differs from the context in the prompt"
    else:
        yield "context_id", "names a context, but the prompt contains none"


def _sources_shown(
    item: Item, lineage: RowLineage, block: Mapping[str, Any], entry: Mapping[str, Any]
) -> Problems:
    """Check that a row's prompt showed its context, seed and parents."""
    row = item.row
    examples = [e for e in block.get("examples", ()) if isinstance(e, dict)]
    seed_row = lineage.by_id.get((SEEDS, row["seed_id"] or ""))
    if row["context_id"] and (entry.keys() & {"context", "requirements"} or not entry.get("given")):
        yield from _context_shown(item, lineage, entry)
    elif row["context_id"] and seed_row and seed_row.row["context_id"] != row["context_id"]:
        # The prompt shows the seed alone, which was written in the context.
        yield "context_id", "differs from the context of the seed"
    yield from _manner_shown(row, entry)
    if seed_row:
        shown = {**entry.get("seed", {}), **entry.get("given", {})}
        fields = json.loads(seed_row.row["fields"])
        differs = any(shown.get(n) != v for n, v in (fields | attributes(seed_row.row)).items())
        # Rows that grow from examples have one of these as their seed, or a row made before.
        if differs and not examples:
            yield "seed_id", "differs from the seed in the prompt"
        elif differs and not row["parent_ids"] and not _among(fields, examples):
            yield "seed_id", "names a seed that is not in the prompt"
    for name in row["parent_ids"] or ():
        parent = lineage.by_id.get((INSTANCES, name))
        if parent and not _among(fields_of(parent.row), examples):
            yield "parent_ids", f"contains {name}, which is not in the prompt"


def _manner_shown(row: Row, entry: Mapping[str, Any]) -> Problems:
    """Check that a row's prompt named its planned way and difficulty."""
    way = entry.get("way")
    if isinstance(way, dict):
        way = "; ".join(f"{name}: {one}" for name, one in way.items())
    shown = {"planned_way": way, "planned_difficulty": entry.get("difficulty")}
    for column, value in shown.items():
        if row.get(column) != value:
            yield column, "differs from the prompt"


def _among(fields: Mapping[str, Any], examples: list[dict[str, Any]]) -> bool:
    """Return whether a row is among the examples, which may contain only some of its fields."""
    shown = ({name: e[name] for name in e if name in fields} for e in examples)
    return any(part and all(fields[n] == v for n, v in part.items()) for part in shown)


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
    REVIEWS: _with_last(reviewed),
    TARGETS: _with_last(target),
}
"""Table -> check of its rows."""
