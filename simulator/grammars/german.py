"""Support tickets in German: what happened, and how urgent it is (`data/german.txt`)."""

import re
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any, Final

from simulator.grammar import ContextAsk, Fields, Grammar, SeedAsk, Slot
from simulator.templates import Phrasebook
from simulator.words import capital

_draw: Final = Phrasebook("german.txt").draw


class GermanTicketGrammar(Grammar):
    """Support tickets with an urgency."""

    name = "german tickets"
    fields = frozenset({"betreff", "nachricht"})
    labels = ("niedrig", "normal", "hoch", "kritisch")
    cues = frozenset({"anfrage", "supportanfragen", "kundendienst", "dringlichkeit"})
    seeded = frozenset({"problem", "wirkung"})

    def contexts(self, ask: ContextAsk, rng: Random) -> Iterator[Fields]:
        """Yield a product and a customer."""
        while True:
            product, customer = _draw("produkt", {}, rng), _draw("kunde", {}, rng)
            named = {"produkt": product, "kunde": customer}
            text = f"{capital(product)}: {customer} in {_draw('stadt', {}, rng)}"
            yield {"text": text} | {name: named.get(name, product) for name in ask.attributes}

    def seeds(self, ask: SeedAsk, rng: Random) -> Iterator[Fields]:
        """Yield a problem and its effect."""
        while True:
            problem, effect = _draw("problem", {}, rng), _draw("wirkung", {}, rng)
            yield {"problem": f"{problem}, zuletzt im {_draw('monat', {}, rng)}", "wirkung": effect}

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        """Yield tickets: first what happened, then what makes it as urgent as the label."""
        if label not in self.labels:
            return
        values = {
            "t": str(slot.given.get("problem") or _draw("problem", {}, rng)),
            "w": str(slot.given.get("wirkung") or _draw("wirkung", {}, rng)),
            "k": str(slot.attributes.get("kunde") or _draw("kunde", {}, rng)),
        }
        product = str(slot.attributes.get("produkt") or _draw("produkt", {}, rng))
        values["P"] = re.sub(r"^(?:der|die|das|ein|eine) ", "", product)
        while True:
            told = [_draw("lage", values, rng)]
            if rng.random() < 0.6:
                told.append(_draw("folge", values, rng))
            told += dict.fromkeys(_draw(label, values, rng) for _ in range(rng.randint(1, 2)))
            body = " ".join(f"{capital(one)}." for one in told)
            opening, close = _draw("anrede", values, rng), _draw("schluss", values, rng)
            subject = capital(_draw(f"betreff {label}", values, rng))
            yield {"betreff": subject, "nachricht": f"{opening} {body} {close}"}

    def rationale(self, row: Mapping[str, Any], label: str, rng: Random) -> str:
        text = str(row.get("nachricht", ""))
        return f"Entscheidend ist, was geschildert wird: „{text[:90]}“. Das ist {label}."
