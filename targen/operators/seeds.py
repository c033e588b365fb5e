"""Operators of seeds, the material that instances are generated from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import Field

from targen.errors import StepError
from targen.hashing import canonical
from targen.lineage import ids
from targen.llm.types import Outcome, Request
from targen.operators.base import LLMParams, StepInput, StepResult
from targen.operators.plan import Plan, context_block, requirements
from targen.operators.requests import (
    answers,
    items_of,
    make_request,
    missing_item,
    numbered_items,
    rejection,
    tally,
    task_block,
    text_key,
)
from targen.prompts.render import field_schema, items_schema, messages
from targen.steps import CONTEXTS, LABELS, NONE_SEED_KIND, SEEDS
from targen.tasks.registry import operator
from targen.tasks.sections import Seeds
from targen.tasks.validators import echo, empty_field, first_problem

PROMPT = "seeds/llm_per_context.md"
EXPAND_PROMPT = "seeds/expand.md"

KIND: Final = "example"
LABEL: Final = "label"

EXCLUDE_AT_MOST: Final = 40
EXCLUDE_WORDS: Final = 12

Row = dict[str, Any]


def _seed_row(
    seed_id: str,
    context_id: str | None,
    kind: str,
    fields: Mapping[str, Any],
    attributes: Mapping[str, str] | None = None,
    request_id: str | None = None,
) -> Row:
    return {
        "seed_id": seed_id,
        "context_id": context_id,
        "kind": kind,
        "fields": canonical(fields),
        "attributes": [{"name": k, "value": v} for k, v in (attributes or {}).items()],
        "request_id": request_id,
    }


@operator(SEEDS, "none")
async def none(step: StepInput, params: Any) -> StepResult:
    """Use no seeds; the table holds one placeholder row."""
    return StepResult(rows=[_seed_row(ids.NONE_SEED_ID, None, NONE_SEED_KIND, {})], asked=1)


@operator(SEEDS, "examples", reads=("examples",))
async def examples(step: StepInput, params: Any) -> StepResult:
    """Use each of the task's `examples` as a seed; its label is an attribute."""
    result = StepResult(asked=len(step.spec.examples))
    for example in step.spec.examples:
        label = example.label if example.label is None else str(example.label)
        seed_id = ids.example_id(KIND, example.fields, label)
        attributes = {} if label is None else {LABEL: label}
        result.rows.append(_seed_row(seed_id, None, KIND, example.fields, attributes))
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
            detail = "the same text stands in an earlier row of the file"
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
        result.rows.append(_seed_row(ids.seed_id(None, kind, row), None, kind, row))
    return result


class PerContextParams(LLMParams):
    """Parameters of `llm_per_context`."""

    page: int = Field(default=10, ge=1)
    """seeds per request; fixed, so that a growing data set only adds pages."""
    retries: int = Field(default=2, ge=0)
    """how often a page without new seeds is requested again before its context counts as
    exhausted."""
    max_pages: int = Field(default=200, ge=1)
    """limit per context."""


@dataclass
class _Context:
    """A context and the seeds collected for it.

    Attributes:
        gists: the first words of each seed, which prompts list as seeds to avoid.
        page: number of the next page.
        sample: how often that page was requested without a new seed.
    """

    context_id: str | None
    block: dict[str, Any] | None
    rows: list[Row] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    gists: list[str] = field(default_factory=list)
    page: int = 0
    sample: int = 0
    exhausted: bool = False


@operator(SEEDS, "llm_per_context", PerContextParams, PROMPT)
async def llm_per_context(step: StepInput, params: PerContextParams) -> StepResult:
    """Request pages of seeds for each context, the contexts in turn.

    Slot i takes seed i // contexts of context i % contexts, so all contexts need equally many.
    Each page's prompt lists earlier seeds to avoid. A context whose page has no new seed after all
    retries is exhausted: its list is final, and slots reuse it.

    Source: TarGEN (Gupta et al., 2024), section 3, step 2, which keeps the first seed only.
    """
    wanted = _section(step)
    contexts = [
        _Context(row["context_id"] if block else None, block)
        for row in step.tables[CONTEXTS].iter_rows(named=True)
        for block in [context_block(row)]
    ]
    need = -(-step.spec.slots_seeded // len(contexts))
    result = StepResult()
    while short := [
        c for c in contexts if len(c.rows) < need and not c.exhausted and c.page < params.max_pages
    ]:
        requests = [_page_request(step, params, wanted, context) for context in short]
        outcomes = await answers(step.model, requests)
        for context, outcome in zip(short, outcomes, strict=True):
            _take_page(step, params, wanted, context, outcome, result)
        if not any(c.rows for c in contexts) and any(c.page or c.exhausted for c in contexts):
            break
    if not any(c.rows for c in contexts):
        raise _no_valid_seed(result)
    empty = sum(not c.rows for c in contexts)
    if empty:
        result.warnings.append(f"{empty} contexts have no seed")
    repeated = sum(len(c.rows) < need for c in contexts) - empty
    if repeated:
        result.warnings.append(f"{repeated} contexts ran out of new seeds: some are used twice")
    result.rows = [row for context in contexts for row in context.rows]
    return result


def _section(step: StepInput) -> Seeds:
    if step.spec.seeds is None:
        raise StepError("the task has no section `seeds`")
    return step.spec.seeds


def _no_valid_seed(result: StepResult) -> StepError:
    details = [str(row["detail"]) for row in result.rejected]
    return StepError(
        f"none of {result.asked} seeds was valid (rejected by: {tally(details)}); "
        f"first: {details[0] if details else 'the answers were empty'}. Check that the model can "
        "follow the task's `seeds`, or change them",
        result.rejected,
    )


def _request(
    step: StepInput,
    params: LLMParams,
    prompt: str,
    wanted: Seeds,
    shown: Mapping[str, Any],
    lists: Mapping[str, list[Any]],
    sample: int,
) -> Request:
    """Return a request for seeds.

    Args:
        step: gives the task.
        params: the operator's parameters.
        prompt: name of the prompt template.
        wanted: the task's section `seeds`.
        shown: entries of the data block before `wanted`.
        lists: entries after it: `items`, one for each seed, and what to exclude.
        sample: sample number.
    """
    block = {"task": task_block(step.spec), **shown}
    block["wanted"] = {
        "what": wanted.what.strip(),
        "kind": wanted.kind,
        "fields": {name: part.description for name, part in wanted.fields.items()},
    }
    properties = {"item": {"type": "integer"}} | {
        name: field_schema(part.type) for name, part in wanted.fields.items()
    }
    return make_request(
        params,
        messages(prompt, {**block, **lists}),
        items_schema(properties, len(lists["items"])),
        "seeds",
        edition=step.spec.edition,
        sample=sample,
    )


def _valid_fields(
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
    asked = [outcome.request.messages[0]["content"], wanted.what]
    asked += [field.description for field in wanted.fields.values()]
    problem = (
        empty_field(fields)
        or echo(fields, step.spec, asked)
        or first_problem(fields, step.spec, only=True, planned=planned)
    )
    if problem:
        result.rejected.append(rejection("invalid", problem, item, outcome.request_id))
        return None
    return fields


def _types(wanted: Seeds, first: int, count: int) -> list[dict[str, str]]:
    """Return the typed attributes of a page's items, cycling through each type's values."""
    return [
        {name: values[(first + n) % len(values)] for name, values in wanted.types.items()}
        for n in range(count)
    ]


def _page_request(
    step: StepInput, params: PerContextParams, wanted: Seeds, context: _Context
) -> Request:
    types = _types(wanted, context.page * params.page, params.page)
    lists: dict[str, list[Any]] = {
        "exclude": context.gists[-EXCLUDE_AT_MOST:],
        "items": [{"item": n + 1, **given} for n, given in enumerate(types)],
    }
    shown = {} if context.block is None else {"context": context.block}
    return _request(step, params, PROMPT, wanted, shown, lists, context.sample)


def _take_page(
    step: StepInput,
    params: PerContextParams,
    wanted: Seeds,
    context: _Context,
    outcome: Outcome,
    result: StepResult,
) -> None:
    """Add one page of seeds to its context and advance the page."""
    types = _types(wanted, context.page * params.page, params.page)
    items = numbered_items(outcome, "item", params.page)
    before = len(context.rows)
    result.asked += params.page
    for number, attributes in enumerate(types, 1):
        item = items.get(number)
        planned = {**((context.block or {}).get("attributes") or {}), **attributes}
        fields = _valid_fields(step, wanted, item, outcome, result, planned)
        if fields is None:
            continue
        key = text_key(fields)
        if key in context.seen:
            detail = "comes twice in its context"
            result.rejected.append(rejection("duplicate", detail, item, outcome.request_id))
            continue
        context.seen.add(key)
        context.gists.append(_gist(fields))
        seed_id = ids.seed_id(context.context_id, wanted.kind, fields)
        row = _seed_row(
            seed_id, context.context_id, wanted.kind, fields, attributes, outcome.request_id
        )
        context.rows.append(row)
    if len(context.rows) > before:
        context.page, context.sample = context.page + 1, 0
    elif context.sample < params.retries:
        context.sample += 1
    else:
        context.exhausted = True


def _gist(fields: dict[str, Any]) -> str:
    first = next(iter(fields.values()))
    text = first if isinstance(first, str) else ", ".join(first)
    return " ".join(text.split()[:EXCLUDE_WORDS])


class ExpandParams(LLMParams):
    """Parameters of `expand`; `retries` is per context without a valid seed."""

    retries: int = Field(default=2, ge=0)


@operator(
    SEEDS, "expand", ExpandParams, EXPAND_PROMPT, reads=("requirement_words", "label_constraints")
)
async def expand(step: StepInput, params: ExpandParams) -> StepResult:
    """Request one seed per context, whose parts are written one after the other.

    A context without a valid seed is kept; its instance is written without a seed.

    Source: the hierarchical generation of the Prompt Engineering Guide ("Tackling Generated
    Datasets Diversity"), after TinyStories-Instruct (Eldan and Li, 2023): a summary, then a
    sentence that the text must contain.

    Raises:
        StepError: the task has no section `seeds`, or no seed was valid.
    """
    wanted = _section(step)
    plan = Plan(step.spec, step.spec.per_call)
    contexts = step.tables[CONTEXTS].to_dicts()
    found: dict[int, Row] = {}
    result = StepResult()
    for sample in range(params.retries + 1):
        missing = [n for n in range(len(contexts)) if n not in found]
        requests = [
            _expand_request(step, params, wanted, contexts[n], plan, n, sample) for n in missing
        ]
        for n, outcome in zip(missing, await answers(step.model, requests), strict=True):
            result.asked += 1
            item = next(iter(items_of(outcome)), None)
            fields = _valid_fields(step, wanted, item, outcome, result)
            if fields is not None:
                context_id, kind = contexts[n]["context_id"], wanted.kind
                seed_id = ids.seed_id(context_id, kind, fields)
                found[n] = _seed_row(
                    seed_id, context_id, kind, fields, request_id=outcome.request_id
                )
    if not found:
        raise _no_valid_seed(result)
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
    return _request(step, params, EXPAND_PROMPT, wanted, shown, {"items": [{"item": 1}]}, sample)
