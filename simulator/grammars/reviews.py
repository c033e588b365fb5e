"""The grammar of product reviews: what happened with a product, well or badly.

What can happen stands in `data/reviews.txt`. A review leans one way by most of what it tells; a
small matter may lean the other.
"""

import re
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any, Final

from simulator.grammar import ContextAsk, Fields, Grammar, SeedAsk, Slot
from simulator.wording import Phrasebook, capital, phrasebook, tidy

_LENGTHS: Final = {"one": (1, 1), "two": (2, 3), "four": (4, 6)}
_STILL: Final = 0.35


def _book() -> Phrasebook:
    return phrasebook("reviews.txt", "words.txt")


class ReviewGrammar(Grammar):
    """Reviews with a sentiment: see the module."""

    name = "reviews"
    fields = frozenset({"review"})
    labels = ("positive", "negative")

    def matches(self, fields: frozenset[str], labels: frozenset[str]) -> bool:
        """Match a task whose one field is a review."""
        return fields == self.fields and labels <= set(self.labels)

    def contexts(self, ask: ContextAsk, rng: Random) -> Iterator[Fields]:
        """Yield a product and who bought it."""
        while True:
            values = {"p": rng.choice(_book().entries["product"])}
            text = _book().fill("[x] a {p} bought for a {kin} in {city}", values, rng)
            yield {"text": tidy(text)[2:]} | dict.fromkeys(ask.attributes, values["p"])

    def seeds(self, ask: SeedAsk, rng: Random) -> Iterator[Fields]:
        """Yield observations that could please or annoy."""
        while True:
            told = _book().fill("{aspect}, seen from the {room} of a {kin}", {}, rng)
            yield dict.fromkeys(ask.wanted or ("observation",), tidy(f"x {told}")[2:])

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        """Yield reviews of the label; product and length as the requirements name them."""
        drawn = [text.rpartition(": ")[2] for text in slot.requirements]
        product = self._product([*drawn, slot.context], rng)
        low, high = next(
            (size for text in drawn for word, size in _LENGTHS.items()
             if re.match(rf"{word}\b.*sentence", text)),
            (2, 5),
        )  # fmt: skip
        way, other = ("good", "bad") if label == "positive" else ("bad", "good")
        while True:
            values = {"p": product}

            def say(kind: str, values: dict[str, str] = values) -> str:
                return _book().draw(kind, values, rng)

            told = _book().sample(way, max(1, rng.randint(low, high) - 1), values, rng)
            if high == 1:
                told = [f"{say('opening')}, and {told[0]}"]
            else:
                if rng.random() < _STILL and high > 3:
                    told.insert(rng.randrange(len(told)), say(f"still {other}"))
                told.insert(0, say("opening"))
                if rng.random() < 0.6:
                    told.append(say(f"close {way}"))
                told = told if len(told) <= high else [*told[: high - 1], told[-1]]
            yield {"review": " ".join(tidy(capital(f"{one}.")) for one in told)}

    def _product(self, texts: list[str], rng: Random) -> str:
        """Return the product that a text names, or what the first text holds, or any."""
        known = _book().entries["product"]
        for text in texts:
            found = next((p for p in known if re.search(rf"\b{p}\b", text)), None)
            if found:
                return found
        first = texts[0] if len(texts) > 1 else ""
        return first if 0 < len(first.split()) <= 4 else rng.choice(known)

    def rationale(self, row: Mapping[str, Any], label: str, rng: Random) -> str:
        """Say what in the review leans which way."""
        sentences = re.split(r"(?<=[.!?]) ", str(row.get("review", "")))
        shown = rng.choice(sentences).rstrip(".")
        return f"What counts is what happened: “{shown}”. As a whole this makes it {label}."

    def terms(self, category: str, rng: Random) -> Iterator[str]:
        """Yield things that customers single out."""
        aspects = list(_book().entries["aspect"])
        yield from rng.sample(aspects, len(aspects))
