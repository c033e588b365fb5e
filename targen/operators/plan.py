"""The plan: label, planned values, context and seed of each slot.

The plan depends only on the task and the slot's number, not on the number of rows, so a growing
data set keeps its rows.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from targen.hashing import rng
from targen.lineage.ids import NONE_CONTEXT_ID
from targen.steps import CONFUSABLE, LABEL, LABELS
from targen.tasks.answers import ONE_LABEL, Label
from targen.tasks.field_values import drawn
from targen.tasks.spec import TaskSpec, call_range


@dataclass(frozen=True)
class Slot:
    """A slot of the data set, to be filled by one instance or one pair of twins.

    Attributes:
        number: from 0.
        label: the intended label; a sorted list for `multi`; None if the task has no labels.
        planned: planned or sampled field -> value.
    """

    number: int
    label: Label | None
    planned: Mapping[str, Any]


@dataclass(frozen=True)
class Group:
    """The slots of one generation call: consecutive slots of one label.

    For tasks whose rows have several labels or none, the label is None.
    """

    label: str | None
    slots: tuple[Slot, ...]


class Plan:
    """The slots of a task.

    Labels are assigned in permuted blocks: each block has one slot per label, in seeded order, so
    in any prefix the label counts differ by at most one. The slots of one label get their planned
    values in permuted blocks, too. (Permuted-block allocation: Zelen, 1974, The randomization and
    stratification of patients to clinical trials.) For `multi`, the blocks contain each set of
    labels once.

    Args:
        spec: the task; the plan reads its answer, planned fields and edition.
        per_call: slots per generation call; the first calls of a label have fewer (`call_range`).
    """

    def __init__(self, spec: TaskSpec, per_call: int) -> None:
        # Each slot of contrast sets has all labels.
        dealt = spec.answer.kind in ONE_LABEL and not spec.contrast
        self._labels: list[str | None] = list(spec.labels) if dealt else []
        self._labels = self._labels or [None]
        self._sets = spec.label_sets
        self._planned = spec.planned
        self._combinations = list(itertools.product(*self._planned.values()))
        self._sampled = spec.sampled
        self._edition = spec.edition
        self._per_call = per_call
        self._orders: dict[tuple[Any, ...], list[str]] = {}

    def _order(self, items: Sequence[str], *seed: Any) -> list[str]:
        if seed not in self._orders:
            self._orders[seed] = rng(*seed, list(items)).sample(list(items), len(items))
        return self._orders[seed]

    def _label(self, number: int) -> str | None:
        block, index = divmod(number, len(self._labels))
        names = [label or "" for label in self._labels]
        return self._order(names, LABELS, self._edition, block)[index] or None

    def _values(self, label: str | None, block: int) -> dict[str, Any]:
        cycle, index = divmod(block, len(self._combinations))
        indices = [str(n) for n in range(len(self._combinations))]
        order = self._order(indices, "planned", self._edition, label, *self._planned, cycle)
        return dict(zip(self._planned, self._combinations[int(order[index])], strict=True))

    def slot(self, number: int) -> Slot:
        """Return a slot."""
        label = self._label(number)
        planned = self._values(label, number // len(self._labels)) | self._draws(number)
        return Slot(number, self._set(number) if self._sets else label, planned)

    def _draws(self, number: int) -> dict[str, Any]:
        """Return sampled field -> value of a slot; each field has random numbers of its own."""
        return {
            name: drawn(field, rng("sampled", self._edition, name, field.model_dump(), number))
            for name, field in self._sampled.items()
        }

    def _set(self, number: int) -> list[str]:
        cycle, index = divmod(number, len(self._sets))
        indices = [str(n) for n in range(len(self._sets))]
        order = self._order(indices, "sets", self._edition, cycle)
        return self._sets[int(order[index])]

    def ordinal(self, number: int) -> int:
        """Return how many earlier slots have the same label (kind `class`), else the number."""
        return number // len(self._labels)

    def group_of(self, number: int) -> Group:
        """Return the generation call that contains a slot."""
        label = self._label(number)
        size = len(self._labels)
        slots = []
        for block in call_range(self.ordinal(number), self._per_call):
            inside = range(block * size, (block + 1) * size)
            slots += [self.slot(n) for n in inside if self._label(n) == label]
        return Group(label, tuple(slots))

    def groups(self, numbers: range) -> list[Group]:
        """Return the generation calls that contain these slots, each once, in slot order."""
        groups: list[Group] = []
        covered: set[int] = set()
        for number in numbers:
            if number not in covered:
                groups.append(self.group_of(number))
                covered.update(slot.number for slot in groups[-1].slots)
        return groups


def attributes(row: Mapping[str, Any]) -> dict[str, str]:
    """Return a row's attributes as name -> value."""
    return {pair["name"]: pair["value"] for pair in row["attributes"] or []}


def context_block(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a context as prompts show it, None for the placeholder of recipes without contexts.

    The label of a drawn context is left out; prompts that may show it have another entry for it.
    """
    if row["context_id"] == NONE_CONTEXT_ID:
        return None
    block: dict[str, Any] = {"text": row["text"]}
    named = {name: value for name, value in attributes(row).items() if name != LABEL}
    if named:
        block["attributes"] = named
    return block


def requirements(spec: TaskSpec, context: Mapping[str, Any]) -> list[str]:
    """Return a context's attributes as numbered requirements.

    Source: the prompts of AttrPrompt (Yu et al., 2023).
    """
    texts = []
    for name, value in context.get("attributes", {}).items():
        vocabulary = spec.vocabularies.get(name)
        if name == CONFUSABLE:
            texts.append(f"it must clearly not be: {value}")
        elif vocabulary is not None and vocabulary.requirement:
            texts.append(vocabulary.requirement.replace("{}", value))
        else:
            texts.append(f"{name.replace('_', ' ')}: {value}")
    return [f"{number}. {text}" for number, text in enumerate(texts, 1)]
