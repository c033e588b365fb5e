"""The interface between the simulator and the tasks that it knows.

A grammar writes texts of one task and knows their labels. It knows nothing of messages, schemas,
error rates or hashes: `answering` takes candidates from its iterators, skips excluded ones, and
keeps the first whose text has the right label (`truth`). Every iterator must therefore yield many
different candidates (`instances`: at least a hundred) at low cost, the best ones first.

To add a task, subclass `Grammar` in a module of its own and list it in `grammars.GRAMMARS`.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from types import MappingProxyType
from typing import Any

from simulator.templates import Template
from simulator.words import domains, entries

Fields = dict[str, Any]
"""Field name -> text, or list of texts."""


@dataclass(frozen=True, slots=True)
class ContextAsk:
    """A request for contexts.

    Attributes:
        attributes: name -> allowed values; an empty tuple allows any text.
        terms: category -> vocabulary terms.
    """

    attributes: Mapping[str, tuple[str, ...]]
    terms: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class SeedAsk:
    """A request for one seed.

    Attributes:
        context: the context's text; empty if the recipe has none.
        attributes: the context's attributes.
        item: the typed attributes of this seed, such as operator: modal.
        wanted: seed field -> its description in the prompt.
        requirements: what the finished row must meet, in the prompt's words.
    """

    context: str
    attributes: Mapping[str, str]
    item: Mapping[str, Any]
    wanted: Mapping[str, str]
    requirements: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Slot:
    """A request for one row.

    Attributes:
        context, attributes: as in `SeedAsk`.
        given: the fields that are fixed, by the seed or by the plan.
        answer: the text that must be the answer, for tasks whose answer is a span.
        requirements: what the row must meet, in the prompt's words.
        several: the labels of the row if a row can have several, else None.
        way: how the row must get its label, in the prompt's words; None if the message names none.
        without: the labels of which the message says that the row must not have them.
        constraint: what the message says of the row's label; empty if it says nothing.
    """

    context: str
    attributes: Mapping[str, str]
    given: Mapping[str, Any] = field(default_factory=dict)
    answer: str | None = None
    requirements: tuple[str, ...] = ()
    several: tuple[str, ...] | None = None
    way: str | None = None
    without: frozenset[str] = frozenset()
    constraint: str = ""


def placeholder_entities(row: Mapping[str, Any], types: tuple[str, ...]) -> list[dict[str, str]]:
    """Return entities of a placeholder: its random words, one for each type in turn."""
    for value in row.values():
        found = re.search(r"random words: ([^.]+)\.", value) if isinstance(value, str) else None
        if found is not None:
            words = found.group(1).split(", ")
            return [
                {"text": word, "type": kind}
                for word, kind in zip(words, sorted(types), strict=False)
            ]
    return []


class Grammar(ABC):
    """A task that the simulator knows.

    Attributes:
        name: for tests and messages; never compared with the prompt.
        fields: fields that the task must have.
        exact: whether the task may have no other fields.
        labels: all labels of the task; empty if its answers are spans.
        typed: typed attributes of its seeds. They distinguish tasks with the same fields.
        cues: words in prompts of this task. They decide if the fields do not.
        seeded: the fields of its seeds; empty if it has none.
        reads: label -> a pattern of constraints that ask for it, since a message may give a label
            another meaning than the usual one.
        habits: label -> how often a row gets it unless the message excludes it. For rows with
            several labels: a model writes some of them without being asked.
    """

    name: str
    fields: frozenset[str]
    exact: bool = False
    labels: tuple[str, ...] = ()
    typed: frozenset[str] = frozenset()
    cues: frozenset[str] = frozenset()
    seeded: frozenset[str] = frozenset()
    reads: Mapping[str, str] = MappingProxyType({})
    habits: Mapping[str, float] = MappingProxyType({})

    def matches(self, fields: frozenset[str], labels: frozenset[str]) -> bool:
        """Return whether a task is this one.

        Args:
            fields: the task's fields, as the prompt names them.
            labels: all labels, or only the one in the prompt, or none.
        """
        if self.exact:
            return fields == self.fields and labels <= set(self.labels)
        return self.fields <= fields and (not self.labels or labels <= set(self.labels))

    def understood(self, label: str, constraint: str) -> str:
        """Return the label that a constraint asks for: `label`, unless it describes another."""
        found = [n for n, one in self.reads.items() if re.search(one, constraint, re.IGNORECASE)]
        return found[0] if len(found) == 1 else label

    def contexts(self, ask: ContextAsk, rng: Random) -> Iterator[Fields]:
        """Yield contexts: `text`, one entry per requested attribute, and `domain` if known."""
        yield from ()

    def seeds(self, ask: SeedAsk, rng: Random) -> Iterator[Fields]:
        """Yield different seeds, at least 200 per context, including unknown contexts."""
        yield from ()

    @abstractmethod
    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        """Yield values of the missing fields such that the row has `label`.

        Additional fields are ignored. Yields nothing if this grammar did not write the given
        fields; the composer then writes the row. For spans, `label` is the answer, or the wrong
        answer if the row is meant to be wrong.
        """

    def entities(self, row: Mapping[str, Any], types: tuple[str, ...]) -> list[dict[str, str]]:
        """Return the entities of these types in a row; by default, those of a placeholder."""
        return placeholder_entities(row, types)

    def rationale(self, row: Mapping[str, Any], label: str, rng: Random) -> str:
        """Return one or two sentences that say why the row has the label (`rationales.txt`)."""
        patterns = entries("rationales.txt")
        found = patterns.get(f"{self.name} {label}") or patterns.get(self.name)
        if found is None:
            first = next((str(v) for v in row.values() if isinstance(v, str)), "the text")
            return f"What decides is the wording of “{first[:80]}”: it makes the label {label}."
        texts = {name: str(row.get(name, "")) for name in self.fields} | {"label": label}
        texts |= {f"short_{name}": text.rstrip(".") for name, text in texts.items()}
        return Template(found[0], {}).draft(texts, rng)

    def terms(self, category: str, rng: Random) -> Iterator[str]:
        """Yield vocabulary terms of a category, if the grammar has any."""
        yield from ()


class DomainGrammar(Grammar):
    """A grammar whose contexts are the phrases of domains.

    Attributes:
        file: the data file with the domains (`words.domains`).
    """

    file: str

    def contexts(self, ask: ContextAsk, rng: Random) -> Iterator[Fields]:
        """Yield the first phrase of each domain, then the second ones, and so on.

        An attribute takes one of its allowed values, preferably one with a word of the domain.
        """
        phrases = domains(self.file)
        order = list(phrases)
        rng.shuffle(order)
        for turn in range(max(map(len, phrases.values()))):
            for domain in order:
                if turn < len(phrases[domain]):
                    text = phrases[domain][turn]
                    about = f"{domain} {text}".casefold()
                    chosen = {
                        name: _fitting(values, about, rng) if values else domain
                        for name, values in ask.attributes.items()
                    }
                    yield {"domain": domain, "text": text, **chosen}

    def domain(self, ask: SeedAsk, *more: str) -> str:
        """Return the domain that a request is about, or an empty string."""
        whole = " ".join((ask.context, *map(str, ask.attributes.values()), *more)).casefold()
        phrases = domains(self.file)
        for name, known in phrases.items():
            if any(phrase.casefold() in whole for phrase in known):
                return name
        words = set(re.findall(r"\w+", whole))
        return next((name for name in phrases if name in words), "")


def _fitting(values: tuple[str, ...], about: str, rng: Random) -> str:
    fits = [v for v in values if any(w in about for w in v.casefold().split() if len(w) > 3)]
    return rng.choice(fits or list(values))
