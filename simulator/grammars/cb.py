"""CB: a short discourse with an embedded clause, and that clause as a hypothesis.

A discourse is about a topic of `data/cb.txt`. Its last sentence embeds a clause under the requested
operator, and the sentence before it embeds another. The speaker is committed to one of the two
clauses and leaves the other open, so that every label has a hypothesis.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Final

from simulator.banks import Fact
from simulator.grammar import DomainGrammar, Fields, SeedAsk, Slot
from simulator.templates import Template, Values, read_any
from simulator.words import lexicons, lines, people, tidy
from targen.hashing import rng as seeded

_OPERATORS: Final = ("verb", "modal", "negation", "question")
_DIALOGUE: Final = 0.5
_FALSE: Final = 0.8


@dataclass
class _Topic:
    """First sentences, and the facts that they state or that may be embedded after them."""

    first: list[Template] = field(default_factory=list)
    stated: list[Fact] = field(default_factory=list)
    known: list[Fact] = field(default_factory=list)
    false: list[Fact] = field(default_factory=list)
    open: list[Fact] = field(default_factory=list)


@cache
def _topics() -> Mapping[str, Sequence[_Topic]]:
    words = lexicons("words.txt", "people.txt")
    found: dict[str, list[_Topic]] = {}
    topics: list[_Topic] = []
    last = ""
    for line in lines("cb.txt"):
        mark, _, rest = line.partition(" ")
        if mark == "@":
            topics = found[rest.partition(":")[0]] = []
        elif mark == "P":
            if last != "P":
                topics.append(_Topic())
            topics[-1].first.append(Template(rest, words))
        else:
            name = {"E": "stated", "K": "known", "X": "false", "O": "open"}[mark]
            getattr(topics[-1], name).append(Fact(rest, words))
        last = mark
    return found


class CbGrammar(DomainGrammar):
    """CommitmentBank."""

    name = "cb"
    file = "cb.txt"
    fields = frozenset({"premise", "hypothesis"})
    exact = True
    labels = ("entailment", "contradiction", "neutral")
    typed = frozenset({"operator"})
    cues = frozenset({"clause", "embedded", "embeds", "discourse", "committed", "speaker", "argue"})

    def seeds(self, ask: SeedAsk, rng: Random) -> Iterator[Fields]:
        """Yield discourses with the operator that the item names."""
        topics = _topics()
        domain = self.domain(ask)
        asked = [str(v) for v in ask.item.values() if str(v) in _OPERATORS]
        while True:
            operator = asked[0] if asked else rng.choice(_OPERATORS)
            topic = rng.choice(topics[domain or rng.choice(list(topics))])
            yield {"premise": _discourse(topic, operator, rng)}

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        """Yield the embedded clauses first, then what else has the label."""
        premise = str(slot.given.get("premise", ""))
        found = _read(premise)
        if found is None:
            return
        topic, values = found
        known, false, left = (
            [fact for fact in facts if _mentions(premise, fact, values)]
            for facts in (topic.known, topic.false, topic.open)
        )
        if not left:
            return
        embedded, around = {
            "entailment": ([*_as(known), *_as(false, denied=True)], _as(topic.stated)),
            "contradiction": ([*_as(known, denied=True), *_as(false)], _as(topic.stated, True)),
            "neutral": (_as(left), _as(left, denied=True)),
        }[label]
        clauses = []
        for group in (embedded, around):
            rng.shuffle(group)
            clauses += [f.statement(values, rng, denied) for f, denied in group if f.usable(values)]
        if not clauses:
            said = [f for f in (*known, *topic.stated) if f.usable(values)]
            clauses = [f"it is not true that {f.statement(values, rng)}" for f in said]
        yield from ({"hypothesis": tidy(f"{clause}.")} for clause in clauses)
        emphasis = lexicons("cb_frames.txt")["emphasis"].entries
        while clauses:
            clause = rng.choice(emphasis).format(rng.choice(clauses))
            yield {"hypothesis": tidy(f"{clause}.")}


def _discourse(topic: _Topic, operator: str, rng: Random) -> str:
    values: Values = {}
    first = rng.choice(topic.first).fill(values, rng)
    still = rng.choice(_usable(topic.open, values))
    # K: the speaker knows the clause. F: believes it is false. O: leaves it open.
    kind = rng.choice(("K", "F", "O"))
    known = rng.choice(_usable(topic.known, values))
    denied = False
    if kind == "F":
        false = rng.random() < _FALSE or not known.negatable
        known, denied = (rng.choice(topic.false), False) if false else (known, True)

    def embedded(key: str, fact: Fact, denied: bool) -> str:
        clause = fact.statement(values, rng, denied)
        taken = [v for k, v in values.items() if k in ("female", "male")]
        frame = lexicons("cb_frames.txt")[key].draw(rng)
        return frame.replace("{p}", people().draw(rng, taken)).replace("{}", clause)

    other = ("K before", known) if kind == "O" else ("O before", still)
    before = tidy(embedded(*other, denied=False) + ".")
    end = "?" if operator == "question" else "."
    last = tidy(embedded(f"{kind} {operator}", still if kind == "O" else known, denied) + end)
    if rng.random() < _DIALOGUE:
        turn = "A: " if rng.random() < 0.4 else ""
        return f"A: {first} B: {before} {turn}{last}"
    return f"{first} {before} {last}"


def _as(facts: Sequence[Fact], denied: bool = False) -> list[tuple[Fact, bool]]:
    return [(fact, denied) for fact in facts if fact.negatable or not denied]


def _usable(facts: Sequence[Fact], values: Values) -> list[Fact]:
    return [fact for fact in facts if fact.usable(values)]


def _mentions(text: str, fact: Fact, values: Values) -> bool:
    if not fact.usable(values):
        return False
    any_rng = seeded("facts of CB hold no choices")
    clauses = [fact.statement(values, any_rng, denied) for denied in (False, True)]
    # The first letter is left out: it is capitalized if the clause begins a sentence.
    return any(tidy(f"x {clause}")[3:] in text for clause in clauses)


def _read(premise: str) -> tuple[_Topic, Values] | None:
    text = premise.removeprefix("A: ")
    for topic in (topic for topics in _topics().values() for topic in topics):
        values = read_any(topic.first, text, whole=False)
        if values is not None:
            return topic, values
    return None
