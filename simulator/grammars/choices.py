"""Questions that come with their own options: goals, gaps, common sense, riddles."""

from collections.abc import Iterator
from random import Random
from typing import Final

from simulator.grammar import Fields, Grammar, Slot
from simulator.knowledge import Thing, animals, goal, others, rows, things
from simulator.templates import filled
from simulator.words import capital, frames, lexicons, tidy


class ChoiceGrammar(Grammar):
    """A question and its options; each candidate has its own answer."""

    fields = frozenset({"question", "options"})
    exact = True


def _row(question: str, right: str, wrong: list[str], rng: Random) -> Fields:
    options = [right, *wrong]
    return {"question": question, "options": rng.sample(options, len(options)), "answer": right}


class GoalGrammar(ChoiceGrammar):
    """An everyday goal and two ways to reach it, one of which works."""

    name = "goals"
    cues = frozenset({"goal", "ways", "physical", "materials"})

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        while True:
            said, right, wrong = goal(rng)
            question = filled(rng.choice(frames("goal")), rng, goal=said)
            yield _row(question, f"{capital(right)}.", [f"{capital(wrong)}."], rng)


class GapGrammar(ChoiceGrammar):
    """Two people of the same gender, and a gap that stands for one of them."""

    name = "gaps"
    cues = frozenset({"gap", "belongs", "people"})

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        while True:
            pair = rng.choice(rows("gap"))
            which = rng.randrange(2)
            names = rng.sample(lexicons()[rng.choice(("female", "male"))].entries, 2)
            question = filled(pair[which], rng, a=names[0], b=names[1])
            yield _row(question, names[which], [names[1 - which]], rng)


class SenseGrammar(ChoiceGrammar):
    """Common sense about where things are and what they are for, with five options."""

    name = "common sense"
    cues = frozenset({"concept", "everyday", "common", "sense"})

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        while True:
            thing = rng.choice(things())
            wrong = others(thing, things(), 12, rng)
            kind = rng.choice(("place", "purpose", "home"))
            if kind == "place":
                question = filled(rng.choice(frames(kind)), rng, a=thing.a)
                places = list(dict.fromkeys(one.place for one in wrong))
                yield _row(question, thing.place, places[:4], rng)
            elif kind == "purpose":
                question = filled(rng.choice(frames(kind)), rng, purpose=thing.purpose)
                yield _row(question, thing.a, [one.a for one in wrong[:4]], rng)
            else:
                animal = rng.choice(animals())
                question = filled(rng.choice(frames(kind)), rng, place=animal.place)
                away = [one.a for one in others(animal, animals(), 4, rng)]
                yield _row(question, animal.a, away, rng)


class RiddleGrammar(ChoiceGrammar):
    """Riddles in which things and animals describe themselves, with five options."""

    name = "riddles"
    cues = frozenset({"riddle", "figurative", "misleading", "solves"})

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        everything = [*things(), *animals()]
        while True:
            thing = rng.choice(everything)
            riddle = self._riddle(thing, everything, rng)
            wrong = [one.name for one in others(thing, everything, 4, rng)]
            yield _row(riddle, thing.name, wrong, rng)

    @staticmethod
    def _riddle(thing: Thing, everything: list[Thing], rng: Random) -> str:
        large = [one.a for one in everything if one.length > 2 * thing.length]
        small = [one.a for one in everything if 2 * one.length < thing.length]
        values = {"one": thing.riddles[0], "two": thing.riddles[1], "place": thing.place}
        values["large"] = rng.choice(large) if large else ""
        values["small"] = rng.choice(small) if small else ""
        missing = [f"{{{name}}}" for name, value in values.items() if not value]
        fitting = [f for f in frames("riddle") if not any(slot in f for slot in missing)]
        return tidy(filled(rng.choice(fitting), rng, **values))


CHOICES: Final = (GoalGrammar(), GapGrammar(), SenseGrammar(), RiddleGrammar())
