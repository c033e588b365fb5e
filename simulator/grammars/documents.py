"""The grammar of questions about passages that the model did not write: documents of a user's.

It cannot read them; it asks whether one of their sentences is so, or whether the opposite is.
"""

import re
from collections.abc import Iterator
from random import Random
from typing import Final

from simulator.grammar import ContextAsk, Fields, Grammar, SeedAsk, Slot
from simulator.wording import sentences, uncapital

_OPPOSITE: Final = {
    "more": "less", "most": "few", "many": "few", "less": "more", "all": "no", "every": "no",
    "higher": "lower", "lower": "higher", "before": "after", "after": "before", "often": "never",
    "usually": "never", "never": "always", "may": "may not", "can": "cannot", "must": "need not",
    "is": "is not", "are": "are not", "has": "has no", "have": "have no", "does": "does not",
    "took": "did not take", "was": "was not", "were": "were not", "will": "will not",
}  # fmt: skip
_SO: Final = (
    "is it true that {}",
    "is it so that {}",
    "is it right that {}",
    "can one say that {}",
)
_NOT: Final = ("is it wrong that {}", "is it untrue that {}", "is it a mistake that {}")
_TAILS: Final = (
    "", " or not", " according to this", " as far as is known", " as a rule", " in fact", " indeed",
    " nowadays", " by this account",
)  # fmt: skip


def opposite(sentence: str) -> str | None:
    """Return a sentence with its first telling word turned round; None where there is none."""
    for match in re.finditer(r"\w+", sentence):
        other = _OPPOSITE.get(match.group().lower())
        if other:
            return sentence[: match.start()] + other + sentence[match.end() :]
    return None


class DocumentGrammar(Grammar):
    """Yes-or-no questions about any passage: see the module."""

    name = "documents"
    fields = frozenset({"passage", "question"})
    labels = ("true", "false")

    def contexts(self, ask: ContextAsk, rng: Random) -> Iterator[Fields]:
        """Yield nothing: others write topics."""
        yield from ()

    def seeds(self, ask: SeedAsk, rng: Random) -> Iterator[Fields]:
        """Yield nothing: others write passages."""
        yield from ()

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        """Yield questions to which a sentence of the passage says yes (true) or no (false)."""
        told = [
            one for one in sentences(str(slot.given.get("passage", ""))) if len(one.split()) > 3
        ]
        while told:
            clause = rng.choice(told).rstrip(".!?")
            turned = opposite(clause)
            if label == "true":
                frame = rng.choice(_SO)
            elif turned and rng.random() < 0.8:
                clause, frame = turned, rng.choice(_SO)
            else:
                frame = rng.choice(_NOT)
            yield {"question": frame.format(uncapital(clause)).lower() + rng.choice(_TAILS)}
