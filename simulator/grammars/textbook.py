"""Textbook sections on Python: prose about a topic (`data/textbook.txt`), and code that parses.

The code comes from the patterns in `data/textbook_code.txt`, with its own names and numbers.
"""

import re
from collections.abc import Iterator
from random import Random
from typing import Final

from simulator.grammar import ContextAsk, Fields, Grammar, Slot
from simulator.templates import Phrasebook
from simulator.words import load, sentence

_BOOK: Final = Phrasebook("textbook.txt")


class TextbookGrammar(Grammar):
    """Sections of a textbook."""

    name = "textbook"
    fields = frozenset({"overview", "example", "snippets"})
    cues = frozenset({"textbook", "python"})

    def contexts(self, ask: ContextAsk, rng: Random) -> Iterator[Fields]:
        """Yield things to compare with."""
        while True:
            thing = _BOOK.draw("thing", {}, rng)
            yield {"text": thing} | dict.fromkeys(ask.attributes, thing)

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        """Yield sections; the first two requirements name the topic and the reader."""
        drawn = [text.rpartition(": ")[2] for text in slot.requirements]
        topic, reader = drawn[:2] if len(drawn) > 1 else ("this", "you")
        while True:
            values = {"t": topic, "r": reader}
            overview = [
                sentence(one)
                for kind, count in (("why", 1), ("what", 2), ("when", 1), ("for", 1))
                for one in _BOOK.sample(kind, count, values, rng)
            ]
            steps = _BOOK.sample("step", rng.randint(3, 5), values, rng)
            if any("dialogue" in text or "question" in text for text in drawn):
                steps.insert(1, _BOOK.draw("ask", values, rng))
            yield {
                "overview": f"{' '.join(overview[:3])}\n\n{' '.join(overview[3:])}",
                "example": " ".join(map(sentence, steps)),
                "snippets": self._snippets(rng),
            }

    def _snippets(self, rng: Random) -> list[str]:
        """Return one to three pieces of code, one in thirty with a syntax error."""
        patterns = load("textbook_code.txt").split("\n---\n")
        found = []
        for pattern in rng.sample(patterns, rng.randint(1, 3)):
            x, y, z = sorted(rng.sample(range(2, 90), 3))
            names = {n: rng.choice(_BOOK.entries[n]) for n in ("i", "l")}
            code = pattern.format(**names, x=y, y=x, z=z, s=rng.randint(2, 5))
            found.append(re.sub(r"\)$", "", code) if rng.random() < 1 / 30 else code)
        return found
