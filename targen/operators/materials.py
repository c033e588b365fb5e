"""Contexts and seeds in the form that prompts use, assigned to slots."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from targen.lineage.ids import NONE_CONTEXT_ID
from targen.steps import CONFUSABLE, LABEL, NONE_SEED_KIND
from targen.tasks.spec import TaskSpec


def attributes(row: Mapping[str, Any]) -> dict[str, str]:
    """Return a row's attributes as name -> value."""
    return {pair["name"]: pair["value"] for pair in row["attributes"] or []}


def context_block(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a context as prompts show it, None for the row that says there is none.

    The label of a drawn context is left out: where a prompt may show it, it shows it elsewhere.
    """
    if row["context_id"] == NONE_CONTEXT_ID:
        return None
    block: dict[str, Any] = {"text": row["text"]}
    named = {name: value for name, value in attributes(row).items() if name != LABEL}
    if named:
        block["attributes"] = named
    return block


def requirements(spec: TaskSpec, context: Mapping[str, Any]) -> list[str]:
    """Return a context's attributes as numbered requirements, in the words of the task.

    Source: the prompts of AttrPrompt (Yu et al., 2023) list the drawn attributes so.
    """
    words = []
    for name, value in context.get("attributes", {}).items():
        vocabulary = spec.vocabularies.get(name)
        if name == CONFUSABLE:
            words.append(f"it must clearly not be: {value}")
        elif vocabulary is not None and vocabulary.requirement:
            words.append(vocabulary.requirement.replace("{}", value))
        else:
            words.append(f"{name.replace('_', ' ')}: {value}")
    return [f"{number}. {text}" for number, text in enumerate(words, 1)]


@dataclass(frozen=True)
class Material:
    """Context and seed of one slot.

    Attributes:
        context_id, seed_id: None where the recipe uses none.
        context: as prompts show it, or None.
        seed: all parts of the seed and its attributes, or None.
        again: how many slots before this one had the same context and seed.
    """

    context_id: str | None
    seed_id: str | None
    context: dict[str, Any] | None
    seed: dict[str, Any] | None
    again: int


class Materials:
    """Context and seed of every slot: slot i has context i % C, seed i // C of that context.

    Contexts without a seed are passed over, unless each context is a slot's own. Seeds that
    belong to no context serve all: slot i has seed i. Where there are fewer seeds than slots, they
    are used again in order; every seed is used before any is used twice.

    Args:
        contexts, seeds: the two tables.
        per_slot: context i is slot i's own.
    """

    def __init__(self, contexts: pl.DataFrame, seeds: pl.DataFrame, per_slot: bool = False) -> None:
        self._lists: dict[str | None, list[dict[str, Any]]] = {}
        for row in seeds.to_dicts():
            if row["kind"] != NONE_SEED_KIND:
                self._lists.setdefault(row["context_id"], []).append(row)
        self._contexts: list[tuple[str | None, dict[str, Any] | None]] = []
        passed_over = bool(self._lists) and not per_slot and None not in self._lists
        for row in contexts.iter_rows(named=True):
            block = context_block(row)
            context_id = row["context_id"] if block is not None else None
            if not passed_over or context_id in self._lists:
                self._contexts.append((context_id, block))

    @property
    def seeded(self) -> bool:
        """Whether the recipe uses seeds."""
        return bool(self._lists)

    def __getitem__(self, slot: int) -> Material:
        turn, place = divmod(slot, len(self._contexts))
        context_id, block = self._contexts[place]
        seeds, number = self._lists.get(context_id, ()), turn
        if not seeds:
            seeds, number = self._lists.get(None, ()), slot
        if not seeds:
            return Material(context_id, None, block, None, turn)
        again, index = divmod(number, len(seeds))
        row = seeds[index]
        seed = json.loads(row["fields"]) | attributes(row)
        return Material(context_id, row["seed_id"], block, seed, again)
