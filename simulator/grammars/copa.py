"""COPA: an event, and two alternatives, one of which is its more plausible cause or effect.

The events with their causes and effects are in `data/copa.txt`. The wrong alternative answers the
opposite question, or is the cause or effect of an event of another domain.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any, Final

from simulator.grammar import DomainGrammar, Fields, SeedAsk, Slot
from simulator.templates import Template, Values, read_any
from simulator.words import PRONOUNS, Lexicon, lexicons, lines, people, pronouns, tidy

_WORDS: Final = {
    **lexicons("words.txt", "people.txt"),
    "p": people(),
    **{he: Lexicon([he, she]) for he, she in PRONOUNS.items()},
}
_TIMES: Final = (
    "on {weekday}|last {weekday}|one {weekday} in {month}|the other day|at the end of {month}"
    "|early in {month}|not long ago|a week ago|two days before the holidays"
)
_OPPOSITE: Final = 0.6
_NAMED: Final = 0.3
_QUESTIONS: Final = ("cause", "effect")


@dataclass
class _Event:
    """An event with its causes and effects as patterns; `young` excludes older people."""

    domain: str
    young: bool
    premises: list[Template]
    cause: list[str] = field(default_factory=list)
    effect: list[str] = field(default_factory=list)


@cache
def _events() -> tuple[_Event, ...]:
    events: list[_Event] = []
    domain = ""
    for line in lines("copa.txt"):
        mark, _, rest = line.partition(" ")
        parts = [part.strip() for part in rest.split(" ; ")]
        if mark == "@":
            domain = rest.partition(":")[0]
        elif mark in ("P", "Y"):
            wordings = [template for part in parts for template in _timed(part)]
            events.append(_Event(domain, mark == "Y", wordings))
        else:
            (events[-1].cause if mark == "C" else events[-1].effect).extend(parts)
    return tuple(events)


def _timed(clause: str) -> list[Template]:
    """Return a clause as it is, with a time before it, and with a time after it."""
    wordings = (f"{clause}.", f"[{_TIMES}], {clause}.", f"{clause} [{_TIMES}].")
    return [Template(wording, _WORDS) for wording in wordings]


def _person(young: bool, rng: Random) -> Values:
    female = rng.random() < 0.5
    without = _WORDS["elder"].entries if young else ()
    person = _WORDS["she_who" if female else "he_who"].draw(rng, without)
    return {"p": person, **pronouns(female)}


class CopaGrammar(DomainGrammar):
    """Choice of plausible alternatives."""

    name = "copa"
    file = "copa.txt"
    fields = frozenset({"premise", "choice1", "choice2", "question"})
    labels = ("0", "1")
    cues = frozenset({"premise", "alternative", "alternatives", "plausible", "cause", "effect"})
    seeded = frozenset({"premise"})

    def seeds(self, ask: SeedAsk, rng: Random) -> Iterator[Fields]:
        domain = self.domain(ask)
        events = [event for event in _events() if domain in ("", event.domain)]
        while True:
            event = rng.choice(events)
            wording = rng.choice(event.premises)
            yield {"premise": wording.fill(_person(event.young, rng), rng)}

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        """Yield pairs of alternatives.

        The constraint names the right one first. The way says whether the wrong one answers the
        opposite question.
        """
        found = _read(str(slot.given.get("premise", "")))
        if found is None:
            return
        event, values = found
        question = str(slot.given.get("question") or rng.choice(_QUESTIONS))
        if question not in _QUESTIONS:
            return
        named = re.search(r"choice([12])", slot.constraint)
        second = named.group(1) == "2" if named else rng.random() < 0.5
        share = _OPPOSITE if slot.way is None else float("opposite question" in slot.way)
        others = [one for one in _events() if one.domain != event.domain]
        # Only those about a person, so that they read like alternatives about the same person.
        strange = [one for other in others for one in getattr(other, question) if "{h" in one]
        while True:
            right = rng.choice(getattr(event, question))
            if rng.random() < share:
                wrong = rng.choice(event.effect if question == "cause" else event.cause)
            else:
                wrong = rng.choice(strange)
            pair = [_choice(one, values, rng) for one in (right, wrong)]
            if second:
                pair.reverse()
            yield {"choice1": pair[0], "choice2": pair[1], "question": question}

    def rationale(self, row: Mapping[str, Any], label: str, rng: Random) -> str:
        names = ("choice2", "choice1") if label == "1" else ("choice1", "choice2")
        chosen, other = (str(row.get(name, "")).rstrip(".") for name in names)
        role = "led to the premise" if row.get("question") == "cause" else "came of the premise"
        how = rng.choice(("It is easy to see", "One can well imagine", "It makes sense"))
        return f"{how} that “{chosen}” {role}; “{other}” would need a longer story."


def _choice(pattern: str, values: Values, rng: Random) -> str:
    """Return an alternative that refers to the person by a pronoun or, sometimes, by name."""
    named = any(_WORDS[kind].find(values["p"]) for kind in ("female", "male"))
    if named and pattern.startswith("{he} ") and rng.random() < _NAMED:
        pattern = "{p}" + pattern.removeprefix("{he}")
    return tidy(_filled(pattern, values) + ".")


def _filled(pattern: str, values: Values) -> str:
    return re.sub(r"\{(\w+)\}", lambda m: values[m.group(1)], pattern)


def _read(premise: str) -> tuple[_Event, Values] | None:
    for event in _events():
        values = read_any(event.premises, premise)
        if values is not None:
            female = _WORDS["she_who"].find(values["p"]) is not None
            return event, {**values, **pronouns(female)}
    return None
