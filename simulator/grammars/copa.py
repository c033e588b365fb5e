"""The grammar of COPA: an event, and two alternatives of which one is its likelier cause or effect.

The events with their causes and effects stand in `data/copa.txt`. The wrong alternative is either
what would answer the opposite question, or the cause or effect of an event of another domain.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any, Final

from simulator import grammar
from simulator.grammar import ContextAsk, Fields, Grammar, SeedAsk, Slot
from simulator.wording import Lexicon, Template, Values, lexicons, load, tidy

_TIMES: Final = (
    "on {weekday}|last {weekday}|one {weekday} in {month}|the other day|at the end of {month}"
    "|early in {month}|not long ago|a week ago|two days before the holidays"
)
_OPPOSITE: Final = 0.6
_NAMED: Final = 0.3
_QUESTIONS: Final = ("cause", "effect")
_PRONOUNS: Final = {"he": "she", "him": "her", "his": "her", "himself": "herself"}


@dataclass
class Event:
    """An event with its causes and effects, as patterns; `young`: not for grown-ups."""

    domain: str
    young: bool = False
    premises: list[Template] = field(default_factory=list)
    cause: list[str] = field(default_factory=list)
    effect: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Bank:
    phrases: Mapping[str, tuple[str, ...]]
    events: tuple[Event, ...]
    words: Mapping[str, Lexicon]

    def of(self, domain: str) -> list[Event]:
        return [event for event in self.events if event.domain == domain]


@cache
def _bank() -> _Bank:
    shared = lexicons("words.txt", "people.txt")
    words = dict(shared)
    words["p"] = Lexicon([*shared["she_who"].entries, *shared["he_who"].entries])
    words |= {he: Lexicon([he, she]) for he, she in _PRONOUNS.items()}
    phrases: dict[str, tuple[str, ...]] = {}
    events: list[Event] = []
    domain = ""
    for line in load("copa.txt").splitlines():
        mark, _, rest = line.partition(" ")
        parts = [part.strip() for part in rest.split(" ; ")]
        if mark == "@":
            domain, _, listed = rest.partition(":")
            phrases[domain] = tuple(one.strip() for one in listed.split("|"))
        elif mark in ("P", "Y"):
            wordings = [t for part in parts for t in _timed(part, words)]
            events.append(Event(domain, mark == "Y", wordings))
        elif mark == "C":
            events[-1].cause += parts
        elif mark == "E":
            events[-1].effect += parts
    return _Bank(phrases, tuple(events), words)


def _timed(clause: str, words: Mapping[str, Lexicon]) -> list[Template]:
    """Return a clause as it stands, with a time before it, and with a time behind it."""
    wordings = (f"{clause}.", f"[{_TIMES}], {clause}.", f"{clause} [{_TIMES}].")
    return [Template(wording, words) for wording in wordings]


def _person(young: bool, rng: Random) -> Values:
    """Return a person and the pronouns that go with them."""
    words = _bank().words
    without = words["elder"].entries if young else ()
    if rng.random() < 0.5:
        return {"p": words["she_who"].draw(rng, without), **_PRONOUNS}
    return {"p": words["he_who"].draw(rng, without), **{he: he for he in _PRONOUNS}}


def _pronouns(person: str) -> Values:
    female = _bank().words["she_who"].find(person) is not None
    return {he: she if female else he for he, she in _PRONOUNS.items()}


class CopaGrammar(Grammar):
    """Choice of plausible alternatives: see the module."""

    name = "copa"
    fields = frozenset({"premise", "choice1", "choice2", "question"})
    labels = ("0", "1")

    def contexts(self, ask: ContextAsk, rng: Random) -> Iterator[Fields]:
        """Yield settings of everyday life."""
        return grammar.contexts(_bank().phrases, ask, rng)

    def seeds(self, ask: SeedAsk, rng: Random) -> Iterator[Fields]:
        """Yield events of the setting's domain."""
        known = _bank()
        domain = grammar.domain(known.phrases, ask.context, *map(str, ask.attributes.values()))
        events = known.of(domain) if domain else list(known.events)
        while True:
            event = rng.choice(events)
            wording = rng.choice(event.premises)
            yield {"premise": wording.fill(_person(event.young, rng), rng)}

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        """Yield pairs of alternatives, the right one where the label says."""
        found = _read(str(slot.given.get("premise", "")))
        if found is None:
            return
        event, values = found
        question = str(slot.given.get("question") or rng.choice(_QUESTIONS))
        if question not in _QUESTIONS:
            return
        others = [one for one in _bank().events if one.domain != event.domain]
        # What speaks of the same person reads as an alternative, whatever it tells.
        strange = [one for other in others for one in getattr(other, question) if "{h" in one]
        while True:
            right = rng.choice(getattr(event, question))
            if rng.random() < _OPPOSITE:
                wrong = rng.choice(event.effect if question == "cause" else event.cause)
            else:
                wrong = rng.choice(strange)
            pair = [_choice(one, values, rng) for one in (right, wrong)]
            if label == "1":
                pair.reverse()
            yield {"choice1": pair[0], "choice2": pair[1], "question": question}

    @staticmethod
    def explains(premise: str, question: str, choice: str) -> bool:
        """Say whether a choice is one of the known causes (effects) of a premise's event."""
        found = _read(premise)
        if found is None:
            return False
        event, values = found
        names = ("{he}", values["p"])
        told = (
            tidy(_filled(one.replace("{he} ", f"{who} ", 1), values) + ".")
            for one in getattr(event, question)
            for who in names
        )
        return choice in told

    def rationale(self, row: Mapping[str, Any], label: str, rng: Random) -> str:
        """Say which alternative is the likelier one."""
        chosen = str(row.get("choice2" if label == "1" else "choice1", "")).rstrip(".")
        other = str(row.get("choice1" if label == "1" else "choice2", "")).rstrip(".")
        role = "led to the premise" if row.get("question") == "cause" else "came of the premise"
        how = rng.choice(("It is easy to see", "One can well imagine", "It makes sense"))
        return f"{how} that “{chosen}” {role}; “{other}” would need a longer story."


def _choice(pattern: str, values: Values, rng: Random) -> str:
    """Return an alternative as a sentence, the person by pronoun or, if it has one, by name."""
    words = _bank().words
    named = words["female"].find(values["p"]) or words["male"].find(values["p"])
    if named and pattern.startswith("{he} ") and rng.random() < _NAMED:
        pattern = "{p}" + pattern[len("{he}") :]
    return tidy(_filled(pattern, values) + ".")


def _filled(pattern: str, values: Values) -> str:
    return re.sub(r"\{(\w+)\}", lambda m: values[m.group(1)], pattern)


def _read(premise: str) -> tuple[Event, Values] | None:
    for event in _bank().events:
        for wording in event.premises:
            values = wording.read(premise)
            if values is not None:
                return event, {**values, **_pronouns(values["p"])}
    return None
