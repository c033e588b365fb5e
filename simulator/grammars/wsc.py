"""WSC: a sentence with two noun phrases and a pronoun, and whether it refers to the given one.

The frames say which of the two is meant. A row adds only one of the noun phrases to
the text and pronoun of its seed, so its wording cannot be varied. Unlike all others, this grammar
must therefore check the private truth when it writes the seed.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import cycle
from random import Random
from types import MappingProxyType
from typing import Final, NamedTuple

from simulator.grammar import ContextAsk, Fields, Grammar, SeedAsk, Slot
from simulator.templates import Template, frame
from simulator.truth import truth
from simulator.words import Lexicon, lexicons, lines

_WORDS: Final = lexicons("wsc_words.txt")
_LABELS: Final = ("true", "false")
_POSITIONS: Final = ("first", "second")
_KINDS: Final = ("person", "group", "person", "rival", "person", "fit")
_HABIT: Final = 0.85
"""How often the first noun phrase is the referent if the message does not plan it."""
_PRONOUNS: Final = {"person": ("he", "she"), "group": ("they",), "fit": ("it",), "rival": ("it",)}


class _Frame(NamedTuple):
    """A sentence, the kind of its pair, and which of the two is meant ("a" or "b")."""

    kind: str
    referent: str
    text: Template

    @property
    def position(self) -> str:
        """Whether the referent is the first or the second noun phrase of the sentence."""
        first = "a" if self.text.pattern.index("{a}") < self.text.pattern.index("{b}") else "b"
        return "first" if first == self.referent else "second"


@cache
def _frames() -> tuple[_Frame, ...]:
    words = {"a": Lexicon(["@a"]), "b": Lexicon(["@b"]), "who": _WORDS["who"]}
    words |= {"he": Lexicon(_PRONOUNS["person"]), "they": Lexicon(_PRONOUNS["group"])}
    found = []
    for line in lines("wsc_frames.txt"):
        head, _, text = line.partition("> ")
        kind, referent = head.split()
        found.append(_Frame(kind, referent, frame(text, words)))
    return tuple(found)


@cache
def _pairs(kind: str) -> tuple[tuple[str, str], ...]:
    entries = _WORDS[kind].entries
    if kind in ("fit", "rival"):
        return tuple((e.split(" > ")[0], e.split(" > ")[1]) for e in entries)
    return tuple((a, b) for a in entries for b in entries if a != b)


class WscGrammar(Grammar):
    """Winograd schemas."""

    name = "wsc"
    fields = frozenset({"text", "span1_text", "span2_text"})
    labels = _LABELS
    typed = frozenset({"referent"})
    cues = frozenset({"pronoun", "noun", "phrase", "phrases", "refers", "winograd"})
    seeded = frozenset({"text", "span2_text", "candidates"})
    reads = MappingProxyType(
        {
            "true": r"pronoun refers",
            "false": r"not refer",
        }
    )

    def contexts(self, ask: ContextAsk, rng: Random) -> Iterator[Fields]:
        """Yield pairs of people, groups or things."""
        pools = {kind: rng.sample(_pairs(kind), len(_pairs(kind))) for kind in _PRONOUNS}
        used: set[str] = set()
        for kind in cycle(_KINDS):
            if not any(pools.values()):
                return
            # Every noun phrase is used once before any is used again in another pair.
            fresh = (pair for pair in pools[kind] if used.isdisjoint(pair))
            pair = next(fresh, pools[kind][0] if pools[kind] else None)
            if pair is None:
                continue
            pools[kind].remove(pair)
            used.update(pair)
            yield {"text": f"{pair[0]} and {pair[1]}", "first": pair[0], "second": pair[1]}

    def seeds(self, ask: SeedAsk, rng: Random) -> Iterator[Fields]:
        """Yield sentences with the item's referent, whose private truth agrees with their meaning.

        Without a plan, the referent is mostly the first noun phrase.
        """
        pair = _pair(ask.context, ask.attributes)
        kinds = (_kind(pair),) if pair else _KINDS
        asked = str(ask.item.get("referent") or ("first" if rng.random() < _HABIT else "second"))
        frames = [one for one in _frames() if one.kind in kinds and one.position == asked]
        while frames:
            for one in rng.sample(frames, len(frames)):
                seed = _seed(one, pair or rng.choice(_pairs(one.kind)), rng)
                if seed is not None:
                    yield seed

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        """Yield the one noun phrase that has the label."""
        candidates = [str(one) for one in slot.given.get("candidates") or ()]
        text = str(slot.given.get("text", ""))
        if len(candidates) != 2:
            pair = _pair(slot.context, slot.attributes)
            candidates = [_only(noun, text) or noun for noun in pair or ()]
        meant = _meant(text, candidates) if len(candidates) == 2 else None
        if meant is None and len(candidates) == 2 and slot.given.get("referent") in _POSITIONS:
            meant = _POSITIONS.index(slot.given["referent"])
        if meant is not None:
            yield {"span1_text": candidates[meant if label == "true" else 1 - meant]}


def _pair(context: str, attributes: Mapping[str, str]) -> tuple[str, str] | None:
    first, second = attributes.get("first"), attributes.get("second")
    if first and second:
        return first, second
    named = re.fullmatch(r"(.+?) and (.+)", context)
    return (named.group(1), named.group(2)) if named else None


def _kind(pair: tuple[str, str]) -> str:
    for kind in ("fit", "rival"):
        if pair in _pairs(kind):
            return kind
    plural = all(re.search(r"(?:[^s]s|men|people)$", noun) for noun in pair)
    return "group" if plural else "person"


def _seed(one: _Frame, pair: tuple[str, str], rng: Random) -> Fields | None:
    """Fill a frame; None if the private truth of the text disagrees with its meaning."""
    nouns = pair if one.kind == "fit" or rng.random() < 0.5 else (pair[1], pair[0])
    pronoun = rng.choice(_PRONOUNS[one.kind])
    values = {"a": nouns[0], "b": nouns[1], "he": pronoun, "they": pronoun}
    text = one.text.fill(values, rng)
    spans = [_only(noun, text) for noun in nouns]
    found = re.findall(rf"(?i)\b{pronoun}\b", text)
    if None in spans or len(found) != 1:
        return None
    rows = [{"text": text, "span1_text": span, "span2_text": found[0]} for span in spans]
    meant = one.referent == "b"
    if truth(rows[meant], _LABELS) != "true" or truth(rows[not meant], _LABELS) != "false":
        return None
    candidates = sorted((str(span) for span in spans), key=text.index)
    return {"text": text, "span2_text": found[0], "candidates": candidates}


def _only(noun: str, text: str) -> str | None:
    """Return a noun phrase as the text spells it, or None if it is not there exactly once."""
    found = re.findall(rf"(?i)\b{re.escape(noun)}\b(?!['’-])", text)
    return found[0] if len(found) == 1 else None


def _meant(text: str, candidates: list[str]) -> int | None:
    """Return the index of the candidate that the pronoun refers to."""
    for order in ((0, 1), (1, 0)):
        marked = text
        for mark, which in zip("ab", order, strict=True):
            marked = re.sub(rf"(?i)\b{re.escape(candidates[which])}\b", f"@{mark}", marked)
        for one in _frames():
            if one.text.read(marked) is not None:
                return order[one.referent == "b"]
    return None
