"""Operator `bootstrap` (Self-Instruct): rows grown from examples in rounds."""

import re
import string
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

from pydantic import Field

from targen.errors import StepError
from targen.hashing import rng
from targen.llm.types import Outcome, Request
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
from targen.operators.novelty import Pool
from targen.operators.plan import Plan
from targen.operators.requests import answered, make_request, task_block
from targen.prompts.render import items_schema, messages
from targen.steps import INSTANCES
from targen.tasks.answers import ONE_LABEL
from targen.tasks.registry import operator
from targen.tasks.spec import TaskSpec
from targen.tasks.validators import fold

PROMPT = "instances/bootstrap.md"
KEYWORDS: Final = (
    "image",
    "images",
    "graph",
    "graphs",
    "picture",
    "pictures",
    "file",
    "files",
    "map",
    "maps",
    "draw",
    "plot",
    "go to",
)
"""Words of instructions that a language model cannot carry out, from the published code."""


class BootstrapParams(LLMParams):
    """Parameters of `bootstrap`.

    The defaults are the published values, except the sampling, which was chosen for a base model:
    temperature 0.7, top-p 0.5, presence penalty 2.
    """

    human: int = Field(default=6, ge=1)
    """number of human-made examples in a prompt; they also replace machine-made examples while
    there are too few."""
    machine: int = Field(default=2, ge=0)
    """number of rows of earlier rounds in a prompt."""
    per_call: int = Field(default=7, ge=1)
    """rows requested per call; the published prompt shows tasks 1 to 8 and stops before task 16."""
    prompts: int = Field(default=5, ge=1)
    """calls per round; all calls of a round draw examples from earlier rounds."""
    threshold: float = Field(default=0.7, gt=0, le=1)
    """a row is rejected if its ROUGE-L F with any earlier row is above this."""
    field: str | None = None
    """the field to compare and filter; by default the task's first text field."""
    field_order: dict[str, list[str]] = Field(default_factory=dict)
    """value of a planned field -> the order in which a row's fields are written; values that the
    task does not plan are ignored."""
    min_words: int = Field(default=4, ge=1)
    """bounds for `field`; the paper uses more than 3 and at most 150."""
    max_words: int = Field(default=150, ge=1)
    """bounds for `field`; the paper uses more than 3 and at most 150."""
    keywords: list[str] = Field(default_factory=lambda: list(KEYWORDS))
    """words that `field` must not contain."""
    ascii_start: bool = True
    """`field` must begin with an ASCII character; turn it off for other languages."""
    stalls: int = Field(default=3, ge=1)
    """the step ends after this many consecutive rounds without a new row."""


def text_filter(text: str, params: BootstrapParams) -> str | None:
    """Return why an instruction is rejected, None if it passes.

    Source: `post_process_gpt3_response` in github.com/yizhongw/self-instruct,
    self_instruct/bootstrap_instructions.py.
    """
    words = len(text.split())
    if not params.min_words <= words <= params.max_words:
        return f"length: {words} words, not {params.min_words} to {params.max_words}"
    for keyword in params.keywords:
        if re.search(rf"\b{re.escape(keyword)}\b", text, re.IGNORECASE):
            return f"keyword: it speaks of '{keyword}'"
    if text.casefold().startswith("write a program"):
        return "program: it asks for a program"
    if text[0] in string.punctuation:
        return "punctuation: it begins with punctuation"
    if params.ascii_start and not text[0].isascii():
        return "not_english: it begins with a letter that English does not have"
    return None


def row_filter(others: Mapping[str, str]) -> str | None:
    """Return why the other texts of a row are rejected, None if they pass.

    Source: `filter_invalid_instances` in github.com/yizhongw/self-instruct,
    self_instruct/prepare_for_finetuning.py.
    """
    for (first, a), (second, b) in combinations(others.items(), 2):
        if a.strip() and fold(a) == fold(b):
            return f"same: {first} and {second} are the same"
    for name, value in others.items():
        if value.strip().endswith(":"):
            return f"colon: {name} ends with a colon, so something is missing"
    return None


@dataclass(frozen=True)
class _Prompt:
    """The content of one call.

    Attributes:
        number: number of the call in the run, from 0.
        first: the human-made example that determines label and planned values.
        shown: all examples, in the prompt's order.
        planned: planned field -> value, for all rows of the call.
    """

    number: int
    label: str | None
    first: Example
    shown: tuple[Example, ...]
    planned: Mapping[str, str]


class _Run:
    def __init__(self, step: StepInput, params: BootstrapParams) -> None:
        self.spec, self.params, self.model = step.spec, params, step.model
        self.field = params.field or _first_text(step.spec)
        self._check_names()
        self.accepted = AcceptedRows(step, "bootstrap")
        self._humans = human_examples(step)
        self._machines: list[Example] = []
        self._plan = Plan(step.spec, 1)
        self._pool = Pool(params.threshold)
        for example in self._humans:
            self._pool.add(str(example.fields.get(self.field, "")))
        self._texts = [str(example.fields.get(self.field, "")) for example in self._humans]

    def _check_names(self) -> None:
        values = {value for listed in self.spec.planned.values() for value in listed}
        orders = (order for value, order in self.params.field_order.items() if value in values)
        for name in (self.field, *(name for order in orders for name in order)):
            if name not in self.spec.fields:
                raise StepError(
                    f"bootstrap names a field '{name}', which the task does not have; "
                    "check `field` and `field_order` under `steps: instances:`"
                )

    async def round(self, number: int) -> bool:
        """Make the calls of a round until there are enough rows; return whether any row is new.

        Rows are accepted in the order of the calls, so stopping early does not change the rows.
        """
        counts = Counter(row["intended_label"] for row in self.accepted.rows)
        prompts = []
        for index in range(self.params.prompts):
            call = number * self.params.prompts + index
            label = self._label(call, index, counts)
            counts[label] += self.params.per_call
            prompts.append(self._drawn(call, label))
        grown: list[Example] = []
        at = 0
        while at < len(prompts) and self.accepted.missing > 0:
            part = prompts[at : at - (-self.accepted.missing // self.params.per_call)]
            at += len(part)
            async for prompt, outcome in answered(self.model, part, self._request):
                grown += self._take(prompt, outcome)
        self._machines += grown
        return bool(grown)

    def _label(self, call: int, index: int, counts: Mapping[str | None, int]) -> str | None:
        """Return the label of a call: alternately the rarest label and the planned label.

        Labels yield new rows at different rates. The rarest label balances them; the planned label
        keeps a label without new rows from blocking the others.
        """
        if self.spec.answer.kind not in ONE_LABEL:
            return None
        planned = str(self._plan.slot(call).label)
        if index % 2:
            return planned
        return min(self.spec.labels, key=lambda label: (counts[label], label != planned))

    def _drawn(self, call: int, label: str | None) -> _Prompt:
        draw = rng("bootstrap", self.spec.edition, call, label)
        of_label = [e for e in self._humans if label is None or e.label == label]
        if not of_label:
            raise StepError(
                f"no example has the label '{label}'; bootstrap needs at least one example, "
                "and preferably six, for each label in the task's `examples`"
            )
        first = draw.choice(of_label)
        planned = {name: str(first.fields[name]) for name in self.spec.planned}

        def alike(example: Example) -> bool:
            same = label is None or example.label == label
            return same and all(example.fields.get(n) == v for n, v in planned.items())

        machines = [example for example in self._machines if alike(example)]
        machines = draw.sample(machines, min(self.params.machine, len(machines)))
        humans = [example for example in of_label if alike(example) and example is not first]
        rest = self.params.human + self.params.machine - len(machines) - 1
        shown = [first, *draw.sample(humans, min(rest, len(humans))), *machines]
        return _Prompt(call, label, first, tuple(draw.sample(shown, len(shown))), planned)

    def _order(self, prompt: _Prompt) -> list[str]:
        for value in prompt.planned.values():
            if value in self.params.field_order:
                return written_fields(self.spec, self.params.field_order[value])
        return written_fields(self.spec)

    def _request(self, prompt: _Prompt) -> Request:
        spec, span = self.spec, self.spec.answer.kind == "span"
        names = self._order(prompt)
        block: dict[str, Any] = {"task": task_block(spec)}
        if prompt.label is not None:
            constraint = spec.labels[prompt.label].constraint.strip()
            block["label"] = {"name": prompt.label, "constraint": constraint}
        block["examples"] = [
            {name: example.fields.get(name) for name in names}
            | ({"answer": example.label} if span else {})
            for example in prompt.shown
        ]
        given = {"given": dict(prompt.planned)} if prompt.planned else {}
        block["slots"] = [{"slot": n} | given for n in range(1, self.params.per_call + 1)]
        properties = {"slot": {"type": "integer"}} | field_properties(spec, names)
        if span:
            properties["answer"] = {"type": "string"}
        params, words = self.params, words_of(spec, names)
        settings: dict[str, Any] = {
            "label": prompt.label is not None,
            "planned": bool(prompt.planned),
        }
        return make_request(
            bounded(params, params.per_call, len(properties), words, spec.language),
            messages(PROMPT, block, **settings),
            items_schema(properties, params.per_call),
            "instances",
            edition=spec.edition,
            sample=prompt.number,
        )

    def _take(self, prompt: _Prompt, outcome: Outcome) -> list[Example]:
        labels = [prompt.label] * self.params.per_call
        rows = (
            self._row(prompt, item, outcome) for _, item in self.accepted.items(outcome, labels)
        )
        return [row for row in rows if row is not None]

    def _row(self, prompt: _Prompt, item: dict[str, Any], outcome: Outcome) -> Example | None:
        spec, accepted = self.spec, self.accepted
        label = item.get("answer") if spec.answer.kind == "span" else prompt.label
        values = values_of(spec, item, prompt.planned)
        values[self.field] = " ".join(str(values[self.field] or "").split())
        problem = invalid(spec, values, label, outcome.request)
        problem = problem or text_filter(values[self.field], self.params)
        texts = [n for n, f in spec.fields.items() if f.type == "text" and n != self.field]
        problem = problem or row_filter({name: str(values.get(name) or "") for name in texts})
        if problem is not None:
            accepted.reject(reason_of(problem), problem, item, outcome, label)
            return None
        near = self._pool.nearest(values[self.field])
        if near is not None:
            detail = f"rouge_l: {near.score:.2f} with '{self._texts[near.index]}'"
            accepted.reject("duplicate", detail, item, outcome, label)
            return None
        row = accepted.add(values, label, prompt.shown, prompt.first.seed_id, outcome)
        if row is not None:
            self._pool.add(values[self.field])
            self._texts.append(values[self.field])
        return row


def _first_text(spec: TaskSpec) -> str:
    return next(name for name in written_fields(spec) if spec.fields[name].type == "text")


@operator(INSTANCES, "bootstrap", BootstrapParams, PROMPT)
async def bootstrap(step: StepInput, params: BootstrapParams) -> StepResult:
    """Grow rows in rounds from human-made examples and rows of earlier rounds.

    Each prompt shows examples with one label and one set of planned values and requests new rows
    with the same. The published code uses three prompts: for instructions, for whether they are
    classification tasks, and for inputs and outputs. Here one call writes whole rows, because the
    examples determine the kind. The rest is as published: 6 + 2 examples, the filters, ROUGE-L
    novelty against all accepted rows, and the field order (output first for classification,
    input first otherwise).

    Source: Wang et al., 2023, Self-Instruct, ACL, sections 2.2 and 3 and appendix A, and its
    code, github.com/yizhongw/self-instruct.

    Raises:
        StepError: the task has no example, its kind of answer is not supported, or fewer than half
            of the rows could be generated.
    """
    run = _Run(step, params)
    number = idle = 0
    while run.accepted.missing > 0 and idle < params.stalls:
        idle = 0 if await run.round(number) else idle + 1
        number += 1
    return run.accepted.result()
