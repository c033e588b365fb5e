"""The composer for tasks that no grammar knows: it speaks with the prompt's own words.

Here belongs what needs nothing but the schema and the data of the prompt. It must never know a
task: no field name, label or domain is named in this module.
"""

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from targen.offline.grammar import ContextAsk, Fields, SeedAsk, Slot
from targen.offline.prompt import Prompt


class Generic:
    """A grammar made from one prompt."""

    def __init__(self, prompt: Prompt) -> None:
        self._prompt = prompt

    def value(self) -> Fields:
        """Return some object of the schema, for prompts without a data block."""
        return {"text": "ok"}

    def terms(self, category: str, rng: Random) -> Iterator[str]:
        """Yield vocabulary terms."""
        n = 0
        while True:
            n += 1
            yield f"{category} {n}"

    def contexts(self, ask: ContextAsk, rng: Random) -> Iterator[Fields]:
        """Yield contexts."""
        n = 0
        while True:
            n += 1
            yield {"text": f"{ask.what} {n}"}

    def seeds(self, ask: SeedAsk, rng: Random) -> Iterator[Fields]:
        """Yield seeds."""
        n = 0
        while True:
            n += 1
            yield {name: f"{ask.context} {what} {n}" for name, what in ask.wanted.items()}

    def instances(
        self, slot: Slot, label: str, names: list[str], wrong: bool, rng: Random
    ) -> Iterator[Fields]:
        """Yield rows."""
        n = 0
        while True:
            n += 1
            yield {name: f"{slot.context} {name} {n}" for name in names}

    def rationale(self, row: Mapping[str, Any], label: str, rng: Random) -> str:
        """Return a reason."""
        return f"The text fits {label}."
