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
from targen.operators.accepted_rows import (
    AcceptedRows,
    Example,
    field_properties,
    human_examples,
    invalid,
    values_of,
    written_fields,
)
from targen.operators.base import LLMParams, StepInput, StepResult
from targen.operators.bounds import bounded, words_of
from targen.operators.content import reason_of
from targen.operators.plan import Plan, Slot
from targen.operators.requests import answers, make_request, task_block
from targen.prompts.render import items_schema, messages
from targen.steps import INSTANCES
from targen.tasks.registry import operator
from targen.tasks.validators import fold

PROMPT = "instances/example_growth.md"
Strategy = Literal["naive", "random", "diverse", "similar", "tree"]


class GrowthParams(LLMParams):
    """Parameters of `example_growth`."""

    task: Literal["shown", "hidden"] = "shown"
    """hidden: the prompt has the example, the names of the labels and the slots, as in the paper;
    no title, description, description of fields or constraint. shown: the prompt has these too."""
    strategy: Strategy = "tree"
    """which example the next call shows. naive: always the formatting example; random: a random row
    of the last call; diverse, similar: the row of the last call that is least or most similar to
    its example; tree: every row of the last level, breadth first."""
    per_call: int = Field(default=5, ge=1)
    """rows requested per call; 5 in the paper."""
    question: str = "question"
    """the field whose values must be unique, and that `diverse` and `similar` compare."""
    depth: int = Field(default=6, ge=1)
    """levels of one tree; the next tree starts at the formatting example again."""
    width: int = Field(default=100, ge=1)
    """maximum number of rows per level to grow from."""
    stalls: int = Field(default=5, ge=1)
    """the step ends after this many consecutive calls (trees, for `tree`) without a new row. The
    published code has no such bound and can run forever."""


@dataclass(frozen=True)
class _Call:
    """A planned call: its example, and how often earlier calls showed it."""

    example: Example
    sample: int = 0


def likeness(first: str, second: str) -> float:
    """Return the similarity of two texts, 0 to 1: the cosine of their character 3- to 5-grams.

    A count n has weight 1 + log n. This replaces sentence embeddings if the model provides none. It
    measures shared words and stems, not shared meaning.
    """
    a, b = _grams(first), _grams(second)
    product = sum(weight * b.get(gram, 0.0) for gram, weight in a.items())
    norms = math.sqrt(sum(w * w for w in a.values()) * sum(w * w for w in b.values()))
    return product / norms if norms else 0.0


@runtime_checkable
class Embedder(Protocol):
    """A model that also computes embeddings; equal texts must have equal embeddings."""

    async def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return one vector per text, (texts, dimensions).

        Raises:
            NoEmbeddingsError: the endpoint provides no embeddings.
        """
        ...


async def similarities(model: LLM, text: str, others: Sequence[str]) -> list[float]:
    """Return the similarity of a text to each of the others: the cosine of their embeddings.

    The published code uses all-mpnet-base-v2. Without embeddings, the similarity is `likeness`.
    Cosines are rounded to 9 digits, so that floating-point noise does not decide a comparison.
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


class _Run:
    def __init__(self, step: StepInput, params: GrowthParams) -> None:
        spec = step.spec
        if params.question not in spec.fields:
            raise StepError(
                f"example_growth compares the field '{params.question}', which the task does not "
                "have; set `question` under `steps: instances:` to one of the task's fields"
            )
        self.spec, self.params, self.model = spec, params, step.model
        self.accepted = AcceptedRows(step, "example_growth")
        self.roots = human_examples(step)
        self._plan = Plan(spec, 1)
        self._questions = {fold(str(root.fields.get(params.question))) for root in self.roots}
        self._asked = 0

    def root(self, turn: int) -> _Call:
        """Return the call of a formatting example; several examples take turns."""
        sample, index = divmod(turn, len(self.roots))
        return _Call(self.roots[index], sample)

    def calls_needed(self) -> int:
        """Return the number of calls needed if every requested row is accepted."""
        return -(-self.accepted.missing // self.params.per_call)

    async def ask(self, calls: Sequence[_Call]) -> list[list[Example]]:
        """Make calls concurrently; return the new rows of each call."""
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
        names, task_shown = written_fields(spec), self.params.task == "shown"
        label = {"label": {"type": "string", "enum": list(spec.labels)}} if spec.labels else {}
        fields = field_properties(spec, names)
        shown = {name: call.example.fields.get(name) for name in names}
        block: dict[str, Any] = {"task": task_block(spec)} if task_shown else {}
        if spec.labels:
            constraints = {n: one.constraint.strip() for n, one in spec.labels.items()}
            block["labels"] = constraints if task_shown else list(constraints)
            # The label comes first, so that the text is written for it.
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
        properties = {"slot": {"type": "integer"}} | label | fields
        words = words_of(spec, names)
        return make_request(
            bounded(params, len(slots), len(properties), words, spec.language),
            messages(PROMPT, block, kind=answer.kind, shown=task_shown, planned=bool(spec.planned)),
            items_schema(properties, len(slots)),
            "instances",
            edition=spec.edition,
            sample=call.sample,
        )

    def _take(self, call: _Call, slots: Sequence[Slot], outcome: Outcome) -> list[Example]:
        """Return the valid rows of one answer."""
        labels = [slot.label if isinstance(slot.label, str) else None for slot in slots]
        rows = (
            self._row(call.example, slots[index], item, outcome)
            for index, item in self.accepted.items(outcome, labels)
        )
        return [row for row in rows if row is not None]

    def _row(
        self, example: Example, slot: Slot, item: dict[str, Any], outcome: Outcome
    ) -> Example | None:
        spec, accepted = self.spec, self.accepted
        values = values_of(spec, item, slot.planned)
        label = item.get("label") if spec.labels else None
        choices = spec.answer.choices if spec.answer.kind == "span" else None
        if choices:
            label = item.get("answer")
        problem = self._problem(example, values, label, outcome.request)
        if problem is not None:
            accepted.reject(reason_of(problem), problem, item, outcome, label)
            return None
        question = fold(str(values[self.params.question]))
        if question in self._questions:
            detail = f"question: {self.params.question} stands in an earlier row"
            accepted.reject("duplicate", detail, item, outcome, label)
            return None
        if choices:
            # Models tend to put the answer first; its position must not reveal it.
            options = list(values[choices])
            order = rng("options", spec.edition, len(accepted.rows))
            values[choices] = order.sample(options, len(options))
        row = accepted.add(values, label, [example], example.seed_id, outcome)
        if row is not None:
            self._questions.add(question)
        return row

    def _problem(
        self, example: Example, values: dict[str, Any], label: Any, request: Request
    ) -> str | None:
        spec = self.spec
        if spec.labels and label not in spec.labels:
            return "label: the task has no such label"
        choices = spec.answer.choices if spec.answer.kind == "span" else None
        if choices:
            wanted = len(example.fields[choices])
            if len(values[choices] or []) != wanted:
                return f"option_count: {choices} must hold {wanted}"
        return invalid(spec, values, label, request)

    async def chosen(self, example: Example, grown: Sequence[Example]) -> Example:
        """Return the row that the next call of a chain shows."""
        if self.params.strategy == "random":
            return rng("example_growth", self.spec.edition, self._asked).choice(grown)
        name = self.params.question
        texts = [str(row.fields[name]) for row in grown]
        alike = await similarities(self.model, str(example.fields[name]), texts)
        best = min(alike) if self.params.strategy == "diverse" else max(alike)
        return grown[alike.index(best)]


async def _naive(run: _Run) -> None:
    """Show the formatting example in every call, each time as a new sample."""
    turn = idle = 0
    while run.accepted.missing > 0 and idle < run.params.stalls:
        calls = [run.root(turn + n) for n in range(run.calls_needed())]
        turn += len(calls)
        for grown in await run.ask(calls):
            idle = 0 if grown else idle + 1


async def _chain(run: _Run) -> None:
    """Show one row of each answer in the next call; repeat a call without a new row."""
    call, idle = run.root(0), 0
    while run.accepted.missing > 0 and idle < run.params.stalls:
        (grown,) = await run.ask([call])
        if grown:
            call, idle = _Call(await run.chosen(call.example, grown)), 0
        else:
            call, idle = _Call(call.example, call.sample + 1), idle + 1


async def _tree(run: _Run) -> None:
    """Grow from every row of a level, breadth first; start a new tree after the last level."""
    turn = idle = 0
    while run.accepted.missing > 0 and idle < run.params.stalls:
        before = len(run.accepted.rows)
        level = [run.root(turn)]
        for depth in range(run.params.depth):
            grown = await _level(run, level)
            if not grown or run.accepted.missing <= 0:
                break
            order = rng("tree", run.spec.edition, turn, depth)
            kept = order.sample(grown, min(len(grown), run.params.width))
            level = [_Call(example) for example in kept]
        idle = 0 if len(run.accepted.rows) > before else idle + 1
        turn += 1


async def _level(run: _Run, level: Sequence[_Call]) -> list[Example]:
    """Make the calls of a level until there are enough rows; return the new rows.

    Rows are accepted in the order of the calls, so stopping early does not change the rows.
    """
    grown: list[Example] = []
    at = 0
    while at < len(level) and run.accepted.missing > 0:
        part = level[at : at + run.calls_needed()]
        at += len(part)
        for rows in await run.ask(part):
            grown += rows
    return grown


@operator(INSTANCES, "example_growth", GrowthParams, PROMPT)
async def example_growth(step: StepInput, params: GrowthParams) -> StepResult:
    """Request rows like a formatting example, and then rows like those.

    If the task has labels, the label comes first, so that the text is written for it. If each row
    has its own options, the answer comes last. A row is rejected if its number of options differs
    from the example's, its answer is not among them, or its question is not new.

    The published prompt (`prompt.py`) has one instruction and one example with the task's options.
    It says nothing else about the task, which is `task: hidden`.

    Source: Lee et al., 2023, Making Large Language Models Better Data Creators, EMNLP, section 3,
    and its code, github.com/microsoft/llm-data-creation.

    Raises:
        StepError: the task has no example, its kind of answer is not supported, or fewer than half
            of the rows could be generated.
    """
    run = _Run(step, params)
    grow = {"naive": _naive, "tree": _tree}.get(params.strategy, _chain)
    await grow(run)
    return run.accepted.result()
