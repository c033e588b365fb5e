"""The grammar of CB: short discourses with an embedded clause, and that clause as a hypothesis.

Every discourse tells of a matter (`data/cb.txt`), embeds one clause in its last sentence under
the operator that was asked for, and brings in another one before. Of the two, one is a matter of
fact for the speaker and the other one stays open, so that each label has its hypothesis.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any, Final

from simulator import grammar
from simulator.grammar import ContextAsk, Fields, Grammar, SeedAsk, Slot
from simulator.reports import Fact
from simulator.wording import Lexicon, Template, Values, lexicons, load, tidy
from targen.hashing import rng as seeded

_OPERATORS: Final = ("verb", "modal", "negation", "question")
_KINDS: Final = ("K", "F", "O")
_DIALOGUE: Final = 0.5
_FALSE: Final = 0.8
_EMPHASIS: Final = (
    "it is true that {}",
    "it is the case that {}",
    "it is a fact that {}",
    "it turns out that {}",
    "it so happens that {}",
    "the fact is that {}",
    "in fact, {}",
    "{}, in fact",
    "as it happens, {}",
    "{}, as it happens",
    "as it turns out, {}",
    "{}, as it turns out",
    "it is right to say that {}",
    "actually, {}",
)


@dataclass
class Matter:
    """Something to talk about: its first sentences and what can be said of it."""

    domain: str
    first: list[Template] = field(default_factory=list)
    stated: list[Fact] = field(default_factory=list)
    known: list[Fact] = field(default_factory=list)
    false: list[Fact] = field(default_factory=list)
    open: list[Fact] = field(default_factory=list)


@dataclass(frozen=True)
class _Bank:
    phrases: Mapping[str, tuple[str, ...]]
    matters: Mapping[str, Sequence[Matter]]
    frames: Mapping[str, Lexicon]
    people: Lexicon


@cache
def _bank() -> _Bank:
    words = lexicons("words.txt", "people.txt")
    phrases: dict[str, tuple[str, ...]] = {}
    matters: dict[str, list[Matter]] = {}
    domain = last = ""
    for line in load("cb.txt").splitlines():
        mark, _, rest = line.partition(" ")
        if mark == "@":
            domain, _, listed = rest.partition(":")
            phrases[domain] = tuple(one.strip() for one in listed.split("|"))
            matters[domain] = []
        elif mark == "P":
            if last != "P":
                matters[domain].append(Matter(domain))
            matters[domain][-1].first.append(Template(rest, words))
        elif mark:
            matter = matters[domain][-1]
            facts = {"E": matter.stated, "K": matter.known, "X": matter.false, "O": matter.open}
            facts[mark].append(Fact(rest, words))
        last = mark
    people = Lexicon([*words["she_who"].entries, *words["he_who"].entries])
    return _Bank(phrases, matters, lexicons("cb_frames.txt"), people)


class CbGrammar(Grammar):
    """CommitmentBank: see the module."""

    name = "cb"
    fields = frozenset({"premise", "hypothesis"})
    labels = ("entailment", "contradiction", "neutral")
    typed = frozenset({"operator"})
    cues = frozenset({"clause", "embedded", "embeds", "discourse", "committed", "speaker", "argue"})

    def matches(self, fields: frozenset[str], labels: frozenset[str]) -> bool:
        """Match these two fields only: with others it is another task."""
        return fields == self.fields and labels <= set(self.labels)

    def contexts(self, ask: ContextAsk, rng: Random) -> Iterator[Fields]:
        """Yield situations in which people talk."""
        return grammar.contexts(_bank().phrases, ask, rng)

    def seeds(self, ask: SeedAsk, rng: Random) -> Iterator[Fields]:
        """Yield discourses with the operator that the item names."""
        bank = _bank()
        domain = grammar.domain(bank.phrases, ask.context, *map(str, ask.attributes.values()))
        asked = [str(v) for v in ask.item.values() if str(v) in _OPERATORS]
        while True:
            operator = asked[0] if asked else rng.choice(_OPERATORS)
            matter = rng.choice(bank.matters[domain or rng.choice(list(bank.matters))])
            yield {"premise": _discourse(matter, operator, rng)}

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        """Yield hypotheses: a clause that the speaker holds true, or false, or leaves open."""
        premise = str(slot.given.get("premise", ""))
        found = _read(premise)
        if found is None:
            return
        matter, values = found
        known = [f for f in matter.known if _mentions(premise, f, values)]
        false = [f for f in matter.false if _mentions(premise, f, values)]
        left = [f for f in matter.open if _mentions(premise, f, values)]
        if not left:
            return
        embedded, around = {
            "entailment": ([*_as(known), *_as(false, denied=True)], _as(matter.stated)),
            "contradiction": ([*_as(known, denied=True), *_as(false)], _as(matter.stated, True)),
            "neutral": (_as(left), _as(left, denied=True)),
        }[label]
        clauses = []
        for group in (embedded, around):
            rng.shuffle(group)
            clauses += [
                f.statement(values, rng, denied) for f, denied in group if f.holds_with(values)
            ]
        if not clauses:
            said = [f for f in (*known, *matter.stated) if f.holds_with(values)]
            clauses = [f"it is not true that {f.statement(values, rng)}" for f in said]
        yield from ({"hypothesis": tidy(clause + ".")} for clause in clauses)
        while clauses:
            clause = rng.choice(_EMPHASIS).format(rng.choice(clauses))
            yield {"hypothesis": tidy(clause + ".")}

    def rationale(self, row: Mapping[str, Any], label: str, rng: Random) -> str:
        """Say how far the speaker is committed to the hypothesis."""
        hypothesis = str(row.get("hypothesis", "")).rstrip(".")
        how = {
            "entailment": "takes this for a fact",
            "contradiction": "holds the opposite",
            "neutral": "leaves this open",
        }.get(label, "is not clear about this")
        return f"The hypothesis says: “{hypothesis}”. Whoever speaks in the premise {how}."


def _discourse(matter: Matter, operator: str, rng: Random) -> str:
    bank = _bank()
    values: Values = {}
    first = rng.choice(matter.first).fill(values, rng)
    still = rng.choice(_told(matter.open, values))
    kind = rng.choice(_KINDS)
    known = rng.choice(_told(matter.known, values))
    denied = False
    if kind == "F":
        false = rng.random() < _FALSE or not known.negatable
        known, denied = (rng.choice(matter.false), False) if false else (known, True)

    def embedded(key: str, fact: Fact, denied: bool) -> str:
        clause = fact.statement(values, rng, denied)
        taken = [v for k, v in values.items() if k in ("female", "male")]
        frame = bank.frames[key].draw(rng).replace("{p}", bank.people.draw(rng, taken))
        return frame.replace("{}", clause)

    other = ("K before", known) if kind == "O" else ("O before", still)
    before = tidy(embedded(*other, denied=False) + ".")
    end = "?" if operator == "question" else "."
    last = tidy(embedded(f"{kind} {operator}", still if kind == "O" else known, denied) + end)
    if rng.random() < _DIALOGUE:
        turn = "A: " if rng.random() < 0.4 else ""
        return f"A: {first} B: {before} {turn}{last}"
    return f"{first} {before} {last}"


def _as(facts: Sequence[Fact], denied: bool = False) -> list[tuple[Fact, bool]]:
    """Return the facts with their polarity; what cannot be denied is left out where it must be."""
    return [(fact, denied) for fact in facts if fact.negatable or not denied]


def _told(facts: Sequence[Fact], values: Values) -> list[Fact]:
    return [fact for fact in facts if fact.holds_with(values)]


def _mentions(text: str, fact: Fact, values: Values) -> bool:
    if not fact.holds_with(values):
        return False
    any_rng = seeded("facts of CB hold no choices")
    clauses = [fact.statement(values, any_rng, denied) for denied in (False, True)]
    # A clause may begin a sentence or stand within one: its first letter is left out.
    return any(tidy(f"x {clause}")[3:] in text for clause in clauses)


def _read(premise: str) -> tuple[Matter, Values] | None:
    text = premise.removeprefix("A: ")
    for matters in _bank().matters.values():
        for matter in matters:
            for wording in matter.first:
                values = wording.read_start(text)
                if values is not None:
                    return matter, values
    return None
