"""Product reviews: what went well or badly with a product (`data/reviews.txt`).

Most of a review agrees with its label; one detail may not.
"""

import re
from collections.abc import Iterator, Mapping
from random import Random
from types import MappingProxyType
from typing import Any, Final

from simulator.grammar import ContextAsk, Fields, Grammar, SeedAsk, Slot
from simulator.templates import Phrasebook
from simulator.words import capital, tidy

_BOOK: Final = Phrasebook("reviews.txt", "words.txt")
_LENGTHS: Final = {"one": (1, 1), "two": (2, 3), "four": (4, 6)}
"""First word of a length in the requirements -> least and greatest number of sentences."""
_STILL: Final = 0.35


class ReviewGrammar(Grammar):
    """Reviews with a sentiment."""

    name = "reviews"
    fields = frozenset({"review"})
    exact = True
    labels = ("positive", "negative")
    cues = frozenset({"review", "reviews", "sentiment"})
    seeded = frozenset({"observation"})
    reads = MappingProxyType(
        {
            "positive": r"buy the product again",
            "negative": r"regret",
        }
    )

    def contexts(self, ask: ContextAsk, rng: Random) -> Iterator[Fields]:
        """Yield a product and its buyer."""
        while True:
            values = {"p": rng.choice(_BOOK.entries["product"])}
            text = _BOOK.fill("[x] a {p} bought for a {kin} in {city}", values, rng)
            yield {"text": tidy(text)[2:]} | dict.fromkeys(ask.attributes, values["p"])

    def seeds(self, ask: SeedAsk, rng: Random) -> Iterator[Fields]:
        """Yield observations that could please or annoy."""
        while True:
            told = _BOOK.fill("{aspect}, seen from the {room} of a {kin}", {}, rng)
            yield dict.fromkeys(ask.wanted or ("observation",), tidy(f"x {told}")[2:])

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        """Yield reviews of the requested product and length."""
        drawn = [text.rpartition(": ")[2] for text in slot.requirements]
        values = {"p": _product([*drawn, slot.context], rng)}
        lengths = (re.match(r"(one|two|four)\b.*sentence", text) for text in drawn)
        low, high = next((_LENGTHS[length[1]] for length in lengths if length), (2, 5))
        way, other = ("good", "bad") if label == "positive" else ("bad", "good")

        def say(kind: str) -> str:
            return _BOOK.draw(kind, values, rng)

        while True:
            told = _BOOK.sample(way, max(1, rng.randint(low, high) - 1), values, rng)
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

    def rationale(self, row: Mapping[str, Any], label: str, rng: Random) -> str:
        sentences = re.split(r"(?<=[.!?]) ", str(row.get("review", "")))
        shown = rng.choice(sentences).rstrip(".")
        return f"What counts is what happened: “{shown}”. As a whole this makes it {label}."

    def terms(self, category: str, rng: Random) -> Iterator[str]:
        aspects = _BOOK.entries["aspect"]
        yield from rng.sample(aspects, len(aspects))


def _product(texts: list[str], rng: Random) -> str:
    """Return the product that a text names, or the first text if it is short, or any product."""
    known = _BOOK.entries["product"]
    for text in texts:
        found = next((p for p in known if re.search(rf"\b{p}\b", text)), None)
        if found:
            return found
    first = texts[0] if len(texts) > 1 else ""
    return first if 0 < len(first.split()) <= 4 else rng.choice(known)
