"""Support tickets and how urgent they are (`data/tickets.txt`)."""

import re
from collections.abc import Iterator, Mapping
from random import Random
from types import MappingProxyType
from typing import Any, Final

from simulator.grammar import ContextAsk, Fields, Grammar, SeedAsk, Slot
from simulator.templates import Phrasebook
from simulator.words import capital

_BOOK: Final = Phrasebook("tickets.txt", "words.txt")
_draw: Final = _BOOK.draw
WAYS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "low": ("how", "suggest", "cosmetic", "price"),
        "normal": ("sometimes", "figure", "slow", "rarely"),
        "high": ("one", "team", "payment", "deadline"),
        "critical": ("service", "lost", "strangers", "danger"),
    }
)
"""Label -> words of its ways, which name the sentences."""


class TicketGrammar(Grammar):
    """Support tickets with an urgency."""

    name = "tickets"
    fields = frozenset({"subject", "body"})
    exact = True
    labels = tuple(WAYS)
    cues = frozenset({"ticket", "tickets", "support", "urgent", "urgency"})
    seeded = frozenset({"problem", "effect"})

    def contexts(self, ask: ContextAsk, rng: Random) -> Iterator[Fields]:
        """Yield a product and a customer."""
        while True:
            product, customer = _draw("product", {}, rng), _draw("customer", {}, rng)
            named = {"product": product, "customer": customer}
            text = f"{capital(product)}: {customer} in {_BOOK.fill('{city}', {}, rng)}"
            yield {"text": text} | {name: named.get(name, product) for name in ask.attributes}

    def seeds(self, ask: SeedAsk, rng: Random) -> Iterator[Fields]:
        """Yield a problem and its effect."""
        while True:
            yield {name: _draw(name, {}, rng) for name in ("problem", "effect")}

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        """Yield tickets: what was noticed, then what makes it as urgent as the label."""
        if label not in self.labels:
            return
        product = str(slot.attributes.get("product") or _draw("product", {}, rng))
        bare = re.sub(r"^(?:an?|the|our) ", "", product)
        fixed = {
            "t": str(slot.given.get("problem") or _draw("problem", {}, rng)).rstrip("."),
            "e": str(slot.given.get("effect") or _draw("effect", {}, rng)).rstrip("."),
            "k": str(slot.attributes.get("customer") or _draw("customer", {}, rng)),
            "p": f"the {bare}",
            "P": bare,
        }
        ways = [one for one in WAYS[label] if one in (slot.way or "").split()] or WAYS[label]
        while True:
            parts = ["who", "noticed", *(["touches"] if rng.random() < 0.5 else [])]
            parts.append(f"{label} {rng.choice(ways)}")
            parts += [f"{label} end"] if rng.random() < 0.7 else []
            told = [_sentence(_draw(part, dict(fixed), rng)) for part in parts]
            told.append(_sentence(_draw("close", {}, rng)))
            subject = capital(_draw(f"subject {label}", dict(fixed), rng))
            yield {"subject": subject, "body": " ".join(told)}

    def rationale(self, row: Mapping[str, Any], label: str, rng: Random) -> str:
        text = str(row.get("body", ""))
        return f"What counts is what the customer describes: “{text[40:120]}”. That is {label}."


def _sentence(text: str) -> str:
    found = capital(text)
    return found if found.endswith((".", "?", "!")) else f"{found}."
