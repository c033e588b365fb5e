"""Step 4: instances, one for each slot of the plan.

Here belongs the operator label_constrained. Which slot has which label, context and seed is the
plan's; whether a row is right is for later steps to say.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import Field

from targen.errors import StepError
from targen.gender import swap_gender
from targen.hashing import canonical, rng, short_id
from targen.llm.types import Outcome, Request
from targen.operators.asking import (
    answers,
    empty_field,
    first_violation,
    make_request,
    missing_reason,
    numbered_items,
    rejection,
    tally,
    too_long,
)
from targen.operators.materials import Material, Materials
from targen.operators.registry import LLMParams, StepInput, StepResult, operator
from targen.plan import Plan, Slot
from targen.prompting import field_schema, items_schema, messages, task_block
from targen.validators import fold

PROMPT = "instances/label_constrained.md"
PILOT: Final = 40
"""Slots tried before the rest: where not one of them can be filled, the step stops at once."""


class LabelConstrainedParams(LLMParams):
    """Parameters of `label_constrained`.

    Attributes:
        per_call: slots of one label that one call fills; always asked whole.
        retries: samples for a slot that went wrong, asked alone.
        rationale: ask for the reasons before the fields, kept in the column `rationale`.
    """

    per_call: int = Field(default=5, ge=1)
    retries: int = Field(default=3, ge=0)
    rationale: bool = False


@dataclass
class _Filled:
    """A slot and what became of it."""

    slot: Slot
    material: Material
    given: dict[str, Any]
    answer: str | None
    rows: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)


class _Generation:
    """The slots of one task while they are being filled."""

    def __init__(self, step: StepInput, params: LabelConstrainedParams) -> None:
        self.step, self.spec, self.params = step, step.spec, params
        self.plan = Plan(step.spec, params.per_call)
        self.materials = Materials(step.tables["contexts"], step.tables["seeds"])
        self.slots: dict[int, _Filled] = {}
        self.asked = 0

    def _opened(self, slot: Slot) -> _Filled:
        material = self.materials[slot.number]
        seed = material.seed or {}
        given = dict(slot.planned) | {n: seed[n] for n in self.spec.seed_fields if n in seed}
        answer = None
        choices = self.spec.answer.choices
        if choices and given.get(choices):
            # The plan places the answer, so that models cannot prefer a position.
            options = given[choices]
            answer = options[rng("answer", self.spec.edition, slot.number).randrange(len(options))]
        return _Filled(slot, material, given, answer)

    def _asked_fields(self, filled: _Filled) -> dict[str, Any]:
        properties: dict[str, Any] = {"slot": {"type": "integer"}}
        if self.params.rationale:
            properties["rationale"] = {"type": "string"}
        for name, spec_field in self.spec.fields.items():
            if name not in filled.given and not spec_field.derived:
                properties[name] = field_schema(spec_field.type, spec_field.values)
        if self.spec.answer.kind == "span" and filled.answer is None:
            properties["answer"] = {"type": "string"}
        return properties

    def request(self, group: list[_Filled], sample: int = 0) -> Request:
        """Return the call that fills these slots, all of one label."""
        answer, label = self.spec.answer, group[0].slot.label
        block: dict[str, Any] = {"task": task_block(self.spec)}
        if label is not None:
            constraint = answer.labels[label].constraint.strip()
            block["label"] = {"name": label, "constraint": constraint}
        elif answer.constraint:
            block["label"] = {"constraint": answer.constraint.strip()}
        entries = []
        for number, filled in enumerate(group, 1):
            entry: dict[str, Any] = {"slot": number}
            if filled.material.context is not None:
                entry["context"] = filled.material.context
            extra = {k: v for k, v in (filled.material.seed or {}).items() if k not in filled.given}
            if extra:
                entry["seed"] = extra
            if filled.given:
                entry["given"] = filled.given
            if filled.answer is not None:
                entry["answer"] = filled.answer
            entries.append(entry)
        block["slots"] = entries
        return make_request(
            self.params,
            messages(PROMPT, block, rationale=self.params.rationale),
            items_schema(self._asked_fields(group[0]), len(group)),
            "instances",
            edition=self.spec.edition,
            sample=sample,
        )

    async def fill(self, numbers: range) -> None:
        """Fill slots: their groups whole, then each bad slot of the range alone."""
        groups = [
            [self._opened(slot) for slot in group.slots]
            for group in self.plan.groups(numbers)
            if group.slots[0].number not in self.slots
        ]
        for group in groups:
            self.slots.update({filled.slot.number: filled for filled in group})
        await self._ask(groups, 0)
        for sample in range(1, self.params.retries + 1):
            bad = [[self.slots[n]] for n in numbers if not self.slots[n].rows]
            await self._ask(bad, sample)
        for number in numbers:
            filled = self.slots[number]
            if not filled.rows:
                last = filled.failures[-1]
                last["detail"] = f"{last['detail']} ({last['reason']})"
                last["reason"] = "given_up"

    async def _ask(self, groups: list[list[_Filled]], sample: int) -> None:
        requests = [self.request(group, sample) for group in groups]
        outcomes = await answers(self.step.model, requests)
        for group, outcome in zip(groups, outcomes, strict=True):
            items = numbered_items(outcome, "slot", len(group))
            for number, filled in enumerate(group, 1):
                self.asked += 1
                self._take(filled, items.get(number), outcome)

    def _take(self, filled: _Filled, item: dict[str, Any] | None, outcome: Outcome) -> None:
        where: dict[str, Any] = {"slot": filled.slot.number, "intended_label": filled.slot.label}
        if item is None:
            lost = missing_reason(outcome)
            filled.failures.append(rejection(*lost, None, outcome.request_id, **where))
            return
        row, problem = self._row(filled, item)
        if problem is not None:
            filled.failures.append(rejection("invalid", problem, item, outcome.request_id, **where))
            return
        row["request_id"] = outcome.request_id
        filled.rows = self._with_twin(row)

    def _row(self, filled: _Filled, item: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
        spec = self.spec
        values = {
            name: filled.given.get(name, item.get(name))
            for name, spec_field in spec.fields.items()
            if not spec_field.derived
        }
        label = filled.slot.label
        if spec.answer.kind == "span":
            label = filled.answer if filled.answer is not None else item.get("answer")
        problem = empty_field(values) or too_long(values, spec)
        problem = problem or first_violation(values, spec.validators)
        if problem is None and spec.answer.kind == "span":
            options = values[spec.answer.choices or ""] or []
            if label not in options:
                problem = f"answer: it is not among {spec.answer.choices}"
        seed = filled.material
        fields = {name: values.get(name) for name in spec.fields}
        row: dict[str, Any] = {
            "slot": filled.slot.number,
            "seed_id": seed.seed_id,
            "context_id": seed.context_id,
            "parent_ids": [],
            "depth": 0,
            "intended_label": label,
            **fields,
            "rationale": item.get("rationale") if self.params.rationale else None,
        }
        return row, problem

    def _with_twin(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the row, and its twin where the task's unit is the pair; ids are set here."""
        twin = self.spec.twin
        rows = [row]
        if twin is not None:
            swapped = {name: swap_gender(row[name]) for name in twin.fields}
            rows = [{**r, twin.id_field: row["slot"]} for r in (row, {**row, **swapped})]
        for r in rows:
            content = {name: r[name] for name in self.spec.fields}
            identity = ["instance", self.spec.name, r["slot"], r["intended_label"], content]
            r["instance_id"] = short_id(identity)
        return rows

    def unique(self, opened: int) -> tuple[list[_Filled], set[int]]:
        """Return the filled slots below `opened` without exact duplicates, and the duplicates.

        The first in slot order stays, whatever the number of rows wanted.
        """
        seen: set[str] = set()
        kept: list[_Filled] = []
        doubles: set[int] = set()
        for number in range(opened):
            filled = self.slots[number]
            if not filled.rows:
                continue
            fields = [n for n, f in self.spec.fields.items() if not f.derived]
            key = fold(canonical({name: filled.rows[0][name] for name in fields}))
            if key in seen:
                doubles.add(number)
            else:
                seen.add(key)
                kept.append(filled)
        return kept, doubles


@operator("instances", "label_constrained", LabelConstrainedParams, PROMPT)
async def label_constrained(step: StepInput, params: LabelConstrainedParams) -> StepResult:
    """Fill the slots of the plan under their labels' constraints.

    Later slots are opened for those given up or double: as many as have seeds of their own, or,
    without seeds, up to twice as many as are wanted.

    Source: TarGEN (Gupta et al., 2024), section 3, step 3, label-constrained generation.

    Raises:
        StepError: not one of the first slots could be filled, or fewer than half of the rows.
    """
    spec = step.spec
    work = _Generation(step, params)
    wanted = spec.slots_wanted
    limit = spec.slots_at_most if work.materials.seeded else 2 * wanted + PILOT
    opened = min(wanted, PILOT)
    await work.fill(range(opened))
    kept, doubles = work.unique(opened)
    if not kept:
        raise StepError(_failure(work, opened, 0))
    while len(kept) < wanted and opened < limit:
        more = min(max(wanted - len(kept), wanted - opened), limit - opened)
        await work.fill(range(opened, opened + more))
        opened += more
        kept, doubles = work.unique(opened)
    if len(kept) * spec.unit * 2 < spec.wanted_rows:
        raise StepError(_failure(work, opened, len(kept)))
    return _result(work, kept[:wanted], doubles, wanted)


def _failure(work: _Generation, opened: int, kept: int) -> str:
    details = [f["detail"] for filled in work.slots.values() for f in filled.failures]
    first = details[0] if details else "every instance is the same"
    return (
        f"{work.spec.name}: {kept} of {opened} instances were accepted after "
        f"{work.params.retries} retries each; rejected by: {tally(details) or 'duplicate'}; "
        f"first: {first}. A stronger model may do better; earlier tables stand"
    )


def _result(work: _Generation, kept: list[_Filled], doubles: set[int], wanted: int) -> StepResult:
    unit = work.spec.unit
    result = StepResult(asked=work.asked)
    chosen = {filled.slot.number for filled in kept}
    for number in sorted(work.slots):
        filled = work.slots[number]
        result.rejected += filled.failures
        if number in chosen:
            result.rows += filled.rows
        elif filled.rows:
            reason = "duplicate" if number in doubles else "surplus"
            detail = (
                "the same text stands in an earlier slot"
                if number in doubles
                else ("not needed for the rows wanted; growing takes it back")
            )
            row = filled.rows[0]
            result.rejected.append(
                rejection(
                    reason,
                    detail,
                    {name: row[name] for name in work.spec.fields},
                    row["request_id"],
                    slot=number,
                    intended_label=row["intended_label"],
                )
            )
    if len(kept) < wanted:
        result.warnings.append(f"{len(kept) * unit} instances of {wanted * unit} could be had")
    return result
