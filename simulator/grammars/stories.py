"""The grammar of stories for small children, with features as labels.

The sentences stand in `data/stories.txt`. Words, openings and numbers of paragraphs are taken from
the requirements of a prompt: what stands in quotation marks, and what counts paragraphs.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from random import Random
from typing import Any, Final

from simulator.grammar import ContextAsk, Fields, Grammar, SeedAsk, Slot
from simulator.wording import Phrasebook, Values, capital, phrasebook, tidy

_QUOTED: Final = re.compile(r"[\"“](.+?)[\"”]")
_KINDS: Final = ("noun", "verb", "adjective")


def _book() -> Phrasebook:
    return phrasebook("stories.txt")


def _sentence(text: str) -> str:
    return tidy(capital(text if text.endswith(('"', "!", "?")) else f"{text}."))


def wanted_words(requirements: tuple[str, ...]) -> tuple[dict[str, str], str, int]:
    """Return the words by part of speech, the first word ('' for any), and how many paragraphs."""
    words: dict[str, str] = {}
    first, paragraphs = "", 0
    for text in requirements:
        quoted = _QUOTED.search(text)
        kind = next((one for one in _KINDS if one in text), None)
        count = re.search(r"(\d+) paragraph", text)
        if quoted and kind:
            words[kind] = quoted[1]
        elif quoted and "first" in text:
            first = quoted[1]
        elif count:
            paragraphs = int(count[1])
    return words, first, paragraphs


class StoryGrammar(Grammar):
    """Short stories: see the module."""

    name = "stories"
    fields = frozenset({"story"})
    labels = ("dialogue", "bad_ending", "conflict", "foreshadowing", "twist", "moral_value")

    def contexts(self, ask: ContextAsk, rng: Random) -> Iterator[Fields]:
        """Yield places."""
        while True:
            place = _book().draw("place", {}, rng)
            yield {"text": place} | dict.fromkeys(ask.attributes, place)

    def seeds(self, ask: SeedAsk, rng: Random) -> Iterator[Fields]:
        """Yield plans: a summary, and a sentence of the story."""
        words, _, _ = wanted_words(ask.requirements)
        while True:
            values = self._values(words, rng)
            plan = [_book().draw("plan", values, rng), _book().draw("plan end", values, rng)]
            summary = " ".join(map(_sentence, plan))
            line = _sentence(_book().draw("line", values, rng))
            yield {"summary": summary, "sentence": line}

    def _values(self, words: Mapping[str, str], rng: Random, seed: str = "") -> Values:
        """Return who the story is about, as a plan names them where there is one, and its words."""
        book = _book()
        values: Values = {}
        girls, boys = book.entries["name girl"], book.entries["name boy"]
        named = next((n for n in (*girls, *boys) if re.search(rf"\b{n}\b", seed)), None)
        name = named or rng.choice((*girls, *boys))
        values |= {"h": name, "he": "she", "his": "her"} if name in girls else {
            "h": name, "he": "he", "his": "his",
        }  # fmt: skip
        friend = next((f for f in book.entries["friend"] if f in seed), None)
        values["f"] = friend or rng.choice(book.entries["friend"])
        for key, kind, usual in (
            ("n", "noun", "key"),
            ("v", "verb", "sing"),
            ("a", "adjective", "odd"),
        ):
            values[key] = words.get(kind, usual)
        return values

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        """Yield stories with the slot's features and without the others."""
        words, first, paragraphs = wanted_words(slot.requirements)
        plan = " ".join(str(value) for value in slot.given.values())
        features = set(slot.several or ())
        while True:
            values = self._values(words, rng, plan)

            def say(kind: str, values: Values = values) -> str:
                return _sentence(_book().draw(kind, values, rng))

            opening = [say("once")]
            if first:
                opening.insert(0, _sentence(_book().draw("first", values | {"first": first}, rng)))
            body = [say(kind) for kind in _KINDS if kind in words]
            middle = _book().sample("middle", rng.randint(2, 5), values, rng)
            body += [_sentence(one) for one in middle]
            rng.shuffle(body)
            if "sentence" in slot.given:
                body.insert(rng.randrange(len(body)), str(slot.given["sentence"]))
            body += [say(kind) for kind in ("dialogue", "conflict") if kind in features]
            if "foreshadowing" in features:
                opening.append(say("foreshadowing early"))
                body.append(say("foreshadowing late"))
            body += [say(kind) for kind in ("twist", "moral_value") if kind in features]
            body.append(say("bad_ending" if "bad_ending" in features else "end"))
            parts = self._paragraphs([*opening, *body], paragraphs or rng.randint(3, 5))
            yield {"story": "\n\n".join(" ".join(part) for part in parts)}

    @staticmethod
    def _paragraphs(told: list[str], count: int) -> list[list[str]]:
        size, more = divmod(len(told), count)
        cuts = [n * size + min(n, more) for n in range(count + 1)]
        return [told[a:b] for a, b in pairwise(cuts) if told[a:b]]

    def rationale(self, row: Mapping[str, Any], label: str, rng: Random) -> str:
        """Say what was looked for."""
        words = len(str(row.get("story", "")).split())
        return f"Going through the {words} words feature by feature, this holds: {label or 'none'}."
