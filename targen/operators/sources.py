"""Context and seed of each slot."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import polars as pl

from targen.operators.plan import attributes, context_block
from targen.steps import CONTEXTS, NONE_SEED_KIND
from targen.tasks.registry import resolve
from targen.tasks.spec import TaskSpec


def first_contexts(spec: TaskSpec) -> int | None:
    """Return the number of contexts of the first round; None if every round uses all contexts.

    It is the parameter `first` of the recipe's contexts, unless `count` fixes their number.
    """
    _, params = resolve(spec.recipe.choice(CONTEXTS), CONTEXTS)
    fixed = getattr(params, "count", None) is not None
    return None if fixed else getattr(params, "first", None)


def contexts_needed(slots: int, first: int) -> int:
    """Return how many contexts the rounds of this many slots use; see `Turns`."""
    number, needed = 0, 0
    while slots > 0:
        size = first + number // 2
        needed = max(needed, min(size, slots))
        slots -= size
        number += 1
    return needed


class Turns:
    """Context of each slot, and the turn of that context: how many earlier slots have it.

    Slots go through rounds. Round r has one slot for each of the contexts 0 to c(r) - 1, where
    c(r) = first + r // 2, so n slots use about sqrt(n) contexts. A context without seeds passes
    its slots to the others in turn. The result for a slot depends on the slot and on which of the
    contexts up to its round have seeds, but not on the number of slots.

    Args:
        contexts: number of contexts, at least 1; no round uses more.
        first: size of the first round; None if every round uses all contexts.
        empty: indices of contexts without seeds; not all of them.
    """

    def __init__(self, contexts: int, first: int | None, empty: Collection[int] = ()) -> None:
        self._contexts, self._first = contexts, first
        self._empty = frozenset(empty)
        self._used = [0] * contexts
        self._turns: list[tuple[int, int]] = []
        self._round = 0

    def _size(self, number: int) -> int:
        grown = self._contexts if self._first is None else self._first + number // 2
        return min(grown, self._contexts)

    def _add_round(self) -> None:
        # Every data set that has these slots has asked for the seeds of these contexts.
        begun = self._size(self._round - 1) if self._round else 0
        for index in range(self._size(self._round)):
            taken = index
            if index in self._empty:
                full = [n for n in range(max(begun, index)) if n not in self._empty]
                full = full or [next(n for n in range(self._contexts) if n not in self._empty)]
                taken = full[(index + self._round) % len(full)]
            self._turns.append((taken, self._used[taken]))
            self._used[taken] += 1
        self._round += 1

    def __getitem__(self, slot: int) -> tuple[int, int]:
        while len(self._turns) <= slot:
            self._add_round()
        return self._turns[slot]

    def seeds_needed(self, slots: int) -> list[int]:
        """Return for each context how many of these slots have it."""
        needed = [0] * self._contexts
        for slot in range(slots):
            needed[self[slot][0]] += 1
        return needed


@dataclass(frozen=True)
class Sources:
    """Context and seed of one slot.

    Attributes:
        context_id, seed_id: None if the recipe uses no contexts or seeds.
        context: as prompts show it, or None.
        seed: the seed's fields and attributes, or None.
        again: how many earlier slots have the same context and seed.
    """

    context_id: str | None
    seed_id: str | None
    context: dict[str, Any] | None
    seed: dict[str, Any] | None
    again: int


class SourcePlan:
    """Context and seed of every slot: the k-th turn of a context takes its k-th seed.

    If seeds belong to no context, slot i has seed i. If there are fewer seeds than turns, they are
    reused in order.

    Args:
        contexts, seeds: the two tables.
        per_slot: whether context i belongs to slot i, with or without a seed.
        first: see `Turns`.
    """

    def __init__(
        self,
        contexts: pl.DataFrame,
        seeds: pl.DataFrame,
        per_slot: bool = False,
        first: int | None = None,
    ) -> None:
        self._lists: dict[str | None, list[dict[str, Any]]] = {}
        for row in seeds.to_dicts():
            if row["kind"] != NONE_SEED_KIND:
                self._lists.setdefault(row["context_id"], []).append(row)
        self._contexts: list[tuple[str | None, dict[str, Any] | None]] = []
        for row in contexts.iter_rows(named=True):
            block = context_block(row)
            self._contexts.append((row["context_id"] if block is not None else None, block))
        empty: list[int] = []
        if self._lists and not per_slot and None not in self._lists:
            empty = [n for n, (name, _) in enumerate(self._contexts) if name not in self._lists]
        self._turns = Turns(len(self._contexts), first, empty)

    @property
    def seeded(self) -> bool:
        """Whether the recipe uses seeds."""
        return bool(self._lists)

    def __getitem__(self, slot: int) -> Sources:
        index, turn = self._turns[slot]
        context_id, block = self._contexts[index]
        seeds, number = self._lists.get(context_id, ()), turn
        if not seeds:
            seeds, number = self._lists.get(None, ()), slot
        if not seeds:
            return Sources(context_id, None, block, None, turn)
        again, index = divmod(number, len(seeds))
        row = seeds[index]
        seed = json.loads(row["fields"]) | attributes(row)
        return Sources(context_id, row["seed_id"], block, seed, again)
