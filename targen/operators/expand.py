"""Step 3: a seed worked out for each drawn context, say a summary and then a sentence."""

from typing import Any

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
    rejection,
    tally,
    task_block,
)
from targen.operators.base import LLMParams, StepInput, StepResult
from targen.operators.materials import context_block, requirements
from targen.operators.plan import Plan
from targen.prompts.render import field_schema, items_schema, messages
from targen.tasks.answers import Label
from targen.tasks.registry import operator
from targen.tasks.sections import Seeds
from targen.tasks.validators import empty_field, first_violation, too_long

PROMPT = "seeds/expand.md"


class ExpandParams(LLMParams):
    """Parameters of `expand`: how often a context whose seed went wrong is asked again."""

    retries: int = Field(default=2, ge=0)


@operator("seeds", "expand", ExpandParams, PROMPT, reads=("requirement_words", "label_constraints"))
async def expand(step: StepInput, params: ExpandParams) -> StepResult:
    """Ask for one seed for each context, part after part, each part fitting those before it.

    A context whose seed cannot be had keeps its place: its instance is written without.

    Source: the hierarchical generation of the Prompt Engineering Guide ("Tackling Generated
    Datasets Diversity"), after TinyStories-Instruct (Eldan and Li, 2023): a summary, then a
    sentence that must stand in the text.

    Raises:
        StepError: the task has no section `seeds`, or not one seed was valid.
    """
    wanted = step.spec.seeds
    if wanted is None:
        raise StepError("the task has no section `seeds`")
    plan = Plan(step.spec, step.spec.per_call)
    contexts = step.tables["contexts"].to_dicts()
    labels = [plan.slot(n).label if step.spec.per_slot else None for n in range(len(contexts))]
    found: dict[int, dict[str, Any]] = {}
    result = StepResult()
    for sample in range(params.retries + 1):
        missing = [n for n in range(len(contexts)) if n not in found]
        requests = [_request(step, params, wanted, contexts[n], labels[n], sample) for n in missing]
        for n, outcome in zip(missing, await answers(step.model, requests), strict=True):
            result.asked += 1
            row = _take(step, wanted, contexts[n]["context_id"], outcome, result)
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


def _request(
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
        messages(PROMPT, block),
        items_schema(properties, 1),
        "seeds",
        edition=step.spec.edition,
        sample=sample,
    )


def _take(
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
