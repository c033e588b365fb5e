"""Operators of contexts: none, or a list by a model. `draw` has a module of its own."""

from typing import Any

import polars as pl
from pydantic import Field

from targen.errors import StepError
from targen.lineage import ids
from targen.operators.base import LLMParams, StepInput, StepResult
from targen.operators.content import content_problem, reason_of
from targen.operators.requests import (
    answers,
    items_of,
    make_request,
    missing_item,
    rejection,
    task_block,
)
from targen.prompts.render import field_schema, items_schema, messages
from targen.steps import ASKED, CONTEXTS, VOCABULARIES
from targen.tasks.registry import operator
from targen.tasks.validators import empty_field, fold

PROMPT = "contexts/llm_list.md"


@operator(CONTEXTS, "none")
async def none(step: StepInput, params: Any) -> StepResult:
    """Use no contexts; the table holds one placeholder row."""
    row = {"context_id": ids.NONE_CONTEXT_ID, "text": "none", "attributes": [], "term_ids": []}
    return StepResult(rows=[row], asked=1)


class LLMListParams(LLMParams):
    """Parameters of `llm_list`."""

    count: int = Field(default=20, ge=1)
    """number of contexts; TarGEN (section 3) uses a list of about this length."""
    retries: int = Field(default=3, ge=0)
    """how often a short list is requested again."""


def _terms(table: pl.DataFrame) -> dict[str, list[str]]:
    terms: dict[str, list[str]] = {}
    for category, term in table.select("category", "term").iter_rows():
        if category not in ("none", ASKED):
            terms.setdefault(category, []).append(term)
    return terms


@operator(CONTEXTS, "llm_list", LLMListParams, PROMPT)
async def llm_list(step: StepInput, params: LLMListParams) -> StepResult:
    """Request a list of distinct contexts; replace duplicates and missing items."""
    wanted = step.spec.contexts
    attributes = {
        name: {"description": a.description} | ({"values": a.values} if a.values else {})
        for name, a in wanted.attributes.items()
    }
    properties = {"text": {"type": "string"}} | {
        name: field_schema("text", a.values) for name, a in wanted.attributes.items()
    }
    vocabulary = step.tables[VOCABULARIES]
    terms = _terms(vocabulary)
    term_ids = {term: term_id for term_id, term in vocabulary.select("term_id", "term").iter_rows()}
    result = StepResult()
    found: dict[str, dict[str, Any]] = {}
    for sample in range(params.retries + 1):
        count = params.count - len(found)
        if count <= 0:
            break
        block: dict[str, Any] = {"task": task_block(step.spec)}
        if terms:
            block["terms"] = terms
        block["wanted"] = {"what": wanted.what, "count": count, "attributes": attributes}
        block["exclude"] = [row["text"] for row in found.values()]
        request = make_request(
            params,
            messages(PROMPT, block),
            items_schema(properties, count),
            "contexts",
            edition=step.spec.edition,
            sample=sample,
        )
        (outcome,) = await answers(step.model, [request])
        result.asked += count
        items = items_of(outcome)[:count]
        for item in items:
            values = {name: str(item.get(name, "")).strip() for name in properties}
            problem = empty_field(values) or content_problem(
                values, step.spec, request, [wanted.what]
            )
            key = fold(values["text"])
            if problem or key in found:
                reason, detail = (
                    (reason_of(problem), problem) if problem else ("duplicate", "comes twice")
                )
                result.rejected.append(rejection(reason, detail or "", item, outcome.request_id))
                continue
            text = values.pop("text")
            named = [{"name": name, "value": value} for name, value in values.items()]
            found[key] = {
                "context_id": ids.context_id(text, named),
                "text": text,
                "attributes": named,
                "term_ids": [term_ids[v] for v in values.values() if v in term_ids],
                "request_id": outcome.request_id,
            }
        result.rejected += [missing_item(outcome) for _ in range(count - len(items))]
    if not found:
        detail = result.rejected[-1]["detail"] if result.rejected else "no items were requested"
        raise StepError(f"the model gave no context: {detail}", result.rejected)
    if len(found) < params.count:
        result.warnings.append(f"the model gave {len(found)} of {params.count} contexts")
    result.rows = list(found.values())
    return result
