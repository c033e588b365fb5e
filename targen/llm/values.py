"""JSON values in a model's text: decoding them strictly and checking them against a schema."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from jsonschema_rs import Draft202012Validator

from targen.hashing import canonical
from targen.llm.sanitize import storable

DEPTH_MOST = 100
"""Levels of nesting; no answer needs more, and deeper values break what handles them later."""

_ERROR_CHARACTERS = 200


def _float(text: str) -> float | int:
    """Return a number; a whole one as the integer that JSON Schema takes it for."""
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(text)
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _no_constant(name: str) -> None:
    """Refuse NaN and Infinity, which JSON does not have."""
    raise ValueError(name)


_DECODER = json.JSONDecoder(strict=False, parse_float=_float, parse_constant=_no_constant)


def value_at(text: str, start: int) -> tuple[Any, int]:
    """Return the JSON value that starts at `start`, fit to be stored, and the place behind it.

    Raises:
        ValueError: there is none, or it is nested too deeply.
    """
    try:
        value, end = _DECODER.raw_decode(text, start)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    nested = isinstance(value, (dict, list)) and end - start > DEPTH_MOST
    deep = nested and text.count("[", start, end) + text.count("{", start, end) > DEPTH_MOST
    if deep or text.find("\\u", start, end) >= 0:
        value = _storable(value, DEPTH_MOST)
    return value, end


def value_of(text: str) -> Any:
    """Return the whole of `text` as one JSON value, fit to be stored.

    Raises:
        ValueError: it is none.
    """
    text = text.strip()
    value, end = value_at(text, 0)
    if end < len(text):
        raise ValueError("more than one value")
    return value


def _storable(value: Any, levels: int) -> Any:
    """Return `value` with storable texts: an escape may be half a character, or NUL."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, (dict, list)) and levels == 0:
        raise ValueError("nested too deeply")
    if isinstance(value, dict):
        return {storable(name): _storable(part, levels - 1) for name, part in value.items()}
    if isinstance(value, list):
        return [_storable(part, levels - 1) for part in value]
    return value


def validator_of(schema: Mapping[str, Any]) -> Draft202012Validator:
    """Return the validator of a schema object; thousands of requests share one object."""
    known = _SEEN.get(id(schema))
    if known is not None and known[0] is schema:
        return known[1]
    if len(_SEEN) >= 256:
        _SEEN.clear()
    made = _validator(canonical(schema))
    _SEEN[id(schema)] = (schema, made)
    return made


_SEEN: dict[int, tuple[Mapping[str, Any], Draft202012Validator]] = {}


@lru_cache(maxsize=256)
def _validator(schema: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads(schema))


def fits(schema: Mapping[str, Any], value: Any) -> bool:
    """Return whether `value` is valid."""
    return bool(validator_of(schema).is_valid(value))


def first_error(schema: Mapping[str, Any], value: Any) -> str | None:
    """Return what is wrong with `value`, and where; None if it is valid."""
    validator = validator_of(schema)
    if validator.is_valid(value):
        return None
    error = next(validator.iter_errors(value))
    place = "".join(f"[{step!r}]" for step in error.instance_path)
    return f"at {_short(place or 'the top', 80)}: {_short(error.message)}"


def _short(words: str, most: int = _ERROR_CHARACTERS) -> str:
    """Return `words` without their middle where they are long.

    A message quotes what it is about, which may be a whole answer, and ends with what is wrong.
    """
    half = (most - 3) // 2
    return words if len(words) <= most else f"{words[:half]}...{words[-half:]}"
