"""Values of fields: types, bounds, and values that code draws."""

import math
import re
from collections.abc import Mapping
from datetime import date, timedelta
from random import Random
from statistics import NormalDist
from typing import Any, Final

from targen.tasks.sections import Sampler, TaskField

_ISO: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
BOUNDED: Final = ("integer", "float", "date", "texts")
"""Types of fields that can have bounds."""
_SHOWN: Final = 60
_LEAST, _MOST = -(2**63), 2**63 - 1
"""Bounds of a column of integers."""


def read_date(value: object) -> date | None:
    """Return a date, or the date that a text in the form YYYY-MM-DD names; else None."""
    if isinstance(value, date):
        return value
    if not isinstance(value, str) or not _ISO.fullmatch(value):
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


def fits_column(value: int) -> bool:
    """Return whether an integer fits into a column of integers, which have 64 bits."""
    return _LEAST <= value <= _MOST


def finite(value: object) -> float | None:
    """Return a number as a float; None if it is none, infinite, or too large for one."""
    try:
        number = float(value) if type(value) in (int, float) else math.nan  # type: ignore[arg-type]
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def typed(value: object, field: TaskField) -> tuple[Any, str | None]:
    """Return a value in the type of its field's column, and why it does not fit, or None.

    Types are strict: "12" is not an integer, 1 is not a boolean, and a date has the form
    YYYY-MM-DD. An integer is also a float. Texts always fit; other checks apply to them.
    """
    shown = repr(value)[:_SHOWN]
    match field.type:
        case "integer" if type(value) is not int or not fits_column(value):
            size = " of at most 64 bits" if type(value) is int else ""
            return value, f"must be an integer{size}, found {shown}"
        case "float":
            number = finite(value)
            if number is None:
                return value, f"must be a number, found {shown}"
            value = number
        case "boolean" if type(value) is not bool:
            return value, f"must be true or false, found {shown}"
        case "date":
            found = read_date(value)
            if found is None:
                return value, f"must be a date in the form YYYY-MM-DD, found {shown}"
            value = found
        case "choice" if field.values and value not in field.values:
            return value, f"must be one of {', '.join(field.values)}, found {shown}"
    return value, _beyond(value, field)


def _beyond(value: Any, field: TaskField) -> str | None:
    least, most = bounds(field)
    size = len(value) if isinstance(value, list) else value
    unit = " texts" if field.type == "texts" else ""
    if least is not None and size < least:
        return f"must be at least {least}{unit}, found {size}"
    if most is not None and size > most:
        return f"must be at most {most}{unit}, found {size}"
    return None


def bounds(field: TaskField) -> tuple[Any, Any]:
    """Return `at_least` and `at_most` in the type of the field's values."""
    if field.type == "date":
        return read_date(field.at_least), read_date(field.at_most)
    return field.at_least, field.at_most


def misfit(values: dict[str, Any], fields: Mapping[str, TaskField]) -> str | None:
    """Return the problem if a value does not fit the type or the bounds of its field, else None.

    Values that fit are converted in place to the type of their column. Derived fields and empty
    values of optional fields are skipped.
    """
    for name, value in values.items():
        field = fields.get(name)
        if field is None or field.derived or (field.optional and value in (None, "", [])):
            continue
        values[name], problem = typed(value, field)
        if problem is not None:
            return f"{field.type}: {name} {problem}"
    return None


def described(field: TaskField) -> dict[str, Any] | None:
    """Return what prompts say about a field's type and bounds; None if they say nothing."""
    said: dict[str, Any] = {}
    if field.type in ("float", "boolean", "date"):
        said["type"] = {"float": "number", "date": "date, YYYY-MM-DD"}.get(field.type, field.type)
    if field.at_least is not None:
        said["at_least"] = field.at_least
    if field.at_most is not None:
        said["at_most"] = field.at_most
    return said or None


def drawn(field: TaskField, random: Random) -> Any:
    """Return a value that the field's sampler draws, as JSON has it: dates as text."""
    sampler, (least, most) = field.sampler, bounds(field)
    assert sampler is not None, "the field has no sampler"
    if field.type in ("choice", "boolean"):
        options = list(field.values or ()) if field.type == "choice" else ["true", "false"]
        weights = [(sampler.weights or dict.fromkeys(options, 1.0)).get(one, 0) for one in options]
        (found,) = random.choices(options, weights)
        return found if field.type == "choice" else found == "true"
    if field.type == "date":
        return (least + timedelta(days=random.randint(0, (most - least).days))).isoformat()
    if sampler.distribution == "normal":
        # Not 0, which has no quantile.
        share = max(random.random(), 1e-12)
        value = NormalDist(sampler.mean or 0.0, sampler.sd or 1.0).inv_cdf(share)
        value = value if least is None else max(value, least)
        value = value if most is None else min(value, most)
    elif field.type == "integer":
        return random.randint(least, most)
    else:
        value = least + (most - least) * random.random()
    return round(value) if field.type == "integer" else round(value, sampler.decimals)


def declaration_problems(field: TaskField) -> list[tuple[str, str]]:
    """Return the problems of a field's type, bounds and sampler as (key, message)."""
    found = [(key, text) for key, text in _bound_problems(field)]
    if field.type in ("float", "boolean", "date"):
        for key in ("values", "max_words"):
            if getattr(field, key) is not None:
                found.append((key, f"a field of type {field.type} has no `{key}`"))
    if field.sampler is not None and not found:
        found += [(f"sampler{key}", text) for key, text in _sampler_problems(field)]
    return found


def _bound_problems(field: TaskField) -> list[tuple[str, str]]:
    found = []
    for key in ("at_least", "at_most"):
        value = getattr(field, key)
        if value is None:
            continue
        if field.type not in BOUNDED:
            found.append((key, f"only {', '.join(BOUNDED)} have bounds, not {field.type}"))
        elif field.type == "date" and read_date(value) is None:
            found.append((key, f"expected a date in the form YYYY-MM-DD, found {value!r}"))
        elif field.type == "texts" and (type(value) is not int or value < 0):
            found.append((key, f"expected a number of texts, found {value!r}"))
        elif field.type == "integer" and type(value) is not int:
            found.append((key, f"expected an integer, found {value!r}"))
        elif field.type == "float" and finite(value) is None:
            found.append((key, f"expected a number, found {value!r}"))
    if not found and None not in (field.at_least, field.at_most):
        least, most = bounds(field)
        if least > most:
            found.append(("at_least", "it is greater than `at_most`"))
    return found


def _sampler_problems(field: TaskField) -> list[tuple[str, str]]:
    sampler = field.sampler
    assert sampler is not None, "the field has no sampler"
    if field.planned or field.derived:
        return [("", "the plan or a validator sets this field already; remove one of the two")]
    if field.type in ("choice", "boolean"):
        return _weight_problems(sampler, field)
    if field.type not in ("integer", "float", "date"):
        return [("", f"a sampler cannot draw a field of type {field.type}")]
    if sampler.weights is not None:
        return [(".weights", "only a choice or a boolean has weights")]
    normal = sampler.distribution == "normal"
    if normal and field.type == "date":
        return [(".distribution", "dates are drawn uniformly")]
    needed, part = (("mean", "sd"), sampler) if normal else (("at_least", "at_most"), field)
    what = "a normal distribution needs" if normal else "a uniform distribution needs the field's"
    missing = [key for key in needed if getattr(part, key) is None]
    return [("", f"{what} `{missing[0]}`")] if missing else []


def _weight_problems(sampler: Sampler, field: TaskField) -> list[tuple[str, str]]:
    known = list(field.values or ()) if field.type == "choice" else ["true", "false"]
    if sampler.distribution != "uniform":
        return [(".distribution", f"a {field.type} has `weights` or is uniform")]
    unknown = [name for name in sampler.weights or () if name not in known]
    if unknown:
        return [(".weights", f"{unknown[0]!r} is not one of {', '.join(known)}")]
    if sampler.weights is not None and not _possible(sampler.weights):
        return [(".weights", "weights must be 0 or more, and one must be above 0")]
    return []


def _possible(weights: Mapping[str, float]) -> bool:
    finite = all(math.isfinite(weight) and weight >= 0 for weight in weights.values())
    return finite and any(weights.values())
