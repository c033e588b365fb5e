"""Operator `example_growth`: rows grown from examples, level by level (data-creator)."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from pydantic import Field

from targen.errors import NoEmbeddingsError, StepError
from targen.hashing import rng
from targen.llm.types import LLM, Outcome, Request
from targen.operators.asking import answers, make_request, numbered_items, task_block
from targen.operators.base import LLMParams, StepInput, StepResult
from targen.operators.growing import (
    Example,
    Harvest,
    field_properties,
    human_examples,
    invalid,
    values_of,
    written_fields,
)
from targen.operators.plan import Plan, Slot
from targen.prompts.render import items_schema, messages
from targen.steps import INSTANCES
from targen.tasks.registry import operator
from targen.tasks.validators import fold

PROMPT = "instances/example_growth.md"
Strategy = Literal["naive", "random", "diverse", "similar", "tree"]


class GrowthParams(LLMParams):
    """Parameters of `example_growth`."""

    strategy: Strategy = "tree"
    """which example the next call shows. naive: always the formatting example; random, diverse,
    similar: a row of the last call, at random or the least or most like the example before it;
    tree: every row of the last level, breadth first."""
    per_call: int = Field(default=5, ge=1)
    """objects that one call asks for; 5 as published."""
    question: str = "question"
    """the field that must not come twice, and by which rows are alike."""
    depth: int = Field(default=6, ge=1)
    """levels of one tree; the next one begins at the formatting example again."""
    width: int = Field(default=100, ge=1)
    """rows of a level that are grown from, at most."""
    stalls: int = Field(default=5, ge=1)
    """how often in a row a call (of a tree: a whole tree) may bring nothing new before the step
    ends. The published code has no such bounds and can run for ever."""


@dataclass(frozen=True)
class _Call:
    """A planned call: its example, and how often that was shown before."""

    example: Example
    sample: int = 0


def likeness(first: str, second: str) -> float:
    """Return how alike two texts are, 0 to 1: the cosine of their character 3- to 5-grams.

    Counts are damped as 1 + log n. It stands in for sentence embeddings where the model gives
    none: it sees shared words and stems, not shared meaning, and it is the same everywhere.
    """
    a, b = _grams(first), _grams(second)
    product = sum(weight * b.get(gram, 0.0) for gram, weight in a.items())
    norms = math.sqrt(sum(w * w for w in a.values()) * sum(w * w for w in b.values()))
    return product / norms if norms else 0.0


@runtime_checkable
class Embedder(Protocol):
    """A model that can be asked for embeddings too; the same text must always give the same."""

    async def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return one vector per text, (texts, dimensions).

        Raises:
            NoEmbeddingsError: there are none.
        """
        ...


async def similarities(model: LLM, text: str, others: Sequence[str]) -> list[float]:
    """Return how alike a text is to each of the others: the cosine of their embeddings.

    The published code embeds with all-mpnet-base-v2. Where there are no embeddings, it is
    `likeness`. Rounded, so that the last digits of a sum decide nothing.
    """
    if not isinstance(model, Embedder):
        return [likeness(text, other) for other in others]
    try:
        vectors = await model.embed([text, *others])
    except NoEmbeddingsError:
        return [likeness(text, other) for other in others]
    lengths = np.maximum(np.linalg.norm(vectors, axis=1), 1e-12)
    cosines = vectors[1:] @ vectors[0] / (lengths[1:] * lengths[0])
    return [round(float(cosine), 9) for cosine in cosines]


def _grams(text: str) -> dict[str, float]:
    padded = f" {fold(text)} "
    counts = Counter(padded[i : i + n] for n in (3, 4, 5) for i in range(len(padded) - n + 1))
    return {gram: 1 + math.log(count) for gram, count in counts.items()}


class _Growth:
    """State of one run of the operator."""

    def __init__(self, step: StepInput, params: GrowthParams) -> None:
        spec = step.spec
        if params.question not in spec.fields:
            raise StepError(
                f"example_growth looks at the field '{params.question}', which the "
                "task does not have; name one of its fields in `steps: instances: question:`"
            )
        self.spec, self.params, self.model = spec, params, step.model
        self.harvest = Harvest(step, "example_growth")
        self.roots = human_examples(step)
        self._plan = Plan(spec, 1)
        self._questions = {fold(str(root.fields.get(params.question))) for root in self.roots}
        self._asked = 0

    def root(self, turn: int) -> _Call:
        """Return the call of a formatting example; several examples take turns."""
        round_, place = divmod(turn, len(self.roots))
        return _Call(self.roots[place], round_)

    def calls_needed(self) -> int:
        """Return the number of calls needed if every object becomes a row."""
        return -(-self.harvest.missing // self.params.per_call)

    async def ask(self, calls: Sequence[_Call]) -> list[list[Example]]:
        """Make calls concurrently; return the new rows of each, accepted in order."""
        k = self.params.per_call
        slots = []
        for _ in calls:
            slots.append([self._plan.slot(self._asked + n) for n in range(k)])
            self._asked += k
        requests = [self._request(c, s) for c, s in zip(calls, slots, strict=True)]
        outcomes = await answers(self.model, requests)
        return [self._take(*each) for each in zip(calls, slots, outcomes, strict=True)]

    def _request(self, call: _Call, slots: Sequence[Slot]) -> Request:
        spec, answer, params = self.spec, self.spec.answer, self.params
        names = written_fields(spec)
        label = {"label": {"type": "string", "enum": list(spec.labels)}} if spec.labels else {}
        fields = field_properties(spec, names)
        shown = {name: call.example.fields.get(name) for name in names}
        block: dict[str, Any] = {"task": task_block(spec)}
        if spec.labels:
            # The label first: the text is written for it, not judged after it.
            block["labels"] = {n: one.constraint.strip() for n, one in spec.labels.items()}
            shown = {"label": call.example.label} | shown
        if answer.kind == "span":
            count = len(call.example.fields[answer.choices or ""])
            fields[answer.choices or ""] |= {"minItems": count, "maxItems": count}
            fields["answer"] = {"type": "string"}
            shown["answer"] = call.example.label
        block["examples"] = [shown]
        block["slots"] = [
            {"slot": number}
            | ({"label": slot.label} if slot.label is not None else {})
            | ({"given": dict(slot.planned)} if slot.planned else {})
            for number, slot in enumerate(slots, 1)
        ]
        return make_request(
            params,
            messages(PROMPT, block, kind=answer.kind),
            items_schema({"slot": {"type": "integer"}} | label | fields, len(slots)),
            "instances",
            edition=spec.edition,
            sample=call.sample,
        )

    def _take(self, call: _Call, slots: Sequence[Slot], outcome: Outcome) -> list[Example]:
        """Return the valid rows of one answer."""
        items = numbered_items(outcome, "slot", len(slots))
        grown = []
        for number, slot in enumerate(slots, 1):
            item = items.get(number)
            if item is None:
                self.harvest.lose(outcome, slot.label if isinstance(slot.label, str) else None)
                continue
            row = self._row(call.example, slot, item, outcome)
            if row is not None:
                grown.append(row)
        return grown

    def _row(
        self, example: Example, slot: Slot, item: dict[str, Any], outcome: Outcome
    ) -> Example | None:
        spec, harvest = self.spec, self.harvest
        values = values_of(spec, item, slot.planned)
        label = item.get("label") if spec.labels else None
        choices = spec.answer.choices if spec.answer.kind == "span" else None
        if choices:
            label = item.get("answer")
        problem = self._problem(example, values, label)
        if problem is not None:
            harvest.reject("invalid", problem, item, outcome, label)
            return None
        question = fold(str(values[self.params.question]))
        if question in self._questions:
            detail = f"question: {self.params.question} stands in an earlier row"
            harvest.reject("duplicate", detail, item, outcome, label)
            return None
        if choices:
            # Models like to put the answer first; where it stands must not give it away.
            options = list(values[choices])
            order = rng("options", spec.edition, len(harvest.rows))
            values[choices] = order.sample(options, len(options))
        seed_id = example.seed_id
        row = harvest.add(values, label, [example], seed_id, outcome)
        if row is not None:
            self._questions.add(question)
        return row

    def _problem(self, example: Example, values: dict[str, Any], label: Any) -> str | None:
        spec = self.spec
        if spec.labels and label not in spec.labels:
            return "label: it is none of the task's"
        choices = spec.answer.choices if spec.answer.kind == "span" else None
        if choices:
            wanted = len(example.fields[choices])
            if len(values[choices] or []) != wanted:
                return f"option_count: {choices} must hold {wanted}"
        return invalid(spec, values, label)

    async def chosen(self, example: Example, grown: Sequence[Example]) -> Example:
        """Return the row that the next call of a chain shows."""
        if self.params.strategy == "random":
            return rng("example_growth", self.spec.edition, self._asked).choice(grown)
        name = self.params.question
        texts = [str(row.fields[name]) for row in grown]
        alike = await similarities(self.model, str(example.fields[name]), texts)
        best = min(alike) if self.params.strategy == "diverse" else max(alike)
        return grown[alike.index(best)]


async def _naive(work: _Growth) -> None:
    """Show the formatting example again and again, each time as a new sample."""
    turn = idle = 0
    while work.harvest.missing > 0 and idle < work.params.stalls:
        calls = [work.root(turn + n) for n in range(work.calls_needed())]
        turn += len(calls)
        for grown in await work.ask(calls):
            idle = 0 if grown else idle + 1


async def _chain(work: _Growth) -> None:
    """Show one row of each answer in the next call; where there is none, ask once more."""
    call, idle = work.root(0), 0
    while work.harvest.missing > 0 and idle < work.params.stalls:
        (grown,) = await work.ask([call])
        if grown:
            call, idle = _Call(await work.chosen(call.example, grown)), 0
        else:
            call, idle = _Call(call.example, call.sample + 1), idle + 1


async def _tree(work: _Growth) -> None:
    """Grow from every row of a level, breadth first; after the last level a new tree begins."""
    turn = idle = 0
    while work.harvest.missing > 0 and idle < work.params.stalls:
        before = len(work.harvest.rows)
        level = [work.root(turn)]
        for depth in range(work.params.depth):
            grown = await _level(work, level)
            if not grown or work.harvest.missing <= 0:
                break
            order = rng("tree", work.spec.edition, turn, depth)
            kept = order.sample(grown, min(len(grown), work.params.width))
            level = [_Call(example) for example in kept]
        idle = 0 if len(work.harvest.rows) > before else idle + 1
        turn += 1


async def _level(work: _Growth, level: Sequence[_Call]) -> list[Example]:
    """Ask the calls of a level, no more at a time than rows are wanted; return what grew.

    Rows are accepted in the order of the calls, so asking in parts gives the same as asking all.
    """
    grown: list[Example] = []
    at = 0
    while at < len(level) and work.harvest.missing > 0:
        part = level[at : at + work.calls_needed()]
        at += len(part)
        for rows in await work.ask(part):
            grown += rows
    return grown


@operator(INSTANCES, "example_growth", GrowthParams, PROMPT)
async def example_growth(step: StepInput, params: GrowthParams) -> StepResult:
    """Ask for objects like a formatting example, and then for objects like those.

    Where the task has labels, the options are fixed and the label comes first, so that the text
    is written for it; where each row has its own options, the answer comes last. Refused are
    objects with another number of options than the example's, an answer that is not among them,
    or a question that was there before.

    Source: Lee et al., 2023, Making Large Language Models Better Data Creators, EMNLP, section 3,
    and its code, github.com/microsoft/llm-data-creation.

    Raises:
        StepError: there is no example, the kind of task is not supported, or fewer than half of
            the wanted rows exist.
    """
    work = _Growth(step, params)
    walk = {"naive": _naive, "tree": _tree}.get(params.strategy, _chain)
    await walk(work)
    return work.harvest.result()
