"""Operators of seeds, the material that instances are generated from."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import Field

from targen.errors import StepError
from targen.lineage import ids
from targen.llm.types import Outcome, Request
from targen.operators.base import LLMParams, StepInput, StepResult
from targen.operators.bounds import bounded
from targen.operators.content import content_problem, reason_of
from targen.operators.plan import Plan, context_block, requirements
from targen.operators.requests import (
    answered,
    background,
    items_of,
    make_request,
    missing_item,
    rejection,
    tally,
    text_key,
)
from targen.prompts.render import field_schema, items_schema, messages
from targen.steps import CONTEXTS, LABELS, NONE_SEED_KIND, SEEDS
from targen.tasks.registry import operator
from targen.tasks.sections import Seeds
from targen.tasks.validators import empty_field, first_problem

EXPAND_PROMPT = "seeds/expand.md"

KIND: Final = "example"
LABEL: Final = "label"

_NAMED_WORDS: Final = re.compile(r"(\d+) words")
_WORDS_AT_MOST: Final = {"word": 5, "tuple": 40, "sentence": 50, "passage": 150, "example": 150}
"""Words of one field, by kind of seed; the limit of an answer's length follows from it."""

Row = dict[str, Any]


def seed_row(
    seed_id: str,
    context_id: str | None,
    kind: str,
    fields: Mapping[str, Any],
    attributes: Mapping[str, str] | None = None,
    request_id: str | None = None,
) -> Row:
    """Return a row of the table."""
    return {
        "seed_id": seed_id,
        "context_id": context_id,
        "kind": kind,
        # In the task's order, in which prompts show them.
        "fields": json.dumps(fields, ensure_ascii=False, separators=(",", ":"), allow_nan=False),
        "attributes": [{"name": k, "value": v} for k, v in (attributes or {}).items()],
        "request_id": request_id,
    }


@operator(SEEDS, "none")
async def none(step: StepInput, params: Any) -> StepResult:
    """Use no seeds; the table holds one placeholder row."""
    return StepResult(rows=[seed_row(ids.NONE_SEED_ID, None, NONE_SEED_KIND, {})], asked=1)


@operator(SEEDS, "examples", reads=("examples",))
async def examples(step: StepInput, params: Any) -> StepResult:
    """Use each of the task's `examples` as a seed; its label is an attribute."""
    result = StepResult(asked=len(step.spec.examples))
    for example in step.spec.examples:
        label = example.label if example.label is None else str(example.label)
        seed_id = ids.example_id(KIND, example.fields, label)
        attributes = {} if label is None else {LABEL: label}
        result.rows.append(seed_row(seed_id, None, KIND, example.fields, attributes))
    if not result.rows:
        raise StepError(
            "the recipe grows rows from human-made examples, but the task "
            "has none; add `examples` (or `examples_file`), each with its `fields` and `label`"
        )
    return result


def checked_rows(
    step: StepInput, found: list[Row], result: StepResult, only: bool, most: int | None
) -> list[tuple[int, Row]]:
    """Return (index, row) of the valid, distinct rows of a user's file; reject the others.

    Args:
        step: gives the task.
        found: the rows of the file.
        result: receives the rejections and the number of rows read.
        only: run only the validators of the fields that the rows have.
        most: stop after this many valid rows; None reads all.

    Raises:
        StepError: no row is valid.
    """
    seen: set[str] = set()
    valid: list[tuple[int, Row]] = []
    for index, given in enumerate(found):
        if most is not None and len(valid) == most:
            break
        row = dict(given)
        result.asked += 1
        slot = None if only else index
        problem = first_problem(row, step.spec, only)
        if problem:
            result.rejected.append(rejection("invalid", problem, given, slot=slot))
        elif text_key(given) in seen:
            detail = "an earlier row of the file has the same text"
            result.rejected.append(rejection("duplicate", detail, given, slot=slot))
        else:
            seen.add(text_key(given))
            valid.append((index, row))
    if not valid:
        details = [str(row["detail"]) for row in result.rejected]
        raise StepError(
            f"no row of the file is valid (rejected by: {tally(details)})", result.rejected
        )
    return valid


@operator(SEEDS, "file", reads=("seed_rows",))
async def seeds_file(step: StepInput, params: Any) -> StepResult:
    """Use the seeds of the task's file, in order; they have no context.

    Raises:
        StepError: no seed is valid.
    """
    wanted = step.spec.seeds
    kind = wanted.kind if wanted else "passage"
    result = StepResult()
    for _, row in checked_rows(step, step.spec.seed_rows, result, True, None):
        result.rows.append(seed_row(ids.seed_id(None, kind, row), None, kind, row))
    return result


def section(step: StepInput) -> Seeds:
    """Return the task's section `seeds`; raise StepError if it has none."""
    if step.spec.seeds is None:
        raise StepError("the task has no section `seeds`")
    return step.spec.seeds


def no_valid_seed(result: StepResult) -> StepError:
    """Return the error of a step whose seeds were all rejected."""
    details = [str(row["detail"]) for row in result.rejected]
    return StepError(
        f"none of {result.asked} seeds was valid (rejected by: {tally(details)}); "
        f"first: {details[0] if details else 'the answers were empty'}. Check that the model can "
        "follow the task's `seeds`, or change them",
        result.rejected,
    )


def seed_request(
    step: StepInput,
    params: LLMParams,
    prompt: str,
    wanted: Seeds,
    shown: Mapping[str, Any],
    sample: int,
    **settings: Any,
) -> Request:
    """Return a request for seeds.

    The task is shown without its fields: a model that sees them writes about them.

    Args:
        step: gives the task.
        params: the operator's parameters.
        prompt: name of the prompt template.
        wanted: the task's section `seeds`.
        shown: entries of the data block after `task` and `wanted`; `items` has one entry per seed.
        sample: sample number.
        settings: the template's.
    """
    spec = step.spec
    task = background(spec, described=False)
    fields = {name: part.description for name, part in wanted.fields.items()}
    block = {
        "task": task,
        "wanted": {"what": wanted.what.strip(), "kind": wanted.kind, "fields": fields},
        **shown,
    }
    properties = {"item": {"type": "integer"}} | {
        name: field_schema(part.type) for name, part in wanted.fields.items()
    }
    count = len(shown["items"])
    words = sum(_words(step, wanted, name) for name in wanted.fields)
    return make_request(
        bounded(params, count, len(properties), words, spec.language),
        messages(prompt, block, **settings),
        items_schema(properties, count),
        "seeds",
        edition=spec.edition,
        sample=sample,
    )


def _words(step: StepInput, wanted: Seeds, name: str) -> int:
    """Return the number of words that a field of a seed plausibly has at most.

    This is the task's `max_words`, else one and a half times the length that the description names
    ("10 to 25 words"), else a number for the kind of seed.
    """
    known = step.spec.fields.get(name)
    if known is not None and known.max_words is not None:
        return known.max_words
    named = _NAMED_WORDS.search(wanted.fields[name].description)
    return int(named[1]) * 3 // 2 if named else _WORDS_AT_MOST[wanted.kind]


def valid_fields(
    step: StepInput,
    wanted: Seeds,
    item: dict[str, Any] | None,
    outcome: Outcome,
    result: StepResult,
    planned: Mapping[str, Any] | None = None,
) -> dict[str, Any] | None:
    """Return the fields of a seed; reject it and return None if it is missing or invalid.

    Args:
        step: gives the task.
        wanted: the task's section `seeds`.
        item: the item of the answer.
        outcome: the answer.
        result: receives the rejection.
        planned: the typed attributes of the seed and the attributes of its context.
    """
    if item is None:
        result.rejected.append(missing_item(outcome))
        return None
    fields = {name: item.get(name) for name in wanted.fields}
    asked = [wanted.what, *(field.description for field in wanted.fields.values())]
    problem = (
        empty_field(fields)
        or content_problem(fields, step.spec, outcome.request, asked, labels=step.spec.labels)
        or first_problem(fields, step.spec, only=True, planned=planned)
    )
    if problem:
        result.rejected.append(rejection(reason_of(problem), problem, item, outcome.request_id))
        return None
    return fields


class ExpandParams(LLMParams):
    """Parameters of `expand`; `retries` is per context without a valid seed."""

    retries: int = Field(default=2, ge=0)


@operator(
    SEEDS, "expand", ExpandParams, EXPAND_PROMPT, reads=("requirement_words", "label_constraints")
)
async def expand(step: StepInput, params: ExpandParams) -> StepResult:
    """Request one seed per context, writing its parts one after the other.

    A context without a valid seed is kept; its instance is written without a seed.

    Source: the hierarchical generation of the Prompt Engineering Guide ("Tackling Generated
    Datasets Diversity"), after TinyStories-Instruct (Eldan and Li, 2023): a summary, then a
    sentence that the text must contain.

    Raises:
        StepError: the task has no section `seeds`, or no seed was valid.
    """
    wanted = section(step)
    plan = Plan(step.spec, step.spec.per_call)
    contexts = step.tables[CONTEXTS].to_dicts()
    found: dict[int, Row] = {}
    result = StepResult()
    for sample in range(params.retries + 1):
        missing = [n for n in range(len(contexts)) if n not in found]

        def request_of(n: int, sample: int = sample) -> Request:
            return _expand_request(step, params, wanted, contexts[n], plan, n, sample)

        async for n, outcome in answered(step.model, missing, request_of):
            result.asked += 1
            item = next(iter(items_of(outcome)), None)
            fields = valid_fields(step, wanted, item, outcome, result)
            if fields is not None:
                context_id, kind = contexts[n]["context_id"], wanted.kind
                seed_id = ids.seed_id(context_id, kind, fields)
                found[n] = seed_row(
                    seed_id, context_id, kind, fields, request_id=outcome.request_id
                )
    if not found:
        raise no_valid_seed(result)
    if len(found) < len(contexts):
        result.warnings.append(f"{len(contexts) - len(found)} contexts have no seed")
    result.rows = [found[n] for n in sorted(found)]
    return result


def _expand_request(
    step: StepInput,
    params: ExpandParams,
    wanted: Seeds,
    context: Row,
    plan: Plan,
    number: int,
    sample: int,
) -> Request:
    shown: dict[str, Any] = {}
    block = context_block(context)
    if block is not None:
        shown["requirements"] = requirements(step.spec, block)
    label = plan.slot(number).label if step.spec.per_slot else None
    names = [label] if isinstance(label, str) else label or []
    if names:
        constraints = step.spec.label_constraints
        shown[LABELS] = {name: constraints[name] for name in names}
    shown["items"] = [{"item": 1}]
    return seed_request(step, params, EXPAND_PROMPT, wanted, shown, sample)
