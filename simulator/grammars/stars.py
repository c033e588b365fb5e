"""Product reviews with a number of stars (`data/reviews.txt`, `data/stars.txt`)."""

from collections.abc import Iterator, Mapping
from random import Random
from types import MappingProxyType
from typing import Any, Final

from simulator.grammar import ContextAsk, Fields, Grammar, SeedAsk, Slot
from simulator.templates import Phrasebook
from simulator.words import capital, tidy

_BOOK: Final = Phrasebook("reviews.txt", "words.txt")
_HEADLINES: Final = Phrasebook("stars.txt", "words.txt", "reviews.txt")
_TOLD: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "1 star": ("bad", "bad", "bad"),
        "2 stars": ("bad", "bad", "still good"),
        "3 stars": ("good", "bad"),
        "4 stars": ("good", "good", "still bad"),
        "5 stars": ("good", "good", "good"),
    }
)
"""Label -> what the sentences of its reviews tell."""


class StarGrammar(Grammar):
    """Reviews with stars."""

    name = "stars"
    fields = frozenset({"headline", "review"})
    labels = tuple(_TOLD)
    cues = frozenset({"review", "reviews", "stars"})
    seeded = frozenset({"observation"})
    reads = MappingProxyType(
        {
            "1 star": r"useless",
            "2 stars": r"spoil the product",
            "3 stars": r"equal weight",
            "4 stars": r"one flaw that matters",
            "5 stars": r"more for the customer than expected",
        }
    )

    def contexts(self, ask: ContextAsk, rng: Random) -> Iterator[Fields]:
        """Yield a product and its buyer."""
        while True:
            product, kin, city = (_word(name, rng) for name in ("product", "kin", "city"))
            text = tidy(f"x a {product} bought for a {kin} in {city}")[2:]
            named = {"product": product, "customer": kin}
            yield {"text": text} | {name: named.get(name, product) for name in ask.attributes}

    def seeds(self, ask: SeedAsk, rng: Random) -> Iterator[Fields]:
        """Yield observations that could please or annoy."""
        while True:
            told = _BOOK.fill(
                "{aspect}, as seen after {n:2-9} weeks in the {room} of a {kin}", {}, rng
            )
            yield {"observation": tidy(f"x {told}")[2:]}

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        """Yield reviews whose sentences praise and blame as the label asks."""
        if label not in _TOLD:
            return
        product = str(slot.attributes.get("product") or _word("product", rng))
        values = {"p": product}
        observed = str(slot.given.get("observation") or "").rstrip(".")
        while True:
            told = [_BOOK.draw(kind, values, rng) for kind in _TOLD[label]]
            if len(set(told)) < len(told):
                continue
            rng.shuffle(told)
            about = f"what I watched most was {observed}" if observed else ""
            if isinstance(slot.given.get("price"), float | int):
                told.append(f"I paid {slot.given['price']:.2f} euros")
            sentences = [_BOOK.draw("opening", values, rng), *filter(None, [about]), *told]
            body = " ".join(tidy(capital(f"{one}.")) for one in sentences)
            headline = capital(_HEADLINES.draw(f"headline {label[0]}", values, rng))
            uses = rng.randint(1, 20)
            yield {"headline": tidy(headline), "review": body, "uses_a_week": uses}

    def rationale(self, row: Mapping[str, Any], label: str, rng: Random) -> str:
        sentences = str(row.get("review", "")).split(". ")
        return (
            f"What counts is what happened: “{rng.choice(sentences).rstrip('.')}”. That is {label}."
        )


def _word(name: str, rng: Random) -> str:
    return _BOOK.fill(f"{{{name}}}", {}, rng)
