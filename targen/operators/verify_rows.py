"""Whether rows stand in the answers that they name: terms, contexts, seeds and instances."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from targen.hashing import canonical
from targen.lineage import ids
from targen.lineage.completions import StoredCompletion
from targen.lineage.graph import Item, Row, RowLineage, fields_of
from targen.operators.materials import attributes, context_block
from targen.operators.seeds import KIND
from targen.steps import ASKED, CONFUSABLE, LABEL, NONE_SEED_KIND
from targen.tasks.validators import swap_gender

Problems = Iterator[tuple[str, str]]
"""Column and what is wrong with it."""


def prompt_data(kept: StoredCompletion) -> dict[str, Any]:
    """Return the data block of a prompt; empty where there is none."""
    try:
        text = str(kept.messages[1]["content"]).split("```json\n", 1)[1].rsplit("\n```", 1)[0]
        block = json.loads(text)
    except (IndexError, KeyError, ValueError):
        return {}
    return block if isinstance(block, dict) else {}


def pairs(
    kept: StoredCompletion, entries: str, number: str
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return what was asked and what was answered, item by item.

    Where a model numbers wrongly, any item may answer any entry; so where the numbers do not
    match, all pairs are returned.

    Args:
        kept: the completion.
        entries: key of the prompt's list, `slots` or `items`.
        number: key of an item's number, `slot` or `item`.
    """
    asked = [e for e in prompt_data(kept).get(entries, [{}]) if isinstance(e, dict)]
    answered = [i for i in (kept.value or {}).get("items", []) if isinstance(i, dict)]
    matched = [(e, i) for e in asked for i in answered if e.get(number) == i.get(number)]
    return matched + [(e, i) for e in asked for i in answered if (e, i) not in matched]


def term(item: Item, way: RowLineage, kept: StoredCompletion | None) -> Problems:
    """Check a row of vocabularies."""
    del way
    row = item.row
    yield from _named(item, "term_id", ids.term_id(row["category"], row["term"], row["label"]))
    if kept is None or row["category"] == ASKED:
        return
    key = "label" if row["category"] == CONFUSABLE else "term"
    said = {str(answered.get(key, "")).strip() for _, answered in pairs(kept, "none", "none")}
    if row["term"] not in said:
        yield "term", "its completion does not say it"


def context(item: Item, way: RowLineage, kept: StoredCompletion | None) -> Problems:
    """Check a row of contexts: one of a list, or one that was drawn."""
    row = item.row
    if row["context_id"] == ids.NONE_CONTEXT_ID:
        return
    named = [{"name": p["name"], "value": p["value"]} for p in row["attributes"] or ()]
    written = ids.context_id(row["text"], named)
    drawn = ids.drawn_context_id(row["#"], row["text"], named)
    yield from _named(item, "context_id", written if item.request_ids else drawn)
    values = attributes(row)
    terms = [way.by_id.get(("vocabularies", name)) for name in row["term_ids"] or ()]
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
    if kept is None:
        return
    for _, said in pairs(kept, "none", "none"):
        if {name: str(said.get(name, "")).strip() for name in ("text", *values)} == {
            "text": row["text"],
            **values,
        }:
            return
    yield "text", "its completion does not say it"


def seed(item: Item, way: RowLineage, kept: StoredCompletion | None) -> Problems:
    """Check a row of seeds: of a context, of a file, or an example by people."""
    row = item.row
    if row["kind"] == NONE_SEED_KIND:
        return
    fields, typed = json.loads(row["fields"]), attributes(row)
    own = ids.seed_id(row["context_id"], row["kind"], fields)
    shown = ids.example_id(KIND, fields, typed.get(LABEL))
    yield from _named(
        item, "seed_id", shown if row["kind"] == KIND and not item.request_ids else own
    )
    if kept is None:
        return
    yield from _context_shown(item, way, prompt_data(kept))
    for entry, said in pairs(kept, "items", "item"):
        if all(said.get(name) == value for name, value in fields.items()) and all(
            entry.get(name) == value for name, value in typed.items()
        ):
            return
    yield "fields", "its completion does not say it"


def instance(item: Item, way: RowLineage, kept: StoredCompletion | None) -> Problems:
    """Check a row of instances: written, grown, swapped from its twin, or the user's own."""
    row, fields = item.row, fields_of(item.row)
    yield from _named(
        item,
        "instance_id",
        ids.instance_id(way.task, row["slot"], row["intended_label"], fields),
    )
    depths = [
        above.row["depth"]
        for name in row["parent_ids"] or ()
        if (above := way.by_id.get(("instances", name)))
    ]
    if row["depth"] != 1 + max([-1, *depths]):
        yield "depth", "it is not one more than its parents'"
    if not item.request_ids and row["rationale"] is not None:
        yield "rationale", "nobody was asked for one"
    if kept is None:
        return
    block = prompt_data(kept)
    entry, found = _answered(row, fields, kept)
    if not found and (original := _original(item, way)) is not None:
        entry, found = _answered(original, fields_of(original), kept)
    if not found:
        yield "request_id", "its completion does not hold this row, nor the other half of its pair"
        return
    yield from _sources_shown(item, way, block, entry)


def rejected(item: Item, way: RowLineage, kept: StoredCompletion | None) -> Problems:
    """Check a rejected item of any step before the last: its id, and that it was answered so."""
    row = item.row
    yield from _named(
        item,
        "item_id",
        ids.rejected_id(way.task, row["step"], row["#"], row["request_ids"], row["slot"]),
    )
    if kept is None or row["text"] is None:
        return
    said = [answered for _, answered in pairs(kept, "none", "none")]
    if any(row["text"] in (canonical(one), *map(str, one.values())) for one in said):
        return
    try:
        fields = json.loads(row["text"])
    except ValueError:
        fields = None
    if isinstance(fields, dict):
        loose = {"intended_label": None, "rationale": None}
        if _answered(loose, fields, kept)[1]:
            return
    if row["reason"] != "misleading":
        yield "text", "its completion does not say it"


def written(row: Row, kept: StoredCompletion) -> bool:
    """Tell whether a completion holds the fields of a row, where nothing else is known of it."""
    shown = {n for e, i in pairs(kept, "slots", "slot") for n in (*e.get("given", {}), *i)}
    fields = {name: value for name, value in row.items() if name in shown}
    loose = {"intended_label": None, "rationale": None}
    return bool(fields) and _answered(loose, fields, kept)[1]


def _named(item: Item, column: str, expected: str) -> Problems:
    """Check that an id is the digest of the row's content."""
    if item.item_id != expected:
        yield column, "it is not the digest of the row's content"


def _answered(
    row: Row, fields: Mapping[str, Any], kept: StoredCompletion
) -> tuple[dict[str, Any], bool]:
    """Return the prompt's entry that a row answers, and whether there is one."""
    label = prompt_data(kept).get("label", {}).get("name")
    for entry, said in pairs(kept, "slots", "slot"):
        given = entry.get("given", {})
        told = {name: given.get(name, said.get(name)) for name in fields}
        # What neither says is derived from the rest, and the row's id holds it.
        told = {name: value for name, value in told.items() if value is not None}
        same = bool(told) and all(_same(value, fields[name]) for name, value in told.items())
        reasons = row["rationale"] in (None, said.get("rationale"))
        if same and reasons and _label_fits(row["intended_label"], label, entry, said):
            return entry, True
    return {}, False


def _same(said: Any, held: Any) -> bool:
    """Tell whether a value is the answer's: options may be shuffled, white space folded."""
    if isinstance(said, list) and isinstance(held, list):
        return sorted(map(str, said)) == sorted(map(str, held))
    return bool(said == held) or " ".join(str(said).split()) == held


def _label_fits(
    intended: Any, label: str | None, entry: Mapping[str, Any], said: Mapping[str, Any]
) -> bool:
    """Tell whether a row's intended label is the prompt's, the plan's or the answer's."""
    if intended is None:
        return True
    if isinstance(intended, list):
        return sorted(entry.get("labels", [])) == sorted(intended)
    known = (label, said.get("label"), entry.get("answer"), said.get("answer"))
    named = [one for one in known if one is not None]
    return not named or intended in named


def _original(item: Item, way: RowLineage) -> dict[str, Any] | None:
    """Return the row that a twin was swapped from, None where it is no twin.

    Which texts were swapped follows from the two rows; that the swap is right is recomputed.
    """
    for other in way.items:
        if other.asset != "instances" or other.row["slot"] != item.row["slot"]:
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


def _context_shown(item: Item, way: RowLineage, entry: Mapping[str, Any]) -> Problems:
    """Check that the context that a row names is the one that its prompt showed."""
    found = way.by_id.get(("contexts", item.row["context_id"] or ""))
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
    item: Item, way: RowLineage, block: Mapping[str, Any], entry: Mapping[str, Any]
) -> Problems:
    """Check that context, seed and parents of a row are those that its prompt showed."""
    row = item.row
    examples = [e for e in block.get("examples", ()) if isinstance(e, dict)]
    seed_row = way.by_id.get(("seeds", row["seed_id"] or ""))
    if row["context_id"]:
        yield from _context_shown(item, way, entry)
    if seed_row and examples:
        if not row["parent_ids"] and not _among(json.loads(seed_row.row["fields"]), examples):
            yield "seed_id", "its prompt did not show this seed"
    elif seed_row:
        shown = {**entry.get("seed", {}), **entry.get("given", {})}
        content = json.loads(seed_row.row["fields"]) | attributes(seed_row.row)
        if any(shown.get(name) != value for name, value in content.items()):
            yield "seed_id", "its prompt showed another seed"
    for name in row["parent_ids"] or ():
        parent = way.by_id.get(("instances", name))
        if parent and not _among(fields_of(parent.row), examples):
            yield "parent_ids", f"its prompt did not show {name}"


def _among(fields: Mapping[str, Any], examples: list[dict[str, Any]]) -> bool:
    """Tell whether a row is one of the examples, which show a part of its fields."""
    shown = ({name: e[name] for name in e if name in fields} for e in examples)
    return any(part and all(fields[n] == v for n, v in part.items()) for part in shown)


CHECKS = {"vocabularies": term, "contexts": context, "seeds": seed, "instances": instance}
"""Table -> how a row of it is checked."""
