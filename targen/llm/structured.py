"""From a model's text to an object that fits the schema."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from jsonschema_rs import Draft202012Validator

from targen.hashing import canonical
from targen.llm.types import Request

_THINKING = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_ITEMS = re.compile(r"""["']items["']\s*:\s*\[""")
_ERROR_CHARACTERS = 200
_QUOTED_CHARACTERS = 20_000


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a text holds.

    Attributes:
        value: the object; where `error` is set, what could be saved of it, or None.
        error: None only where the whole text is one object that fits the schema.
    """

    value: dict[str, Any] | None
    error: str | None


def parse(text: str, schema: Mapping[str, Any]) -> Parsed:
    """Read one object out of `text` and check it against `schema`.

    Fences, chatter around the object, trailing commas and other slips that json-repair mends are
    no error as long as the object is whole. Of a broken or invalid answer the items of its array
    property `items` are kept that are whole and valid by themselves.
    """
    validator = _validator_of(schema)
    text = _THINKING.sub("", text).strip()
    if not text:
        return Parsed(None, "the answer is empty")
    best: Parsed | None = None
    for candidate in _objects(text, schema):
        error = _first_error(validator, candidate)
        if error is None:
            return Parsed(candidate, None)
        kept = _valid_part(candidate, schema)
        if best is None or (best.value is None and kept is not None):
            best = Parsed(kept, error)
    if best is not None and best.value is not None:
        return best
    items = _whole_items(text, schema)
    error = best.error if best else "the answer holds no whole JSON object"
    return Parsed({"items": items} if items else None, error)


def ask_again(request: Request, raw: str, error: str) -> Request:
    """Return the request that shows the model its bad answer and the validation error."""
    again = [
        {
            "role": "user",
            "content": f"That answer cannot be used: {error}. Answer again, with the whole JSON "
            "object as the schema wants it and nothing else.",
        }
    ]
    if raw.strip():
        again.insert(0, {"role": "assistant", "content": raw[:_QUOTED_CHARACTERS]})
    return replace(request, messages=(*request.messages, *again))


def _objects(text: str, schema: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the whole top-level objects of `text`; a bare array is read as `items`."""
    listed = "items" in schema.get("properties", {})
    start = 0
    while True:
        found = re.compile(r"[\[{]" if listed else r"\{").search(text, start)
        if found is None:
            return
        value, end = _value_at(text, found.start())
        if isinstance(value, dict):
            yield value
        elif isinstance(value, list) and listed and value:
            yield {"items": value}
        if end is None:
            return
        start = end


def _float(text: str) -> float | int:
    """Return a number; a whole one as the integer that JSON Schema takes it for."""
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


_DECODER = json.JSONDecoder(strict=False, parse_float=_float)


def _value_at(text: str, start: int) -> tuple[Any, int | None]:
    """Return the object or array that starts at `start` and the place behind it.

    The place is None where it has no end, and the value None where it cannot be read.
    """
    try:
        return _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        pass
    end = _end_of(text, start)
    if end is None:
        return None, None
    # Only what is balanced is repaired: a repaired cut-off tail would pass for a whole item.
    from json_repair import repair_json  # noqa: PLC0415 (costs 60 ms, needed for slips only)

    try:
        return _DECODER.decode(repair_json(text[start:end], skip_json_loads=True)), end
    except (ValueError, RecursionError):
        return None, end


def _end_of(text: str, start: int) -> int | None:
    """Return the place behind the bracket that closes the one at `start`, heeding strings."""
    depth, quoted, escaped = 0, False, False
    for place in range(start, len(text)):
        character = text[place]
        if quoted:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                quoted = False
        elif character == '"':
            quoted = True
        elif character in "[{":
            depth += 1
        elif character in "]}":
            depth -= 1
            if depth == 0:
                return place + 1
    return None


def _whole_items(text: str, schema: Mapping[str, Any]) -> list[Any]:
    """Return the whole and valid items of a cut-off answer."""
    if "items" not in schema.get("properties", {}):
        return []
    named = _ITEMS.search(text)
    place = named.end() if named else text.find("[") + 1
    values = []
    while place > 0:
        found = re.compile(r"[{\[\]]").search(text, place)
        if found is None or found.group() == "]":
            break
        value, end = _value_at(text, found.start())
        if end is None:
            break
        values.append(value)
        place = end
    return _valid_items(values, schema)


def _valid_part(value: dict[str, Any], schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return `value` with only its valid items and properties; None where no item is valid."""
    properties = schema.get("properties", {})
    if "items" not in properties or not isinstance(value.get("items"), list):
        return None
    items = _valid_items(value["items"], schema)
    if not items:
        return None
    kept = {
        name: part
        for name, part in value.items()
        if name != "items"
        and name in properties
        and _first_error(_validator(canonical(properties[name])), part) is None
    }
    return kept | {"items": items}


def _valid_items(values: list[Any], schema: Mapping[str, Any]) -> list[Any]:
    array = schema["properties"]["items"]
    validator = _validator(canonical(array.get("items", {})))
    valid = [value for value in values if _first_error(validator, value) is None]
    most = array.get("maxItems")
    return valid if most is None else valid[:most]


def _validator_of(schema: Mapping[str, Any]) -> Draft202012Validator:
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


def _first_error(validator: Draft202012Validator, value: Any) -> str | None:
    try:
        if validator.is_valid(value):
            return None
        error = next(validator.iter_errors(value))
    except UnicodeError:
        return "the answer holds half a character (a lone surrogate)"
    place = "".join(f"[{step!r}]" for step in error.instance_path)
    return f"at {_short(place or 'the top', 80)}: {_short(error.message)}"


def _short(words: str, most: int = _ERROR_CHARACTERS) -> str:
    """Return `words` without their middle where they are long.

    A message quotes what it is about, which may be a whole answer, and ends with what is wrong.
    """
    half = (most - 3) // 2
    return words if len(words) <= most else f"{words[:half]}...{words[-half:]}"
