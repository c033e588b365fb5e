"""WiC: a word in two sentences, and whether it has the same sense in both.

The data files list the senses of each word with sentences for each. A row is true if both sentences
are from one sense, and false if they are from two.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import zip_longest
from random import Random
from types import MappingProxyType
from typing import Final, NamedTuple

from simulator.grammar import ContextAsk, Fields, Grammar, SeedAsk, Slot
from simulator.templates import Template, frame
from simulator.words import capital, frames, lexicons, lines, uncapital

_PARTS: Final = ("noun", "verb", "adjective")
# A name may replace "he" and "she", so that a sentence has many forms.
_SUBJECT: Final = re.compile(r"(?:He|She)\b")
_NAMED: Final = 0.5
# A short plain statement may be embedded. Otherwise too many rows would have the same structure.
_SHORT: Final = 8
_OPENED: Final = 0.4
_STATEMENT: Final = re.compile(
    r"(?!.*[?!:“‘])(?:The|She|He|They|His|Her|There|It|This|These|That|An?|Some(?:body|one)|Nobody)\b"
)


class _Word(NamedTuple):
    """A word, its themes, and the sentences of each of its senses."""

    themes: list[str]
    senses: list[list[Template]]


@cache
def _themes() -> Mapping[str, str]:
    return dict(theme.split(" > ") for theme in frames("theme"))


@cache
def _lexicon(part: str) -> Mapping[str, _Word]:
    found: dict[str, _Word] = {}
    last = _Word([], [])
    for line in lines(f"wic_{part}.txt"):
        if line == "--":
            last.senses.append([])
        elif "*" in line:
            last.senses[-1].append(frame(line.replace("*", ""), {}))
        else:
            word, _, themes = line.partition(": ")
            last = found[word] = _Word(themes.split(), [[]])
    return found


class WicGrammar(Grammar):
    """Words in context."""

    name = "wic"
    fields = frozenset({"word", "sentence1", "sentence2"})
    labels = ("true", "false")
    cues = frozenset({"word", "words", "sense", "senses", "dictionary"})
    seeded = frozenset({"word"})
    reads = MappingProxyType(
        {
            "true": r"same (?:dictionary )?sense|one and the same",
            "false": r"clearly different|different (?:dictionary )?senses?",
        }
    )

    def contexts(self, ask: ContextAsk, rng: Random) -> Iterator[Fields]:
        """Yield themes for each part of speech in turn."""
        parts = [p for p in ask.attributes.get("part_of_speech") or _PARTS if p in _PARTS]
        themes = ask.attributes.get("theme") or tuple(_themes().values())
        orders = [rng.sample(themes, len(themes)) for _ in parts]
        for turn in zip_longest(*orders):
            for part, theme in zip(parts, turn, strict=True):
                yield {"text": f"{part}s: {theme}", "part_of_speech": part, "theme": theme}

    def seeds(self, ask: SeedAsk, rng: Random) -> Iterator[Fields]:
        """Yield words of the part of speech, those of the theme first."""
        asked = ask.attributes.get("theme", ask.context).casefold()
        theme = next((name for name in _themes() if re.search(rf"\b{name}", asked)), "")
        words = _lexicon(_part(ask.attributes, ask.context) or rng.choice(_PARTS))
        order = rng.sample(list(words), len(words))
        for word in sorted(order, key=lambda word: theme not in words[word].themes):
            yield {"word": word}

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        """Yield pairs of sentences from one sense of the word, or from two."""
        word = _find(str(slot.given.get("word", "")), _part(slot.attributes, slot.context))
        if word is None:
            return
        while True:
            first, other = rng.sample(range(len(word.senses)), 2)
            pair = [rng.choice(word.senses[first]), rng.choice(word.senses[other])]
            if label == "true":
                pair = rng.sample(word.senses[first], 2)
            one, two = (_write(template, rng) for template in pair)
            yield {"sentence1": one, "sentence2": two}


def _part(attributes: Mapping[str, str], context: str) -> str:
    """Return the requested part of speech, or an empty string."""
    text = attributes.get("part_of_speech") or context
    return next((part for part in _PARTS if part in text.casefold()), "")


def _find(word: str, part: str) -> _Word | None:
    """Return a word, preferably of the given part of speech."""
    found = (_lexicon(name).get(word.casefold()) for name in (part, *_PARTS) if name)
    return next(filter(None, found), None)


def _write(template: Template, rng: Random) -> str:
    text = template.fill({}, rng)
    subject = _SUBJECT.match(text)
    if subject and rng.random() < _NAMED:
        names = lexicons()["female" if subject.group() == "She" else "male"]
        text = names.draw(rng) + text[subject.end() :]
    if len(text.split()) > _SHORT or not _STATEMENT.match(text) or rng.random() > _OPENED:
        return text
    opening = rng.choice(lexicons("wic_openings.txt")["opening"].entries)
    whole = opening.replace("...", uncapital(text)[:-1])
    return capital(whole if whole.endswith("?") else whole + ".")
