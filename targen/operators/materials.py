"""How rows of the tables look to a prompt and to a plan: contexts and seeds as plain dicts.

Here belong the views that several operators need of upstream rows. Rows themselves are defined in
`targen.tables`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from targen.operators.constants import NONE_CONTEXT_ID, NONE_SEED_KIND


def attributes(row: Mapping[str, Any]) -> dict[str, str]:
    """Return a row's attributes as name -> value."""
    return {pair["name"]: pair["value"] for pair in row["attributes"] or []}


def context_block(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a context as prompts show it, None for the row that says there is none."""
    if row["context_id"] == NONE_CONTEXT_ID:
        return None
    block: dict[str, Any] = {"text": row["text"]}
    if row["attributes"]:
        block["attributes"] = attributes(row)
    return block


@dataclass(frozen=True)
class Material:
    """What one slot is made of.

    Attributes:
        context_id, seed_id: None where the recipe uses none.
        context: as prompts show it, or None.
        seed: all parts of the seed and its attributes, or None.
    """

    context_id: str | None
    seed_id: str | None
    context: dict[str, Any] | None
    seed: dict[str, Any] | None


class Materials:
    """Context and seed of every slot: slot i has context i % C, seed i // C of that context.

    Contexts without a seed are passed over. Where a context has fewer seeds than slots, they are
    used again in order; every seed is used before any is used twice.

    Args:
        contexts, seeds: the two tables.
    """

    def __init__(self, contexts: pl.DataFrame, seeds: pl.DataFrame) -> None:
        rows = seeds.to_dicts()
        self._lists: dict[str | None, list[dict[str, Any]]] = {}
        for row in rows:
            if row["kind"] != NONE_SEED_KIND:
                self._lists.setdefault(row["context_id"], []).append(row)
        self._contexts: list[tuple[str | None, dict[str, Any] | None]] = []
        for row in contexts.iter_rows(named=True):
            block = context_block(row)
            context_id = row["context_id"] if block is not None else None
            if not self._lists or context_id in self._lists:
                self._contexts.append((context_id, block))

    @property
    def seeded(self) -> bool:
        """Whether the recipe uses seeds."""
        return bool(self._lists)

    def __getitem__(self, slot: int) -> Material:
        turn, place = divmod(slot, len(self._contexts))
        context_id, block = self._contexts[place]
        seeds: Sequence[dict[str, Any]] = self._lists.get(context_id, ())
        if not seeds:
            return Material(context_id, None, block, None)
        row = seeds[turn % len(seeds)]
        seed = json.loads(row["fields"]) | attributes(row)
        return Material(context_id, row["seed_id"], block, seed)
