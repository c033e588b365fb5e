"""Claims and closed questions, to be answered from common knowledge."""

from collections.abc import Iterator
from random import Random
from typing import Final

from simulator.grammar import Fields, Grammar, Slot
from simulator.knowledge import claims
from simulator.words import capital, frames, tidy


class ClaimGrammar(Grammar):
    """Claims, or yes-or-no questions, in the only field of a task.

    Args:
        name: the name of the frames.
        field: the field.
        labels: the label of true claims, then that of false ones.
        steps: whether the claims take several steps to check; drawn if there are two values.
        cues: see `Grammar`.
    """

    exact = True

    def __init__(
        self, name: str, field: str, labels: tuple[str, str], steps: tuple[bool, ...], *cues: str
    ) -> None:
        self.name, self.fields, self.labels = name, frozenset({field}), labels
        self.cues = frozenset(cues)
        self._field, self._steps = field, steps

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        for claim in claims(rng, label == self.labels[0], rng.choice(self._steps)):
            frame = rng.choice(frames(self.name))
            said = frame.format(
                question=claim.question,
                statement=claim.statement,
                Question=capital(claim.question),
                Statement=capital(claim.statement),
            )
            yield {self._field: tidy(said) if said[:1].isupper() else said}


YES_NO: Final = ("yes", "no")
CLOSED: Final = ClaimGrammar(
    "closed question", "question", YES_NO, (False,), "general", "knowledge", "fact"
)
STRATEGY: Final = ClaimGrammar(
    "strategy question", "question", YES_NO, (True,), "steps", "reasoning", "several"
)
CLAIMS: Final = ClaimGrammar("claim", "claim", ("true", "false"), (False, True), "claim", "entity")
