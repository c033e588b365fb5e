"""The grammar of BoolQ: an encyclopedia passage and a yes-or-no question that it answers."""

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any, Final

from simulator import grammar
from simulator.grammar import ContextAsk, Fields, Grammar, SeedAsk, Slot
from simulator.reports import bank
from simulator.wording import tidy

_BANK: Final = "boolq.txt"
_FRAMES: Final = (
    "{} or not",
    "yes or no {}",
    "please tell me {}",
    "i would like to know {}",
    "who can tell me {}",
    "quick question {}",
    "just wondering {}",
)


class BoolqGrammar(Grammar):
    """Boolean questions: see the module."""

    name = "boolq"
    fields = frozenset({"passage", "question"})
    labels = ("true", "false")

    def contexts(self, ask: ContextAsk, rng: Random) -> Iterator[Fields]:
        """Yield topics of articles."""
        return grammar.contexts(bank(_BANK).phrases, ask, rng)

    def seeds(self, ask: SeedAsk, rng: Random) -> Iterator[Fields]:
        """Yield passages of four or five sentences."""
        articles = bank(_BANK)
        domain = grammar.domain(articles.phrases, ask.context, *map(str, ask.attributes.values()))
        while True:
            yield {"passage": articles.passage(domain, rng, 4, 5)}

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        """Yield questions that the passage answers with yes (true) or no (false)."""
        reading = bank(_BANK).read(str(slot.given.get("passage", "")))
        if reading is None:
            return
        facts = list(reading.true if label == "true" else reading.denied)
        rng.shuffle(facts)
        questions = [tidy(fact.question(reading.values, rng)).lower() for fact in facts]
        yield from ({"question": question} for question in questions)
        # Few passages need more wordings than that.
        while questions:
            yield {"question": rng.choice(_FRAMES).format(rng.choice(questions))}

    def rationale(self, row: Mapping[str, Any], label: str, rng: Random) -> str:
        """Say how the passage answers the question."""
        how = rng.choice(("The passage settles this", "One sentence of the passage decides it"))
        answer = "yes" if label == "true" else "no"
        return f"Asked: “{row.get('question', '')}”. {how}, and the answer is {answer}."
