"""Reports: passages whose facts are known, with statements that they bear out, deny or leave open.

A bank file is read line by line; the first character says what the rest is:

    @ name: phrase | phrase     a domain and the contexts that it offers
    = anything                  a new scenario of the domain
    K word, | word,             links: what may go before any further sentence of the whole bank
    L name: a | b               a lexicon of this scenario
    P template                  a wording of the main sentence; every wording tells the same
    S template                  a further sentence that may follow; `S+` another wording of it
    E subject / verb / rest     borne out by the main sentence (`e`: by the last further sentence)
    E verb / rest               a fact that is only ever asked about
    C subject / verb / rest     denied by it (`c` likewise)
    U subject / verb / rest     left open by it, and by all further sentences (`u` likewise)

The verb is an auxiliary (`will`, `was`, `has` ...) or `did`, `does`, `do`, in which case the rest
begins with a base form. A fact can be told only where the text binds its slots.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Final

from simulator.wording import (
    Lexicon,
    Template,
    Values,
    base,
    lexicons,
    load,
    past,
    sentences,
    third,
    tidy,
)

_DENIABLE: Final = ("was", "were", "is", "are", "will", "did", "does", "could")
_NEGATIVE: Final = re.compile(
    r"^(?:an?|some|half|most|all|no|nobody|none|nothing|somebody|someone|something|there)\b"
    r"|\b(?:no|not|never|still|already|more|several|something|somebody|for)\b"
)
_EMPTY: Final[Mapping[str, Callable[[str], str]]] = {"did": past, "does": third, "do": str}
_SCOPED: Final = re.compile(
    r"\b(?:no|not|nobody|none|never|only|every|everyone|all|most|some|any|still|yet|no longer|more"
    r"|fewer|less|several|until|already|also|too|even|to)\b"
)
_PLAIN_SLOT: Final = re.compile(r"\{(\w+)([!<>]?)[^}]*\}")


class Fact:
    """Something that can be said of a passage, as a statement, its denial or a question.

    Attributes:
        deniable: whether its denial reads well and says the opposite.
        negatable: whether `not` after its verb negates it, be it less elegant.
    """

    def __init__(self, line: str, words: Mapping[str, Lexicon]) -> None:
        *first, rest = (part.strip() for part in line.split(" / "))
        subject, self._verb = first if len(first) == 2 else ("", first[0])
        self._template = Template(f"{subject} / {rest}", words)
        self._needs = {
            slot
            for slot, how in _PLAIN_SLOT.findall(f"{subject} {rest}")
            if not how or base(slot) not in words
        }

        self.negatable = (
            self._verb not in ("must", "can")
            and not _NEGATIVE.search(f"{subject} {rest}")
            and not (self._verb in ("has", "had", "have") and rest.startswith(("a ", "an ")))
        )
        # A denial in other sentences would not deny, or not be English.
        self.deniable = self._verb in _DENIABLE and not _SCOPED.search(f"{subject} {rest}")

    def holds_with(self, values: Values) -> bool:
        """Say whether the values suffice to tell the fact."""
        return self._needs <= values.keys()

    def _parts(self, values: Values, rng: Random) -> tuple[str, str]:
        subject, _, rest = self._template.draft(dict(values), rng).partition(" / ")
        return subject, rest

    def statement(self, values: Values, rng: Random, denied: bool = False) -> str:
        """Return the fact as a clause without capital and full stop."""
        subject, rest = self._parts(values, rng)
        if denied:
            return f"{subject} {self._verb} not {rest}"
        if self._verb in _EMPTY and not rest.startswith("not "):
            verb, _, rest = rest.partition(" ")
            return f"{subject} {_EMPTY[self._verb](verb)} {rest}"
        return f"{subject} {self._verb} {rest}"

    def question(self, values: Values, rng: Random) -> str:
        """Return the fact as a question clause without capital and question mark."""
        subject, rest = self._parts(values, rng)
        return " ".join(part for part in (self._verb, subject, rest) if part)


@dataclass
class Said:
    """A sentence in one or more wordings, and the facts that come with it."""

    wordings: list[Template] = field(default_factory=list)
    true: list[Fact] = field(default_factory=list)
    denied: list[Fact] = field(default_factory=list)
    open: list[Fact] = field(default_factory=list)


@dataclass
class Scenario:
    """A main sentence and what may follow it."""

    main: Said = field(default_factory=Said)
    further: list[Said] = field(default_factory=list)
    words: dict[str, Lexicon] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """What a passage says: its slot values and the facts that they allow to tell."""

    values: Values
    true: Sequence[Fact]
    denied: Sequence[Fact]
    open: Sequence[Fact]


class Bank:
    """The scenarios of a bank file by domain.

    Attributes:
        phrases: domain -> the contexts that it offers.
        domains: domain -> its scenarios.
    """

    def __init__(self, name: str) -> None:
        self.phrases: dict[str, tuple[str, ...]] = {}
        self.domains: dict[str, list[Scenario]] = {}
        shared = lexicons("words.txt", "places.txt")
        domain = links = ""
        scenario = Scenario()
        for line in load(name).splitlines():
            mark, _, rest = line.partition(" ")
            if mark == "@":
                domain, _, phrases = rest.partition(":")
                self.phrases[domain] = tuple(one.strip() for one in phrases.split("|"))
                self.domains[domain] = []
            elif mark == "=":
                scenario = Scenario(words=dict(shared))
                self.domains[domain].append(scenario)
            elif mark == "K":
                # Three sentences in four do without one.
                links = f"[{'|' * 3 * (rest.count('|') + 1)}{rest.replace(' | ', ' |')} ]"
            elif mark in ("S", "S+"):
                _take(scenario, mark, links + rest.strip())
            elif mark:
                _take(scenario, mark, rest.strip())

    def passage(self, domain: str, rng: Random, least: int, most: int) -> str:
        """Return a passage of `least` to `most` sentences on a domain (any one where empty)."""
        domain = domain or rng.choice(list(self.domains))
        scenario = rng.choice(self.domains[domain])
        count = min(rng.randint(least, most) - 1, len(scenario.further))
        chosen = sorted(rng.sample(range(len(scenario.further)), count))
        values: Values = {}
        said = [scenario.main, *(scenario.further[i] for i in chosen)]
        return " ".join(rng.choice(one.wordings).fill(values, rng) for one in said)

    def read(self, passage: str) -> Reading | None:
        """Return what a passage of this bank says; None where it is none."""
        parts = sentences(passage)
        if not parts:
            return None
        for scenarios in self.domains.values():
            for scenario in scenarios:
                values = _read(scenario.main, parts[0])
                if values is not None:
                    return _reading(scenario, values, parts[1:])
        return None


def _take(scenario: Scenario, mark: str, rest: str) -> None:
    if mark == "L":
        name, _, entries = rest.partition(":")
        scenario.words[name] = Lexicon([one.strip() for one in entries.split("|")])
    elif mark == "P":
        scenario.main.wordings.append(Template(rest, scenario.words))
    elif mark == "S":
        scenario.further.append(Said([Template(rest, scenario.words)]))
    elif mark == "S+":
        scenario.further[-1].wordings.append(Template(rest, scenario.words))
    else:
        said = scenario.further[-1] if mark.islower() else scenario.main
        kind = {"E": said.true, "C": said.denied, "U": said.open}[mark.upper()]
        kind.append(Fact(rest, scenario.words))


def _read(said: Said, sentence: str) -> Values | None:
    found = (wording.read(sentence) for wording in said.wordings)
    return next((values for values in found if values is not None), None)


def _reading(scenario: Scenario, values: Values, parts: Sequence[str]) -> Reading:
    said = [scenario.main]
    for part in parts:
        for one in scenario.further:
            found = _read(one, part)
            if found is not None:
                values = {**found, **values}
                said.append(one)
                break

    def told(facts: Iterator[Fact]) -> list[Fact]:
        return [fact for fact in facts if fact.holds_with(values)]

    return Reading(
        values,
        told(fact for one in said for fact in one.true),
        told(fact for one in said for fact in one.denied),
        told(fact for one in said for fact in one.open),
    )


@cache
def bank(name: str) -> Bank:
    """Return the bank of a data file."""
    return Bank(name)


def sentence(clause: str, end: str = ".") -> str:
    """Return a clause as a sentence of its own."""
    return tidy(clause + end)
