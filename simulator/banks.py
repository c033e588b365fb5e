"""Banks of passages: what each sentence states, denies or leaves open is known.

A bank file is read line by line. The mark before the first space says what the rest is:

    @ name: phrase | phrase     a domain and its contexts
    = anything                  a new scenario of the domain
    K word, | word,             links: optional openings of further sentences, for the whole bank
    L name: a | b               a lexicon of this scenario
    P template                  a wording of the main sentence
    S template                  a further sentence, which may follow; `S+`: another wording of it
    E subject / verb / rest     stated by the main sentence (`e`: by the last further sentence)
    E verb / rest               the same, for questions only
    C subject / verb / rest     denied by it (`c` likewise)
    U subject / verb / rest     left open by it and by all further sentences (`u` likewise)

The verb is an auxiliary (`will`, `was`, `has` ...). After `did`, `does` and `do`, the rest begins
with a base form. A fact can be used only if the text fills its slots.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Final

from simulator.templates import Template, Values, base, read_any
from simulator.words import Lexicon, lexicons, lines, past, sentences, third

_DENIABLE: Final = ("was", "were", "is", "are", "will", "did", "does", "could")
_NEGATIVE: Final = re.compile(
    r"^(?:an?|some|half|most|all|no|nobody|none|nothing|somebody|someone|something|there)\b"
    r"|\b(?:no|not|never|still|already|more|several|something|somebody|for)\b"
)
_INFLECTED: Final[Mapping[str, Callable[[str], str]]] = {"did": past, "does": third, "do": str}
_SCOPED: Final = re.compile(
    r"\b(?:no|not|nobody|none|never|only|every|everyone|all|most|some|any|still|yet|no longer|more"
    r"|fewer|less|several|until|already|also|too|even|to)\b"
)
_SLOT: Final = re.compile(r"\{(\w+)([!<>]?)[^}]*\}")


class Fact:
    """A fact about a passage, as a statement, its denial or a question.

    Attributes:
        deniable: whether the denial reads well and means the opposite.
        negatable: whether `not` after the verb negates the fact, even if it reads less well.
        changed: whether it has another number, date or name than the text.
    """

    def __init__(self, line: str, words: Mapping[str, Lexicon]) -> None:
        *first, rest = (part.strip() for part in line.split(" / "))
        subject, self._verb = first if len(first) == 2 else ("", first[0])
        self._template = Template(f"{subject} / {rest}", words)
        said = f"{subject} {rest}"
        self._slots = {s for s, how in _SLOT.findall(said) if not how or base(s) not in words}
        self.changed = any(how for _, how in _SLOT.findall(said))
        self.negatable = (
            self._verb not in ("must", "can")
            and not _NEGATIVE.search(said)
            and not (self._verb in ("has", "had", "have") and rest.startswith(("a ", "an ")))
        )
        self.deniable = self._verb in _DENIABLE and not _SCOPED.search(said)

    def usable(self, values: Values) -> bool:
        """Return whether the values fill all slots of the fact."""
        return self._slots <= values.keys()

    def _parts(self, values: Values, rng: Random) -> tuple[str, str]:
        subject, _, rest = self._template.draft(dict(values), rng).partition(" / ")
        return subject, rest

    def statement(self, values: Values, rng: Random, denied: bool = False) -> str:
        """Return the fact as a clause, without a capital or a period."""
        subject, rest = self._parts(values, rng)
        if denied:
            return f"{subject} {self._verb} not {rest}"
        if self._verb in _INFLECTED and not rest.startswith("not "):
            verb, _, rest = rest.partition(" ")
            return f"{subject} {_INFLECTED[self._verb](verb)} {rest}"
        return f"{subject} {self._verb} {rest}"

    def question(self, values: Values, rng: Random) -> str:
        """Return the fact as a question, without a capital or a question mark."""
        subject, rest = self._parts(values, rng)
        return " ".join(part for part in (self._verb, subject, rest) if part)


@dataclass
class Said:
    """The wordings of a sentence, and its facts."""

    wordings: list[Template] = field(default_factory=list)
    true: list[Fact] = field(default_factory=list)
    denied: list[Fact] = field(default_factory=list)
    open: list[Fact] = field(default_factory=list)

    def read(self, sentence: str) -> Values | None:
        """Return the slot values of a sentence, or None if it does not fit."""
        return read_any(self.wordings, sentence)


@dataclass
class Scenario:
    """A main sentence and the sentences that may follow it."""

    words: dict[str, Lexicon]
    main: Said = field(default_factory=Said)
    further: list[Said] = field(default_factory=list)

    def add(self, mark: str, rest: str) -> None:
        """Add a line of the bank file."""
        if mark == "L":
            name, _, entries = rest.partition(":")
            self.words[name] = Lexicon(one.strip() for one in entries.split("|"))
        elif mark == "S":
            self.further.append(Said([Template(rest, self.words)]))
        elif mark in ("P", "S+"):
            said = self.main if mark == "P" else self.further[-1]
            said.wordings.append(Template(rest, self.words))
        else:
            said = self.further[-1] if mark.islower() else self.main
            kind = {"E": said.true, "C": said.denied, "U": said.open}[mark.upper()]
            kind.append(Fact(rest, self.words))


@dataclass(frozen=True)
class Reading:
    """The slot values of a passage, and the facts that can be used with them."""

    values: Values
    true: Sequence[Fact]
    denied: Sequence[Fact]
    open: Sequence[Fact]


class Bank:
    """The scenarios of a bank file by domain."""

    def __init__(self, name: str) -> None:
        self.domains: dict[str, list[Scenario]] = {}
        scenarios: list[Scenario] = []
        links = ""
        for line in lines(name):
            mark, _, rest = line.partition(" ")
            rest = rest.strip()
            if mark == "@":
                scenarios = self.domains[rest.partition(":")[0]] = []
            elif mark == "=":
                scenarios.append(Scenario(dict(lexicons("words.txt", "places.txt"))))
            elif mark == "K":
                # Three sentences in four have no link.
                links = f"[{'|' * 3 * (rest.count('|') + 1)}{rest.replace(' | ', ' |')} ]"
            else:
                scenarios[-1].add(mark, links + rest if mark in ("S", "S+") else rest)

    def passage(self, domain: str, rng: Random, least: int, most: int) -> str:
        """Return a passage of `least` to `most` sentences about a domain (empty: any)."""
        domain = domain or rng.choice(list(self.domains))
        scenario = rng.choice(self.domains[domain])
        count = min(rng.randint(least, most) - 1, len(scenario.further))
        chosen = sorted(rng.sample(range(len(scenario.further)), count))
        values: Values = {}
        said = [scenario.main, *(scenario.further[i] for i in chosen)]
        return " ".join(rng.choice(one.wordings).fill(values, rng) for one in said)

    def read(self, passage: str) -> Reading | None:
        """Return the reading of a passage, or None if it is not from this bank."""
        parts = sentences(passage)
        for scenario in (one for scenarios in self.domains.values() for one in scenarios):
            values = scenario.main.read(parts[0]) if parts else None
            if values is not None:
                return _reading(scenario, values, parts[1:])
        return None


def _reading(scenario: Scenario, values: Values, parts: Iterable[str]) -> Reading:
    said = [scenario.main]
    for part in parts:
        for one in scenario.further:
            found = one.read(part)
            if found is not None:
                values = {**found, **values}
                said.append(one)
                break

    def usable(facts: Iterator[Fact]) -> list[Fact]:
        return [fact for fact in facts if fact.usable(values)]

    return Reading(
        values,
        usable(fact for one in said for fact in one.true),
        usable(fact for one in said for fact in one.denied),
        usable(fact for one in said for fact in one.open),
    )


@cache
def bank(name: str) -> Bank:
    """Return the bank of a data file."""
    return Bank(name)
