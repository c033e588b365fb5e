"""Context and seed of each slot."""

import json
from dataclasses import dataclass
from typing import Any

import polars as pl

from targen.operators.plan import attributes, context_block
from targen.steps import NONE_SEED_KIND


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
    """Context and seed of every slot: slot i has context i % C, seed i // C of that context.

    Contexts without a seed are skipped, unless each context belongs to one slot. If seeds belong to
    no context, slot i has seed i. If there are fewer seeds than slots, they are reused in order.

    Args:
        contexts, seeds: the two tables.
        per_slot: whether context i belongs to slot i.
    """

    def __init__(self, contexts: pl.DataFrame, seeds: pl.DataFrame, per_slot: bool = False) -> None:
        self._lists: dict[str | None, list[dict[str, Any]]] = {}
        for row in seeds.to_dicts():
            if row["kind"] != NONE_SEED_KIND:
                self._lists.setdefault(row["context_id"], []).append(row)
        self._contexts: list[tuple[str | None, dict[str, Any] | None]] = []
        skip = bool(self._lists) and not per_slot and None not in self._lists
        for row in contexts.iter_rows(named=True):
            block = context_block(row)
            context_id = row["context_id"] if block is not None else None
            if not skip or context_id in self._lists:
                self._contexts.append((context_id, block))

    @property
    def seeded(self) -> bool:
        """Whether the recipe uses seeds."""
        return bool(self._lists)

    def __getitem__(self, slot: int) -> Sources:
        turn, index = divmod(slot, len(self._contexts))
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
