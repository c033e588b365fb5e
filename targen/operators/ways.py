"""The planned way and difficulty of each slot."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from targen.hashing import rng
from targen.operators.plan import Plan, Slot
from targen.tasks.spec import TaskSpec

DIFFICULTIES: Final = ("easy", "medium", "hard")


@dataclass(frozen=True)
class Manner:
    """How the example of a slot is to be written.

    Attributes:
        way: how it gets its label; label -> way for `multi`; None if the task names no ways.
        difficulty: one of `DIFFICULTIES`; None if difficulty is not planned.
    """

    way: str | Mapping[str, str] | None
    difficulty: str | None

    def columns(self) -> dict[str, str | None]:
        """Return the columns of the table of instances; the ways of several labels are joined."""
        way = self.way
        if isinstance(way, Mapping):
            way = "; ".join(f"{name}: {one}" for name, one in way.items()) or None
        return {"planned_way": way, "planned_difficulty": self.difficulty}


class WayPlan:
    """Assigns ways and difficulties evenly to the slots of each label.

    Ways come in permuted blocks: each block of slots of one label has every way once, in seeded
    order. Among the slots of one label and way, blocks of three have every difficulty once. What a
    slot gets depends on its number within its label only, so a growing data set keeps its rows.

    Args:
        spec: the task; its labels or its answer may name `ways`.
        plan: the plan of the slots.
        difficulty: whether to plan the difficulty.
    """

    def __init__(self, spec: TaskSpec, plan: Plan, difficulty: bool = False) -> None:
        self._plan, self._edition, self._difficulty = plan, spec.edition, difficulty
        self._sets = spec.label_sets
        self._ways = {name: label.ways for name, label in spec.labels.items()}
        self._open = spec.answer.ways if spec.answer.kind == "span" else []
        self._blocks: dict[tuple[Any, ...], list[int]] = {}

    def of(self, slot: Slot) -> Manner:
        """Return the manner of a slot."""
        if isinstance(slot.label, list):
            dealt = {
                name: self._way(name, self._ways[name], self._uses(name, slot.number))[0]
                for name in slot.label
                if self._ways[name]
            }
            return Manner(dealt or None, self._level("several", slot.number))
        ways = self._open if slot.label is None else self._ways[slot.label]
        ordinal = self._plan.ordinal(slot.number)
        if not ways:
            return Manner(None, self._level(slot.label, ordinal))
        way, index, block = self._way(slot.label, ways, ordinal)
        return Manner(way, self._level(f"{slot.label} {index}", block))

    def _way(self, label: str | None, ways: list[str], ordinal: int) -> tuple[str, int, int]:
        """Return a way, its index, and the number of earlier slots of the label that have it."""
        block, place = divmod(ordinal, len(ways))
        index = self._permuted("ways", label, block, len(ways))[place]
        return ways[index], index, block

    def _level(self, stratum: str | None, ordinal: int) -> str | None:
        if not self._difficulty:
            return None
        block, place = divmod(ordinal, len(DIFFICULTIES))
        return DIFFICULTIES[self._permuted("difficulty", stratum, block, len(DIFFICULTIES))[place]]

    def _uses(self, name: str, number: int) -> int:
        """Return how many slots before `number` have the label `name`, for `multi`."""
        cycle, index = divmod(number, len(self._sets))
        start = cycle * len(self._sets)
        here = sum(name in (self._plan.slot(n).label or ()) for n in range(start, start + index))
        return cycle * sum(name in one for one in self._sets) + here

    def _permuted(self, purpose: str, stratum: str | None, block: int, size: int) -> list[int]:
        key = (purpose, self._edition, stratum, block, size)
        if key not in self._blocks:
            self._blocks[key] = rng(*key).sample(range(size), size)
        return self._blocks[key]
