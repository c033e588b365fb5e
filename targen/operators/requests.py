"""Helpers of operators: building requests, reading items of answers, recording rejections."""

from collections.abc import (
    AsyncIterator,
    Callable,
    Container,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
    Sized,
)
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from targen.hashing import canonical
from targen.llm.types import LLM, Outcome, Request
from targen.operators.base import LLMParams
from targen.prompts.render import data_first
from targen.steps import REASONS
from targen.tasks.field_values import described
from targen.tasks.sections import ENGLISH, LANGUAGES
from targen.tasks.spec import TaskSpec
from targen.tasks.validators import fold

QUOTED_CHARACTERS = 80
_BEGINS = "; it begins "
Item = TypeVar("Item")


@dataclass(frozen=True)
class _Requests(Iterable[Request], Sized, Generic[Item]):
    """The requests of a list of items, tagged with their numbers and made as they are drawn."""

    items: Sequence[Item]
    make: Callable[[Item], Request]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Request]:
        for index, item in enumerate(self.items):
            yield replace(self.make(item), tag=index)


async def answered(
    llm: LLM, items: Sequence[Item], make: Callable[[Item], Request]
) -> AsyncIterator[tuple[Item, Outcome]]:
    """Yield each item with the outcome of its request, in the order of the items.

    Requests are made when the engine draws them, and nothing keeps an outcome that was yielded,
    so the memory in use does not grow with the number of items.

    Args:
        llm: the engine.
        items: what to ask about.
        make: returns the request of an item; it must not depend on outcomes.
    """
    early: dict[int, Outcome] = {}
    done = 0
    async for outcome in llm.run(_Requests(items, make)):
        early[outcome.request.tag] = outcome
        while done in early:
            yield items[done], early.pop(done)
            done += 1
    if done < len(items):
        raise RuntimeError(f"the engine returned no outcome for {len(items) - done} requests")


async def answers(llm: LLM, requests: Sequence[Request]) -> list[Outcome]:
    """Return the outcomes of all requests, in the order of the requests."""
    return [outcome async for _, outcome in answered(llm, requests, lambda request: request)]


def make_request(
    params: LLMParams,
    messages: tuple[Mapping[str, str], ...],
    schema: Mapping[str, Any],
    name: str,
    *,
    edition: int,
    sample: int = 0,
) -> Request:
    """Return a request with the sampling parameters and the prompt style of an operator."""
    return Request(
        messages=data_first(messages) if params.style == "plain" else messages,
        schema=schema,
        schema_name=name,
        sampling=params.sampling(),
        sample=params.seed + sample,
        edition=edition,
        model=params.model,
    )


def items_of(outcome: Outcome) -> list[dict[str, Any]]:
    """Return the items of a list answer; anything that is not an object is left out."""
    items = (outcome.value or {}).get("items", [])
    return [item for item in items if isinstance(item, dict)]


def numbered_items(outcome: Outcome, key: str, count: int) -> dict[int, dict[str, Any]]:
    """Return item number (from 1) -> item.

    The model's own numbers are used if they are distinct and in range. Otherwise items are numbered
    in order, because models that number wrongly mostly start at 0 or do not number at all.
    """
    items = items_of(outcome)[:count]
    numbers: list[Any] = [item.get(key) for item in items]
    if len(set(numbers)) == len(items) and all(n in range(1, count + 1) for n in numbers):
        return {int(n): item for n, item in zip(numbers, items, strict=True)}
    return dict(enumerate(items, 1))


def missing_reason(outcome: Outcome) -> tuple[str, str]:
    """Return reason and detail for an item that is missing from an answer.

    For an unreadable answer, the detail quotes its first `QUOTED_CHARACTERS`, escaped.
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


def missing_item(outcome: Outcome, **columns: Any) -> dict[str, Any]:
    """Return a row of the `rejected` table for an item that is missing from an answer."""
    return rejection(*missing_reason(outcome), None, outcome.request_id, **columns)


def row_key(spec: TaskSpec, row: Mapping[str, Any]) -> str:
    """Return the `text_key` of a row's fields, without derived ones."""
    return text_key({name: row[name] for name in spec.shown_fields})


def rejected_row(
    spec: TaskSpec, row: Mapping[str, Any], reason: str, detail: str
) -> dict[str, Any]:
    """Return a row of the `rejected` table for a finished row of instances."""
    columns = {name: row[name] for name in ("slot", "intended_label")}
    return rejection(reason, detail, spec.content(row), row["request_id"], **columns)


def text_key(fields: Mapping[str, Any]) -> str:
    """Return a key that is equal for fields that differ only in case and white space."""
    folded = {
        name: [fold(str(one)) for one in value] if isinstance(value, list) else fold(str(value))
        for name, value in fields.items()
    }
    return canonical(folded)


def tally(details: Iterable[str]) -> str:
    """Count rejections by the name that begins each detail: "word_form 30, differ 4"."""
    counts: dict[str, int] = {}
    for detail in details:
        name = detail.split(_BEGINS, 1)[0].split(":", 1)[0]
        counts[name] = counts.get(name, 0) + 1
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{name} {count}" for name, count in ranked)


def task_block(spec: TaskSpec, given: Container[str] = ()) -> dict[str, Any]:
    """Return the `task` block of a writer's prompt.

    The task's name is left out, so that a task that extends another reuses its stored answers.

    Args:
        spec: the task.
        given: fields that the writer gets finished; it does not need their descriptions.
    """
    fields: dict[str, Any] = {}
    for name, field in spec.fields.items():
        if field.derived:
            continue
        if name in given:
            fields[name] = "given"
        elif field.values:
            fields[name] = {"description": field.description, "values": field.values}
        elif (said := described(field)) is not None:
            fields[name] = {"description": field.description, **said}
        else:
            fields[name] = field.description
    return {
        "title": spec.title,
        "description": spec.description.strip(),
        "fields": fields,
        **_language(spec),
    }


def background(spec: TaskSpec, described: bool = True) -> dict[str, Any]:
    """Return the `task` block of prompts whose answers are no rows: without the fields.

    Without `described`, it has the title alone.
    """
    description = {"description": spec.description.strip()} if described else {}
    return {"title": spec.title, **description, **_language(spec)}


def question_block(spec: TaskSpec) -> dict[str, Any]:
    """Return the `task` block of a reader's prompt.

    The descriptions of fields are orders to the writer, so readers do not get them.
    """
    description = {"description": spec.description.strip(), **_language(spec)}
    return description | {"question": spec.answer.question}


def _language(spec: TaskSpec) -> dict[str, str]:
    return {} if spec.language == ENGLISH else {"language": LANGUAGES[spec.language]}
