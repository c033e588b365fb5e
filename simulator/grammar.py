"""What a task grammar is: the one protocol between the brain and the tasks it knows.

A grammar knows what to say and what label the saying has. It knows nothing of messages, schemas,
error rates or hashes: the brain draws candidates from its iterators, leaves out what is excluded,
and takes the first one whose text bears the right label (`truth`). So every iterator must yield
many different candidates (a hundred and more for `instances`), cheaply, the best ones first.

To add a task: subclass `Grammar` in a module of its own and name it in `known.GRAMMARS`.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

Fields = dict[str, Any]
"""Field name -> text, or list of texts."""


@dataclass(frozen=True, slots=True)
class ContextAsk:
    """A request for contexts.

    Attributes:
        attributes: name -> the values it may have; an empty tuple where any text will do.
        terms: category -> the terms given to draw from.
        what: what is wanted, in the prompt's words.
    """

    attributes: Mapping[str, tuple[str, ...]]
    terms: Mapping[str, tuple[str, ...]]
    what: str = ""


@dataclass(frozen=True, slots=True)
class SeedAsk:
    """A request for one seed.

    Attributes:
        context: the context's text; empty where the recipe has none.
        attributes: the context's attributes.
        item: the typed attributes of this seed (say, operator: modal).
        wanted: the seed fields to write, by name, with what the prompt says of them.
        requirements: what the finished row must meet, in the prompt's words.
    """

    context: str
    attributes: Mapping[str, str]
    item: Mapping[str, Any]
    wanted: Mapping[str, str]
    requirements: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Slot:
    """One row to be written.

    Attributes:
        context, attributes: as in `SeedAsk`.
        given: all that stands fixed: the seed's fields and the fields that the plan fixed.
        answer: the text that must be the answer, for tasks whose answer is a span.
        requirements: what the row must meet, in the prompt's words.
        several: the labels that the row must have, where it can have several; else None.
    """

    context: str
    attributes: Mapping[str, str]
    given: Mapping[str, Any] = field(default_factory=dict)
    answer: str | None = None
    requirements: tuple[str, ...] = ()
    several: tuple[str, ...] | None = None


class Grammar(ABC):
    """A task that the embedded model knows.

    Attributes:
        name: for tests and messages; never compared with the prompt.
        fields: a task whose fields include all of these ...
        labels: ... and whose labels are exactly these is this task; empty for spans.
        typed: typed attributes that its seeds are asked for with; they tell tasks of the same
            fields apart, as far as labels do not.
        cues: words that the prompt may use of this task; they decide where nothing else does.
    """

    name: str
    fields: frozenset[str]
    labels: tuple[str, ...]
    typed: frozenset[str] = frozenset()
    cues: frozenset[str] = frozenset()

    def matches(self, fields: frozenset[str], labels: frozenset[str]) -> bool:
        """Say whether a task of these fields is this one.

        Args:
            fields: the fields of the task as the prompt names them.
            labels: all the labels, or only the one that the prompt holds, or none at all.
        """
        return self.fields <= fields and (not self.labels or labels <= set(self.labels))

    @abstractmethod
    def contexts(self, ask: ContextAsk, rng: Random) -> Iterator[Fields]:
        """Yield contexts: `text` and one entry per attribute asked for."""

    @abstractmethod
    def seeds(self, ask: SeedAsk, rng: Random) -> Iterator[Fields]:
        """Yield seeds: the seed fields of the task, all different, 200 and more per context.

        A context that the grammar did not write must do too.
        """

    @abstractmethod
    def instances(self, slot: Slot, label: str, rng: Random) -> Iterator[Fields]:
        """Yield wordings of the fields to be written, such that the row has `label`.

        More fields than asked for do no harm. Yields nothing where the given fields are not of
        this grammar's making; the brain then falls back to its own composition. For spans `label`
        is the text that must be (or, for a wrong row, must be wrongly) the answer.
        """

    def rationale(self, row: Mapping[str, Any], label: str, rng: Random) -> str:
        """Return one or two sentences that say why the row has the label."""
        first = next((str(v) for v in row.values() if isinstance(v, str)), "the text")
        return f"What decides is the wording of “{first[:80]}”: it makes the label {label}."

    def terms(self, category: str, rng: Random) -> Iterator[str]:
        """Yield vocabulary terms of a category; nothing where the grammar has none of its own."""
        yield from ()


def contexts(
    phrases: Mapping[str, tuple[str, ...]], ask: ContextAsk, rng: Random
) -> Iterator[Fields]:
    """Yield contexts in turns over the domains, first phrases before second ones.

    An attribute with given values takes the value that shares a word with the domain, or any.
    """
    domains = list(phrases)
    rng.shuffle(domains)
    for turn in range(max(map(len, phrases.values()))):
        for domain in domains:
            if turn < len(phrases[domain]):
                text = phrases[domain][turn]
                about = f"{domain} {text}".casefold()
                chosen = {
                    name: _fitting(values, about, rng) if values else domain
                    for name, values in ask.attributes.items()
                }
                yield {"text": text, **chosen}


def domain(phrases: Mapping[str, tuple[str, ...]], *texts: str) -> str:
    """Return the domain that the texts speak of; empty where that is none that is known."""
    whole = " ".join(texts).casefold()
    for name, known in phrases.items():
        if any(phrase.casefold() in whole for phrase in known):
            return name
    words = set(re.findall(r"\w+", whole))
    return next((name for name in phrases if name in words), "")


def _fitting(values: tuple[str, ...], about: str, rng: Random) -> str:
    fits = [v for v in values if any(w in about for w in v.casefold().split() if len(w) > 3)]
    return rng.choice(fits or list(values))
