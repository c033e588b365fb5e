"""Support messages that name people, products, order numbers and dates (`data/messages.txt`).

Readers find the entities by their form and by the word lists, as a person does by knowing names.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from random import Random
from types import MappingProxyType
from typing import Any, Final

from simulator.grammar import ContextAsk, Fields, Grammar, SeedAsk, Slot
from simulator.templates import Phrasebook
from simulator.words import capital, lexicons

_BOOK: Final = Phrasebook("messages.txt", "words.txt")
_MODELS: Final = ("", "", "X", "T", "S")
_PREFIXES: Final = ("AB-", "KT-", "RX", "ORD-", "INV-", "INV", "QT", "MZ")
_TYPES: Final = ("person", "product", "order_number", "date")


class EntityGrammar(Grammar):
    """Support messages with entities."""

    name = "entities"
    fields = frozenset({"message"})
    labels = _TYPES
    cues = frozenset({"support", "tickets", "entities", "order", "orders", "shop"})
    seeded = frozenset({"problem", "wish"})
    habits: Mapping[str, float] = MappingProxyType({"date": 0.2})

    def contexts(self, ask: ContextAsk, rng: Random) -> Iterator[Fields]:
        """Yield a shop and its customer."""
        while True:
            shop, customer = (_BOOK.draw(name, {}, rng) for name in ("shop", "buyer"))
            text = f"{capital(shop)}: {customer} in {_BOOK.fill('{city}', {}, rng)}"
            named = {"shop": shop, "customer": customer}
            yield {"text": text} | {name: named.get(name, shop) for name in ask.attributes}

    def seeds(self, ask: SeedAsk, rng: Random) -> Iterator[Fields]:
        """Yield what happened and what the customer wants."""
        while True:
            yield {name: _BOOK.draw(name, {}, rng) for name in ("problem", "wish")}

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        """Yield messages with a sentence for each planned type."""
        planned = slot.several or ()
        problem = str(slot.given.get("problem") or _BOOK.draw("problem", {}, rng)).rstrip(".")
        wish = str(slot.given.get("wish") or _BOOK.draw("wish", {}, rng)).rstrip(".")
        while True:
            values = {
                "product": f"{_BOOK.draw('brand', {}, rng)} {_code(_MODELS, 2, 98, rng)}",
                "number": _code(_PREFIXES, 1001, 98999, rng),
            }
            told = [_BOOK.draw(f"names {kind}", values, rng) for kind in planned if kind in _TYPES]
            rng.shuffle(told)
            sentences = [_BOOK.draw("greeting", {}, rng), problem, *told, wish]
            text = " ".join(_sentence(one) for one in sentences)
            yield {"message": text, "entities": found(text, _TYPES)}

    def entities(self, row: Mapping[str, Any], types: tuple[str, ...]) -> list[dict[str, str]]:
        """Return the entities of a row."""
        return found(" ".join(str(v) for v in row.values() if isinstance(v, str)), types)

    def rationale(self, row: Mapping[str, Any], label: str, rng: Random) -> str:
        return f"The names and numbers in it are {label or 'none'}."


def found(text: str, types: tuple[str, ...]) -> list[dict[str, str]]:
    """Return the entities of these types in a text, each text once."""
    listed: dict[str, str] = {}
    for kind, pattern in _patterns().items():
        if kind in types:
            for match in pattern.finditer(text):
                listed.setdefault(match.group(), kind)
    return [{"text": one, "type": kind} for one, kind in listed.items()]


@cache
def _patterns() -> Mapping[str, re.Pattern[str]]:
    words = lexicons("words.txt")
    first = _one_of([*words["female"].entries, *words["male"].entries])
    last, month, day = (_one_of(words[name].entries) for name in ("surname", "month", "weekday"))
    brand = _one_of(_BOOK.entries["brand"])
    return {
        "product": re.compile(rf"\b{brand} [A-Z]?\d+\b"),
        "person": re.compile(rf"\b(?:{first}(?: {last})?|(?<=Mr )(?:{last})|(?<=Ms )(?:{last}))\b"),
        "order_number": re.compile(r"\b[A-Z]{2,3}-?\d{4,6}\b"),
        "date": re.compile(rf"\b(?:{day}|\d{{1,2}} {month}|{month} \d{{1,2}})\b"),
    }


def _code(beginnings: tuple[str, ...], low: int, high: int, rng: Random) -> str:
    return f"{rng.choice(beginnings)}{rng.randint(low, high)}"


def _one_of(words: Sequence[str]) -> str:
    return f"(?:{'|'.join(sorted(map(re.escape, words), key=len, reverse=True))})"


def _sentence(text: str) -> str:
    told = capital(text)
    return told if told.endswith((".", "?", "!", ",")) else f"{told}."
