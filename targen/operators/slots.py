"""Fills each slot of the plan with one valid instance."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import Field

from targen.errors import StepError
from targen.hashing import rng
from targen.lineage import ids
from targen.llm.types import Outcome, Request
from targen.operators.base import LLMParams, StepInput, StepResult
from targen.operators.bounds import (
    ENTITIES_WORDS,
    RATIONALE_CHARACTERS,
    RATIONALE_WORDS,
    bounded,
    words_of,
)
from targen.operators.content import content_problem, reason_of
from targen.operators.entries import Entries, SlotState, in_order
from targen.operators.item_checks import (
    beginnings,
    same_texts,
    too_many_characters,
    unrelated,
    wrong_about,
)
from targen.operators.plan import Plan, Slot
from targen.operators.requests import (
    answered,
    make_request,
    missing_item,
    numbered_items,
    rejected_row,
    rejection,
    row_key,
    tally,
    task_block,
)
from targen.operators.sources import SourcePlan, first_contexts
from targen.operators.ways import WayPlan
from targen.prompts.render import (
    entities_schema,
    field_schema,
    items_schema,
    messages,
    prompt_for,
)
from targen.steps import CONTEXTS, LABEL, SEEDS
from targen.tasks import entities
from targen.tasks.guards import label_texts
from targen.tasks.validators import first_problem, swap_gender

_ABOUT_WORDS: Final = 10

PILOT: Final = 40
"""Number of slots to try first; the step fails if none of them can be filled."""


class FillParams(LLMParams):
    """Parameters of every operator that fills slots."""

    per_call: int = Field(default=5, ge=1)
    """number of slots per call, all with the same label."""
    retries: int = Field(default=3, ge=0)
    """how often a failed slot is requested again, in a call of its own."""
    rationale: bool = False
    """request reasons before the fields; stored in the column `rationale`."""
    requirements: bool = False
    """show the values drawn for a slot as numbered requirements."""
    shots: int = Field(default=0, ge=0)
    """number of the task's `examples` to show, those of the same label first."""


class SlotFiller:
    """Fills the slots of one task.

    Args:
        step: task, tables and model.
        params: the operator's parameters.
        prompt: name of the prompt template.
        candidates: answers requested per call. Each slot keeps the valid candidate with the highest
            mean log-probability.
        difficulty: whether the plan assigns a difficulty to each slot.
    """

    def __init__(
        self,
        step: StepInput,
        params: FillParams,
        prompt: str,
        candidates: int = 1,
        difficulty: bool = False,
    ) -> None:
        self.step, self.spec, self.params = step, step.spec, params
        self.prompt = prompt_for(prompt, step.spec.answer.kind)
        self.candidates = candidates
        self.plan = Plan(step.spec, params.per_call)
        tables = step.tables
        self.sources = SourcePlan(
            tables[CONTEXTS], tables[SEEDS], step.spec.per_slot, first_contexts(step.spec)
        )
        self.ways = WayPlan(step.spec, self.plan, difficulty)
        self._entries: dict[tuple[Any, ...], Entries] = {}
        self.slots: dict[int, SlotState] = {}
        self.asked = 0

    def _entries_of(self, state: SlotState) -> Entries:
        """Return the parts of prompts for slots like this one."""
        # Slots of the plan that have no seed have the keys of the others.
        rewritten = state.target_id is not None and not state.sources.seed_id
        context, must = state.sources.context is not None, bool(state.must)
        planned = state.manner.difficulty is not None
        kind = (rewritten, context, planned, must) if state.target_id else ()
        if kind not in self._entries:
            plan = state.target_id is None
            self._entries[kind] = Entries(
                self.spec,
                as_requirements=self.params.requirements,
                shots=self.params.shots,
                first=self.sources[0] if plan else state.sources,
                seeded=self.sources.seeded and not rewritten,
                manner=self.ways.of(self.plan.slot(0)) if plan else state.manner,
                must=must,
            )
        return self._entries[kind]

    def keys_of(self, state: SlotState) -> frozenset[str]:
        """Return the keys that the prompt of a slot explains."""
        return self._entries_of(state).keys

    @property
    def limit(self) -> int:
        """Maximum number of slots to open. Only slots with their own seed or context are opened."""
        if self.sources.seeded or self.spec.per_slot:
            return self.spec.slots_at_most
        return 2 * self.spec.slots_wanted + PILOT

    def _opened(self, slot: Slot) -> SlotState:
        sources = self.sources[slot.number]
        seed = in_order(self.spec, sources.seed or {})
        given = {n: seed[n] for n in self.spec.seed_fields if n in seed} | dict(slot.planned)
        answer = None
        choices = self.spec.answer.choices
        if choices and given.get(choices):
            # Drawn here, because models prefer some positions.
            options = given[choices]
            answer = options[rng("answer", self.spec.edition, slot.number).randrange(len(options))]
        rest = {name: value for name, value in seed.items() if name not in given}
        return SlotState(slot, sources, given, rest, answer, self.ways.of(slot), origin=slot.number)

    def _properties(self, state: SlotState, about: bool) -> dict[str, Any]:
        """Return the properties of one item in the answer schema."""
        properties: dict[str, Any] = {"slot": {"type": "integer"}}
        if about:
            properties["about"] = {"type": "string"}
        if self.params.rationale:
            properties["rationale"] = {"type": "string"}
        for name, spec_field in self.spec.fields.items():
            if name not in state.given and not spec_field.derived:
                properties[name] = field_schema(
                    spec_field.type, spec_field.values, optional=spec_field.optional
                )
        if self.spec.answer.kind == "span" and state.answer is None:
            properties["answer"] = {"type": "string"}
        if self.spec.answer.kind == "spans":
            properties["entities"] = entities_schema(list(self.spec.labels))
        return properties

    def request(self, group: list[SlotState], turn: int) -> Request:
        """Return the call that fills slots of one label."""
        label, params = group[0].slot.label, self.params
        entries = self._entries_of(group[0])
        block: dict[str, Any] = {"task": task_block(self.spec, group[0].given)}
        parts: dict[str, Any] = {"label": entries.label(label), "examples": entries.examples(label)}
        parts["must"] = list(group[0].must)
        block |= {name: part for name, part in parts.items() if part}
        # One slot cannot be mixed up with another.
        begin = beginnings([state.texts(self.spec) if len(group) > 1 else "" for state in group])
        about = any(begin)
        block["slots"] = [
            entries.entry(n, state, text)
            for n, (state, text) in enumerate(zip(group, begin, strict=True), 1)
        ]
        properties = self._properties(group[0], about)
        # Without another sample number, a reused context and seed would get the same answer.
        turns = self.candidates * (params.retries + 1)
        prompt = messages(
            self.prompt,
            block,
            params.style,
            keys=entries.keys,
            about=about,
            rationale=params.rationale,
            **entries.settings,
        )
        return make_request(
            self._limited(list(properties), len(group)),
            prompt,
            items_schema(properties, len(group)),
            "instances",
            edition=self.spec.edition,
            sample=group[0].sources.again * turns + turn,
        )

    def _limited(self, names: list[str], count: int) -> FillParams:
        """Return the parameters with the output tokens that `count` items of these names need."""
        written = [n for n in names if n in self.spec.fields or n == "answer"]
        words = words_of(self.spec, written)
        words += RATIONALE_WORDS if "rationale" in names else 0
        words += _ABOUT_WORDS if "about" in names else 0
        words += ENTITIES_WORDS if "entities" in names else 0
        return bounded(self.params, count, len(names), words, self.spec.language)

    def probe(self) -> Request:
        """Return the first call, to test the endpoint's capabilities."""
        group = self.plan.groups(range(1))[0]
        return self.request([self._opened(slot) for slot in group.slots], 0)

    async def fill(self, numbers: range) -> None:
        """Fill slots by group, then retry each failed slot of the range alone."""
        groups = [
            [self._opened(slot) for slot in group.slots]
            for group in self.plan.groups(numbers)
            if group.slots[0].number not in self.slots
        ]
        for group in groups:
            self.slots.update({state.slot.number: state for state in group})
        await self.ask(groups, 0)
        for attempt in range(1, self.params.retries + 1):
            failed = [[self.slots[n]] for n in numbers if not self.slots[n].rows]
            await self.ask(failed, attempt)
        for number in numbers:
            state = self.slots[number]
            if not state.rows:
                state.give_up()

    async def ask(self, groups: list[list[SlotState]], attempt: int) -> None:
        """Request `candidates` answers per group and keep the valid items."""
        turns = range(attempt * self.candidates, (attempt + 1) * self.candidates)
        calls = [(group, turn) for group in groups for turn in turns]
        of_group: list[Outcome] = []
        async for (group, turn), outcome in answered(
            self.step.model, calls, lambda call: self.request(*call)
        ):
            of_group.append(outcome)
            if turn != turns[-1]:
                continue
            items = [numbered_items(one, "slot", len(group)) for one in of_group]
            for number, state in enumerate(group, 1):
                self.asked += len(of_group)
                offered = [found.get(number) for found in items]
                offers = list(zip(offered, of_group, strict=True))
                self._take(state, offers, group)
            of_group = []

    def _take(
        self,
        state: SlotState,
        offered: list[tuple[dict[str, Any] | None, Outcome]],
        group: list[SlotState],
    ) -> None:
        """Keep the best valid candidate for a slot and record the rejected ones."""
        columns: dict[str, Any] = {"slot": state.slot.number, "intended_label": state.slot.label}
        valid: list[tuple[dict[str, Any], Outcome]] = []
        for item, outcome in offered:
            if item is None:
                state.failures.append(missing_item(outcome, **columns))
                continue
            misplaced = self._misplaced(state, item, group)
            if misplaced is not None:
                failure = rejection("mismatched", misplaced, item, outcome.request_id, **columns)
                state.failures.append(failure)
                continue
            row, problem = self._row(state, item, outcome)
            reason = None if problem is None else reason_of(problem)
            if problem is None:
                problem, reason = self._off_target(state, row), "off_target"
            if problem is not None and reason is not None:
                failure = rejection(reason, problem, item, outcome.request_id, **columns)
                state.failures.append(failure)
                continue
            row["request_id"] = outcome.request_id
            valid.append((row, outcome))
        if not valid:
            return
        best = 0 if self.candidates == 1 else self._likeliest([o for _, o in valid])
        for index, (row, outcome) in enumerate(valid):
            if index != best:
                detail = (
                    f"log-probability: mean {outcome.mean_logprob:.4f} a token, "
                    f"the one kept has {valid[best][1].mean_logprob:.4f}"
                )
                fields = self.spec.content(row)
                failure = rejection("outranked", detail, fields, outcome.request_id, **columns)
                state.failures.append(failure)
        state.rows = self._with_twin(valid[best][0])

    def _misplaced(
        self, state: SlotState, item: dict[str, Any], group: list[SlotState]
    ) -> str | None:
        """Return the problem if an item seems to answer another slot of its call.

        Such an item is asked for again alone. It is never paired with the other slot, because the
        model may have mixed the two.
        """
        if len(group) == 1:
            return None
        number = group.index(state)
        texts = [one.texts(self.spec) for one in group]
        about = item.get("about")
        problem = None if about is None else wrong_about(str(about), number, texts)
        own = (v for n, v in item.items() if n in self.spec.fields and n not in state.given)
        return problem or unrelated(" ".join(map(str, own)), number, texts)

    def _off_target(self, state: SlotState, row: Mapping[str, Any]) -> str | None:
        """Return how a row breaks the demands of its own target, None if it does not.

        Those of other targets are in the prompt, too, but a row that breaks them still helps.
        """
        written = {n: row[n] for n in self.spec.fields if n not in state.given}
        own = (one.problem(written) for one in state.demands if one.own)
        return next((problem for problem in own if problem), None)

    def _likeliest(self, outcomes: list[Outcome]) -> int:
        """Return the index of the highest mean log-probability, the first if several are equal.

        Raises:
            StepError: an answer has no log-probabilities.
        """
        scores = [outcome.mean_logprob for outcome in outcomes]
        known = [score for score in scores if score is not None]
        if len(known) < len(scores):
            raise StepError(no_logprobs(self.spec.name))
        return scores.index(max(known))

    def _row(
        self, state: SlotState, item: dict[str, Any], outcome: Outcome
    ) -> tuple[dict[str, Any], str | None]:
        """Return the row of an item, and the problem that makes it invalid."""
        spec = self.spec
        values = {
            name: state.given.get(name, item.get(name))
            for name, spec_field in spec.fields.items()
            if not spec_field.derived
        }
        label: Any = state.slot.label
        if spec.answer.kind == "span":
            label = state.answer if state.answer is not None else item.get("answer")
        unlisted: str | None = None
        if spec.answer.kind == "spans":
            label, unlisted = self._entities(label, values, item)
        written = {n: v for n, v in values.items() if n not in state.given}
        context = state.sources.context or {}
        planned = {**context.get("attributes", {}), **(state.sources.seed or {}), LABEL: label}
        problem = first_problem(values, spec, planned=planned) or content_problem(
            written,
            spec,
            outcome.request,
            label_texts(spec),
            [example.fields for example in spec.examples],
            spec.labels,
        )
        if problem is None:
            problem = same_texts(values, spec) or too_many_characters(written, spec)
        if problem is None and spec.answer.kind == "span":
            options = values[spec.answer.choices or ""] or []
            if label not in options:
                problem = f"answer: it is not among {spec.answer.choices}"
        problem = problem or unlisted
        fields = {name: values.get(name) for name in spec.fields}
        row: dict[str, Any] = {
            "slot": state.slot.number,
            "seed_id": state.sources.seed_id,
            "context_id": state.sources.context_id,
            "parent_ids": [],
            "depth": 0,
            "intended_label": label,
            **fields,
            **state.manner.columns(),
            "target_id": state.target_id,
            "rationale": _shortened(item.get("rationale")) if self.params.rationale else None,
        }
        return row, problem

    def _entities(
        self, planned: Any, values: Mapping[str, Any], item: Mapping[str, Any]
    ) -> tuple[list[str], str | None]:
        """Return the entities that an item lists, and the problem that makes it invalid.

        Every planned type must be among them; others may be, since a text can need them.
        """
        text = str(values[self.spec.answer.text or ""] or "")
        label, problem = entities.written(item.get("entities"), text, list(self.spec.labels))
        lacking = set(planned or ()) - {entities.parts(one)[0] for one in label}
        if problem is None and lacking:
            problem = f"none has the type {min(lacking)}, which was planned"
        return label, None if problem is None else f"entities: {problem}"

    def _with_twin(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the row, and its twin if the task has twins, with their ids."""
        twin = self.spec.twin
        rows = [row]
        if twin is not None:
            swapped = {name: swap_gender(row[name]) for name in twin.fields}
            rows = [{**r, twin.id_field: row["slot"]} for r in (row, {**row, **swapped})]
        for r in rows:
            r["instance_id"] = ids.instance_id(
                self.spec.name, r["slot"], r["intended_label"], self.spec.content(r)
            )
        return rows

    def unique(self, opened: int) -> tuple[list[SlotState], set[int]]:
        """Return the filled slots below `opened` without exact duplicates, and the duplicates.

        Of equal slots the first is kept, so a larger data set keeps the rows of a smaller one.
        """
        seen: set[str] = set()
        unique: list[SlotState] = []
        duplicates: set[int] = set()
        for number in range(opened):
            state = self.slots[number]
            if not state.rows:
                continue
            key = row_key(self.spec, state.rows[0])
            if key in seen:
                duplicates.add(number)
            else:
                seen.add(key)
                unique.append(state)
        return unique, duplicates

    async def run(self) -> StepResult:
        """Fill slots until there are enough distinct rows.

        Further slots replace those that failed or are duplicates, up to `limit`.

        Raises:
            StepError: none of the first slots could be filled, or fewer than half of the rows.
        """
        spec = self.spec
        wanted, limit = spec.slots_wanted, self.limit
        opened = min(wanted, PILOT)
        await self.fill(range(opened))
        unique, duplicates = self.unique(opened)
        if not unique:
            raise self._too_few(opened, 0)
        while len(unique) < wanted and opened < limit:
            more = min(max(wanted - len(unique), wanted - opened), limit - opened)
            await self.fill(range(opened, opened + more))
            opened += more
            unique, duplicates = self.unique(opened)
        if len(unique) * spec.unit * 2 < spec.wanted_rows:
            raise self._too_few(opened, len(unique))
        return self._result(unique[:wanted], duplicates)

    def _too_few(self, opened: int, accepted: int) -> StepError:
        failures = [f for number in sorted(self.slots) for f in self.slots[number].failures]
        details = [failure["detail"] for state in self.slots.values() for failure in state.failures]
        return StepError(
            f"{accepted} of {opened} instances were accepted after {self.params.retries} retries "
            f"each; rejected by: {tally(details) or 'duplicate'}; first: "
            f"{details[0] if details else 'all instances are the same'}. Try a stronger model; "
            "the tables of earlier steps are kept",
            failures,
        )

    def _result(self, chosen: list[SlotState], duplicates: set[int]) -> StepResult:
        result = StepResult(asked=self.asked)
        numbers = {state.slot.number for state in chosen}
        for number in sorted(self.slots):
            state = self.slots[number]
            result.rejected += state.failures
            if number in numbers:
                result.rows += state.rows
            elif state.rows:
                reason, detail = "surplus", "not needed for the rows wanted; growing takes it back"
                if number in duplicates:
                    reason, detail = "duplicate", "an earlier slot has the same text"
                result.rejected.append(rejected_row(self.spec, state.rows[0], reason, detail))
        unit, wanted = self.spec.unit, self.spec.slots_wanted
        if len(chosen) < wanted:
            result.warnings.append(
                f"only {len(chosen) * unit} of {wanted * unit} instances could be generated"
            )
        return result


def _shortened(rationale: Any) -> str | None:
    return None if rationale is None else str(rationale)[:RATIONALE_CHARACTERS]


def no_logprobs(task: str) -> str:
    """Return the error message for an endpoint without log-probabilities."""
    return (
        f"{task}: the recipe selects rows by log-probability, but the endpoint returns none; "
        "use an endpoint that returns `logprobs`, or set `steps: {instances: {operator: "
        "label_constrained}}` in the task"
    )
