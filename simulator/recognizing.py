"""Finds out which grammar can answer a prompt."""

import json
import re
from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

from simulator.grammar import Fields, Grammar, Slot
from simulator.grammars import GRAMMARS
from targen.hashing import rng

_WORD: Final = re.compile(r"[a-z]+")
_CUES: Final = 2
"""How many of a grammar's cues a prompt without fields must contain."""


def task_grammars(block: Mapping[str, Any]) -> list[Grammar]:
    """Return the grammars that fit the block's task, best first.

    The task's name does not count, since a copied task has a different one. If several grammars fit
    the fields and labels, the typed attributes and the words of the prompt decide. Prompts for
    contexts and seeds may leave out the fields; then the words decide alone. Prompts of
    readers have them in the rows.
    """
    task, wanted = block.get("task") or {}, block.get("wanted") or {}
    rows = block.get("rows")
    fields = frozenset(task.get("fields") or (rows[0] if rows else ())) - {"row", "proposed"}
    if isinstance(block.get("label"), dict):
        labels = frozenset(str(one) for one in [block["label"].get("name")] if one)
    else:
        labels = frozenset(block.get("labels") or ())
    items = block.get("items")
    typed = (
        frozenset(items[0]) - {"item", "context", "anchors"}
        if isinstance(items, list) and items
        else frozenset()
    )
    attributes = [list(one.get("attributes") or ()) for one in settings(block).values()]
    words = frozenset(_WORD.findall(json.dumps([task, wanted, attributes]).casefold()))
    if fields:
        fitting = [g for g in GRAMMARS if g.matches(fields, labels)]
    else:
        seed = frozenset(wanted.get("fields") or ())
        fitting = [g for g in GRAMMARS if len(words & g.cues) >= _CUES and g.seeded >= seed]
    shown = () if task.get("title") else block.get("examples") or ()
    example = next((one for one in shown if isinstance(one, dict)), None)
    return sorted(
        fitting,
        key=lambda g: (
            typed not in (frozenset(), g.typed),
            -len(words & g.cues),
            -_likeness(g, example) if example else 0,
        ),
    )


def _likeness(grammar: Grammar, example: Fields) -> float:
    """Return how much a grammar's rows resemble an example, if it alone describes the task.

    The number of options counts most, then the largest share of common words with one of 30 rows.
    """
    label = str(example.get("label", ""))
    slot = Slot("", {}, {}, None, (), None)
    best = 0.0
    wanted = _shape(example)
    for row in islice(grammar.instances(slot, label, rng("likeness", grammar.name)), 30):
        lists, words = _shape(row)
        common = len(words & wanted[1]) / max(1, len(words | wanted[1]))
        best = max(best, (lists == wanted[0]) + common)
    return best


def _shape(row: Fields) -> tuple[list[int], set[str]]:
    """Return the lengths of a row's lists and the words of its texts."""
    texts = " ".join(str(value) for value in row.values()).casefold()
    return [len(v) for v in row.values() if isinstance(v, list)], set(_WORD.findall(texts))


def settings(block: Mapping[str, Any]) -> dict[Any, Mapping[str, Any]]:
    """Return the contexts of a block by their number; one without numbers has the number None."""
    numbered = block.get("contexts")
    if isinstance(numbered, list):
        return {one.get("context"): one for one in numbered if isinstance(one, dict)}
    return {None: block.get("context") or {}}
