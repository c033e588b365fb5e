"""Checks the content of generated texts, in the form in which operators report problems."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from targen.llm.types import Request
from targen.prompts.render import instructions
from targen.tasks.guards import REASONS, fault
from targen.tasks.spec import TaskSpec

_INVALID: Final = "invalid"


def content_problem(
    values: Mapping[str, Any],
    spec: TaskSpec,
    request: Request | None,
    more: Iterable[str] = (),
    examples: Iterable[Mapping[str, Any]] = (),
    labels: Iterable[str] = (),
) -> str | None:
    """Return the problem with the content of texts, which begins with the guard's name, or None.

    Args:
        values: field -> what the model wrote.
        spec: the task.
        request: the request that was answered; its instructions must not be repeated.
        more: further texts of the prompt that must not be repeated.
        examples: the fields of rows that must not come back.
        labels: names of labels that a text must not mention as labels.
    """
    shown = [] if request is None else [instructions(tuple(request.messages))]
    found = fault(values, spec, [*shown, *more], examples, labels)
    return None if found is None else f"{found.reason}: {found.detail}"


def reason_of(problem: str) -> str:
    """Return the rejection reason of a problem: the guard that begins it, or `invalid`."""
    name = problem.partition(":")[0]
    return name if name in REASONS else _INVALID
