"""The embedded model's mind: from a prompt to the text of an answer."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from random import Random
from typing import Any, Final

from simulator.composer import Composer
from simulator.errors import NONE, ErrorRates, near_duplicate, spoil
from simulator.grammar import ContextAsk, Fields, Grammar, SeedAsk, Slot
from simulator.grammars import GRAMMARS
from simulator.prompt import Prompt
from simulator.truth import fingerprint, number, truth, truths

_WORD: Final = re.compile(r"[a-z]+")
_TRIES: Final = 400
_TRIES_GENERIC: Final = 1500
_SURE: Final = 1 / 200
"""How low a label's number must be where its rivals are unknown: four labels, 1% ambiguous."""


def answer(prompt: Prompt, rates: ErrorRates = NONE) -> tuple[str, str]:
    """Return the text of the answer and its finish reason."""
    value = Composer(prompt).completed(_value(prompt, rates))
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    rng = prompt.random("form")
    return spoil(text, rng) if rng.random() < rates.malformed else (text, "stop")


def _value(prompt: Prompt, rates: ErrorRates) -> Fields:
    """Return the answer, as far as the prompt's data tell what is asked."""
    block = prompt.block
    if not _well_formed(block):
        return {}
    if isinstance(block.get("row"), dict):
        return _judge(prompt, rates)
    wanted = block.get("wanted")
    if isinstance(block.get("slots"), list):
        items = _instances(prompt, rates)
    elif not isinstance(wanted, dict):
        return {}
    elif isinstance(block.get("items"), list):
        items = _seeds(prompt, rates)
    else:
        items = _contexts(prompt)
    return {_list_name(prompt): items}


def _well_formed(block: Mapping[str, Any]) -> bool:
    """Say whether a block holds objects where objects belong; what is missing is another matter."""

    def all_of(kind: type, values: Iterable[object]) -> bool:
        return all(value is None or isinstance(value, kind) for value in values)

    wanted = block.get("wanted")
    task = block.get("task")
    lists = [block.get("items"), block.get("slots")]
    return (
        all_of(dict, (task, wanted, block.get("label"), block.get("context"), block.get("terms")))
        and all_of(list, lists)
        and all_of(dict, [one for found in lists if found for one in found])
        and all_of(
            dict, [one.get(n) for one in lists[1] or () for n in ("seed", "given", "context")]
        )
        and all_of(int, [(wanted or {}).get("count")])
        and all_of(dict, [(wanted or {}).get(name) for name in ("fields", "attributes")])
        and all_of(dict, [(task or {}).get("fields"), block.get("labels")])
    )


def task_grammars(block: Mapping[str, Any]) -> list[Grammar]:
    """Return the grammars that fit the block's task, best first.

    Told by fields, labels and typed attributes, never by the task's name: a copied task has
    another. Two tasks of the same fields may both fit; then the given texts decide.
    """
    fields = frozenset((block.get("task") or {}).get("fields") or ())
    if isinstance(block.get("label"), dict):
        labels = frozenset(str(one) for one in [block["label"].get("name")] if one)
    else:
        labels = frozenset(block.get("labels") or ())
    fitting = [g for g in GRAMMARS if g.matches(fields, labels)]
    if len(fitting) > 1:
        items = block.get("items")
        typed = frozenset(items[0]) - {"item"} if isinstance(items, list) and items else None
        attributes = list((block.get("context") or {}).get("attributes") or ())
        told = json.dumps([block.get("task"), block.get("wanted"), attributes])
        words = frozenset(_WORD.findall(told))
        fitting.sort(key=lambda g: (typed not in (None, g.typed), -len(words & g.cues)))
    return fitting


def _list_name(prompt: Prompt) -> str:
    properties = prompt.schema.get("properties") or {}
    lists = [name for name, one in properties.items() if one.get("type") == "array"]
    return lists[0] if lists else "items"


def _item_schema(prompt: Prompt) -> Mapping[str, Any]:
    """Return the properties of one item of the answer's list; empty where no schema says."""
    listed = (prompt.schema.get("properties") or {}).get(_list_name(prompt)) or {}
    found = (listed.get("items") or {}).get("properties")
    return found if isinstance(found, dict) else {}


def conform(value: object, schema: Mapping[str, Any]) -> Any:
    """Return the value as its schema wants it: a list, a string or a number."""
    kind = schema.get("type")
    if kind == "array":
        return value if isinstance(value, list) else [str(value)]
    if kind == "integer":
        return value if isinstance(value, int) else int(str(value)) if str(value).isdigit() else 0
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def _shaped(
    fields: Mapping[str, Any], names: Iterable[str], properties: Mapping[str, Any]
) -> Fields:
    """Return the named fields as the schema wants them; those that are not there are left out."""
    return {n: conform(fields[n], properties.get(n, {})) for n in names if fields.get(n)}


def _contexts(prompt: Prompt) -> list[Fields]:
    """Answer a request for contexts, or for the terms of a vocabulary."""
    block, wanted = prompt.block, prompt.block["wanted"]
    properties = _item_schema(prompt)
    generic = Composer(prompt)
    grammar = next(iter(task_grammars(block)), None)
    rng = prompt.random("content")
    found: Iterable[Fields]
    if "category" in wanted or "term" in properties:
        category = str(wanted.get("category", ""))
        known = grammar.terms(category, rng) if grammar else iter(())
        found = ({"term": term} for term in _chain(known, generic.terms(category, rng)))
        names = ["term"]
    else:
        attributes = {
            name: tuple(map(str, one.get("values") or ())) if isinstance(one, dict) else ()
            for name, one in (wanted.get("attributes") or {}).items()
        }
        terms = {k: tuple(map(str, v)) for k, v in (block.get("terms") or {}).items()}
        ask = ContextAsk(attributes, terms, str(wanted.get("what", "")))
        known_contexts = grammar.contexts(ask, rng) if grammar else iter(())
        found = _chain(islice(known_contexts, 2000), generic.contexts(ask, rng))
        names = ["text", *attributes]
    seen = _excluded(block)
    out: list[Fields] = []
    for one in islice(found, 6000):
        if len(out) == int(wanted.get("count") or 1):
            break
        if seen.add(str(one.get("text") or one.get("term"))):
            out.append(_shaped(one, names, properties))
    return out


def _chain(*parts: Iterator[Any]) -> Iterator[Any]:
    for part in parts:
        yield from part


class _Seen:
    """Texts that must not come again; what is excluded may be cut short."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._whole = {self._key(text) for text in texts}
        self._lengths = {len(text) for text in self._whole}

    @staticmethod
    def _key(text: str) -> str:
        return " ".join(text.casefold().split()).rstrip(" .…")

    def add(self, text: str) -> bool:
        """Remember a text; False where it, or how it begins, was there before."""
        key = self._key(text)
        if any(key[:n].rstrip(" .…") in self._whole for n in self._lengths):
            return False
        self._whole.add(key)
        self._lengths.add(len(key))
        return True


def _excluded(block: Mapping[str, Any]) -> _Seen:
    listed = block.get("exclude")
    return _Seen(str(one) for one in listed) if isinstance(listed, list) else _Seen(())


def _seed_text(fields: Fields) -> str:
    """Return what tells seeds apart: all their texts."""
    return " ".join(str(value) for value in fields.values())


def _seeds(prompt: Prompt, rates: ErrorRates) -> list[Fields]:
    block, wanted = prompt.block, prompt.block["wanted"]
    properties = _item_schema(prompt)
    wanted_fields = {str(k): str(v) for k, v in (wanted.get("fields") or {}).items()}
    context = block.get("context") or {}
    grammar = next(iter(task_grammars(block)), None)
    generic = Composer(prompt)
    seen, firsts = _excluded(block), _excluded(block)
    errors = prompt.random("errors")
    out: list[Fields] = []
    for at, item in enumerate(block["items"]):
        rng = prompt.random(f"item {at}")
        typed = {k: v for k, v in item.items() if k != "item"}
        attributes = context.get("attributes") or {}
        text, needs = str(context.get("text", "")), _texts(block.get("requirements"))
        ask = SeedAsk(text, attributes, typed, wanted_fields, needs)
        fields = None
        if errors.random() < rates.near_duplicate:
            twins = [o for o, i in zip(out, block["items"], strict=False) if _same_type(i, item)]
            fields = near_duplicate(_without(rng.choice(twins), "item"), rng) if twins else None
        known = islice(grammar.seeds(ask, rng), _TRIES) if grammar else iter(())
        candidates = iter([fields]) if fields else iter(())
        for one in _chain(candidates, known, islice(generic.seeds(ask, rng), _TRIES)):
            first = next((str(v) for n, v in one.items() if n in wanted_fields), "")
            if seen.add(_seed_text(one)) and firsts.add(first):
                fields = one
                break
        names = list(wanted_fields) or [n for n in properties if n != "item"]
        out.append({"item": item.get("item", at + 1), **_shaped(fields or {}, names, properties)})
    return out


def _same_type(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return _without(one, "item") == _without(other, "item")


def _without(fields: Mapping[str, Any], name: str) -> Fields:
    return {key: value for key, value in fields.items() if key != name}


def _instances(prompt: Prompt, rates: ErrorRates) -> list[Fields]:
    block = prompt.block
    properties = _item_schema(prompt)
    label = str((block.get("label") or {}).get("name", ""))
    errors = prompt.random("errors")
    out = []
    for at, slot in enumerate(block["slots"]):
        rng = prompt.random(f"slot {at}")
        wrong = errors.random() < rates.wrong_label
        given = {**(slot.get("seed") or {}), **(slot.get("given") or {})}
        context = slot.get("context") or {}
        place = Slot(
            str(context.get("text", "")),
            context.get("attributes") or {},
            given,
            slot.get("answer"),
            _texts(slot.get("requirements")),
            tuple(sorted(slot["labels"])) if isinstance(slot.get("labels"), dict) else None,
        )
        names = [n for n in properties if n not in ("slot", "rationale")] or [
            n for n in block["task"].get("fields", ()) if n not in given
        ]
        own = slot.get("label") if isinstance(slot.get("label"), str) else label
        row, rationale = _write(prompt, place, own, names, wrong=wrong, rng=rng)
        written: Fields = {"slot": slot.get("slot", at + 1)}
        if "rationale" in properties:
            written["rationale"] = rationale
        row.setdefault("label", own)
        # An empty text of a grammar is meant: an instruction may need no input.
        kept = {n: row[n] for n in names if row.get(n) is not None}
        out.append({**written, **{n: conform(v, properties.get(n, {})) for n, v in kept.items()}})
    return out


def _write(
    prompt: Prompt, slot: Slot, label: str, names: list[str], *, wrong: bool, rng: Random
) -> tuple[Fields, str]:
    """Write one row; return its fields and the reason given for its label."""
    fields = prompt.block["task"].get("fields") or {}
    for grammar in task_grammars(prompt.block):
        for seedless in (False, True):
            place = _seeded(grammar, slot, rng) if seedless else slot
            labels = list(grammar.labels) or _choices(place)
            meant = label if grammar.labels else slot.answer or rng.choice(labels)
            if place.several is not None:
                changed = {rng.choice(labels)} if wrong else set()
                place = replace(place, several=tuple(sorted(changed ^ set(place.several))))
            elif wrong and (others := [one for one in labels if one != meant]):
                meant = rng.choice(others)
            found = None
            fixed = {n: v for n, v in place.given.items() if n in fields}
            for candidate in islice(grammar.instances(place, meant, rng), _TRIES):
                found = {**fixed, **{n: v for n, v in candidate.items() if n in fields}}
                if slot.answer is None and "answer" in candidate:
                    # A question that brings its own options brings its answer too.
                    meant, labels = candidate["answer"], _options(candidate)
                if _bears(found, labels, meant, place.several):
                    break
            if found is not None:
                if wrong and not grammar.labels and not _given_choices(place):
                    meant = rng.choice([one for one in labels if one != meant] or labels)
                return {"answer": meant, **found}, grammar.rationale(found, label or meant, rng)
    return _compose(prompt, slot, label, names, wrong=wrong, rng=rng)


def _bears(
    row: Mapping[str, Any], labels: list[str], meant: str, several: tuple[str, ...] | None
) -> bool:
    """Say whether a row's text bears the label that is meant, or the several that are."""
    if several is not None:
        return truths(row, labels) == list(several)
    return truth(row, labels) == meant


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _options(row: Mapping[str, Any]) -> list[str]:
    """Return the list of texts that a row's answer is one of."""
    lists = (one for one in row.values() if isinstance(one, list) and row["answer"] in one)
    return [str(option) for option in next(lists, [row["answer"]])]


def _given_choices(slot: Slot) -> list[str]:
    """Return the list of texts among the given fields that the answer is one of."""
    for value in slot.given.values():
        if isinstance(value, list) and (slot.answer is None or slot.answer in value):
            return [str(one) for one in value]
    return []


def _choices(slot: Slot) -> list[str]:
    """Return the spans that the answer may be, as far as they are given."""
    return _given_choices(slot) or [slot.answer or ""]


def _seeded(grammar: Grammar, slot: Slot, rng: Random) -> Slot:
    """Give a slot a seed where it has none: recipes without seeds ask for all fields at once."""
    ask = SeedAsk(slot.context, slot.attributes, {}, {}, slot.requirements)
    seed = next(iter(grammar.seeds(ask, rng)), {})
    return replace(slot, given={**seed, **slot.given})


def _compose(
    prompt: Prompt, slot: Slot, label: str, names: list[str], *, wrong: bool, rng: Random
) -> tuple[Fields, str]:
    """Write a row of a task that no grammar knows, its rivals' labels being unknown, too."""
    fields = prompt.block["task"].get("fields") or {}
    generic = Composer(prompt)
    meant = slot.answer if slot.answer is not None else label
    fixed = {n: v for n, v in slot.given.items() if n in fields}
    best: tuple[float, Fields] | None = None
    for candidate in islice(generic.instances(slot, label, names, wrong, rng), _TRIES_GENERIC):
        row = {**fixed, **candidate}
        place = number(fingerprint(row), meant)
        distance = 1 - place if wrong else place
        if best is None or distance < best[0]:
            best = distance, row
        if distance < _SURE:
            break
    row = best[1] if best else dict(fixed)
    if "answer" in names and slot.answer is None:
        row |= _with_answer(prompt, row, generic, wrong=wrong, rng=rng)
    return row, generic.rationale(row, label, rng)


def _with_answer(
    prompt: Prompt, row: Fields, generic: Composer, *, wrong: bool, rng: Random
) -> Fields:
    """Return options for a row, as many as its schema wants, and the one that is the answer."""
    for name, schema in _item_schema(prompt).items():
        if schema.get("type") == "array":
            count = int(schema.get("minItems") or 2)
            options = list(dict.fromkeys(islice(generic.terms(name, rng), 20 * count)))[:count]
            right = truth({**row, name: options}, options)
            others = [one for one in options if one != right]
            return {name: options, "answer": rng.choice(others) if wrong and others else right}
    return {}


def _judge(prompt: Prompt, rates: ErrorRates) -> Fields:
    """Label a row, as annotator or, where reasons are asked for, as corrector."""
    block, properties = prompt.block, prompt.schema.get("properties") or {}
    row = block["row"]
    asked = properties.get("label") or {}
    several = asked.get("type") == "array"
    allowed = (asked.get("items") or {}).get("enum") if several else asked.get("enum")
    labels = [str(one) for one in allowed or block.get("labels") or _spans(row)]
    correcting = "reasons" in properties or (not properties and "proposed" in block)
    rng = prompt.random("errors")
    errs = rng.random() < (rates.corrector if correcting else rates.annotator)
    named = truths(row, labels) if several else [truth(row, labels)]
    if errs and several:
        named = sorted({rng.choice(labels)} ^ set(named))
    elif errs and len(labels) > 1:
        named = [rng.choice([one for one in labels if one not in named])]
    label = ", ".join(named)
    said: Fields = {"label": named if several else label}
    if not correcting:
        return said
    known: list[Grammar] = task_grammars(block)
    grammar = known[0] if known else Composer(prompt)
    return {"reasons": grammar.rationale(row, label, rng), **said}


def _spans(row: Mapping[str, Any]) -> list[str]:
    return next((list(map(str, v)) for v in row.values() if isinstance(v, list) and v), [""])
