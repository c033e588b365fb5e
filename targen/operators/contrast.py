"""Contrast sets: from one seed one row per label, with minimal edits."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from typing import Any, Final

from pydantic import Field

from targen.hashing import rng
from targen.lineage import ids
from targen.llm.types import Outcome, Request
from targen.operators.base import StepInput, StepResult
from targen.operators.content import reason_of
from targen.operators.entries import Entries, SlotState
from targen.operators.plan import Slot
from targen.operators.requests import (
    make_request,
    missing_item,
    numbered_items,
    rejection,
    row_key,
    task_block,
)
from targen.operators.slots import FillParams, SlotFiller
from targen.prompts.render import items_schema, messages
from targen.steps import INSTANCES
from targen.tasks.registry import operator
from targen.tasks.spec import TaskSpec

PROMPT: Final = "instances/contrast.md"


class ContrastParams(FillParams):
    """Parameters of `contrast`."""

    per_call: int = Field(default=1, ge=1, le=1)
    """contrast sets per call."""
    id_field: str = "set_id"
    """the derived integer field that gets the number of the set."""
    edits: list[str] = Field(default_factory=list)
    """the fields in which the rows of a set may differ; empty is all fields that the model
    writes."""
    most_changed: float = Field(default=0.5, gt=0, le=1)
    """greatest share of the words in the edited fields that may differ between the first row of a
    set and another one."""


class ContrastFiller(SlotFiller):
    """Fills each slot with a contrast set. A set is kept only if all its rows are valid."""

    params: ContrastParams

    def __init__(self, step: StepInput, params: ContrastParams, prompt: str) -> None:
        super().__init__(step, params, prompt)
        first = Slot(0, next(iter(step.spec.labels)), self.plan.slot(0).planned)
        self._shown = Entries(
            step.spec,
            as_requirements=params.requirements,
            shots=params.shots,
            first=self.sources[0],
            seeded=self.sources.seeded,
            manner=self.ways.of(first),
        )

    def _slots_of(self, state: SlotState) -> list[SlotState]:
        """Return the rows of a set, in seeded order, so that no label is always the original."""
        number, labels = state.slot.number, list(self.spec.labels)
        order = rng("contrast", self.spec.edition, number, labels).sample(labels, len(labels))
        rows = [Slot(number, label, state.slot.planned) for label in order]
        return [replace(state, slot=slot, manner=self.ways.of(slot)) for slot in rows]

    def request(self, group: list[SlotState], turn: int) -> Request:
        """Return the call that writes a set; see `SlotFiller.request`."""
        (state,) = group
        params, rows = self.params, self._slots_of(state)
        entries = [self._shown.entry(n, row) for n, row in enumerate(rows, 1)]
        own = ("slot", "way", "difficulty")
        shared = {name: part for name, part in entries[0].items() if name not in own}
        constraints = self.spec.label_constraints
        block: dict[str, Any] = {
            "task": task_block(self.spec),
            "labels": {str(row.slot.label): constraints[str(row.slot.label)] for row in rows},
        }
        examples = self._shown.examples(None)
        if examples:
            block["examples"] = examples
        if shared:
            block["shared"] = shared
        block["slots"] = [
            {"slot": n, "label": row.slot.label}
            | {name: entry[name] for name in own[1:] if name in entry}
            for n, (row, entry) in enumerate(zip(rows, entries, strict=True), 1)
        ]
        properties = self._properties(state, about=False)
        prompt = messages(
            PROMPT,
            block,
            params.style,
            keys=self._shown.keys,
            shared=bool(shared),
            edits=", ".join(f"`{name}`" for name in params.edits),
            rationale=params.rationale,
        )
        return make_request(
            self._limited(list(properties), len(rows)),
            prompt,
            items_schema(properties, len(rows)),
            "instances",
            edition=self.spec.edition,
            sample=state.sources.again * (params.retries + 1) + turn,
        )

    def _take(
        self,
        state: SlotState,
        offered: list[tuple[dict[str, Any] | None, Outcome]],
        group: list[SlotState],
    ) -> None:
        """Keep the set of an answer if all its rows are valid, or record why it is not."""
        del group
        ((_, outcome),) = offered
        rows = self._slots_of(state)
        items = numbered_items(outcome, "slot", len(rows))
        made: list[dict[str, Any]] = []
        for number, of_row in enumerate(rows, 1):
            label = of_row.slot.label
            columns: dict[str, Any] = {"slot": state.slot.number, "intended_label": label}
            item = items.get(number)
            if item is None:
                state.failures.append(missing_item(outcome, **columns))
                return
            row, problem = self._row(of_row, item, outcome)
            if problem is None and made:
                problem = self.not_minimal(made[0], row) or _equal(self.spec, made, row)
            if problem is not None:
                reason = "mismatched" if problem.startswith("contrast") else reason_of(problem)
                failure = rejection(reason, problem, item, outcome.request_id, **columns)
                state.failures.append(failure)
                return
            made.append(row)
        for row in made:
            row["request_id"] = outcome.request_id
            row[self.params.id_field] = state.slot.number
            row["instance_id"] = ids.instance_id(
                self.spec.name, row["slot"], row["intended_label"], self.spec.content(row)
            )
        state.rows = made

    def not_minimal(self, first: Mapping[str, Any], row: Mapping[str, Any]) -> str | None:
        """Return the problem if a row differs too much from the first row of its set, else None."""
        edits = self.params.edits or list(self.spec.fields)
        names = self.spec.shown_fields
        other = next((n for n in names if n not in edits and first[n] != row[n]), None)
        if other is not None:
            return f"contrast: {other} differs from the first row of the set"
        edited = [name for name in names if first[name] != row[name]]
        share = changed([first[name] for name in edited], [row[name] for name in edited])
        if share > self.params.most_changed:
            return (
                f"contrast: {share:.0%} of the words differ from the first row of the set, more "
                f"than {self.params.most_changed:.0%}"
            )
        return None


def changed(first: Sequence[Any], second: Sequence[Any]) -> float:
    """Return the share of words that differ between two lists of values, from 0 to 1.

    It is 1 - 2m / (a + b), where a and b are the numbers of words and m those of the matching
    blocks (Ratcliff and Obershelp, as in Python's `difflib`). Case counts.
    """
    a, b = (" ".join(map(str, values)).split() for values in (first, second))
    if not a and not b:
        return 0.0
    return 1 - SequenceMatcher(None, a, b, autojunk=False).ratio()


def _equal(spec: TaskSpec, made: Sequence[Mapping[str, Any]], row: Mapping[str, Any]) -> str | None:
    """Return the problem if a row has the text of an earlier row of its set."""
    keys = [row_key(spec, one) for one in (*made, row)]
    return "contrast: two rows of the set are equal" if keys[-1] in keys[:-1] else None


@operator(
    INSTANCES,
    "contrast",
    ContrastParams,
    PROMPT,
    needs_labels=True,
    reads=("requirement_words", "examples", "label_constraints"),
    contrast=True,
)
async def contrast(step: StepInput, params: ContrastParams) -> StepResult:
    """Write contrast sets: one row per label from one seed, with minimal edits.

    Source: Gardner et al., 2020, Evaluating Models' Local Decision Boundaries via Contrast Sets,
    arXiv 2004.02709; there, experts edit rows of a test set.

    Raises:
        StepError: none of the first sets is valid, or fewer than half of them are.
    """
    return await ContrastFiller(step, params, PROMPT).run()
