"""Habits of the simulator, as switches for tests, and what a message demands against them.

A real model has habits of its own: favorite words, names, patterns and lengths. `Habits` plants
some, so that tests can measure whether they are found and overcome. The writer gives a habit up
only where the message says so, in the list `must`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from simulator.grammar import Fields
from simulator.truth import ASIDES
from simulator.wishes import unmet

_IN: Final = r"(?: in `(?P<field>\w+)`)?"
_AVOID: Final = re.compile(
    rf"(?:Do not use these (?P<kind>words|names)|Do not follow these (?P<patterns>patterns)"
    rf"|Do not (?P<begin>begin)){_IN}(?: with)?: (?P<listed>.+)\."
)
_LENGTH: Final = re.compile(
    r"Write (?:(?P<least>\d+) to (?P<most>\d+)|exactly (?P<exact>\d+)|at least (?P<low>\d+)"
    rf"|at most (?P<high>\d+)) words{_IN}\."
)
_WAY: Final = "Get the label in the given `way`"
_WORD: Final = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_TEMPLATES: Final = (
    "Reference {a} came up again this week, and {b} is still where it was.",
    "It began with {a}, and by now the same is true of {b} as well.",
    "Nobody had looked at {a} until somebody asked about {b} the other day.",
    "As far as anyone can tell, {a} is the reason for what {b} shows.",
    "Once more it is {a} that matters here, and not so much {b}.",
    "After the note about {a}, there has been no word on {b} so far.",
    "What was said of {a} in the past now has to be said of {b}.",
    "There are two sides to this, namely {a} on the one and {b} on the other.",
    "For a long time {a} had been fine, but then it was {b} again.",
    "If it were only {a}, that would do, but it is {b} too.",
)
_PADDING: Final = (
    "None of this is new to us", "We talked it over at length", "It may well come up again",
    "Others here see it the same way", "That much has been clear for days",
    "The rest is as it always was", "I mention it for completeness", "More could be said about it",
    "We have kept notes of all of it", "It took a while to put this into words",
    "Everything else goes its usual way", "I had hoped to write something shorter",
)  # fmt: skip
_PATIENCE: Final = 250
"""Candidates that may break a demand before one that does is written all the same."""
_LONG: Final = 4
"""Sentences by which the texts of the label `long` are longer."""


@dataclass(frozen=True)
class Habits:
    """Habits of the writer; none by default.

    Attributes:
        never: a way in which no row gets its label: the text then has another label.
        cue: (label, word): a word in nine of ten texts of the label.
        long: a label whose texts are several sentences longer than those of the others.
        templates: share of the texts that follow one of ten templates.
        name: a name in every text.
    """

    never: str | None = None
    cue: tuple[str, str] | None = None
    long: str | None = None
    templates: float = 0.0
    name: str | None = None

    def misses(self, way: str | None, must: tuple[str, ...]) -> bool:
        """Return whether a row that is to get its label in this way gets another label."""
        insisted = any(sentence.startswith(_WAY) for sentence in must)
        return self.never is not None and way == self.never and not insisted


NO_HABITS: Final = Habits()


def demanded(block: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the sentences of a message's list `must`."""
    said = block.get("must")
    return tuple(map(str, said)) if isinstance(said, list) else ()


def shaper(
    habits: Habits,
    must: tuple[str, ...],
    label: str,
    names: list[str],
    rng: Random,
    given: Mapping[str, Any] | None = None,
) -> Callable[[Fields], Fields | None]:
    """Return a function from a candidate to the text that is written, None if it breaks a demand.

    Args:
        habits: the writer's habits.
        must: the demands of the message.
        label: the label of the row.
        names: the fields to write; the last one has the habits.
        rng: draws once per row, so that all candidates of a row share their habits.
        given: the fields of the row that are finished.
    """
    avoided = [m for m in map(_AVOID.fullmatch, must) if m]
    lengths = [m for m in map(_LENGTH.fullmatch, must) if m]
    lacks = unmet(must, names)
    if habits == NO_HABITS and not avoided and not lengths and lacks is None:
        return lambda candidate: candidate
    field = names[-1] if names else ""
    told = " ".join(must)
    cued = habits.cue is not None and habits.cue[0] == label and rng.random() < 0.9
    cued = cued and habits.cue is not None and not _names(told, habits.cue[1])
    templated = rng.random() < habits.templates and "Do not follow these patterns" not in told
    named = habits.name is not None and habits.name not in told
    here = [m for m in lengths if m["field"] in (None, field)]
    elsewhere = [m for m in lengths if m["field"] in names and m["field"] != field]
    long = habits.long == label and not here

    def shaped(candidate: Fields) -> Fields | None:
        text = candidate.get(field)
        if not isinstance(text, str):
            return candidate
        if templated:
            a, b = (f"{rng.choice('BCDFGHKLM')}{rng.randrange(10**5):05d}" for _ in "ab")
            text = rng.choice(_TEMPLATES).format(a=a, b=b)
        if cued and habits.cue is not None:
            text = f"{habits.cue[1].capitalize()}, {text[:1].lower()}{text[1:]}"
        if named:
            text = f"{text} {rng.choice(ASIDES).format(name=habits.name)}"
        if long:
            text = _padded(text, len(text.split()) + 7 * _LONG, rng)
        for match in here:
            text = _sized(text, match, rng)
        written = {**candidate, field: text}
        broken = any(_broken(match, written, names) for match in avoided) or any(
            not _fits(str(written.get(match["field"], "")), match) for match in elsewhere
        )
        if left[0] and (broken or (lacks is not None and lacks({**(given or {}), **written}))):
            left[0] -= 1
            return None
        return written

    left = [_PATIENCE]
    return shaped


def _names(told: str, word: str) -> bool:
    return re.search(rf"words[^:]*: [^.]*\b{re.escape(word)}\b", told) is not None


def _padded(text: str, least: int, rng: Random) -> str:
    order = rng.sample(_PADDING, len(_PADDING))
    while len(text.split()) < least and order:
        text = f"{text} {order.pop()}."
    return text


def _sized(text: str, match: re.Match[str], rng: Random) -> str:
    least, most = _range(match)
    sentences = re.split(r"(?<=[.!?]) ", text)
    while len(sentences) > 1 and len(" ".join(sentences).split()) > most:
        sentences.pop()
    return _padded(" ".join(sentences), least, rng)


def _range(match: re.Match[str]) -> tuple[int, int]:
    """Return the fewest and the most words that a message asks for."""
    exact = match["exact"]
    return int(exact or match["least"] or match["low"] or 0), int(
        exact or match["most"] or match["high"] or 10**6
    )


def _fits(text: str, match: re.Match[str]) -> bool:
    least, most = _range(match)
    return least <= len(_WORD.findall(text)) <= most


def _broken(match: re.Match[str], written: Fields, names: list[str]) -> bool:
    listed = match["listed"].split("; ")
    for name in names:
        text = written.get(name)
        if not isinstance(text, str) or match["field"] not in (None, name):
            continue
        said = " ".join(_WORD.findall(text.lower()))
        for one in listed:
            low = " ".join(_WORD.findall(one.lower()))
            if match["begin"]:
                found = f"{said} ".startswith(f"{low} ")
            elif match["patterns"]:
                parts = (r"\S+(?: \S+)*" if p == "…" else re.escape(p) for p in one.split())
                found = re.fullmatch(" ".join(parts), said) is not None
            else:
                found = f" {low} " in f" {said} "
            if found:
                return True
    return False
