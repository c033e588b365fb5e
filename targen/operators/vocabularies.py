"""Operators of vocabularies, the terms that contexts use."""

from typing import Any, Final

from pydantic import Field

from targen.errors import StepError
from targen.lineage import ids
from targen.operators.base import LLMParams, StepInput, StepResult
from targen.operators.bounds import bounded
from targen.operators.content import content_problem, reason_of
from targen.operators.requests import (
    answers,
    items_of,
    make_request,
    missing_item,
    rejection,
    task_block,
)
from targen.prompts.render import items_schema, messages
from targen.steps import VOCABULARIES
from targen.tasks.registry import operator
from targen.tasks.validators import fold

PROMPT = "vocabularies/llm_list.md"

WORDS_OF_TERM: Final = 12
"""More than any plausible term has; the limit of an answer's length follows from it."""


def term_row(
    category: str, term: str, request_id: str | None = None, label: str | None = None
) -> dict[str, Any]:
    """Return a row of the table."""
    return {
        "term_id": ids.term_id(category, term, label),
        "category": category,
        "term": term,
        "label": label,
        "request_id": request_id,
    }


@operator(VOCABULARIES, "none")
async def none(step: StepInput, params: Any) -> StepResult:
    """Use no vocabulary; the table holds one placeholder row."""
    return StepResult(rows=[term_row("none", "none")], asked=1)


def _given(step: StepInput) -> StepResult:
    result = StepResult()
    for category, vocabulary in step.spec.vocabularies.items():
        seen: set[str] = set()
        for term in vocabulary.terms:
            result.asked += 1
            if fold(term) in seen:
                result.rejected.append(rejection("duplicate", f"{category}: listed twice", term))
                continue
            seen.add(fold(term))
            result.rows.append(term_row(category, term))
    if not result.rows:
        raise StepError(
            "the recipe uses the task's vocabularies, but the task lists no terms; "
            "add `vocabularies` or choose the operator none"
        )
    return result


@operator(VOCABULARIES, "inline")
async def inline(step: StepInput, params: Any) -> StepResult:
    """Use the terms listed in the task."""
    return _given(step)


@operator(VOCABULARIES, "file")
async def file(step: StepInput, params: Any) -> StepResult:
    """Use the terms of the files that the task names."""
    return _given(step)


class LLMListParams(LLMParams):
    """Parameters of `llm_list`; `retries` is per short list."""

    retries: int = Field(default=3, ge=0)


@operator(VOCABULARIES, "llm_list", LLMListParams, PROMPT)
async def llm_list(step: StepInput, params: LLMListParams) -> StepResult:
    """Request the terms of each category; replace duplicates and missing items."""
    result = StepResult()
    for category, vocabulary in step.spec.vocabularies.items():
        terms: dict[str, dict[str, Any]] = {}
        for sample in range(params.retries + 1):
            count = vocabulary.count - len(terms)
            if count <= 0:
                break
            block = {
                "task": task_block(step.spec),
                "wanted": {"category": category, "what": vocabulary.what, "count": count},
                "exclude": [row["term"] for row in terms.values()],
            }
            request = make_request(
                bounded(params, count, 1, WORDS_OF_TERM, step.spec.language),
                messages(PROMPT, block),
                items_schema({"term": {"type": "string"}}, count),
                "terms",
                edition=step.spec.edition,
                sample=sample,
            )
            (outcome,) = await answers(step.model, [request])
            result.asked += count
            items = items_of(outcome)[:count]
            for item in items:
                term = str(item.get("term", "")).strip()
                problem = content_problem({"term": term}, step.spec, request, [vocabulary.what])
                if not term or fold(term) in terms:
                    reason = "duplicate" if term else "invalid"
                    result.rejected.append(rejection(reason, category, item, outcome.request_id))
                elif problem:
                    reason = reason_of(problem)
                    result.rejected.append(rejection(reason, problem, item, outcome.request_id))
                else:
                    terms[fold(term)] = term_row(category, term, outcome.request_id)
            result.rejected += [missing_item(outcome) for _ in range(count - len(items))]
        if not terms:
            detail = result.rejected[-1]["detail"] if result.rejected else "no items were requested"
            raise StepError(f"the model gave no term for '{category}': {detail}", result.rejected)
        if len(terms) < vocabulary.count:
            result.warnings.append(f"{category}: {len(terms)} of {vocabulary.count} terms")
        result.rows += terms.values()
    if not result.rows:
        raise StepError("llm_list needs `vocabularies` in the task: category, what, count")
    return result
