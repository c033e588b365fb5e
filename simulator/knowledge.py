"""What the simulator knows about common things and animals, and claims that follow from it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Final

from simulator.words import article, lines, plural, third

_CLEAR: Final = 3.0
"""Two measures are compared only if one is at least this many times the other."""
_NUMBERS: Final = {2: "two", 4: "four", 6: "six", 8: "eight", 10: "ten"}


@dataclass(frozen=True)
class Thing:
    """A thing or an animal.

    Attributes:
        length: the longest side in centimeters.
        weight: in grams.
        place: where it is kept or lives, with a preposition.
        riddles: what it says about itself after `I`.
        purpose: what people do with it, a base form; empty for animals.
        floats: whether it floats on water; None if unclear, and for animals.
        legs: None for things.
        flies, eggs: None if unclear, and for things.
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
        """The name with the indefinite article."""
        return f"{article(self.name)} {self.name}"

    @property
    def many(self) -> str:
        """The plural."""
        irregular = {"mouse": "mice", "pair of scissors": "pairs of scissors"}
        return irregular.get(self.name) or plural(self.name)


@dataclass(frozen=True)
class Claim:
    """A statement `subject verb rest` and whether it is true; `verb` is an auxiliary."""

    subject: str
    verb: str
    rest: str
    true: bool

    @property
    def question(self) -> str:
        """The claim as a question, without a capital or a question mark."""
        return f"{self.verb} {self.subject} {self.rest}"

    @property
    def statement(self) -> str:
        """The claim as a clause, without a capital or a period."""
        if self.verb in ("does", "do"):
            verb, _, rest = self.rest.partition(" ")
            return f"{self.subject} {third(verb) if self.verb == 'does' else verb} {rest}"
        return f"{self.subject} {self.verb} {self.rest}"


@cache
def rows(kind: str) -> tuple[tuple[str, ...], ...]:
    """Return the parts of each line `kind: part / part` of `things.txt`."""
    found = (line.partition(": ") for line in lines("things.txt"))
    return tuple(
        tuple(part.strip() for part in rest.split(" / ")) for key, _, rest in found if key == kind
    )


@cache
def things() -> tuple[Thing, ...]:
    """Return the things that people use."""
    return tuple(
        Thing(
            *(name, float(length), float(weight), place, tuple(riddles.split("; "))),
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
            *(name, float(length), float(weight), place, tuple(riddles.split("; "))),
            legs=int(legs),
            flies=None if flies == "?" else flies == "flies",
            eggs=None if eggs == "?" else eggs == "eggs",
        )
        for name, length, weight, legs, flies, eggs, place, riddles in rows("animal")
    )


def goal(rng: Random) -> tuple[str, str, str]:
    """Return an everyday goal, a way to reach it and a way that fails."""
    said, right, wrong, listed = rng.choice(rows("goal"))
    return said.format(x=rng.choice(listed.removeprefix("x = ").split(" | "))), right, wrong


def _comparison(rng: Random) -> Claim | None:
    one, other = rng.sample([*things(), *animals()], 2)
    measure, more, less = rng.choice(
        (("weight", "heavier", "lighter"), ("length", "longer", "shorter"))
    )
    a, b = getattr(one, measure), getattr(other, measure)
    if max(a, b) < _CLEAR * min(a, b):
        return None
    word = rng.choice((more, less))
    return Claim(one.a, "is", f"{word} than {other.a}", (a > b) == (word == more))


def _about_animal(rng: Random) -> Claim | None:
    animal = rng.choice(animals())
    what = rng.choice(("flies", "eggs", "legs", "legs of two"))
    if what == "flies" and animal.flies is not None:
        return Claim(animal.a, "can", "fly through the air", animal.flies)
    if what == "eggs" and animal.eggs is not None:
        return Claim(animal.a, "does", "lay eggs", animal.eggs)
    legs = animal.legs or 0
    if what == "legs":
        said = rng.choice([legs, rng.choice((2, 4, 6, 8))]) or 2
        return Claim(animal.a, "does", f"walk on {_NUMBERS[said]} legs", said == legs)
    other = rng.choice([one for one in animals() if one.legs != animal.legs])
    return Claim(animal.a, "does", f"have more legs than {other.a}", legs > (other.legs or 0))


def _in_water(rng: Random) -> Claim | None:
    thing = rng.choice([one for one in things() if one.floats is not None])
    rest, floats = rng.choice(
        (("sink in a full bath", False), ("float on a pond", True), ("go under in a lake", False))
    )
    return Claim(thing.a, "does", rest, thing.floats is floats)


def _purpose(rng: Random) -> Claim | None:
    thing, other = rng.sample(things(), 2)
    own = rng.random() < 0.5
    purpose = thing.purpose if own else other.purpose
    return Claim(thing.a, "is", f"what people normally use to {purpose}", own)


def _fits(rng: Random) -> Claim | None:
    name, inside = rng.choice(rows("box"))
    one = rng.choice([*things(), *animals()])
    if 0.8 * float(inside) < one.length < 1.5 * float(inside):
        return None
    rest = f"{rng.choice(('fit into', 'lie stretched out in', 'disappear completely in'))} {name}"
    return Claim(one.a, "could", rest, one.length <= float(inside))


def _outweighs(rng: Random) -> Claim | None:
    small, large = rng.sample([*things(), *animals()], 2)
    count = rng.choice((3, 5, 8, 10, 12, 20, 30, 50, 100))
    total = count * small.weight
    if max(total, large.weight) < _CLEAR * min(total, large.weight):
        return None
    rest = f"weigh more than {large.a}"
    return Claim(f"{count} {small.many}", "would", rest, total > large.weight)


def _total_legs(rng: Random) -> Claim | None:
    chosen = rng.sample(animals(), rng.randint(2, 4))
    legs = sum(one.legs or 0 for one in chosen)
    said = max(2, legs + rng.choice((-6, -4, -3, -2, -1, 0, 1, 2, 3, 4)))
    *names, last = [one.a for one in chosen]
    rest = f"have more than {said} legs between them"
    return Claim(f"{', '.join(names)} and {last}", "would", rest, legs > said)


def _where_to_look(rng: Random) -> Claim | None:
    where, other = rng.sample(things(), 2)
    purpose = rng.choice((where, other)).purpose
    there = any(one.place == where.place and one.purpose == purpose for one in things())
    subject = f"somebody who wants to {purpose}"
    return Claim(subject, "should", f"look {where.place} first", there)


_SIMPLE: Final = (_comparison, _about_animal, _in_water, _purpose)
_STEPS: Final = (_fits, _outweighs, _total_legs, _where_to_look)


def claims(rng: Random, true: bool, steps: bool) -> Iterator[Claim]:
    """Yield an endless stream of claims, all true or all false."""
    kinds = _STEPS if steps else _SIMPLE
    while True:
        claim = rng.choice(kinds)(rng)
        if claim is not None and claim.true is true:
            yield claim


def others(right: Thing, pool: Sequence[Thing], count: int, rng: Random) -> list[Thing]:
    """Return `count` things from the pool that are kept in a different place than the right one."""
    return rng.sample([one for one in pool if one.place != right.place], count)
