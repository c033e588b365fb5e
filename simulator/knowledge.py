"""What the embedded model knows of common things and animals, and facts that follow from it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Final

from simulator.wording import article, load, plural, third

_PLAIN: Final = 3.0
"""Two measures are compared only where one is so many times the other."""
_WORDS: Final = (
    "no",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
)


@dataclass(frozen=True)
class Thing:
    """A thing or an animal.

    Attributes:
        length: the longest side, cm.
        weight: grams.
        place: where it is kept or lives, with its preposition.
        purpose: what people do with it, a base form; empty for animals.
        riddles: what it says of itself after `I`.
        floats: whether it floats on water; None where that is not clear.
        legs: None for things.
        flies, eggs: None where that is not clear, and for things.
    """

    name: str
    length: float
    weight: float
    place: str
    riddles: tuple[str, ...]
    purpose: str = ""
    floats: bool | None = None
    legs: int | None = None
    flies: bool | None = None
    eggs: bool | None = None

    @property
    def a(self) -> str:
        """The name with its article."""
        return f"{article(self.name)} {self.name}"

    @property
    def many(self) -> str:
        """The plural."""
        irregular = {"mouse": "mice", "pair of scissors": "pairs of scissors"}
        return irregular.get(self.name) or plural(self.name)


@dataclass(frozen=True)
class Fact:
    """A statement and whether it is true: `subject verb rest`, `verb` an auxiliary."""

    subject: str
    verb: str
    rest: str
    true: bool

    @property
    def question(self) -> str:
        """As a question clause, without capital and question mark."""
        return f"{self.verb} {self.subject} {self.rest}"

    @property
    def statement(self) -> str:
        """As a clause, without capital and full stop."""
        if self.verb in ("does", "do"):
            verb, _, rest = self.rest.partition(" ")
            return f"{self.subject} {third(verb) if self.verb == 'does' else verb} {rest}"
        return f"{self.subject} {self.verb} {self.rest}"


def _rows(kind: str) -> Iterator[list[str]]:
    for line in load("things.txt").splitlines():
        key, colon, rest = line.partition(": ")
        if colon and key == kind:
            yield [part.strip() for part in rest.split(" / ")]


@cache
def rows(kind: str) -> tuple[tuple[str, ...], ...]:
    """Return the lines of one kind, cut into their parts."""
    return tuple(tuple(row) for row in _rows(kind))


def _clear(text: str, yes: str) -> bool | None:
    return None if text == "?" else text == yes


@cache
def things() -> tuple[Thing, ...]:
    """Return the things that people use."""
    return tuple(
        Thing(
            name=name,
            length=float(length),
            weight=float(weight),
            place=place,
            riddles=tuple(riddles.split("; ")),
            purpose=purpose,
            floats=None if floats == "-" else floats == "floats",
        )
        for name, length, weight, floats, place, purpose, riddles in rows("thing")
    )


@cache
def animals() -> tuple[Thing, ...]:
    """Return the animals."""
    return tuple(
        Thing(
            name=name,
            length=float(length),
            weight=float(weight),
            place=place,
            riddles=tuple(riddles.split("; ")),
            legs=int(legs),
            flies=_clear(flies, "flies"),
            eggs=_clear(eggs, "eggs"),
        )
        for name, length, weight, legs, flies, eggs, place, riddles in rows("animal")
    )


def _compared(rng: Random) -> Fact | None:
    """Compare weight or length of two things."""
    one, other = rng.sample([*things(), *animals()], 2)
    measure, more, less = rng.choice(
        (("weight", "heavier", "lighter"), ("length", "longer", "shorter"))
    )
    a, b = getattr(one, measure), getattr(other, measure)
    if max(a, b) < _PLAIN * min(a, b):
        return None
    word = rng.choice((more, less))
    return Fact(one.a, "is", f"{word} than {other.a}", (a > b) == (word == more))


def _of_animal(rng: Random) -> Fact | None:
    """Tell whether an animal flies, lays eggs, or how many legs it has."""
    animal = rng.choice(animals())
    what = rng.choice(("flies", "eggs", "legs", "legs of two"))
    if what == "flies" and animal.flies is not None:
        return Fact(animal.a, "can", "fly through the air", animal.flies)
    if what == "eggs" and animal.eggs is not None:
        return Fact(animal.a, "does", "lay eggs", animal.eggs)
    legs = animal.legs or 0
    if what == "legs":
        said = rng.choice([legs, rng.choice((2, 4, 6, 8))]) or 2
        return Fact(animal.a, "does", f"walk on {_WORDS[said]} legs", said == legs)
    other = rng.choice([one for one in animals() if one.legs != animal.legs])
    return Fact(animal.a, "does", f"have more legs than {other.a}", legs > (other.legs or 0))


def _in_water(rng: Random) -> Fact | None:
    thing = rng.choice([one for one in things() if one.floats is not None])
    rest, floats = rng.choice(
        (("sink in a full bath", False), ("float on a pond", True), ("go under in a lake", False))
    )
    return Fact(thing.a, "does", rest, thing.floats is floats)


def _of_use(rng: Random) -> Fact | None:
    """Tell what a thing is for."""
    thing, other = rng.sample(things(), 2)
    own = rng.random() < 0.5
    purpose = thing.purpose if own else other.purpose
    return Fact(thing.a, "is", f"what people normally use to {purpose}", own)


def _fits(rng: Random) -> Fact | None:
    """Tell whether something goes into a space."""
    name, inside = rng.choice(rows("box"))
    one = rng.choice([*things(), *animals()])
    if 0.8 * float(inside) < one.length < 1.5 * float(inside):
        return None
    rest = f"{rng.choice(('fit into', 'lie stretched out in', 'disappear completely in'))} {name}"
    return Fact(one.a, "could", rest, one.length <= float(inside))


def _outweighs(rng: Random) -> Fact | None:
    """Weigh many of one kind against one of another."""
    small, large = rng.sample([*things(), *animals()], 2)
    count = rng.choice((3, 5, 8, 10, 12, 20, 30, 50, 100))
    total = count * small.weight
    if max(total, large.weight) < _PLAIN * min(total, large.weight):
        return None
    return Fact(
        f"{count} {small.many}", "would", f"weigh more than {large.a}", total > large.weight
    )


def _legs_together(rng: Random) -> Fact | None:
    """Count the legs of a company."""
    company = rng.sample(animals(), rng.randint(2, 4))
    legs = sum(one.legs or 0 for one in company)
    said = max(2, legs + rng.choice((-6, -4, -3, -2, -1, 0, 1, 2, 3, 4)))
    *names, last = [one.a for one in company]
    rest = f"have more than {said} legs between them"
    return Fact(f"{', '.join(names)} and {last}", "would", rest, legs > said)


def _at_hand(rng: Random) -> Fact | None:
    """Tell whether what a purpose takes is kept at a place."""
    where, other = rng.sample(things(), 2)
    purpose = rng.choice((where, other)).purpose
    there = any(one.place == where.place and one.purpose == purpose for one in things())
    subject = f"somebody who wants to {purpose}"
    return Fact(subject, "should", f"look {where.place} first", there)


_SIMPLE: Final = (_compared, _of_animal, _in_water, _of_use)
_STEPS: Final = (_fits, _outweighs, _legs_together, _at_hand)


def facts(rng: Random, true: bool, steps: bool) -> Iterator[Fact]:
    """Yield facts without end, all true or all false.

    Args:
        rng: where they are drawn from.
        true: which.
        steps: those that take several steps to check, else those that one look settles.
    """
    kinds = _STEPS if steps else _SIMPLE
    while True:
        fact = rng.choice(kinds)(rng)
        if fact is not None and fact.true is true:
            yield fact


def others(right: Thing, pool: Sequence[Thing], count: int, rng: Random) -> list[Thing]:
    """Return `count` things of the pool that are neither the right one nor kept where it is."""
    return rng.sample([one for one in pool if one.place != right.place], count)
