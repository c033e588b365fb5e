"""RTE: a short news premise and a hypothesis that follows from it or does not."""

from collections.abc import Iterator
from random import Random
from typing import Final

from simulator.banks import bank
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
    cues = frozenset({"premise", "hypothesis", "entailment", "entail", "entails", "conclude"})
    seeded = frozenset({"premise"})

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
        deniable = [fact for fact in reading.true if fact.deniable] or reading.denied
        while True:
            denied = label != "entailment" and rng.random() < _DENIED
            if denied:
                fact = rng.choice(deniable)
                denied = fact.deniable
            else:
                others = [*reading.denied, *reading.open]
                fact = rng.choice(reading.true if label == "entailment" else others)
            clause = fact.statement(reading.values, rng, denied)
            if rng.random() < _REPORTED:
                clause = rng.choice(frames("rte reported")).format(clause)
            yield {"hypothesis": tidy(f"{clause}.")}

    def terms(self, category: str, rng: Random) -> Iterator[str]:
        """Yield domains, or relations between a premise and a hypothesis."""
        phrases = [one for known in domains(self.file).values() for one in known]
        known = {"domain": phrases, "relation": frames("rte relation")}.get(category, ())
        yield from rng.sample(known, len(known))
