"""CB: a discourse that embeds a clause, and that clause as a hypothesis.

A seed names a speaker and a matter: the first sentence of a topic of `data/cb.txt`. The premise
tells the matter and ends with a clause about it, embedded under the requested operator. The label
decides the frame of the clause, and with it whether the speaker is committed to the clause.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from random import Random
from types import MappingProxyType
from typing import Final

from simulator.banks import Fact
from simulator.grammar import DomainGrammar, Fields, SeedAsk, Slot
from simulator.templates import Template, Values, read_any
from simulator.words import lexicons, lines, people, tidy

_OPERATORS: Final = ("verb", "modal", "negation", "question")
_USUAL: Final = "verb"
"""The operator if the message names none."""
_KINDS: Final = {"entailment": "K", "contradiction": "F", "neutral": "O"}
"""Label -> the kind of frame in `cb_frames.txt`."""
_DIALOGUE: Final = 0.5
_DENIED: Final = 0.3


@dataclass
class _Topic:
    """First sentences, and facts about which a speaker may be sure or unsure."""

    first: list[Template] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)


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
            topics[-1].facts.append(Fact(rest, words))
        last = mark
    return found


class CbGrammar(DomainGrammar):
    """CommitmentBank."""

    name = "cb"
    file = "cb.txt"
    fields = frozenset({"premise", "hypothesis"})
    exact = True
    labels = tuple(_KINDS)
    typed = frozenset({"operator"})
    cues = frozenset({"clause", "embedded", "embeds", "discourse", "speaker", "matter", "argue"})
    seeded = frozenset({"speaker", "matter"})
    reads = MappingProxyType(
        {
            "entailment": r"speaker believes",
            "contradiction": r"speaker rejects the",
            "neutral": r"clause open|take a side",
        }
    )

    def seeds(self, ask: SeedAsk, rng: Random) -> Iterator[Fields]:
        """Yield speakers and matters."""
        topics = _topics()
        domain = self.domain(ask)
        while True:
            values: Values = {}
            topic = rng.choice(topics[domain or rng.choice(list(topics))])
            matter = rng.choice(topic.first).fill(values, rng).removesuffix(".")
            speaker, other = _pair(values, rng)
            how = rng.choice(lexicons("cb_frames.txt")["speaker"].entries)
            yield {"speaker": how.format(speaker, other), "matter": matter}

    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        """Yield discourses about the matter, with the clause that their last sentence embeds."""
        found = _read(str(slot.given.get("matter", "")))
        if found is None or label not in _KINDS:
            return
        topic, values = found
        operator = str(slot.given.get("operator", ""))
        operator = operator if operator in _OPERATORS else _USUAL
        facts = [fact for fact in topic.facts if fact.usable(values)]
        names = re.findall(r"\b[A-Z]\w+", str(slot.given.get("speaker", ""))) or ["A", "B"]
        while len(facts) > 1:
            fact, other = rng.sample(facts, 2)
            denied = fact.negatable and operator != "negation" and rng.random() < _DENIED
            clause = fact.statement(values, rng, denied)
            before = f"{rng.choice('KO')} before"
            last = f"{_KINDS[label]} {operator}"
            end = "?" if operator == "question" else "."
            told = [
                f"{slot.given['matter']}.",
                tidy(_embedded(before, other.statement(values, rng), values, rng) + "."),
                tidy(_embedded(last, clause, values, rng) + end),
            ]
            yield {"premise": _told(told, names, rng), "hypothesis": tidy(f"{clause}.")}


def _pair(values: Values, rng: Random) -> tuple[str, str]:
    """Return the names of a speaker and a listener who are not part of the matter."""
    words = lexicons()
    names = [*words["female"].entries, *words["male"].entries]
    first, other = rng.sample([name for name in names if name not in values.values()], 2)
    return first, other


def _embedded(kind: str, clause: str, values: Values, rng: Random) -> str:
    taken = [v for k, v in values.items() if k in ("female", "male")]
    frame = lexicons("cb_frames.txt")[kind].draw(rng)
    return frame.replace("{p}", people().draw(rng, taken)).replace("{}", clause)


def _told(told: list[str], names: Sequence[str], rng: Random) -> str:
    """Return the sentences as prose, or as a dialogue whose last turn is the speaker's."""
    first, before, last = told
    if rng.random() >= _DIALOGUE:
        return " ".join(told)
    speaker, other = names[0], names[1] if len(names) > 1 else "B"
    if rng.random() < 0.4:
        return f"{speaker}: {first} {other}: {before} {speaker}: {last}"
    return f"{other}: {first} {speaker}: {before} {last}"


def _read(matter: str) -> tuple[_Topic, Values] | None:
    text = matter.strip().removesuffix(".") + "."
    for topic in (topic for topics in _topics().values() for topic in topics):
        values = read_any(topic.first, text)
        if values is not None:
            return topic, values
    return None
