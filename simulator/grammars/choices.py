"""Grammars of questions that bring their own options: goals, gaps, common sense, riddles."""

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any, Final

from simulator.grammar import ContextAsk, Fields, Grammar, SeedAsk, Slot
from simulator.knowledge import Thing, animals, others, rows, things
from simulator.wording import Template, capital, lexicons, tidy

_GOALS: Final = (
    "How do you {goal}?",
    "You want to {goal}. What works?",
    "What is a good way to {goal}?",
    "{female} wants to {goal}. What should she do?",
    "{male} has to {goal} and has no special tools. What helps?",
    "Which of the two would help {female} to {goal}?",
    "Before the guests come, {male} would like to {goal}. How?",
    "What would you tell a neighbour who asks how to {goal}?",
    "{female} has been told how to {goal}. Which advice was right?",
    "On {weekday} {male} had to {goal}. What did he do, if he knew his business?",
    "It is {month}, and {female} must {goal}. How does she go about it?",
    "Somebody in {city} asks you how to {goal}. What do you say?",
)
_PLACES: Final = (
    "Where would you look first for {a}?",
    "{female} needs {a}. Where is she most likely to find one?",
    "In which of these places would nobody be surprised to see {a}?",
    "Somebody asks {male} to fetch {a}. Where does he go?",
    "{male} has mislaid {a}. Where should it have been all along?",
    "After tidying up, where would {female} put {a}?",
    "Where does {a} usually belong?",
    "A visitor from {city} wants to borrow {a}. Where do you take it from?",
)
_PURPOSES: Final = (
    "What do you need in order to {purpose}?",
    "{female} would like to {purpose}. What should she get?",
    "Which of these helps most if you want to {purpose}?",
    "On {weekday} {male} had to {purpose}. What did he reach for?",
    "What would {female} miss most if she tried to {purpose} without it?",
    "{male} from {city} often has to {purpose}. What does he own for certain?",
    "Without which of these could you hardly {purpose}?",
)
_HOMES: Final = (
    "Which animal would you expect to meet {place}?",
    "{female} took a picture {place}. Which animal is most likely in it?",
    "Which of these is at home {place}?",
    "{male} spent {month} {place}. What did he probably see?",
    "What would be the least surprising animal {place}?",
)
_RIDDLES: Final = (
    "I {one}, and I {two}. What am I?",
    "I {two}; I {one}. Who am I?",
    "What says of itself: I {one} and I {two}?",
    "I {one}. You may find me {place}. What am I?",
    "Look for me {place}; I {two}. What am I?",
    "I am smaller than {large}, and I {one}. What am I called?",
    "I {two}, though I am smaller than {large}. What can I be?",
    "I am larger than {small}; I {one}. Guess what I am.",
    "Larger than {small} and known in {city} as everywhere, I {two}. What am I?",
    "{female} has never thanked me, although I {one}. What am I?",
    "Old {male} knows me well: I {two}. What is my name?",
    "I {one}, on {weekday} as on any other day. What am I?",
)


class ChoiceGrammar(Grammar):
    """A question and its options; each wording brings its own right answer along."""

    fields = frozenset({"question", "options"})
    labels = ()

    def matches(self, fields: frozenset[str], labels: frozenset[str]) -> bool:
        """Take only tasks that have nothing but question and options."""
        return fields == self.fields and not labels

    def contexts(self, ask: ContextAsk, rng: Random) -> Iterator[Fields]:
        """Yield nothing: questions are about anything."""
        yield from ()

    def seeds(self, ask: SeedAsk, rng: Random) -> Iterator[Fields]:
        """Yield nothing: there is nothing to grow from."""
        yield from ()

    def rationale(self, row: Mapping[str, Any], label: str, rng: Random) -> str:
        """Say why."""
        return f"Of the options only “{label}” goes with “{row.get('question', '')}”."


def _row(question: str, right: str, wrong: list[str], rng: Random) -> Fields:
    options = [right, *wrong]
    return {"question": question, "options": rng.sample(options, len(options)), "answer": right}


def _filled(frame: str, rng: Random, **values: str) -> str:
    return Template(frame, lexicons()).fill(dict(values), rng)


class GoalGrammar(ChoiceGrammar):
    """An everyday goal and two ways to it, of which one works."""

    name = "goals"
    cues = frozenset({"goal", "ways", "physical", "materials"})

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        """Yield goals, each with a way and its counterpart."""
        while True:
            goal, right, wrong, listed = rng.choice(rows("goal"))
            thing = rng.choice(listed.removeprefix("x = ").split(" | "))
            question = _filled(rng.choice(_GOALS), rng, goal=goal.format(x=thing))
            yield _row(question, f"{capital(right)}.", [f"{capital(wrong)}."], rng)


class GapGrammar(ChoiceGrammar):
    """Two people and a gap that stands for one of them."""

    name = "gaps"
    cues = frozenset({"gap", "stands", "people"})

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        """Yield sentences about two people of one gender, so that no pronoun tells."""
        while True:
            pair = rng.choice(rows("gap"))
            which = rng.randrange(2)
            names = rng.sample(lexicons()[rng.choice(("female", "male"))].entries, 2)
            question = _filled(pair[which], rng, a=names[0], b=names[1])
            yield _row(question, names[which], [names[1 - which]], rng)


class SenseGrammar(ChoiceGrammar):
    """Common sense about where things are and what they are for."""

    name = "common sense"
    cues = frozenset({"concept", "everyday", "common", "sense"})

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        """Yield questions with five answers of one kind."""
        while True:
            thing = rng.choice(things())
            wrong = others(thing, things(), 12, rng)
            kind = rng.randrange(3)
            if kind == 0:
                question = _filled(rng.choice(_PLACES), rng, a=thing.a)
                places = list(dict.fromkeys(one.place for one in wrong))
                yield _row(question, thing.place, places[:4], rng)
            elif kind == 1:
                question = _filled(rng.choice(_PURPOSES), rng, purpose=thing.purpose)
                yield _row(question, thing.a, [one.a for one in wrong[:4]], rng)
            else:
                animal = rng.choice(animals())
                question = _filled(rng.choice(_HOMES), rng, place=animal.place)
                away = [one.a for one in others(animal, animals(), 4, rng)]
                yield _row(question, animal.a, away, rng)


class RiddleGrammar(ChoiceGrammar):
    """Riddles about things and animals, in their own voice."""

    name = "riddles"
    cues = frozenset({"riddle", "figurative", "misleading", "solves"})

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        """Yield riddles with five solutions; the wrong ones are things of about any kind."""
        everything = [*things(), *animals()]
        while True:
            thing = rng.choice(everything)
            yield _row(
                self._riddle(thing, everything, rng),
                thing.name,
                [one.name for one in others(thing, everything, 4, rng)],
                rng,
            )

    @staticmethod
    def _riddle(thing: Thing, everything: list[Thing], rng: Random) -> str:
        large = [one.a for one in everything if one.length > 2 * thing.length]
        small = [one.a for one in everything if 2 * one.length < thing.length]
        fitting = [
            frame
            for frame in _RIDDLES
            if ("{large}" not in frame or large) and ("{small}" not in frame or small)
        ]
        values = {"one": thing.riddles[0], "two": thing.riddles[1], "place": thing.place}
        values["large"] = rng.choice(large) if large else ""
        values["small"] = rng.choice(small) if small else ""
        return tidy(_filled(rng.choice(fitting), rng, **values))


CHOICES: Final[tuple[Grammar, ...]] = (
    GoalGrammar(),
    GapGrammar(),
    SenseGrammar(),
    RiddleGrammar(),
)
