"""Yes-or-no questions about passages: BoolQ, studies, and passages from a user's documents."""

import re
from collections.abc import Iterator
from random import Random
from types import MappingProxyType
from typing import Final

from simulator.banks import bank
from simulator.grammar import DomainGrammar, Fields, Grammar, SeedAsk, Slot
from simulator.words import frames, sentences, tidy, uncapital

_STUDIES: Final = ("biomedicine", "biomedical", "abstract", "paper", "study", "results")


class PassageGrammar(DomainGrammar):
    """A passage from a bank, and a question about one of its facts.

    Attributes:
        passage: the field with the passage.
        length: the least and the greatest number of sentences in a passage.
    """

    fields = frozenset({"question", "context"})
    exact = True
    labels = ("yes", "no")
    passage = "context"
    length = (2, 4)

    def __init__(self, name: str, file: str, *cues: str) -> None:
        self.name, self.file, self.cues = name, file, frozenset(cues)
        self.seeded = frozenset({self.passage})

    def seeds(self, ask: SeedAsk, rng: Random) -> Iterator[Fields]:
        domain = self.domain(ask)
        while True:
            yield {self.passage: bank(self.file).passage(domain, rng, *self.length)}

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        reading = bank(self.file).read(str(slot.given.get("context", "")))
        if reading is None:
            return
        facts = list(reading.true if label == "yes" else reading.denied)
        while facts:
            question = rng.choice(facts).question(reading.values, rng)
            said = tidy(rng.choice(frames(self.name)).format(question))
            yield {"question": said if said.endswith("?") else said.lower()}


class BoolqGrammar(PassageGrammar):
    """BoolQ: an encyclopedia passage and a question in lower case."""

    fields = frozenset({"passage", "question"})
    exact = False
    labels = ("true", "false")
    reads = MappingProxyType({"true": "answer yes", "false": r"answer no\b"})
    passage = "passage"
    length = (4, 5)

    def __init__(self) -> None:
        super().__init__("boolq", "boolq.txt", "passage", "encyclopedia", "boolean")

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        """Yield each question by itself, then in frames."""
        reading = bank(self.file).read(str(slot.given.get("passage", "")))
        if reading is None:
            return
        facts = list(reading.true if label == "true" else reading.denied)
        rng.shuffle(facts)
        questions = [tidy(fact.question(reading.values, rng)).lower() for fact in facts]
        yield from ({"question": question} for question in questions)
        while questions:
            yield {"question": rng.choice(frames(self.name)).format(rng.choice(questions))}


class DocumentGrammar(Grammar):
    """Questions about passages that the simulator did not write.

    It cannot read them. It asks whether one of their sentences is true, or whether its opposite is.
    """

    name = "documents"
    fields = frozenset({"passage", "question"})
    labels = ("true", "false")

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        clauses = [s for s in sentences(str(slot.given.get("passage", ""))) if len(s.split()) > 3]
        tails = ["", *(f" {tail}" for tail in frames("document tail"))]
        while clauses:
            clause = rng.choice(clauses).rstrip(".!?")
            turned = opposite(clause)
            how = "document so"
            if label != "true":
                if turned and rng.random() < 0.8:
                    clause = turned
                else:
                    how = "document not so"
            asked = rng.choice(frames(how)).format(uncapital(clause)).lower()
            yield {"question": asked + rng.choice(tails)}


def opposite(sentence: str) -> str | None:
    """Replace the first word that has an opposite by that opposite; None if no word has one."""
    opposites = dict(pair.split(" > ") for pair in frames("opposite"))
    for match in re.finditer(r"\w+", sentence):
        other = opposites.get(match.group().lower())
        if other:
            return sentence[: match.start()] + other + sentence[match.end() :]
    return None


PASSAGES: Final = (
    PassageGrammar("open boolq", "boolq.txt", "encyclopedia", "search"),
    PassageGrammar("studies", "study.txt", *_STUDIES),
)
