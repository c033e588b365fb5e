"""Checks of one row against its task: empty fields, lengths, validators."""

from collections.abc import Mapping
from typing import Any

from targen.tasks.languages import ENGLISH
from targen.tasks.spec import TaskSpec
from targen.tasks.validators import VALIDATORS


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
