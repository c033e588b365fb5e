"""Filling the slots of the plan with one valid instance each."""

from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import Field

from targen.errors import StepError
from targen.hashing import rng
from targen.lineage import ids
from targen.llm.types import Outcome, Request
from targen.operators.asking import (
    answers,
    make_request,
    missing_reason,
    numbered_items,
    rejection,
    tally,
    task_block,
    text_key,
)
from targen.operators.base import LLMParams, StepInput, StepResult
from targen.operators.materials import Material, Materials, requirements
from targen.operators.plan import Plan, Slot
from targen.prompts.render import field_schema, items_schema, messages
from targen.steps import CONTEXTS, SEEDS
from targen.tasks.answers import Label
from targen.tasks.validators import empty_field, first_violation, needed, swap_gender, too_long

PILOT: Final = 40
"""Number of slots tried first; the step fails if none of them can be filled."""


class FillParams(LLMParams):
    """Parameters of every operator that fills slots."""

    per_call: int = Field(default=5, ge=1)
    """slots of one label that one call fills; always asked whole."""
    retries: int = Field(default=3, ge=0)
    """samples for a slot that went wrong, asked alone."""
    rationale: bool = False
    """ask for the reasons before the fields, kept in the column `rationale`."""
    requirements: bool = False
    """show what was drawn for a slot as numbered requirements."""


@dataclass
class Filled:
    """A slot and its result."""

    slot: Slot
    material: Material
    given: dict[str, Any]
    answer: str | None
    rows: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)


class Filling:
    """The slots of one task while they are being filled.

    Args:
        step: task, tables and model.
        params: how many slots a call holds, and how often a bad one is asked again.
        prompt: the template.
        candidates: answers asked for each call; of the valid ones for a slot, the one whose tokens
            the model found likeliest stands.
    """

    def __init__(
        self, step: StepInput, params: FillParams, prompt: str, candidates: int = 1
    ) -> None:
        self.step, self.spec, self.params = step, step.spec, params
        self.prompt, self.candidates = prompt, candidates
        self.plan = Plan(step.spec, params.per_call)
        tables = step.tables
        self.materials = Materials(tables[CONTEXTS], tables[SEEDS], step.spec.per_slot)
        self.slots: dict[int, Filled] = {}
        self.asked = 0

    @property
    def limit(self) -> int:
        """Slots that may be opened: as many as have a seed or context of their own."""
        if self.materials.seeded or self.spec.per_slot:
            return self.spec.slots_at_most
        return 2 * self.spec.slots_wanted + PILOT

    def _opened(self, slot: Slot) -> Filled:
        material = self.materials[slot.number]
        seed = material.seed or {}
        given = dict(slot.planned) | {n: seed[n] for n in self.spec.seed_fields if n in seed}
        answer = None
        choices = self.spec.answer.choices
        if choices and given.get(choices):
            # The plan places the answer, so that models cannot prefer a position.
            options = given[choices]
            answer = options[rng("answer", self.spec.edition, slot.number).randrange(len(options))]
        return Filled(slot, material, given, answer)

    def _asked_fields(self, filled: Filled) -> dict[str, Any]:
        properties: dict[str, Any] = {"slot": {"type": "integer"}}
        if self.params.rationale:
            properties["rationale"] = {"type": "string"}
        for name, spec_field in self.spec.fields.items():
            if name not in filled.given and not spec_field.derived:
                properties[name] = field_schema(spec_field.type, spec_field.values)
        if self.spec.answer.kind == "span" and filled.answer is None:
            properties["answer"] = {"type": "string"}
        return properties

    def request(self, group: list[Filled], turn: int) -> Request:
        """Return the call that fills these slots, all of one label.

        Args:
            group: the slots.
            turn: how often these slots were asked for before.
        """
        block: dict[str, Any] = {"task": task_block(self.spec)}
        label = self._label_block(group[0].slot.label)
        if label:
            block["label"] = label
        block["slots"] = [self._entry(number, filled) for number, filled in enumerate(group, 1)]
        # Where context and seed come again, so would the answer: each time is a sample of its own.
        turns = self.candidates * (self.params.retries + 1)
        return make_request(
            self.params,
            messages(self.prompt, block, rationale=self.params.rationale),
            items_schema(self._asked_fields(group[0]), len(group)),
            "instances",
            edition=self.spec.edition,
            sample=group[0].material.again * turns + turn,
        )

    def probe(self) -> Request:
        """Return the first call, to test the endpoint's capabilities."""
        group = self.plan.groups(range(1))[0]
        return self.request([self._opened(slot) for slot in group.slots], 0)

    def _label_block(self, label: Label | None) -> dict[str, str]:
        answer = self.spec.answer
        if isinstance(label, str):
            return {"name": label, "constraint": answer.labels[label].constraint.strip()}
        return {"constraint": answer.constraint.strip()} if answer.constraint else {}

    def _entry(self, number: int, filled: Filled) -> dict[str, Any]:
        """Return what a prompt says of one slot."""
        entry: dict[str, Any] = {"slot": number}
        label, material = filled.slot.label, filled.material
        if isinstance(label, list):
            entry["labels"] = {n: self.spec.labels[n].constraint.strip() for n in label}
        context = dict(material.context or {})
        if context and self.params.requirements:
            entry["requirements"] = requirements(self.spec, context)
            context.pop("attributes", None)
            if self.spec.per_slot:
                context.clear()
        if context:
            entry["context"] = context
        extra = {k: v for k, v in (material.seed or {}).items() if k not in filled.given}
        if extra:
            entry["seed"] = extra
        if filled.given:
            entry["given"] = filled.given
        if filled.answer is not None:
            entry["answer"] = filled.answer
        return entry

    async def fill(self, numbers: range) -> None:
        """Fill slots by group, then retry each failed slot of the range alone."""
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

    async def _ask(self, groups: list[list[Filled]], again: int) -> None:
        """Ask for these slots, `candidates` times, and take what is valid."""
        turns = range(again * self.candidates, (again + 1) * self.candidates)
        requests = [self.request(group, turn) for group in groups for turn in turns]
        outcomes = await answers(self.step.model, requests)
        for place, group in enumerate(groups):
            mine = outcomes[place * len(turns) : (place + 1) * len(turns)]
            held = [numbered_items(outcome, "slot", len(group)) for outcome in mine]
            for number, filled in enumerate(group, 1):
                self.asked += len(mine)
                items = [items.get(number) for items in held]
                self._take(filled, list(zip(items, mine, strict=True)))

    def _take(self, filled: Filled, offered: list[tuple[dict[str, Any] | None, Outcome]]) -> None:
        """Keep the best valid candidate for a slot and record all results."""
        where: dict[str, Any] = {"slot": filled.slot.number, "intended_label": filled.slot.label}
        valid: list[tuple[dict[str, Any], Outcome]] = []
        for item, outcome in offered:
            if item is None:
                lost = missing_reason(outcome)
                filled.failures.append(rejection(*lost, None, outcome.request_id, **where))
                continue
            row, problem = self._row(filled, item)
            if problem is not None:
                lost = ("invalid", problem)
                filled.failures.append(rejection(*lost, item, outcome.request_id, **where))
                continue
            row["request_id"] = outcome.request_id
            valid.append((row, outcome))
        if not valid:
            return
        best = 0 if self.candidates == 1 else self._likeliest([o for _, o in valid])
        for place, (row, outcome) in enumerate(valid):
            if place != best:
                fields = {name: row[name] for name in self.spec.fields}
                detail = (
                    f"log-probability: mean {outcome.mean_logprob:.4f} a token, "
                    f"the one kept has {valid[best][1].mean_logprob:.4f}"
                )
                lost = ("outranked", detail)
                filled.failures.append(rejection(*lost, fields, outcome.request_id, **where))
        filled.rows = self._with_twin(valid[best][0])

    def _likeliest(self, outcomes: list[Outcome]) -> int:
        """Return the place of the highest mean log-probability; the first of equals.

        Raises:
            StepError: an answer came without log-probabilities.
        """
        scores = [outcome.mean_logprob for outcome in outcomes]
        known = [score for score in scores if score is not None]
        if len(known) < len(scores):
            raise StepError(no_logprobs(self.spec.name))
        return scores.index(max(known))

    def _row(self, filled: Filled, item: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
        spec = self.spec
        values = {
            name: filled.given.get(name, item.get(name))
            for name, spec_field in spec.fields.items()
            if not spec_field.derived
        }
        label: Any = filled.slot.label
        if spec.answer.kind == "span":
            label = filled.answer if filled.answer is not None else item.get("answer")
        problem = empty_field(needed(values, spec)) or too_long(values, spec)
        problem = problem or first_violation(values, spec.validators, language=spec.language)
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
            r["instance_id"] = ids.instance_id(
                self.spec.name, r["slot"], r["intended_label"], content
            )
        return rows

    def unique(self, opened: int) -> tuple[list[Filled], set[int]]:
        """Return the filled slots below `opened` without exact duplicates, and the duplicates.

        The first in slot order stays, whatever the number of rows wanted.
        """
        seen: set[str] = set()
        kept: list[Filled] = []
        doubles: set[int] = set()
        for number in range(opened):
            filled = self.slots[number]
            if not filled.rows:
                continue
            fields = [n for n, f in self.spec.fields.items() if not f.derived]
            key = text_key({name: filled.rows[0][name] for name in fields})
            if key in seen:
                doubles.add(number)
            else:
                seen.add(key)
                kept.append(filled)
        return kept, doubles


def no_logprobs(task: str) -> str:
    """Return the error message for an endpoint without log-probabilities."""
    return (
        f"{task}: the recipe chooses rows by their log-probabilities, and the endpoint gives none; "
        "use an endpoint that returns `logprobs`, or set `steps: {instances: {operator: "
        "label_constrained}}` in the task"
    )


async def fill_slots(work: Filling) -> StepResult:
    """Fill the slots of the plan until there are enough different rows.

    Later slots are opened for those given up or double: as many as have seeds or contexts of their
    own, or, without, up to twice as many as are wanted.

    Raises:
        StepError: not one of the first slots could be filled, or fewer than half of the rows.
    """
    spec = work.spec
    wanted, limit = spec.slots_wanted, work.limit
    opened = min(wanted, PILOT)
    await work.fill(range(opened))
    kept, doubles = work.unique(opened)
    if not kept:
        raise StepError(_failure(work, opened, 0), _failures(work))
    while len(kept) < wanted and opened < limit:
        more = min(max(wanted - len(kept), wanted - opened), limit - opened)
        await work.fill(range(opened, opened + more))
        opened += more
        kept, doubles = work.unique(opened)
    if len(kept) * spec.unit * 2 < spec.wanted_rows:
        raise StepError(_failure(work, opened, len(kept)), _failures(work))
    return _result(work, kept[:wanted], doubles, wanted)


def _failures(work: Filling) -> list[dict[str, Any]]:
    return [failure for number in sorted(work.slots) for failure in work.slots[number].failures]


def _failure(work: Filling, opened: int, kept: int) -> str:
    details = [f["detail"] for filled in work.slots.values() for f in filled.failures]
    first = details[0] if details else "every instance is the same"
    return (
        f"{kept} of {opened} instances were accepted after "
        f"{work.params.retries} retries each; rejected by: {tally(details) or 'duplicate'}; "
        f"first: {first}. A stronger model may do better; earlier tables stand"
    )


def _result(work: Filling, kept: list[Filled], doubles: set[int], wanted: int) -> StepResult:
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
