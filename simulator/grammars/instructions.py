"""Instructions: tasks that the simulator can both set and carry out.

A kind of task is a method of `_Open` or `_Classification`, which returns its input and its output.
The wordings of the instruction are in `data/instructions.txt` under the name of the method.
"""

from collections.abc import Callable, Iterator
from random import Random
from typing import Final

from simulator.grammar import Fields, Grammar, Slot
from simulator.knowledge import Thing, animals, claims, goal, rows, things
from simulator.templates import Template, Values, filled
from simulator.words import capital, frames, lexicons, past, third, tidy

Made = tuple[str, str]
"""Input (empty if the task needs none) and output."""

_SEASONS: Final = ("winter", "spring", "summer", "autumn")


def _names(pool: tuple[Thing, ...], count: int, rng: Random) -> list[str]:
    return [one.name for one in rng.sample(pool, count)]


class _Task:
    """One instruction; `values` are the slots of its wording."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.values: Values = {}

    def _thing(self) -> Thing:
        thing = self.rng.choice(things())
        self.values |= {"a": thing.a, "thing": thing.name, "many": thing.many}
        self.values |= {"purpose": thing.purpose, "place": thing.place}
        return thing

    def _goal(self) -> tuple[str, str]:
        """Return the right and the wrong way to reach a goal."""
        self.values["goal"], right, wrong = goal(self.rng)
        return right, wrong

    def _gap_story(self) -> tuple[str, list[str], int]:
        """Return a story with a gap, the two people in it, and which of them fills the gap."""
        which = self.rng.randrange(2)
        names = self.rng.sample(lexicons()[self.rng.choice(("female", "male"))].entries, 2)
        pattern = self.rng.choice(rows("gap"))[which]
        return filled(pattern, self.rng, a=names[0], b=names[1]), names, which

    def _coin(self) -> bool:
        return self.rng.random() < 0.5


def _about_thing(pattern: str) -> Callable[[_Task], Made]:
    """Return a task without input whose output is a text about a thing `{0}`."""
    return lambda task: ("", capital(pattern.format(task._thing())))


class _Open(_Task):
    """Tasks with many possible outputs."""

    def left(self) -> Made:
        thing, had, sold = self._thing(), self.rng.randint(30, 90), self.rng.randint(4, 29)
        return f"{had} {thing.many} in the morning, {sold} sold by noon", f"{had - sold}"

    def order(self) -> Made:
        words = _names(things(), 5, self.rng)
        return ", ".join(words), ", ".join(sorted(words))

    riddle = _about_thing("I {0.riddles[0]}, and I {0.riddles[1]}. What am I?")
    purpose = _about_thing("With {0.a} at hand you can {0.purpose}.")

    def odd(self) -> Made:
        many, one = (animals(), things()) if self._coin() else (things(), animals())
        words, misfit = _names(many, 4, self.rng), self.rng.choice(one).name
        kind = "an animal" if one is animals() else "a thing and not an animal"
        listed = self.rng.sample([*words, misfit], 5)
        return ", ".join(listed), f"The {misfit}, because only it is {kind}."

    def needs(self) -> Made:
        one, two = self.rng.sample(things(), 2)
        self.values |= {"purpose": one.purpose, "purpose2": two.purpose}
        return "", f"{capital(one.a)} and {two.a}."

    def question(self) -> Made:
        claim = next(claims(self.rng, True, False))
        return tidy(f"{claim.statement}."), tidy(f"{claim.question}?")

    def back(self) -> Made:
        words = _names(animals(), 4, self.rng)
        return "; ".join(words), "; ".join(reversed(words))

    def metres(self) -> Made:
        self.values["n"] = str(self.rng.randint(2, 90))
        return "", f"{int(self.values['n']) * 100} centimetres"

    def thanks(self) -> Made:
        self._thing()
        self.values["female"] = lexicons()["female"].draw(self.rng)
        note = (
            "Dear {female}, thank you very much for the {thing}. I needed it to {purpose}, and it "
            "was a great help. I will leave it at your door on {weekday}."
        )
        return "", filled(note, self.rng, **self.values)

    def vowels(self) -> Made:
        word = self.rng.choice([*things(), *animals()]).name
        return word, str(sum(letter in "aeiou" for letter in word))

    def gap(self) -> Made:
        story, names, which = self._gap_story()
        return story, story.replace("_", names[which])

    def plan(self) -> Made:
        right = capital(self._goal()[0])
        return "", f"1. Take your time. 2. {right}. 3. Check the result and repeat if needed."

    def false(self) -> Made:
        claim = next(claims(self.rng, False, False))
        return tidy(f"{claim.statement}."), f"In fact, it is not true that {claim.statement}."

    def weigh(self) -> Made:
        one, two = sorted(self.rng.sample(things(), 2), key=lambda thing: thing.weight)
        weights = f"it weighs about {two.weight:g} g, {one.a} about {one.weight:g} g."
        return f"{one.a}, {two.a}", f"{capital(two.a)}: {weights}"

    there = _about_thing("For example, {0.a}.")

    def swap(self) -> Made:
        self.values |= {name: lexicons()[name].draw(self.rng) for name in ("male", "female")}
        pattern = "Dear {female}, see you on {weekday} in {city}!"
        note = filled(pattern, self.rng, **self.values)
        return note, note.replace(self.values["female"], self.values["male"])

    def sizes(self) -> Made:
        chosen = self.rng.sample(animals(), 4)
        ranked = sorted(chosen, key=lambda animal: animal.length)
        return ", ".join(one.name for one in chosen), ", ".join(one.name for one in ranked)

    def past(self) -> Made:
        verb, _, rest = self.rng.choice(frames("verb")).partition(" ")
        name, day = (lexicons()[kind].draw(self.rng) for kind in ("female", "weekday"))
        before, after = (f"On {day}s {name} {form} {rest}." for form in (third(verb), past(verb)))
        return before, after

    def jumble(self) -> Made:
        said = tidy(f"{next(claims(self.rng, True, False)).statement}.")
        words = said.rstrip(".").split()
        return " / ".join(self.rng.sample(words, len(words))), said

    gift = _about_thing("How about {0.a}? Nothing is better if one wants to {0.purpose}.")
    dialogue = _about_thing("“Have you seen my {0.name}?” – “Yes, it is {0.place}.”")

    def answer(self) -> Made:
        true = self._coin()
        claim = next(claims(self.rng, true, False))
        said = f"Yes, {claim.statement}." if true else f"No, it is not so that {claim.statement}."
        return tidy(f"{claim.question}?"), said

    pack = _about_thing("{0.a} above all, because it takes one to {0.purpose}.")

    def spell(self) -> Made:
        word = self.rng.choice([*things(), *animals()]).name
        return word, word[::-1]

    advert = _about_thing("Do you want to {0.purpose}? Then you need our new {0.name}!")

    def names(self) -> Made:
        story, names, _ = self._gap_story()
        return story.replace("_", "somebody"), ", ".join(names)


class _Classification(_Task):
    """Tasks with few possible outputs."""

    def flies(self) -> Made:
        animal = self.rng.choice([one for one in animals() if one.flies is not None])
        return animal.name, "can fly" if animal.flies else "cannot fly"

    def floats(self) -> Made:
        thing = self.rng.choice([one for one in things() if one.floats is not None])
        return thing.name, "floats" if thing.floats else "sinks"

    def true(self) -> Made:
        true = self._coin()
        return tidy(f"{next(claims(self.rng, true, self._coin())).statement}."), str(true).lower()

    def kind(self) -> Made:
        label, pool = self.rng.choice((("animal", animals()), ("thing", things())))
        return self.rng.choice(pool).name, label

    def tone(self) -> Made:
        label = self.rng.choice(("request", "apology", "thanks"))
        return filled(self.rng.choice(frames(label)), self.rng), label

    def room(self) -> Made:
        thing = self.rng.choice(things())
        rooms = [room for room in ("kitchen", "bathroom", "garden") if room in thing.place]
        return thing.name, rooms[0] if rooms else "elsewhere"

    def sum(self) -> Made:
        a, b, right = self.rng.randint(12, 99), self.rng.randint(12, 99), self._coin()
        said = a + b if right else a + b + self.rng.choice((-10, -1, 1, 10))
        return f"{a} + {b} = {said}", "right" if right else "wrong"

    def has(self) -> Made:
        words = _names(things(), 4, self.rng)
        there = self._coin()
        words += _names(animals() if there else things(), 1, self.rng)
        return ", ".join(self.rng.sample(words, 5)), "yes" if there else "no"

    def way(self) -> Made:
        ways = self._goal()
        first = self._coin()
        one, two = ways if first else ways[::-1]
        question = f"{capital(self.values['goal'])}. First: {one}. Second: {two}."
        return question, "first" if first else "second"

    def parity(self) -> Made:
        number = self.rng.randint(11, 9999)
        return str(number), "odd" if number % 2 else "even"

    def form(self) -> Made:
        label = self.rng.choice(("question", "command", "statement"))
        claim = next(claims(self.rng, True, False))
        command = f"{self.rng.choice(rows('goal'))[1]}!"
        said = {"question": f"{claim.question}?", "statement": f"{claim.statement}."}
        return tidy(said.get(label, command)), label

    def sorted(self) -> Made:
        words = sorted(_names(things(), 4, self.rng))
        yes = self._coin()
        return ", ".join(words if yes else [*words[1:], words[0]]), "yes" if yes else "no"

    def eggs(self) -> Made:
        animal = self.rng.choice([one for one in animals() if one.eggs is not None])
        return animal.name, "eggs" if animal.eggs else "alive"

    def weekend(self) -> Made:
        day = lexicons()["weekday"].draw(self.rng)
        where = filled("in {city}", self.rng)
        return f"{day} {where}", "weekend" if day in ("Saturday", "Sunday") else "working day"

    def season(self) -> Made:
        number = self.rng.randrange(12)
        month = lexicons()["month"].entries[number]
        return f"{self.rng.randint(3, 19)} {month}", _SEASONS[(number + 1) % 12 // 3]

    def legs(self) -> Made:
        animal = self.rng.choice(animals())
        return animal.name, {0: "none", 2: "two", 4: "four"}.get(animal.legs or 0, "more")


def _kinds(tasks: type[_Task]) -> list[str]:
    return [name for name in vars(tasks) if not name.startswith("_")]


class InstructionGrammar(Grammar):
    """Instructions with input and output."""

    name = "instructions"
    fields = frozenset({"instruction", "input", "output"})

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        """Yield tasks; classification tasks if a given field says `classification`."""
        tasks = _Classification if "classification" in map(str, slot.given.values()) else _Open
        words = lexicons("words.txt", "instructions.txt")
        while True:
            task = tasks(rng)
            kind = rng.choice(_kinds(tasks))
            given, output = getattr(task, kind)()
            parts = [words[kind].draw(rng)]
            if rng.random() < 0.5:
                parts.insert(0, words["head"].draw(rng))
            if rng.random() < 0.6:
                parts.append(words["tail"].draw(rng))
            said = [Template(part, lexicons()).draft(task.values, rng) for part in parts]
            yield {"instruction": tidy(" ".join(said)), "input": given, "output": output}
