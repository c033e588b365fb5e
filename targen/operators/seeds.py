"""Operators of seeds, the material that instances are generated from."""

from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import Field

from targen.errors import StepError
from targen.hashing import canonical
from targen.lineage import ids
from targen.llm.types import Outcome, Request
from targen.operators.asking import (
    answers,
    items_of,
    make_request,
    missing_reason,
    numbered_items,
    rejection,
    tally,
    task_block,
    text_key,
)
from targen.operators.base import LLMParams, StepInput, StepResult
from targen.operators.materials import context_block, requirements
from targen.operators.plan import Plan
from targen.prompts.render import field_schema, items_schema, messages
from targen.steps import CONTEXTS, NONE_SEED_KIND, SEEDS
from targen.tasks.answers import Label
from targen.tasks.registry import operator
from targen.tasks.sections import Seeds
from targen.tasks.validators import empty_field, first_violation, needed, too_long

KIND: Final = "example"
LABEL: Final = "label"


@operator(SEEDS, "examples", reads=("examples",))
async def examples(step: StepInput, params: Any) -> StepResult:
    """Use each of the task's `examples` as a seed; its label is an attribute."""
    result = StepResult(asked=len(step.spec.examples))
    for example in step.spec.examples:
        label = example.label if example.label is None else str(example.label)
        result.rows.append(
            {
                "seed_id": ids.example_id(KIND, example.fields, label),
                "context_id": None,
                "kind": KIND,
                "fields": canonical(example.fields),
                "attributes": [{"name": LABEL, "value": label}] if label is not None else [],
                "request_id": None,
            }
        )
    if not result.rows:
        raise StepError(
            "the recipe grows rows from human-made examples, but the task "
            "has none; add `examples` (or `examples_file`), each with its `fields` and `label`"
        )
    return result


PROMPT = "seeds/llm_per_context.md"
EXPAND_PROMPT = "seeds/expand.md"

EXCLUDE_AT_MOST: Final = 40
EXCLUDE_WORDS: Final = 12


def checked_rows(
    step: StepInput, found: list[dict[str, Any]], result: StepResult, only: bool, most: int | None
) -> list[tuple[int, dict[str, Any]]]:
    """Return (index, row) of the valid, distinct rows of a user's file; reject the others.

    Args:
        step: gives the task.
        found: the rows of the file.
        result: receives the rejections and the number of rows read.
        only: check only the validators of the fields that the rows have.
        most: stop after this many valid rows; None reads all.

    Raises:
        StepError: no row is valid.
    """
    spec, seen = step.spec, set()
    kept: list[tuple[int, dict[str, Any]]] = []
    for index, given in enumerate(found):
        if most is not None and len(kept) == most:
            break
        row = dict(given)
        result.asked += 1
        slot = None if only else index
        problem = empty_field(needed(row, spec)) or too_long(row, spec)
        problem = problem or first_violation(row, spec.validators, only, spec.language)
        if problem:
            result.rejected.append(rejection("invalid", problem, given, slot=slot))
        elif text_key(given) in seen:
            detail = "the same text stands in an earlier row of the file"
            result.rejected.append(rejection("duplicate", detail, given, slot=slot))
        else:
            seen.add(text_key(given))
            kept.append((index, row))
    if not kept:
        details = [str(row["detail"]) for row in result.rejected]
        raise StepError(
            f"no row of the file is valid (rejected by: {tally(details)})", result.rejected
        )
    return kept


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
        result.rows.append(
            {
                "seed_id": ids.seed_id(None, kind, row),
                "context_id": None,
                "kind": kind,
                "fields": canonical(row),
                "attributes": [],
            }
        )
    return result


@operator(SEEDS, "none")
async def none(step: StepInput, params: Any) -> StepResult:
    """Use no seeds; the table holds one placeholder row."""
    row: dict[str, Any] = {
        "seed_id": ids.NONE_SEED_ID,
        "context_id": None,
        "kind": NONE_SEED_KIND,
        "fields": "{}",
        "attributes": [],
    }
    return StepResult(rows=[row], asked=1)


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
    """A context and the seeds collected for it."""

    context_id: str | None
    block: dict[str, Any] | None
    rows: list[dict[str, Any]] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    gists: list[str] = field(default_factory=list)
    page: int = 0
    sample: int = 0
    exhausted: bool = False


def _gist(fields: dict[str, Any]) -> str:
    first = next(iter(fields.values()))
    text = first if isinstance(first, str) else ", ".join(first)
    return " ".join(text.split()[:EXCLUDE_WORDS])


@operator(SEEDS, "llm_per_context", PerContextParams, PROMPT)
async def llm_per_context(step: StepInput, params: PerContextParams) -> StepResult:
    """Request pages of seeds for each context, the contexts in turn.

    Slot i takes seed i // contexts of context i % contexts, so all contexts need equally many.
    Each page's prompt lists earlier seeds to avoid. A context whose page has no new seed after all
    retries is exhausted: its list is final, and slots reuse it.

    Source: TarGEN (Gupta et al., 2024), section 3, step 2, which keeps the first seed only.
    """
    wanted = step.spec.seeds
    if wanted is None:
        raise StepError("the task has no section `seeds`")
    contexts = [
        _Context(row["context_id"] if block else None, block)
        for row in step.tables[CONTEXTS].iter_rows(named=True)
        for block in [context_block(row)]
    ]
    need = -(-step.spec.slots_seeded // len(contexts))
    result = StepResult()
    while True:
        short = [
            c
            for c in contexts
            if len(c.rows) < need and not c.exhausted and c.page < params.max_pages
        ]
        if not short:
            break
        requests = [_request(step, params, context) for context in short]
        outcomes = await answers(step.model, requests)
        for context, outcome in zip(short, outcomes, strict=True):
            _take(step, params, context, outcome, result)
        if not any(c.rows for c in contexts) and any(c.page or c.exhausted for c in contexts):
            raise StepError(_nothing(step, result), result.rejected)
    if not any(c.rows for c in contexts):
        raise StepError(_nothing(step, result), result.rejected)
    empty = sum(not c.rows for c in contexts)
    if empty:
        result.warnings.append(f"{empty} contexts have no seed")
    repeated = sum(len(c.rows) < need for c in contexts) - empty
    if repeated:
        result.warnings.append(f"{repeated} contexts ran out of new seeds: some are used twice")
    result.rows = [row for context in contexts for row in context.rows]
    return result


def _nothing(step: StepInput, result: StepResult) -> str:
    details = [str(row["detail"]) for row in result.rejected]
    return (
        f"none of {result.asked} seeds was valid (rejected by: "
        f"{tally(details)}); first: {details[0] if details else 'nothing came'}. Check that the "
        "model can follow the task's `seeds`, or change them"
    )


def _types(step: StepInput, first: int, count: int) -> list[dict[str, str]]:
    """Return the typed attributes of a page's items, cycling through each type's values."""
    types = step.spec.seeds.types if step.spec.seeds else {}
    return [
        {name: values[(first + n) % len(values)] for name, values in types.items()}
        for n in range(count)
    ]


def _request(step: StepInput, params: PerContextParams, context: _Context) -> Request:
    wanted = step.spec.seeds
    assert wanted is not None
    block: dict[str, Any] = {"task": task_block(step.spec)}
    if context.block is not None:
        block["context"] = context.block
    block["wanted"] = {
        "what": wanted.what.strip(),
        "kind": wanted.kind,
        "fields": {name: part.description for name, part in wanted.fields.items()},
    }
    block["exclude"] = context.gists[-EXCLUDE_AT_MOST:]
    types = _types(step, context.page * params.page, params.page)
    block["items"] = [{"item": n + 1, **given} for n, given in enumerate(types)]
    properties = {"item": {"type": "integer"}} | {
        name: field_schema(part.type) for name, part in wanted.fields.items()
    }
    return make_request(
        params,
        messages(PROMPT, block),
        items_schema(properties, params.page),
        "seeds",
        edition=step.spec.edition,
        sample=context.sample,
    )


def _take(
    step: StepInput,
    params: PerContextParams,
    context: _Context,
    outcome: Outcome,
    result: StepResult,
) -> None:
    """Add one page of seeds to its context and advance the page."""
    spec = step.spec
    wanted = spec.seeds
    assert wanted is not None
    types = _types(step, context.page * params.page, params.page)
    items = numbered_items(outcome, "item", params.page)
    before = len(context.rows)
    result.asked += params.page
    for number in range(1, params.page + 1):
        item = items.get(number)
        if item is None:
            lost = missing_reason(outcome)
            result.rejected.append(rejection(*lost, None, outcome.request_id))
            continue
        fields = {name: item.get(name) for name in wanted.fields}
        problem = empty_field(fields) or too_long(fields, spec)
        problem = problem or first_violation(
            dict(fields), spec.validators, only=True, language=spec.language
        )
        if problem:
            result.rejected.append(rejection("invalid", problem, item, outcome.request_id))
            continue
        key = text_key(fields)
        if key in context.seen:
            detail = "comes twice in its context"
            result.rejected.append(rejection("duplicate", detail, item, outcome.request_id))
            continue
        context.seen.add(key)
        context.gists.append(_gist(fields))
        given = types[number - 1]
        context.rows.append(
            {
                "seed_id": ids.seed_id(context.context_id, wanted.kind, fields),
                "context_id": context.context_id,
                "kind": wanted.kind,
                "fields": canonical(fields),
                "attributes": [{"name": k, "value": v} for k, v in given.items()],
                "request_id": outcome.request_id,
            }
        )
    if len(context.rows) > before:
        context.page, context.sample = context.page + 1, 0
    elif context.sample < params.retries:
        context.sample += 1
    else:
        context.exhausted = True


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
    sentence that must stand in the text.

    Raises:
        StepError: the task has no section `seeds`, or no seed was valid.
    """
    wanted = step.spec.seeds
    if wanted is None:
        raise StepError("the task has no section `seeds`")
    plan = Plan(step.spec, step.spec.per_call)
    contexts = step.tables[CONTEXTS].to_dicts()
    labels = [plan.slot(n).label if step.spec.per_slot else None for n in range(len(contexts))]
    found: dict[int, dict[str, Any]] = {}
    result = StepResult()
    for sample in range(params.retries + 1):
        missing = [n for n in range(len(contexts)) if n not in found]
        requests = [
            _expand_request(step, params, wanted, contexts[n], labels[n], sample) for n in missing
        ]
        for n, outcome in zip(missing, await answers(step.model, requests), strict=True):
            result.asked += 1
            row = _expand_take(step, wanted, contexts[n]["context_id"], outcome, result)
            if row is not None:
                found[n] = row
    if not found:
        details = [str(row["detail"]) for row in result.rejected]
        raise StepError(
            f"none of {result.asked} seeds was valid (rejected by: "
            f"{tally(details)}); first: {details[0]}",
            result.rejected,
        )
    if len(found) < len(contexts):
        result.warnings.append(f"{len(contexts) - len(found)} contexts have no seed")
    result.rows = [found[n] for n in sorted(found)]
    return result


def _expand_request(
    step: StepInput,
    params: ExpandParams,
    wanted: Seeds,
    context: dict[str, Any],
    label: Label | None,
    sample: int,
) -> Request:
    block: dict[str, Any] = {"task": task_block(step.spec)}
    shown = context_block(context)
    if shown is not None:
        block["requirements"] = requirements(step.spec, shown)
    names = [label] if isinstance(label, str) else label or []
    if names:
        constraints = step.spec.label_constraints
        block["labels"] = {name: constraints[name] for name in names}
    block["wanted"] = {
        "what": wanted.what.strip(),
        "kind": wanted.kind,
        "fields": {name: part.description for name, part in wanted.fields.items()},
    }
    block["items"] = [{"item": 1}]
    properties = {"item": {"type": "integer"}} | {
        name: field_schema(part.type) for name, part in wanted.fields.items()
    }
    return make_request(
        params,
        messages(EXPAND_PROMPT, block),
        items_schema(properties, 1),
        "seeds",
        edition=step.spec.edition,
        sample=sample,
    )


def _expand_take(
    step: StepInput, wanted: Seeds, context_id: str, outcome: Outcome, result: StepResult
) -> dict[str, Any] | None:
    items = items_of(outcome)
    if not items:
        lost = missing_reason(outcome)
        result.rejected.append(rejection(*lost, None, outcome.request_id))
        return None
    fields = {name: items[0].get(name) for name in wanted.fields}
    problem = empty_field(fields) or too_long(fields, step.spec)
    problem = problem or first_violation(
        dict(fields), step.spec.validators, only=True, language=step.spec.language
    )
    if problem:
        result.rejected.append(rejection("invalid", problem, items[0], outcome.request_id))
        return None
    return {
        "seed_id": ids.seed_id(context_id, wanted.kind, fields),
        "context_id": context_id,
        "kind": wanted.kind,
        "fields": canonical(fields),
        "attributes": [],
        "request_id": outcome.request_id,
    }
