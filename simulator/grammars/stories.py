"""Stories for young children, with features as labels.

The sentences are in `data/stories.txt`. The prompt's requirements name words, the opening and the
number of paragraphs.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from random import Random
from types import MappingProxyType
from typing import Any, Final

from simulator.grammar import ContextAsk, Fields, Grammar, SeedAsk, Slot
from simulator.templates import Phrasebook, Values
from simulator.words import pronouns, sentence

_BOOK: Final = Phrasebook("stories.txt")
_DRAWS: Final = 200
_QUOTED: Final = re.compile(r"[\"“](.+?)[\"”]")
_USUAL: Final = {"noun": "key", "verb": "sing", "adjective": "odd"}
"""Part of speech -> the word used if none is required."""


def wanted_words(requirements: tuple[str, ...]) -> tuple[dict[str, str], str, int]:
    """Return the required words by part of speech, the first word and the number of paragraphs.

    The first word is empty, and the number is 0, if no requirement gives one.
    """
    words: dict[str, str] = {}
    first, paragraphs = "", 0
    for text in requirements:
        quoted = _QUOTED.search(text)
        kind = next((one for one in _USUAL if one in text), None)
        count = re.search(r"(\d+) paragraph", text)
        if quoted and kind:
            words[kind] = quoted[1]
        elif quoted and "first" in text:
            first = quoted[1]
        elif count:
            paragraphs = int(count[1])
    return words, first, paragraphs


def _values(words: Mapping[str, str], rng: Random, seed: str = "") -> Values:
    """Return the characters, taken from the seed if it names them, and the required words."""
    names = {name: kind for kind in ("girl", "boy") for name in _BOOK.entries[f"name {kind}"]}
    named = next((name for name in names if re.search(rf"\b{name}\b", seed)), None)
    name = named or rng.choice(list(names))
    friends = _BOOK.entries["friend"]
    friend = next((friend for friend in friends if friend in seed), None)
    return {
        "h": name,
        **pronouns(names[name] == "girl"),
        "f": friend or rng.choice(friends),
        **{kind[0]: words.get(kind, usual) for kind, usual in _USUAL.items()},
    }


class StoryGrammar(Grammar):
    """Short stories."""

    name = "stories"
    fields = frozenset({"story"})
    labels = ("dialogue", "bad_ending", "conflict", "foreshadowing", "twist", "moral_value")
    cues = frozenset({"story", "stories", "children", "child"})
    seeded = frozenset({"summary", "sentence"})
    habits: Mapping[str, float] = MappingProxyType(
        {"dialogue": 0.5, "moral_value": 0.3, "conflict": 0.2, "twist": 0.1}
    )

    def contexts(self, ask: ContextAsk, rng: Random) -> Iterator[Fields]:
        while True:
            place = _BOOK.draw("place", {}, rng)
            yield {"text": place} | dict.fromkeys(ask.attributes, place)

    def seeds(self, ask: SeedAsk, rng: Random) -> Iterator[Fields]:
        """Yield a summary and a sentence of the story."""
        words, _, _ = wanted_words(ask.requirements)
        while True:
            values = _values(words, rng)
            plan, end, line = (
                sentence(_BOOK.draw(kind, values, rng)) for kind in ("plan", "plan end", "line")
            )
            yield {"summary": f"{plan} {end}", "sentence": line}

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        """Yield stories with the features of the slot and without the others.

        Which features a message gets without asking for them is in `habits`.
        """
        words, first, paragraphs = wanted_words(slot.requirements)
        plan = " ".join(str(value) for value in slot.given.values())
        features = set(slot.several or ())
        silent = "dialogue" in slot.without and "dialogue" not in features
        while True:
            values = _values(words, rng, plan)

            def say(kind: str, values: Values = values) -> str:
                # Without dialogue, nobody speaks at all.
                drawn = (_BOOK.draw(kind, values, rng) for _ in range(_DRAWS))
                return sentence(next(one for one in drawn if not (silent and '"' in one)))

            opening = [say("once")]
            if first:
                opening.insert(0, say("first", values | {"first": first}))
            body = [say(kind) for kind in _USUAL if kind in words]
            body += map(sentence, _BOOK.sample("middle", rng.randint(2, 5), values, rng))
            rng.shuffle(body)
            if "sentence" in slot.given:
                body.insert(rng.randrange(len(body)), str(slot.given["sentence"]))
            body += [say(kind) for kind in ("dialogue", "conflict") if kind in features]
            if "foreshadowing" in features:
                opening.append(say("foreshadowing early"))
                body.append(say("foreshadowing late"))
            body += [say(kind) for kind in ("twist", "moral_value") if kind in features]
            body.append(say("bad_ending" if "bad_ending" in features else "end"))
            parts = _paragraphs([*opening, *body], paragraphs or rng.randint(3, 5))
            yield {"story": "\n\n".join(" ".join(part) for part in parts)}

    def rationale(self, row: Mapping[str, Any], label: str, rng: Random) -> str:
        words = len(str(row.get("story", "")).split())
        return f"Going through the {words} words feature by feature, this holds: {label or 'none'}."


def _paragraphs(told: list[str], count: int) -> list[list[str]]:
    """Divide sentences into `count` parts of about equal size, without empty ones."""
    size, more = divmod(len(told), count)
    cuts = [n * size + min(n, more) for n in range(count + 1)]
    return [told[a:b] for a, b in pairwise(cuts) if told[a:b]]
