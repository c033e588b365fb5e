"""Step 3: instance seeds, what instances grow from."""

from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import Field

from targen.errors import StepError
from targen.hashing import canonical
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
from targen.operators.materials import context_block
from targen.prompts.render import field_schema, items_schema, messages
from targen.steps import NONE_SEED_KIND
from targen.tasks.registry import operator
from targen.tasks.validators import empty_field, first_violation, too_long

KIND: Final = "example"
LABEL: Final = "label"


@operator("seeds", "examples", reads=("examples",))
async def examples(step: StepInput, params: Any) -> StepResult:
    """Take the task's `examples`, each as one seed; its label is an attribute."""
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
            "the recipe grows rows from examples made by people, and the task "
            "has none; add `examples` (or `examples_file`), each with its `fields` and `label`"
        )
    return result


PROMPT = "seeds/llm_per_context.md"

EXCLUDE_AT_MOST: Final = 40
EXCLUDE_WORDS: Final = 12


@operator("seeds", "none")
async def none(step: StepInput, params: Any) -> StepResult:
    """Use no seeds: one row says so."""
    row: dict[str, Any] = {
        "seed_id": ids.NONE_SEED_ID,
        "context_id": None,
        "kind": NONE_SEED_KIND,
        "fields": "{}",
        "attributes": [],
    }
    return StepResult(rows=[row], asked=1)


class PerContextParams(LLMParams):
    """Parameters of `llm_per_context`.

    Attributes:
        page: seeds asked for in one call; fixed, so that growing asks only for more pages.
        retries: how often a page that brought nothing new is asked again before its context
            counts as exhausted.
        max_pages: the most pages of one context.
    """

    page: int = Field(default=10, ge=1)
    retries: int = Field(default=2, ge=0)
    max_pages: int = Field(default=200, ge=1)


@dataclass
class _Context:
    """A context while its seeds are asked for, page after page."""

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


@operator("seeds", "llm_per_context", PerContextParams, PROMPT)
async def llm_per_context(step: StepInput, params: PerContextParams) -> StepResult:
    """Ask for pages of seeds inside each context, the contexts in turn.

    Slot i takes seed i // contexts of context i % contexts, so all contexts need equally many.
    A page knows the seeds before it, and is asked whole. A context whose page brings nothing new
    after all retries is exhausted: its list is final, and slots go round it.

    Source: TarGEN (Gupta et al., 2024), section 3, step 2, which keeps the first seed only.
    """
    wanted = step.spec.seeds
    if wanted is None:
        raise StepError("the task has no section `seeds`")
    contexts = [
        _Context(row["context_id"] if block else None, block)
        for row in step.tables["contexts"].iter_rows(named=True)
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
        result.warnings.append(f"{empty} contexts brought no seed")
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
    """Return the typed attributes of the items of a page: each type's values in turn."""
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
    """Read one page into its context, and set which page comes next."""
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
