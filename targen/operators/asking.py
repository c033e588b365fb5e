"""What operators share when they ask a model for items: sending, and telling what became of each.

Here belong helpers over requests, outcomes and rejected items. What to ask stands in each
operator.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

from targen.hashing import canonical
from targen.languages import ENGLISH
from targen.llm.types import LLM, Outcome, Request
from targen.operators.registry import LLMParams
from targen.tables import REASONS
from targen.task import TaskSpec
from targen.validators import VALIDATORS, fold

QUOTED_CHARACTERS = 80
_BEGINS = "; it begins "


async def answers(llm: LLM, requests: Iterable[Request]) -> list[Outcome]:
    """Return the outcomes of all requests, in the order of the requests."""
    numbered = [_tagged(request, index) for index, request in enumerate(requests)]
    found: list[Outcome | None] = [None] * len(numbered)
    async for outcome in _run(llm, numbered):
        found[outcome.request.tag] = outcome
    missing = [index for index, outcome in enumerate(found) if outcome is None]
    if missing:
        raise RuntimeError(f"the engine gave no outcome for {len(missing)} requests")
    return [outcome for outcome in found if outcome is not None]


async def _run(llm: LLM, requests: list[Request]) -> AsyncIterator[Outcome]:
    async for outcome in llm.run(requests):
        yield outcome


def _tagged(request: Request, tag: int) -> Request:
    return Request(
        messages=request.messages,
        schema=request.schema,
        schema_name=request.schema_name,
        sampling=request.sampling,
        sample=request.sample,
        edition=request.edition,
        model=request.model,
        tag=tag,
    )


def make_request(
    params: LLMParams,
    messages: tuple[Mapping[str, str], ...],
    schema: Mapping[str, Any],
    name: str,
    *,
    edition: int,
    sample: int = 0,
) -> Request:
    """Return a request with an operator's own sampling parameters."""
    return Request(
        messages=messages,
        schema=schema,
        schema_name=name,
        sampling=params.sampling(),
        sample=params.seed + sample,
        edition=edition,
        model=params.model,
    )


def items_of(outcome: Outcome) -> list[dict[str, Any]]:
    """Return the items of a list answer, as many as could be read."""
    items = (outcome.value or {}).get("items", [])
    return [item for item in items if isinstance(item, dict)]


def numbered_items(outcome: Outcome, key: str, count: int) -> dict[int, dict[str, Any]]:
    """Return item number (from 1) -> item.

    The numbers that the model gave back count where all of them are in range and distinct. Models
    that count wrong mostly count from 0 or not at all, so else the items are read in their order.
    """
    items = items_of(outcome)[:count]
    numbers: list[Any] = [item.get(key) for item in items]
    if len(set(numbers)) == len(items) and all(n in range(1, count + 1) for n in numbers):
        return {int(n): item for n, item in zip(numbers, items, strict=True)}
    return dict(enumerate(items, 1))


def missing_reason(outcome: Outcome) -> tuple[str, str]:
    """Return reason and detail for an item that an answer does not hold.

    The detail of an answer that cannot be read quotes its first `QUOTED_CHARACTERS`, escaped.
    """
    if outcome.status == "ok":
        return "missing", "the answer holds fewer items than were asked for"
    reason = outcome.status if outcome.status in REASONS else "missing"
    detail = outcome.error or outcome.status
    if outcome.status in ("malformed", "truncated") and outcome.raw and outcome.raw.strip():
        detail += f"{_BEGINS}{' '.join(outcome.raw.split())[:QUOTED_CHARACTERS]!r}"
    return reason, detail


def rejection(
    reason: str, detail: str, item: Any = None, request_id: str | None = None, **columns: Any
) -> dict[str, Any]:
    """Return a row of the `rejected` table."""
    return {
        "reason": reason,
        "detail": detail,
        "text": item if isinstance(item, str) or item is None else canonical(item),
        "request_ids": [request_id] if request_id else [],
        **columns,
    }


def text_key(fields: Mapping[str, Any]) -> str:
    """Return what is equal for rows that differ in case and white space alone."""
    folded = {
        name: [fold(str(one)) for one in value] if isinstance(value, list) else fold(str(value))
        for name, value in fields.items()
    }
    return canonical(folded)


def needed(values: Mapping[str, Any], spec: TaskSpec) -> dict[str, Any]:
    """Return the values that may not be empty: all but those of optional fields."""
    optional = {name for name, field in spec.fields.items() if field.optional}
    return {name: value for name, value in values.items() if name not in optional}


def empty_field(values: Mapping[str, Any]) -> str | None:
    """Return what is wrong where a value is missing or blank, None where all is well."""
    for name, value in values.items():
        blank = (
            value is None
            or (isinstance(value, str) and not value.strip())
            or (isinstance(value, list) and (not value or not all(str(v).strip() for v in value)))
        )
        if blank:
            return f"not_empty: {name} is empty"
    return None


def too_long(values: Mapping[str, Any], spec: TaskSpec) -> str | None:
    """Return what is wrong where a text has more words than its field allows."""
    for name, value in values.items():
        limit = spec.fields[name].max_words if name in spec.fields else None
        if limit is not None and len(str(value).split()) > limit:
            return f"max_words: {name} has more than {limit} words"
    return None


def first_violation(
    row: dict[str, Any],
    validators: list[dict[str, dict[str, str]]],
    only: bool = False,
    language: str = ENGLISH,
) -> str | None:
    """Run validators over a row, filling derived fields in, and return the first violation.

    Args:
        row: changed in place.
        validators: as the task lists them.
        language: the task's.
        only: run only those whose inputs are all in the row (seeds hold a part of the fields).
    """
    for entry in validators:
        for name, roles in entry.items():
            check = VALIDATORS[name]
            inputs = [roles[role] for role, fills in check.roles.items() if not fills]
            if only and (any(field not in row for field in inputs) or any(check.roles.values())):
                continue
            problem = check.check(row, {**roles, "language": language})
            if problem is not None:
                return f"{name}: {problem}"
    return None


def tally(details: Iterable[str]) -> str:
    """Return "word_form 30, differ 4": how often each invariant rejected, most often first.

    What an answer begins with is no part of the name.
    """
    counts: dict[str, int] = {}
    for detail in details:
        name = detail.split(_BEGINS, 1)[0].split(":", 1)[0]
        counts[name] = counts.get(name, 0) + 1
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{name} {count}" for name, count in ranked)
