"""The grammar of instructions: tasks that the embedded model can set and carry out itself.

Each kind of task is a function that makes up its input and output; how it is put into words
stands in `instructions.txt`, under the function's name.
"""

from collections.abc import Callable, Iterator
from random import Random
from typing import Final

from simulator.grammar import ContextAsk, Fields, Grammar, SeedAsk, Slot
from simulator.knowledge import Thing, animals, facts, rows, things
from simulator.wording import Template, Values, capital, lexicons, past, third, tidy

Made = tuple[str, str]
"""Input (empty where none is needed) and output."""
_VERBS: Final = (
    "walk to the lake",
    "paint the fence",
    "bake bread",
    "visit the market",
    "mend nets",
)
_SEASONS: Final = ("winter", "spring", "summer", "autumn")
_NOTES: Final = {
    "request": (
        "Could you send me the keys to the flat in {city}, {female}?",
        "{male}, would you mind waiting until {weekday}?",
        "Please bring a chair along on {weekday}, {female}.",
    ),
    "apology": (
        "I am sorry that I missed you on {weekday}, {male}.",
        "Forgive me, {female}, I had quite forgotten the visit to {city}.",
        "It was my fault, {male}, and it will not happen again in {month}.",
    ),
    "thanks": (
        "How kind of you to water the plants all {month}, {female}.",
        "Your parcel from {city} made my day, {male}.",
        "Without your help on {weekday} I would still be waiting, {male}.",
    ),
}


def _thing(rng: Random, values: Values) -> Thing:
    thing = rng.choice(things())
    values |= {"a": thing.a, "thing": thing.name, "many": thing.many}
    values |= {"purpose": thing.purpose, "place": thing.place}
    return thing


def _list(rng: Random, count: int, pool: tuple[Thing, ...]) -> list[str]:
    return [one.name for one in rng.sample(pool, count)]


def _phrase(pattern: str, rng: Random, values: Values) -> str:
    return Template(pattern, lexicons()).fill(values, rng)


def _left(rng: Random, values: Values) -> Made:
    thing, had, sold = _thing(rng, values), rng.randint(30, 90), rng.randint(4, 29)
    return f"{had} {thing.many} in the morning, {sold} sold by noon", f"{had - sold}"


def _order(rng: Random, values: Values) -> Made:
    words = _list(rng, 5, things())
    return ", ".join(words), ", ".join(sorted(words))


def _riddle(rng: Random, values: Values) -> Made:
    one, two = _thing(rng, values).riddles
    return "", f"I {one}, and I {two}. What am I?"


def _purpose(rng: Random, values: Values) -> Made:
    thing = _thing(rng, values)
    return "", f"With {thing.a} at hand you can {thing.purpose}."


def _odd(rng: Random, values: Values) -> Made:
    many, one = (animals(), things()) if rng.random() < 0.5 else (things(), animals())
    words, misfit = _list(rng, 4, many), rng.choice(one).name
    kind = "an animal" if one is animals() else "a thing and not an animal"
    listed = [*words, misfit]
    return ", ".join(rng.sample(listed, 5)), f"The {misfit}, because only it is {kind}."


def _needs(rng: Random, values: Values) -> Made:
    one, two = rng.sample(things(), 2)
    values |= {"purpose": one.purpose, "purpose2": two.purpose}
    return "", f"{capital(one.a)} and {two.a}."


def _question(rng: Random, values: Values) -> Made:
    fact = next(facts(rng, True, False))
    return tidy(f"{fact.statement}."), tidy(f"{fact.question}?")


def _back(rng: Random, values: Values) -> Made:
    words = _list(rng, 4, animals())
    return "; ".join(words), "; ".join(reversed(words))


def _metres(rng: Random, values: Values) -> Made:
    values["n"] = str(rng.randint(2, 90))
    return "", f"{int(values['n']) * 100} centimetres"


def _thanks(rng: Random, values: Values) -> Made:
    _thing(rng, values)
    values["female"] = lexicons()["female"].draw(rng)
    note = (
        "Dear {female}, thank you very much for the {thing}. I needed it to {purpose}, and it was "
        "a great help. I will leave it at your door on {weekday}."
    )
    return "", _phrase(note, rng, dict(values))


def _vowels(rng: Random, values: Values) -> Made:
    word = rng.choice([*things(), *animals()]).name
    return word, str(sum(letter in "aeiou" for letter in word))


def _gap_story(rng: Random, values: Values) -> tuple[str, list[str], int]:
    which = rng.randrange(2)
    names = rng.sample(lexicons()[rng.choice(("female", "male"))].entries, 2)
    story = _phrase(rng.choice(rows("gap"))[which], rng, {"a": names[0], "b": names[1]})
    return story, names, which


def _gap(rng: Random, values: Values) -> Made:
    story, names, which = _gap_story(rng, values)
    return story, story.replace("_", names[which])


def _goal(rng: Random, values: Values) -> tuple[str, str]:
    goal, right, wrong, listed = rng.choice(rows("goal"))
    values["goal"] = goal.format(x=rng.choice(listed.removeprefix("x = ").split(" | ")))
    return right, wrong


def _plan(rng: Random, values: Values) -> Made:
    right, _ = _goal(rng, values)
    return "", f"1. Take your time. 2. {capital(right)}. 3. Check the result and repeat if needed."


def _false(rng: Random, values: Values) -> Made:
    fact = next(facts(rng, False, False))
    return tidy(f"{fact.statement}."), f"In fact, it is not true that {fact.statement}."


def _weigh(rng: Random, values: Values) -> Made:
    one, two = sorted(rng.sample(things(), 2), key=lambda thing: thing.weight)
    said = f"{capital(two.a)}: it weighs about {two.weight:g} g, {one.a} about {one.weight:g} g."
    return f"{one.a}, {two.a}", said


def _there(rng: Random, values: Values) -> Made:
    return "", f"For example, {_thing(rng, values).a}."


def _swap(rng: Random, values: Values) -> Made:
    values |= {name: lexicons()[name].draw(rng) for name in ("male", "female")}
    note = _phrase("Dear {female}, see you on {weekday} in {city}!", rng, dict(values))
    return note, note.replace(values["female"], values["male"])


def _sizes(rng: Random, values: Values) -> Made:
    chosen = rng.sample(animals(), 4)
    ranked = sorted(chosen, key=lambda animal: animal.length)
    return ", ".join(one.name for one in chosen), ", ".join(one.name for one in ranked)


def _past(rng: Random, values: Values) -> Made:
    verb, _, rest = rng.choice(_VERBS).partition(" ")
    name, day = lexicons()["female"].draw(rng), lexicons()["weekday"].draw(rng)
    before, after = (f"On {day}s {name} {form} {rest}." for form in (third(verb), past(verb)))
    return before, after


def _jumble(rng: Random, values: Values) -> Made:
    said = tidy(f"{next(facts(rng, True, False)).statement}.")
    words = said.rstrip(".").split()
    return " / ".join(rng.sample(words, len(words))), said


def _gift(rng: Random, values: Values) -> Made:
    thing = _thing(rng, values)
    return "", f"How about {thing.a}? Nothing is better if one wants to {thing.purpose}."


def _dialogue(rng: Random, values: Values) -> Made:
    thing = _thing(rng, values)
    return "", f"“Have you seen my {thing.name}?” – “Yes, it is {thing.place}.”"


def _answer(rng: Random, values: Values) -> Made:
    true = rng.random() < 0.5
    fact = next(facts(rng, true, False))
    said = f"Yes, {fact.statement}." if true else f"No, it is not so that {fact.statement}."
    return tidy(f"{fact.question}?"), said


def _pack(rng: Random, values: Values) -> Made:
    thing = _thing(rng, values)
    return "", f"{capital(thing.a)} above all, because it takes one to {thing.purpose}."


def _spell(rng: Random, values: Values) -> Made:
    word = rng.choice([*things(), *animals()]).name
    return word, word[::-1]


def _advert(rng: Random, values: Values) -> Made:
    thing = _thing(rng, values)
    return "", f"Do you want to {thing.purpose}? Then you need our new {thing.name}!"


def _names(rng: Random, values: Values) -> Made:
    story, names, _ = _gap_story(rng, values)
    return story.replace("_", "somebody"), ", ".join(names)


def _flies(rng: Random, values: Values) -> Made:
    animal = rng.choice([one for one in animals() if one.flies is not None])
    return animal.name, "can fly" if animal.flies else "cannot fly"


def _floats(rng: Random, values: Values) -> Made:
    thing = rng.choice([one for one in things() if one.floats is not None])
    return thing.name, "floats" if thing.floats else "sinks"


def _true(rng: Random, values: Values) -> Made:
    true = rng.random() < 0.5
    return tidy(f"{next(facts(rng, true, rng.random() < 0.5)).statement}."), str(true).lower()


def _kind(rng: Random, values: Values) -> Made:
    label, pool = rng.choice((("animal", animals()), ("thing", things())))
    return rng.choice(pool).name, label


def _tone(rng: Random, values: Values) -> Made:
    label = rng.choice(list(_NOTES))
    return _phrase(rng.choice(_NOTES[label]), rng, {}), label


def _room(rng: Random, values: Values) -> Made:
    thing = rng.choice(things())
    rooms = [room for room in ("kitchen", "bathroom", "garden") if room in thing.place]
    return thing.name, rooms[0] if rooms else "elsewhere"


def _sum(rng: Random, values: Values) -> Made:
    a, b, right = rng.randint(12, 99), rng.randint(12, 99), rng.random() < 0.5
    said = a + b if right else a + b + rng.choice((-10, -1, 1, 10))
    return f"{a} + {b} = {said}", "right" if right else "wrong"


def _has(rng: Random, values: Values) -> Made:
    words = _list(rng, 4, things())
    there = rng.random() < 0.5
    listed = [*words, *_list(rng, 1, animals() if there else things())]
    return ", ".join(rng.sample(listed, 5)), "yes" if there else "no"


def _way(rng: Random, values: Values) -> Made:
    ways = _goal(rng, values)
    first = rng.random() < 0.5
    one, two = ways if first else ways[::-1]
    goal = capital(values["goal"])
    return f"{goal}. First: {one}. Second: {two}.", "first" if first else "second"


def _parity(rng: Random, values: Values) -> Made:
    number = rng.randint(11, 9999)
    return str(number), "odd" if number % 2 else "even"


def _form(rng: Random, values: Values) -> Made:
    label = rng.choice(("question", "command", "statement"))
    fact = next(facts(rng, True, False))
    said = {"question": f"{fact.question}?", "statement": f"{fact.statement}."}
    said["command"] = f"{rng.choice(rows('goal'))[1]}!"
    return tidy(said[label]), label


def _sorted(rng: Random, values: Values) -> Made:
    words = sorted(_list(rng, 4, things()))
    yes = rng.random() < 0.5
    return ", ".join(words if yes else [*words[1:], words[0]]), "yes" if yes else "no"


def _eggs(rng: Random, values: Values) -> Made:
    animal = rng.choice([one for one in animals() if one.eggs is not None])
    return animal.name, "eggs" if animal.eggs else "alive"


def _weekend(rng: Random, values: Values) -> Made:
    day = lexicons()["weekday"].draw(rng)
    where = _phrase("in {city}", rng, {})
    return f"{day} {where}", "weekend" if day in ("Saturday", "Sunday") else "working day"


def _season(rng: Random, values: Values) -> Made:
    months = lexicons()["month"].entries
    place = rng.randrange(12)
    return f"{rng.randint(3, 19)} {months[place]}", _SEASONS[(place + 1) % 12 // 3]


def _legs(rng: Random, values: Values) -> Made:
    animal = rng.choice(animals())
    return animal.name, {0: "none", 2: "two", 4: "four"}.get(animal.legs or 0, "more")


_OPEN: Final[tuple[Callable[[Random, Values], Made], ...]] = (
    _left,
    _order,
    _riddle,
    _purpose,
    _odd,
    _needs,
    _question,
    _back,
    _metres,
    _thanks,
    _vowels,
    _gap,
    _plan,
    _false,
    _weigh,
    _there,
    _swap,
    _sizes,
    _past,
    _jumble,
    _gift,
    _dialogue,
    _answer,
    _pack,
    _spell,
    _advert,
    _names,
)
_CLASSES: Final[tuple[Callable[[Random, Values], Made], ...]] = (
    _flies,
    _floats,
    _true,
    _kind,
    _tone,
    _room,
    _sum,
    _has,
    _way,
    _parity,
    _form,
    _sorted,
    _eggs,
    _weekend,
    _season,
    _legs,
)


class InstructionGrammar(Grammar):
    """Instructions with input and output: see the module."""

    name = "instructions"
    fields = frozenset({"instruction", "input", "output"})
    labels = ()

    def contexts(self, ask: ContextAsk, rng: Random) -> Iterator[Fields]:
        """Yield nothing: instructions are about anything."""
        yield from ()

    def seeds(self, ask: SeedAsk, rng: Random) -> Iterator[Fields]:
        """Yield nothing: there is nothing to grow from."""
        yield from ()

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        """Yield tasks, of few possible outputs where the slot speaks of classification."""
        few = "classification" in map(str, slot.given.values())
        while True:
            made = rng.choice(_CLASSES if few else _OPEN)
            values: Values = {}
            given, output = made(rng, values)
            words = lexicons("words.txt", "instructions.txt")
            parts = [words[made.__name__[1:]].draw(rng)]
            if rng.random() < 0.5:
                parts.insert(0, words["head"].draw(rng))
            if rng.random() < 0.6:
                parts.append(words["tail"].draw(rng))
            said = [Template(part, lexicons()).draft(values, rng) for part in parts]
            instruction = tidy(" ".join(said))
            yield {"instruction": instruction, "input": given, "output": output}
