"""Phrase books: lexicons whose entries are templates with choices of their own."""

from collections.abc import Mapping
from functools import cache
from random import Random

from simulator.wording import Lexicon, Template, Values, lexicons, load


class Phrasebook:
    """Patterns by name, to be filled with words.

    Args:
        name: the data file, lines `name: pattern | pattern`, the bars with spaces around them;
            bars without belong to the choices of a pattern (`[said|told]`).
        shared: files of lexicons that patterns may draw from besides.
    """

    def __init__(self, name: str, *shared: str) -> None:
        found: dict[str, list[str]] = {}
        for line in load(name).splitlines():
            key, colon, rest = line.partition(": ")
            if colon:
                found.setdefault(key, []).extend(part.strip() for part in rest.split(" | "))
        self.entries: Mapping[str, tuple[str, ...]] = {k: tuple(v) for k, v in found.items()}
        words = dict(lexicons(*shared)) if shared else {}
        self._words: Mapping[str, Lexicon] = words | {k: Lexicon(v) for k, v in found.items()}
        self._templates: dict[str, Template] = {}

    def draw(self, name: str, values: Values, rng: Random) -> str:
        """Return a filled pattern of this name; what it draws is not kept in `values`."""
        return self.fill(rng.choice(self.entries[name]), values, rng)

    def sample(self, name: str, count: int, values: Values, rng: Random) -> list[str]:
        """Return `count` different patterns of this name, filled; fewer where there are fewer."""
        entries = self.entries[name]
        chosen = rng.sample(entries, min(count, len(entries)))
        return [self.fill(pattern, values, rng) for pattern in chosen]

    def fill(self, pattern: str, values: Values, rng: Random) -> str:
        """Return a pattern filled, its spaces put right."""
        if pattern not in self._templates:
            self._templates[pattern] = Template(pattern, self._words)
        return " ".join(self._templates[pattern].draft(dict(values), rng).split())


@cache
def phrasebook(name: str, *shared: str) -> Phrasebook:
    """Return a phrase book, read once."""
    return Phrasebook(name, *shared)
