"""RTE: a short news premise and a hypothesis that follows from it or does not.

The way of a slot decides which facts of the premise the hypothesis is about.
"""

from collections.abc import Iterator
from random import Random
from types import MappingProxyType
from typing import Final

from simulator.banks import Reading, bank
from simulator.grammar import DomainGrammar, Fields, SeedAsk, Slot
from simulator.words import domains, frames, tidy

_REPORTED: Final = 0.12
_DENIED: Final = 0.08


class RteGrammar(DomainGrammar):
    """Recognizing textual entailment."""

    name = "rte"
    file = "rte.txt"
    fields = frozenset({"premise", "hypothesis"})
    exact = True
    labels = ("entailment", "not_entailment")
    # The prompt for contexts names the task by its title only.
    cues = frozenset(
        {"premise", "hypothesis", "entailment", "entail", "entails", "conclude"}
        | {"rte", "recognizing", "textual", "factual"}
    )
    seeded = frozenset({"premise"})
    reads = MappingProxyType(
        {
            "entailment": r"cannot be false|must be true|must follow",
            "not_entailment": r"not support|not follow",
        }
    )

    def seeds(self, ask: SeedAsk, rng: Random) -> Iterator[Fields]:
        """Yield premises of one to three sentences."""
        domain = self.domain(ask, *ask.requirements)
        while True:
            yield {"premise": bank(self.file).passage(domain, rng, 1, 3)}

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        """Yield what the premise states, or what it denies or leaves open."""
        reading = bank(self.file).read(str(slot.given.get("premise", "")))
        if reading is None:
            return
        follows = label == "entailment"
        while True:
            clause = _clause(reading, follows, slot.way or "", rng)
            if rng.random() < _REPORTED:
                clause = rng.choice(frames("rte reported")).format(clause)
            yield {"hypothesis": tidy(f"{clause}.")}

    def terms(self, category: str, rng: Random) -> Iterator[str]:
        """Yield domains, or relations between a premise and a hypothesis."""
        phrases = [one for known in domains(self.file).values() for one in known]
        known = {"domain": phrases, "relation": frames("rte relation")}.get(category, ())
        yield from rng.sample(known, len(known))


def _clause(reading: Reading, follows: bool, way: str, rng: Random) -> str:
    """Return a clause that follows from a passage or does not, reached in the given way.

    Ways that no fact of the passage fits are ignored.
    """
    values = reading.values
    if follows:
        if "combine" in way and len(reading.true) > 1:
            chosen = rng.sample(reading.true, 2)
            return ", and ".join(fact.statement(values, rng) for fact in chosen)
        return rng.choice(reading.true).statement(values, rng)
    others = [*reading.denied, *reading.open]
    if "leaves open" in way:
        others = list(reading.open) or others
    elif "number" in way:
        others = [fact for fact in reading.denied if fact.changed] or others
    elif "who did what" in way or "cause" in way:
        others = [fact for fact in reading.denied if not fact.changed] or others
    elif rng.random() < _DENIED:
        deniable = [fact for fact in reading.true if fact.deniable]
        if deniable:
            return rng.choice(deniable).statement(values, rng, denied=True)
    return rng.choice(others).statement(values, rng)
