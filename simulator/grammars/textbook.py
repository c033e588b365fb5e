"""The grammar of textbook sections on Python: prose about a topic, and code that parses.

The sentences stand in `data/textbook.txt`; the code is made here, from a few shapes with names and
numbers of their own.
"""

import re
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any, Final

from simulator.grammar import ContextAsk, Fields, Grammar, SeedAsk, Slot
from simulator.wording import Phrasebook, capital, phrasebook, tidy

_CODE: Final = (
    "{l} = [{x}, {y}, {z}]\nfor {i} in {l}:\n    print({i})",
    "{l} = [{x}, {y}, {z}]\nprint(sum({l}) / len({l}))",
    "def double({i}):\n    return 2 * {i}\n\n\nprint(double({x}))",
    '{l} = {{"first": {x}, "second": {y}}}\nfor name, {i} in {l}.items():\n    print(name, {i})',
    "{l} = [{i} for {i} in range({x}) if {i} % 2 == 0]\nprint({l}[:{s}])",
    "{i} = {x}\nif {i} > {y}:\n    print('more than {y}')\nelse:\n    print('at most {y}')",
    "try:\n    {i} = int('{x}')\nexcept ValueError:\n    {i} = 0\nprint({i})",
    "class Counter:\n    def __init__(self):\n        self.{i} = 0\n\n    def add(self, more):\n"
    "        self.{i} += more\n\n\ncounter = Counter()\ncounter.add({x})\nprint(counter.{i})",
    "def first_{i}({l}):\n    for {i} in {l}:\n        if {i} > {y}:\n            return {i}\n"
    "    return None\n\n\nprint(first_{i}([{x}, {y}, {z}]))",
    "{l} = ({x}, {y}, {z})\nsmallest, *_ = sorted({l})\nprint(f'the smallest is {{smallest}}')",
)


def _book() -> Phrasebook:
    return phrasebook("textbook.txt")


def _sentence(text: str) -> str:
    return tidy(capital(text if text.endswith((".", "?", '"')) else f"{text}."))


class TextbookGrammar(Grammar):
    """Sections of a textbook: see the module."""

    name = "textbook"
    fields = frozenset({"overview", "example", "snippets"})
    labels = ()

    def contexts(self, ask: ContextAsk, rng: Random) -> Iterator[Fields]:
        """Yield things to compare with."""
        while True:
            thing = _book().draw("thing", {}, rng)
            yield {"text": thing} | dict.fromkeys(ask.attributes, thing)

    def seeds(self, ask: SeedAsk, rng: Random) -> Iterator[Fields]:
        """Yield nothing of its own: sections need no seed."""
        yield from ()

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        """Yield sections about the topic that the requirements name first, for their reader."""
        drawn = [text.rpartition(": ")[2] for text in slot.requirements]
        topic, reader = [*drawn, "this", "a beginner"][:2] if len(drawn) > 1 else ("this", "you")
        while True:
            values = {"t": topic, "r": reader}
            overview = [
                _sentence(one)
                for kind, count in (("why", 1), ("what", 2), ("when", 1), ("for", 1))
                for one in _book().sample(kind, count, values, rng)
            ]
            steps = _book().sample("step", rng.randint(3, 5), values, rng)
            if any("dialogue" in text or "question" in text for text in drawn):
                steps.insert(1, _book().draw("ask", values, rng))
            yield {
                "overview": f"{' '.join(overview[:3])}\n\n{' '.join(overview[3:])}",
                "example": " ".join(map(_sentence, steps)),
                "snippets": self._snippets(rng),
            }

    def _snippets(self, rng: Random) -> list[str]:
        """Return one to three pieces of code; one in thirty has a slip, as models make them."""
        found = []
        for shape in rng.sample(_CODE, rng.randint(1, 3)):
            x, y, z = sorted(rng.sample(range(2, 90), 3))
            names = {n: rng.choice(_book().entries[n]) for n in ("i", "l")}
            code = shape.format(**names, x=y, y=x, z=z, s=rng.randint(2, 5))
            slip = rng.random() < 1 / 30
            found.append(re.sub(r"\)$", "", code) if slip else code)
        return found

    def rationale(self, row: Mapping[str, Any], label: str, rng: Random) -> str:
        """Say how the section meets what is asked."""
        return "The section says what it is, talks an example through and ends with code to try."
