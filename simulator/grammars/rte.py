"""The grammar of RTE: a short news premise and a hypothesis that follows from it or does not."""

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any, Final

from simulator import grammar
from simulator.grammar import ContextAsk, Fields, Grammar, SeedAsk, Slot
from simulator.reports import Fact, bank, sentence

_WRAPPED: Final = (
    "it was reported that {}",
    "it has been reported that {}",
    "reports say that {}",
    "{}, it is reported",
    "it is said that {}",
)
_RELATIONS: Final = (
    "it turns on who did it",
    "it turns on when it happens",
    "it turns on a number",
    "it turns on a place",
    "it speaks of a part of the whole",
    "it speaks of a plan",
    "it is said in quite other words",
    "it joins two statements",
    "it names a cause",
    "it names a consequence",
    "it looks at the same thing from the other side",
    "it leaves a detail out",
)
_WRAP: Final = 0.12
_DENY: Final = 0.08


class RteGrammar(Grammar):
    """Entailment: see the module."""

    name = "rte"
    fields = frozenset({"premise", "hypothesis"})
    labels = ("entailment", "not_entailment")

    def matches(self, fields: frozenset[str], labels: frozenset[str]) -> bool:
        """Match also when asked for contexts or seeds, where no label is named."""
        return fields == self.fields and labels <= set(self.labels)

    def contexts(self, ask: ContextAsk, rng: Random) -> Iterator[Fields]:
        """Yield domains of news."""
        return grammar.contexts(bank("rte.txt").phrases, ask, rng)

    def seeds(self, ask: SeedAsk, rng: Random) -> Iterator[Fields]:
        """Yield premises of one to three sentences."""
        reports = bank("rte.txt")
        told = (ask.context, *map(str, ask.attributes.values()), *ask.requirements)
        domain = grammar.domain(reports.phrases, *told)
        while True:
            yield {"premise": reports.passage(domain, rng, 1, 3)}

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        """Yield hypotheses: what the premise bears out, or denies or leaves open."""
        reading = bank("rte.txt").read(str(slot.given.get("premise", "")))
        if reading is None:
            return
        while True:
            denied = label != "entailment" and rng.random() < _DENY
            if denied:
                fact: Fact = rng.choice([f for f in reading.true if f.deniable] or reading.denied)
                denied = fact.deniable
            else:
                others = [*reading.denied, *reading.open]
                fact = rng.choice(reading.true if label == "entailment" else others)
            clause = fact.statement(reading.values, rng, denied)
            if rng.random() < _WRAP:
                clause = rng.choice(_WRAPPED).format(clause)
            yield {"hypothesis": sentence(clause)}

    def terms(self, category: str, rng: Random) -> Iterator[str]:
        """Yield domains, and ways from a premise to a hypothesis."""
        if category == "domain":
            phrases = [one for known in bank("rte.txt").phrases.values() for one in known]
            yield from rng.sample(phrases, len(phrases))
        if category == "relation":
            yield from rng.sample(_RELATIONS, len(_RELATIONS))

    def rationale(self, row: Mapping[str, Any], label: str, rng: Random) -> str:
        """Say what the premise does with the hypothesis."""
        hypothesis = str(row.get("hypothesis", "")).rstrip(".")
        if label == "entailment":
            how = rng.choice(("says as much", "cannot be true without it", "tells exactly this"))
            return f"The hypothesis claims: “{hypothesis}”. The premise {how}, so it follows."
        how = rng.choice(("does not say so", "says something else", "leaves room for doubt"))
        return f"The hypothesis claims: “{hypothesis}”. The premise {how}, so it does not follow."
