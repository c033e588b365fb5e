"""Grammars of a question and the context that answers it, where a row is written as a whole."""

from collections.abc import Iterator
from random import Random
from typing import Final

from simulator import grammar
from simulator.grammar import ContextAsk, Fields, Grammar, SeedAsk, Slot
from simulator.reports import bank
from simulator.wording import tidy

_TYPED: Final = (
    "{}",
    "{} or not",
    "quick question {}",
    "can somebody tell me {}",
    "does anyone know {}",
    "yes or no {}",
    "i wonder {}",
)
_EXPERT: Final = (
    "{}?",
    "In the study described, {}?",
    "According to the data, {}?",
    "Judging by the results, {}?",
    "From what was found, {}?",
    "On this evidence, {}?",
    "As far as was tested, {}?",
)


class PassageGrammar(Grammar):
    """A context from a bank of reports, and a yes-or-no question about one of its facts."""

    fields = frozenset({"question", "context"})
    labels = ("yes", "no")

    def __init__(self, name: str, file: str, frames: tuple[str, ...], cues: frozenset[str]) -> None:
        self.name, self.cues = name, cues
        self._file, self._frames = file, frames

    def matches(self, fields: frozenset[str], labels: frozenset[str]) -> bool:
        """Take only tasks that have nothing but question and context."""
        return fields == self.fields and labels <= set(self.labels)

    def contexts(self, ask: ContextAsk, rng: Random) -> Iterator[Fields]:
        """Yield topics."""
        return grammar.contexts(bank(self._file).phrases, ask, rng)

    def seeds(self, ask: SeedAsk, rng: Random) -> Iterator[Fields]:
        """Yield contexts of three to five sentences."""
        reports = bank(self._file)
        domain = grammar.domain(reports.phrases, ask.context, *map(str, ask.attributes.values()))
        while True:
            yield {"context": reports.passage(domain, rng, 2, 4)}

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        """Yield questions that the context answers with the label."""
        reading = bank(self._file).read(str(slot.given.get("context", "")))
        if reading is None:
            return
        facts = list(reading.true if label == "yes" else reading.denied)
        while facts:
            question = rng.choice(facts).question(reading.values, rng)
            said = tidy(rng.choice(self._frames).format(question))
            yield {"question": said if said.endswith("?") else said.lower()}


PASSAGES: Final[tuple[Grammar, ...]] = (
    PassageGrammar("open boolq", "boolq.txt", _TYPED, frozenset({"encyclopedia", "search"})),
    PassageGrammar(
        "studies",
        "study.txt",
        _EXPERT,
        frozenset({"biomedicine", "biomedical", "abstract", "paper", "study", "results"}),
    ),
)
