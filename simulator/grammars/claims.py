"""Grammars of closed questions and claims: nothing to read, only the world to know."""

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any, Final

from simulator.grammar import ContextAsk, Fields, Grammar, SeedAsk, Slot
from simulator.knowledge import Fact, facts
from simulator.wording import tidy

_AFFIRMED: Final = ("yes", "true")
_ASKED: Final = (
    "{question}",
    "{question} or not",
    "is it true that {statement}",
    "would you say that {statement}",
    "is it right to say that {statement}",
    "does it hold that {statement}",
    "would an expert agree that {statement}",
    "as a rule {question}",
    "in general {question}",
    "do people rightly say that {statement}",
    "could one bet that {statement}",
    "if nothing is wrong with it {question}",
)
_POLITE: Final = (
    "{Question}?",
    "All in all, {question}?",
    "Judging by what one knows of them, {question}?",
    "Under ordinary conditions, {question}?",
    "Would you expect that {statement}?",
    "Is it safe to bet that {statement}?",
    "Can one conclude that {statement}?",
    "Suppose you could try it out: {question}?",
    "Does it make sense to say that {statement}?",
    "Without any tricks, {question}?",
    "If you do the sum, {question}?",
    "Would it surprise nobody that {statement}?",
)
_CLAIMED: Final = (
    "{Statement}.",
    "As a rule, {statement}.",
    "It is a fact that {statement}.",
    "Anybody can check that {statement}.",
    "Under ordinary conditions, {statement}.",
    "Children learn early that {statement}.",
    "One need not be an expert to know that {statement}.",
    "In real life {statement}.",
    "It goes without saying that {statement}.",
    "You will find that {statement}.",
    "If you compare them, {statement}.",
    "Experience shows that {statement}.",
)


class ClaimGrammar(Grammar):
    """Questions or claims of one field, whose label follows from common knowledge."""

    def __init__(
        self,
        field: str,
        labels: tuple[str, ...],
        frames: tuple[str, ...],
        steps: tuple[bool, ...],
        cues: frozenset[str],
    ) -> None:
        self.name = f"closed {field}"
        self.fields = frozenset({field})
        self.labels = labels
        self.cues = cues
        self._field, self._frames, self._steps = field, frames, steps

    def matches(self, fields: frozenset[str], labels: frozenset[str]) -> bool:
        """Take only tasks that have nothing but the one field."""
        return fields == self.fields and labels <= set(self.labels)

    def contexts(self, ask: ContextAsk, rng: Random) -> Iterator[Fields]:
        """Yield nothing: what is asked is about anything."""
        yield from ()

    def seeds(self, ask: SeedAsk, rng: Random) -> Iterator[Fields]:
        """Yield nothing: there is nothing to grow from."""
        yield from ()

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        """Yield facts of the label, each in a frame of its own."""
        drawn = facts(rng, label in _AFFIRMED, rng.choice(self._steps))
        for fact in drawn:
            yield {self._field: _worded(rng.choice(self._frames), fact)}

    def rationale(self, row: Mapping[str, Any], label: str, rng: Random) -> str:
        """Say what decides."""
        return f"What one knows of the things named in “{row.get(self._field, '')}” says {label}."


def _worded(frame: str, fact: Fact) -> str:
    parts = {
        "question": fact.question,
        "statement": fact.statement,
        "Question": fact.question[:1].upper() + fact.question[1:],
        "Statement": fact.statement[:1].upper() + fact.statement[1:],
    }
    said = frame.format(**parts)
    return tidy(said) if said[:1].isupper() else said


CLOSED: Final = ClaimGrammar(
    "question", ("yes", "no"), _ASKED, (False,), frozenset({"general", "knowledge", "fact"})
)
STRATEGY: Final = ClaimGrammar(
    "question",
    ("yes", "no"),
    _POLITE,
    (True,),
    frozenset({"steps", "reasoning", "several"}),
)
CLAIMS: Final = ClaimGrammar(
    "claim", ("true", "false"), _CLAIMED, (False, True), frozenset({"claim", "entity"})
)
