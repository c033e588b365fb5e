"""What prompts for instances show: the label, examples, and one entry per slot."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from targen.operators.demands import Demand
from targen.operators.plan import Slot, requirements
from targen.operators.sources import Sources
from targen.operators.ways import Manner
from targen.steps import DOMAIN
from targen.tasks.answers import LISTS, ONE_LABEL, Label
from targen.tasks.spec import TaskSpec


@dataclass
class SlotState:
    """A slot, the values fixed before generation, and its result.

    Attributes:
        given: fields whose values come from the plan or the seed.
        seed: the rest of the seed, in the order of the task's seed fields.
        answer: for span tasks with options in the seed, the planned answer.
        manner: way and difficulty.
        origin: number of the plan's slot whose context and seed it has.
        target_id: the target that asked for it; None for a slot of the plan.
        demands: what its target, and those before it, demand.
        must: the demands in the words of the prompt.
        rows: the accepted row (and its twin); empty until the slot is filled.
        failures: rows of the `rejected` table.
    """

    slot: Slot
    sources: Sources
    given: dict[str, Any]
    seed: dict[str, Any]
    answer: str | None
    manner: Manner
    origin: int = -1
    target_id: str | None = None
    demands: tuple[Demand, ...] = ()
    must: tuple[str, ...] = ()
    rows: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)

    def give_up(self) -> None:
        """Note that the slot is not asked for again."""
        last = self.failures[-1]
        last["detail"] = f"{last['detail']} ({last['reason']})"
        last["reason"] = "given_up"

    def texts(self, spec: TaskSpec) -> str:
        """Return all texts that the slot gets from its seed, joined."""
        drawn = {*spec.planned, *spec.sampled}
        given = [value for name, value in self.given.items() if name not in drawn]
        parts: list[str] = []
        for value in (*given, *self.seed.values()):
            parts += map(str, value if isinstance(value, list) else [value])
        return " ".join(parts)


def in_order(spec: TaskSpec, seed: Mapping[str, Any]) -> dict[str, Any]:
    """Return a seed with its fields in the task's order, then its attributes.

    Seeds are stored with sorted keys; a plan must be shown as it was written (a summary first).
    """
    fields = spec.seeds.fields if spec.seeds else {}
    return {n: seed[n] for n in fields if n in seed} | dict(seed)


class Entries:
    """The parts of the data block that depend on labels and slots.

    Attributes:
        keys: the keys that the label, the examples and the entries may have. Templates explain only
            these. They depend on task and recipe, not on the slots of a call.
        settings: settings of the template besides `keys`.

    Args:
        spec: the task.
        as_requirements: whether drawn values are shown as numbered requirements.
        shots: number of the task's examples to show.
        first: the sources of slot 0, which show whether the recipe uses contexts.
        seeded: whether the recipe uses seeds.
        manner: the manner of slot 0, which shows whether difficulty is planned.
        must: whether the slots have demands of targets.
    """

    def __init__(
        self,
        spec: TaskSpec,
        *,
        as_requirements: bool,
        shots: int,
        first: Sources,
        seeded: bool,
        manner: Manner,
        must: bool = False,
    ) -> None:
        self._spec, self._as_requirements, self._shots = spec, as_requirements, shots
        self._names = spec.shown_fields
        answer = spec.answer
        several, span = answer.kind in LISTS, answer.kind == "span"
        seed_keys = set(spec.seeds.fields) | set(spec.seeds.types) if spec.seeds else {""}
        ways = [*(way for label in spec.labels.values() for way in label.ways)]
        texts = [n for n, f in spec.fields.items() if f.type == "text" and not f.derived]
        related = seeded and not set(texts).isdisjoint(spec.seed_fields)
        # A given text was written in its context, which tells no more about the other fields.
        attributes = set((first.context or {}).get("attributes", ()))
        context = first.context is not None and not (related and attributes <= {DOMAIN})
        known = {
            "label": answer.kind in ONE_LABEL or bool(answer.constraint),
            "examples": bool(shots and spec.examples),
            "context": context and not (as_requirements and spec.per_slot),
            "requirements": context and as_requirements,
            "labels": several,
            "without": several,
            "seed": seeded and not seed_keys <= set(spec.fields),
            "given": bool(spec.planned or spec.sampled) or (seeded and bool(spec.seed_fields)),
            "answer": span and seeded and answer.choices in spec.seed_fields,
            "way": bool(ways or (span and answer.ways)),
            "difficulty": manner.difficulty is not None,
            "must": must,
        }
        self.keys = frozenset(name for name, used in known.items() if used)
        self.settings = {
            "named": answer.kind in ONE_LABEL,
            # A text that is written for a given one has its label by their relation. Two texts that
            # are written together may relate (premise, hypothesis) or not (subject, body).
            "texts": "pair" if related else "several" if len(texts) > 1 else "one",
            "choices": span,
        }

    def label(self, label: Label | None) -> dict[str, str]:
        """Return the block `label`; empty if the task has no constraint for all slots."""
        answer = self._spec.answer
        if isinstance(label, str):
            return {"name": label, "constraint": answer.labels[label].constraint.strip()}
        return {"constraint": answer.constraint.strip()} if answer.constraint else {}

    def examples(self, label: Label | None) -> list[dict[str, Any]]:
        """Return the examples to show, those of the same label first."""
        if not self._shots:
            return []
        key = "answer" if self._spec.answer.kind == "span" else "label"
        chosen = sorted(self._spec.examples, key=lambda example: example.label != label)
        return [
            {name: example.fields.get(name) for name in self._names}
            | ({} if example.label is None else {key: example.label})
            for example in chosen[: self._shots]
        ]

    def entry(self, number: int, state: SlotState, about: str = "") -> dict[str, Any]:
        """Return the entry of one slot; `about` is the beginning of its text, if it has one."""
        entry: dict[str, Any] = {"slot": number} | ({"about": about} if about else {})
        label, manner = state.slot.label, state.manner
        if isinstance(label, list):
            labels = self._spec.labels
            entry["labels"] = {name: labels[name].constraint.strip() for name in label}
            absent = {n: self._absent(n) for n in labels if n not in label}
            if absent:
                entry["without"] = absent
        if manner.way is not None:
            entry["way"] = manner.way if isinstance(manner.way, str) else dict(manner.way)
        if manner.difficulty is not None:
            entry["difficulty"] = manner.difficulty
        shown = not self.keys.isdisjoint({"context", "requirements"})
        context = dict(state.sources.context or {}) if shown else {}
        if context and self._as_requirements:
            entry["requirements"] = requirements(self._spec, context)
            context.pop("attributes", None)
            if self._spec.per_slot:
                context.clear()
        if context:
            entry["context"] = context
        if state.seed:
            entry["seed"] = state.seed
        if state.given:
            entry["given"] = state.given
        if state.answer is not None:
            entry["answer"] = state.answer
        return entry

    def _absent(self, name: str) -> str:
        label = self._spec.labels[name]
        meaning = label.definition or label.constraint
        return label.absent.strip() or f"does not have this: {meaning.strip()}"
