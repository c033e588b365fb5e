"""AX-g: a sentence with two people and a gendered pronoun, and whether a hypothesis follows.

The frames say whom the pronoun refers to and what is true of that person. The seed's item names the
referent and the case of the pronoun. The hypothesis says it of the referent (it follows) or of the
other one (it does not). Any two nouns for people will do.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from random import Random
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from simulator.grammar import ContextAsk, Fields, Grammar, SeedAsk, Slot
from simulator.templates import Template, Values, frame
from simulator.words import Lexicon, article, frames, lexicons, lines, pronouns, tidy

_MARKS: Final = {
    "o": Lexicon(["@o"]),
    "p": Lexicon(["@p"]),
    "he": Lexicon(["he", "she"]),
    # Seeds have no other form of "she": "her" is both objective and possessive, so a test could
    # not swap its gender back and forth.
    "him": Lexicon(["him"]),
    "his": Lexicon(["his"]),
}
_CLEFT_FIRST: Final = 0.35
_REFERENTS: Final = {"occupation": "o", "participant": "p"}
_CASES: Final = {"subject": "{he}", "object": "{him}", "possessive": "{his}"}
_HABIT: Final = 0.9
"""How often an occupation is the referent, as the subject, if the message plans neither."""


class _Frame(NamedTuple):
    """A premise, the referent of its pronoun ("o" or "p"), and what is true of that person."""

    referent: str
    case: str
    premise: Template
    claims: list[str]


@cache
def _frames() -> tuple[_Frame, ...]:
    found: list[_Frame] = []
    for line in lines("axg_frames.txt"):
        if line.startswith("- "):
            found[-1].claims.append(line[2:].rstrip("."))
        else:
            referent, _, premise = line.partition("> ")
            case = next(name for name, mark in _CASES.items() if mark in premise)
            found.append(_Frame(referent, case, frame(premise, _MARKS), []))
    return tuple(found)


class AxgGrammar(Grammar):
    """Winogender diagnostics as entailment."""

    name = "axg"
    fields = frozenset({"premise", "hypothesis"})
    labels = ("entailment", "not_entailment")
    typed = frozenset({"referent", "case"})
    cues = frozenset(
        {"premise", "pronoun", "pronouns", "gendered", "gender", "occupation", "participant"}
    )
    seeded = frozenset({"premise"})
    reads = MappingProxyType(
        {
            "entailment": r"^\W*name the referent",
            "not_entailment": r"^\W*name the other",
        }
    )

    def contexts(self, ask: ContextAsk, rng: Random) -> Iterator[Fields]:
        """Yield pairs of an occupation and a participant; pairs that belong together first."""
        own = _own_pairs()
        jobs = _terms(ask, "occupation") or tuple(dict.fromkeys(o for o, _ in own))
        others = _terms(ask, "participant") or tuple(dict.fromkeys(p for _, p in own))
        pairs = [(o, p) for o in jobs for p in others if o != p]
        rng.shuffle(pairs)
        pairs.sort(key=lambda pair: pair not in own)
        for job, other in _spread(pairs):
            text = f"{article(job)} {job} and {article(other)} {other}"
            yield {"text": text, "occupation": job, "participant": other}

    def seeds(self, ask: SeedAsk, rng: Random) -> Iterator[Fields]:
        """Yield premises with the referent and the case of the item, all frames in turn."""
        asked = _people(ask.context, ask.attributes)
        while True:
            for one in _planned(ask.item, rng):
                people = asked or rng.choice(_own_pairs())
                values = {"o": people[0], "p": people[1], "he": "he", "him": "him", "his": "his"}
                premise = one.premise.fill(values, rng)
                # The gender depends on the text: if random, one seed could be another's twin.
                if sum(map(ord, premise)) % 2:
                    premise = re.sub(r"\bhe\b", "she", premise)
                yield {"premise": premise}

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        """Yield hypotheses about the referent of the pronoun, or about the other person."""
        premise = str(slot.given.get("premise", ""))
        people = _people(slot.context, slot.attributes) or _known_people(premise)
        found = people and _read(premise, people)
        if not people or not found:
            return
        one, values = found
        follows = label == "entailment"
        values["x"] = f"the {people[(one.referent == 'p') is follows]}"
        while True:
            plain = [_say(claim, values) for claim in one.claims]
            clefts = [_say(claim, values) for claim in _clefts(one.claims)]
            leads = [f"{rng.choice(frames('axg lead'))} {claim}" for claim in one.claims]
            led = [_say(claim, values) for claim in leads]
            groups = [clefts, plain] if rng.random() < _CLEFT_FIRST else [plain, clefts]
            for group in (*groups, led):
                for text in rng.sample(group, len(group)):
                    yield {"hypothesis": text}


def _planned(item: Mapping[str, Any], rng: Random) -> list[_Frame]:
    """Return the frames of an item's referent and case in random order.

    Without a plan, most are about the occupation as the subject.
    """
    usual = rng.random() < _HABIT
    referent = _REFERENTS.get(str(item.get("referent")), "o" if usual else "")
    case = str(item.get("case", "subject" if usual else ""))
    found = [
        one
        for one in _frames()
        if (not referent or one.referent == referent) and (not case or one.case == case)
    ]
    return rng.sample(found, len(found))


def _terms(ask: ContextAsk, attribute: str) -> tuple[str, ...]:
    """Return the vocabulary of an attribute; its category may be plural."""
    found = (terms for category, terms in ask.terms.items() if attribute in category.casefold())
    return next(found, ())


@cache
def _own_pairs() -> tuple[tuple[str, str], ...]:
    own = lexicons("axg_pairs.txt")
    return tuple((job, other) for job in own for other in own[job].entries)


def _known_people(premise: str) -> tuple[str, str] | None:
    """Return the first of the grammar's own pairs that a premise names, or None."""
    words = set(re.findall(r"\w+", premise.casefold()))
    return next((pair for pair in _own_pairs() if words.issuperset(pair)), None)


def _spread(pairs: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield the pairs so that every occupation is used once before any is used twice."""
    while pairs:
        used: set[str] = set()
        later: list[tuple[str, str]] = []
        for pair in pairs:
            if pair[0] in used:
                later.append(pair)
            else:
                used.add(pair[0])
                yield pair
        pairs = later


def _people(context: str, attributes: Mapping[str, str]) -> tuple[str, str] | None:
    job, other = attributes.get("occupation"), attributes.get("participant")
    if not job or not other:
        named = re.fullmatch(r"(?:an?|the) (.+?) and (?:an?|the) (.+)", context, re.IGNORECASE)
        if named is None:
            return None
        job, other = named.groups()
    return re.sub(r"(?i)^(?:an?|the) ", "", job), re.sub(r"(?i)^(?:an?|the) ", "", other)


def _read(premise: str, people: tuple[str, str]) -> tuple[_Frame, Values] | None:
    """Return the frame of a premise and its slot values."""
    marked = premise
    for mark, noun in zip(("@o", "@p"), people, strict=True):
        marked = re.sub(rf"\b{re.escape(noun)}\b", mark, marked, flags=re.IGNORECASE)
    for one in _frames():
        values = one.premise.read(marked)
        if values is not None:
            return one, values | pronouns(values.get("he") == "she")
    return None


def _clefts(claims: list[str]) -> Iterator[str]:
    for claim in claims:
        if claim.startswith("{x} ") and not re.search(",|the one", claim):
            for cleft in frames("cleft"):
                yield cleft.replace("{rest}", claim.removeprefix("{x} "))


def _say(claim: str, values: Values) -> str:
    text = re.sub(r"\{(\w+)\}", lambda slot: values[slot.group(1)], claim)
    return tidy(text) + "."
