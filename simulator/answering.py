"""From a prompt to the text of its answer.

This module finds out what a prompt asks for, tries wordings until the hash of one has the right
label, and adds the deliberate errors. The grammars and the composer write the texts.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import chain, islice
from random import Random
from typing import Any, Final

from simulator.composer import Composer
from simulator.contrast import edited
from simulator.errors import NONE, ErrorRates, misread, mistaken, near_duplicate, spoil
from simulator.grammar import ContextAsk, Fields, Grammar, SeedAsk, Slot
from simulator.habits import NO_HABITS, Habits, demanded, shaper
from simulator.judging import ENTITIES, judgments
from simulator.prompt import Prompt
from simulator.recognizing import settings, task_grammars
from simulator.truth import score, truth, truths

_TRIES: Final = 400
_TRIES_COMPOSED: Final = 1500
_MEANING: Final = 2
"""How many words a message needs at least to say what a label means."""
_SURE: Final = 1 / 200
"""A label's number must be below this if the other labels are unknown. With four labels, another
one then wins in 1% of the rows."""


def answer(prompt: Prompt, rates: ErrorRates = NONE, habits: Habits = NO_HABITS) -> tuple[str, str]:
    """Return the text of the answer and its finish reason."""
    value = Composer(prompt).completed(_value(prompt, rates, habits))
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    rng = prompt.random("form")
    return spoil(text, rng) if rng.random() < rates.malformed else (text, "stop")


def _value(prompt: Prompt, rates: ErrorRates, habits: Habits) -> Fields:
    """Return what the prompt's data asks for; empty if that is unclear."""
    block = prompt.block
    if not _well_formed(block):
        return {}
    if isinstance(block.get("rows"), list):
        writer = next(iter(task_grammars(block)), None) or Composer(prompt)
        items = judgments(prompt, rates, writer)
    elif isinstance(block.get("slots"), list):
        items = _instances(prompt, rates, habits)
    elif not isinstance(block.get("wanted"), dict):
        return {}
    elif isinstance(block.get("items"), list):
        items = _seeds(prompt, rates)
    else:
        items = _contexts(prompt)
    return {_list_name(prompt): items}


def _well_formed(block: Mapping[str, Any]) -> bool:
    """Return whether the parts of a block have the right types; all may be missing."""

    def all_of(kind: type, values: Iterable[object]) -> bool:
        return all(value is None or isinstance(value, kind) for value in values)

    task, wanted, items, slots = (block.get(n) for n in ("task", "wanted", "items", "slots"))
    rows = block.get("rows")
    objects = [block.get(n) for n in ("label", "labels", "context", "terms", "shared")]
    return (
        all_of(dict, [task, wanted, *objects])
        and all_of(list, [items, slots, rows])
        and all_of(dict, [*(items or ()), *(slots or ()), *(rows or ())])
        and all_of(
            dict, [s.get(n) for s in slots or () for n in ("seed", "given", "context", "without")]
        )
        and all_of(int, [(wanted or {}).get("count")])
        and all_of(dict, [(wanted or {}).get(name) for name in ("fields", "attributes")])
        and all_of(dict, [(task or {}).get("fields")])
    )


def _list_name(prompt: Prompt) -> str:
    properties = prompt.schema.get("properties") or {}
    return next((name for name, one in properties.items() if one.get("type") == "array"), "items")


def _item_schema(prompt: Prompt) -> Mapping[str, Any]:
    """Return the properties of an item of the answer's list; empty without a schema."""
    listed = (prompt.schema.get("properties") or {}).get(_list_name(prompt)) or {}
    found = (listed.get("items") or {}).get("properties")
    return found if isinstance(found, dict) else {}


def _conform(value: object, schema: Mapping[str, Any]) -> Any:
    """Return the value with the type that its schema wants: list, string or integer."""
    kind = schema.get("type")
    if kind == "array":
        return value if isinstance(value, list) else [str(value)]
    if isinstance(value, bool | float) or value is None:
        return value
    if kind == "integer":
        return value if isinstance(value, int) else int(str(value)) if str(value).isdigit() else 0
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _shaped(
    fields: Mapping[str, Any], names: Iterable[str], properties: Mapping[str, Any]
) -> Fields:
    """Return those of the named fields that are not empty, as the schema wants them."""
    return {n: _conform(fields[n], properties.get(n, {})) for n in names if fields.get(n)}


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _contexts(prompt: Prompt) -> list[Fields]:
    """Answer a request for contexts, or for the terms of a vocabulary."""
    block, wanted = prompt.block, prompt.block["wanted"]
    properties = _item_schema(prompt)
    composer = Composer(prompt)
    grammar = next(iter(task_grammars(block)), None)
    rng = prompt.random("content")
    found: Iterable[Fields]
    if "category" in wanted or "term" in properties:
        category = str(wanted.get("category", ""))
        known = grammar.terms(category, rng) if grammar else ()
        found = ({"term": term} for term in chain(known, composer.terms(category, rng)))
        names = ["term"]
    else:
        attributes = {
            name: tuple(map(str, one.get("values") or ())) if isinstance(one, dict) else ()
            for name, one in (wanted.get("attributes") or {}).items()
        }
        terms = {k: tuple(map(str, v)) for k, v in (block.get("terms") or {}).items()}
        ask = ContextAsk(attributes, terms)
        contexts = grammar.contexts(ask, rng) if grammar else ()
        domains = prompt.random("domain")
        found = (
            {"domain": composer.domain(domains), **one}
            for one in chain(islice(contexts, 2000), composer.contexts(ask, rng))
        )
        names = [*(["domain"] if "domain" in properties else []), "text", *attributes]
    seen = _Seen(block)
    out: list[Fields] = []
    for one in islice(found, 6000):
        if len(out) == int(wanted.get("count") or 1):
            break
        if seen.add(str(one.get("text") or one.get("term"))):
            out.append(_shaped(one, names, properties))
    return out


class _Seen:
    """Texts that must not be repeated. Those that a prompt excludes may be cut off."""

    def __init__(self, *blocks: Mapping[str, Any]) -> None:
        self._texts = {self._key(text) for block in blocks for text in _texts(block.get("exclude"))}
        self._lengths = {len(text) for text in self._texts}

    @staticmethod
    def _key(text: str) -> str:
        return " ".join(text.casefold().split()).rstrip(" .…")

    def add(self, text: str) -> bool:
        """Add a text; return False if the text or its beginning is already there."""
        key = self._key(text)
        if any(key[:n].rstrip(" .…") in self._texts for n in self._lengths):
            return False
        self._texts.add(key)
        self._lengths.add(len(key))
        return True


def _seeds(prompt: Prompt, rates: ErrorRates) -> list[Fields]:
    block, wanted = prompt.block, prompt.block["wanted"]
    properties = _item_schema(prompt)
    wanted_fields = {str(k): str(v) for k, v in (wanted.get("fields") or {}).items()}
    names = list(wanted_fields) or [n for n in properties if n != "item"]
    contexts = settings(block)
    grammar = next(iter(task_grammars(block)), None)
    composer = Composer(prompt)
    earlier = [block, *contexts.values()]
    seen, firsts = _Seen(*earlier), _Seen(*earlier)
    errors = prompt.random("errors")
    out: list[Fields] = []
    for at, item in enumerate(block["items"]):
        rng = prompt.random(f"item {at}")
        context = contexts.get(item.get("context"), {})
        ask = SeedAsk(
            str(context.get("text", "")),
            context.get("attributes") or {},
            _typed(item),
            wanted_fields,
            _texts(block.get("requirements")),
        )
        fields = None
        if errors.random() < rates.near_duplicate:
            twins = [
                seed
                for seed, other in zip(out, block["items"], strict=False)
                if _typed(other) == ask.item and other.get("context") == item.get("context")
            ]
            fields = near_duplicate(_typed(rng.choice(twins)), rng) if twins else None
        known = islice(grammar.seeds(ask, rng), _TRIES) if grammar else ()
        for one in chain(
            [fields] if fields else (), known, islice(composer.seeds(ask, rng), _TRIES)
        ):
            first = next((str(v) for n, v in one.items() if n in wanted_fields), "")
            if seen.add(" ".join(map(str, one.values()))) and firsts.add(first):
                fields = one
                break
        out.append({"item": item.get("item", at + 1), **_shaped(fields or {}, names, properties)})
    return out


def _typed(item: Mapping[str, Any]) -> Fields:
    """Return the typed attributes of an item; the texts of the simulator need no anchors."""
    return {key: value for key, value in item.items() if key not in ("item", "context", "anchors")}


def _instances(prompt: Prompt, rates: ErrorRates, habits: Habits) -> list[Fields]:
    block, must = prompt.block, demanded(prompt.block)
    properties = _item_schema(prompt)
    errors = prompt.random("errors")
    out: list[Fields] = []
    first: Fields = {}
    shared = block.get("shared")
    for at, given in enumerate(block["slots"]):
        asked = {**(shared or {}), **given}
        rng = prompt.random(f"slot {at}")
        wrong = errors.random() < rates.wrong_label
        context = asked.get("context") or {}
        slot = Slot(
            str(context.get("text", "")),
            context.get("attributes") or {},
            {**(asked.get("seed") or {}), **(asked.get("given") or {})},
            asked.get("answer"),
            _texts(asked.get("requirements")),
            tuple(sorted(asked["labels"])) if isinstance(asked.get("labels"), dict) else None,
            _way(asked.get("way")),
            without=frozenset(asked.get("without") or ()),
        )
        names = [n for n in properties if n not in ("slot", "about", "rationale")] or [
            n for n in block["task"].get("fields", ()) if n not in slot.given
        ]
        label = asked.get("label")
        if not isinstance(label, str):
            label = str((block.get("label") or {}).get("name", ""))
        wrong = wrong or habits.misses(slot.way, must)
        shape = shaper(habits, must, label, names, prompt.random(f"habits {at}"), slot.given)
        row, rationale = _write(prompt, slot, label, names, shape, wrong=wrong, rng=rng)
        if shared is not None and first:
            labels = [str(one) for one in block.get("labels") or ()]
            others = [one for one in labels if one != label]
            meant = rng.choice(others) if wrong and others else label
            fields = block["task"].get("fields") or ()
            texts = {name: value for name, value in first.items() if name in fields}
            row = edited(texts, names, meant, labels, rng)
        first = first or row
        row.setdefault("label", label)
        written: Fields = {"slot": asked.get("slot", at + 1)}
        if "about" in properties:
            written["about"] = str(asked.get("about", ""))
        if "rationale" in properties:
            written["rationale"] = rationale
        # Empty texts are kept: an instruction may need no input.
        kept = {n: row[n] for n in names if row.get(n) is not None}
        out.append({**written, **{n: _conform(v, properties.get(n, {})) for n, v in kept.items()}})
    return out


def _way(way: object) -> str | None:
    """Return the way of a slot; those of several labels are joined."""
    if isinstance(way, dict):
        return "; ".join(f"{name}: {one}" for name, one in way.items())
    return way if isinstance(way, str) else None


def _write(
    prompt: Prompt,
    slot: Slot,
    label: str,
    names: list[str],
    shape: Callable[[Fields], Fields | None],
    *,
    wrong: bool,
    rng: Random,
) -> tuple[Fields, str]:
    """Write one row; return its fields and the reason for its label.

    A label whose meaning the message does not give is guessed.
    """
    fields = prompt.block["task"].get("fields") or {}
    slot = replace(slot, constraint=_constraint(prompt.block, label))
    known = len(slot.constraint.split()) >= _MEANING or bool(prompt.block.get("examples"))
    for grammar in task_grammars(prompt.block):
        # Recipes without seeds ask for all fields at once.
        for seedless in (False, True):
            place = _seeded(grammar, slot, rng) if seedless else slot
            labels = list(grammar.labels) or _given_choices(place) or [place.answer or ""]
            meant = _meant(grammar, place, label, labels, known, wrong, rng)
            listed = ENTITIES in names
            if place.several is not None:
                place = replace(place, several=_features(grammar, place, wrong and not listed, rng))
            row = None
            fixed = {n: v for n, v in place.given.items() if n in fields}
            candidates = map(shape, islice(grammar.instances(place, meant, rng), _TRIES))
            for candidate in filter(None, candidates):
                row = {
                    **fixed,
                    **{n: v for n, v in candidate.items() if n in fields or n == ENTITIES},
                }
                if slot.answer is None and "answer" in candidate:
                    # A question that brings its own options brings its answer too.
                    meant, labels = candidate["answer"], _options(candidate)
                if listed:
                    # What a text names is plain to see; it needs no hash.
                    right = True
                elif place.several is not None:
                    right = truths(row, labels) == list(place.several)
                else:
                    right = truth(row, labels) == meant
                if right:
                    break
            if row is not None and listed and wrong:
                row[ENTITIES] = misread(row[ENTITIES], list(grammar.labels), rng)
            if row is not None:
                if wrong and not grammar.labels and not _given_choices(place):
                    meant = rng.choice([one for one in labels if one != meant] or labels)
                return {"answer": meant, **row}, grammar.rationale(row, label or meant, rng)
    return _compose(prompt, slot, label, names, shape, wrong=wrong, rng=rng)


def _constraint(block: Mapping[str, Any], label: str) -> str:
    """Return what the message says of a label, or of all rows; empty if it says nothing."""
    said = (block.get("label") or {}).get("constraint")
    return str(said or (block.get("labels") or {}).get(label) or "")


def _meant(
    grammar: Grammar,
    slot: Slot,
    label: str,
    labels: list[str],
    known: bool,
    wrong: bool,
    rng: Random,
) -> str:
    """Return the label of a row, or its answer: what the message asks for, a guess, or an error."""
    meant = slot.answer or rng.choice(labels)
    if grammar.labels:
        meant = grammar.understood(label, slot.constraint) if known else rng.choice(labels)
    others = [one for one in labels if one != meant]
    spoiled = wrong and others and slot.several is None
    return mistaken(meant, labels, rng) if spoiled else meant


def _features(grammar: Grammar, slot: Slot, wrong: bool, rng: Random) -> tuple[str, ...]:
    """Return the labels that a row of several gets: those asked for, and habits."""
    found = set(slot.several or ())
    for label, share in grammar.habits.items():
        if label not in slot.without and rng.random() < share:
            found.add(label)
    if wrong:
        found ^= {rng.choice(list(grammar.labels))}
    return tuple(sorted(found))


def _options(row: Mapping[str, Any]) -> list[str]:
    lists = (one for one in row.values() if isinstance(one, list) and row["answer"] in one)
    return [str(option) for option in next(lists, [row["answer"]])]


def _given_choices(slot: Slot) -> list[str]:
    """Return the first list of texts among the given fields that may contain the answer."""
    for value in slot.given.values():
        if isinstance(value, list) and (slot.answer is None or slot.answer in value):
            return [str(one) for one in value]
    return []


def _seeded(grammar: Grammar, slot: Slot, rng: Random) -> Slot:
    ask = SeedAsk(slot.context, slot.attributes, {}, {}, slot.requirements)
    seed = next(iter(grammar.seeds(ask, rng)), {})
    return replace(slot, given={**seed, **slot.given})


def _compose(
    prompt: Prompt,
    slot: Slot,
    label: str,
    names: list[str],
    shape: Callable[[Fields], Fields | None],
    *,
    wrong: bool,
    rng: Random,
) -> tuple[Fields, str]:
    """Write a row of an unknown task; its other labels are unknown as well."""
    fields = prompt.block["task"].get("fields") or {}
    composer = Composer(prompt)
    meant = slot.answer if slot.answer is not None else label
    row = fixed = {n: v for n, v in slot.given.items() if n in fields}
    best = 2.0
    # Without the label's meaning, the first candidate has to do.
    known = slot.constraint or slot.answer or not label or prompt.block.get("examples")
    tries = _TRIES_COMPOSED if known else 1
    texts = [name for name in names if name != ENTITIES]
    candidates = map(shape, islice(composer.instances(slot, texts, rng), tries))
    for candidate in filter(None, candidates):
        place = score({**fixed, **candidate}, meant)
        distance = 1 - place if wrong else place
        if distance < best:
            best, row = distance, {**fixed, **candidate}
        if distance < _SURE:
            break
    if "answer" in names and slot.answer is None:
        row = row | _with_answer(prompt, row, composer, wrong=wrong, rng=rng)
    if ENTITIES in names:
        one = (_item_schema(prompt).get(ENTITIES) or {}).get("items") or {}
        types = ((one.get("properties") or {}).get("type") or {}).get("enum") or ()
        listed: list[Any] = list(composer.entities(row, tuple(types)))
        row = {**row, ENTITIES: misread(listed, types, rng) if wrong else listed}
    return dict(row), composer.rationale(row, label, rng)


def _with_answer(
    prompt: Prompt, row: Fields, composer: Composer, *, wrong: bool, rng: Random
) -> Fields:
    """Return options for a row, as many as its schema wants, and the answer."""
    for name, schema in _item_schema(prompt).items():
        if schema.get("type") == "array":
            count = int(schema.get("minItems") or 2)
            options = list(dict.fromkeys(islice(composer.terms(name, rng), 20 * count)))[:count]
            right = truth({**row, name: options}, options)
            others = [one for one in options if one != right]
            return {name: options, "answer": rng.choice(others) if wrong and others else right}
    return {}
