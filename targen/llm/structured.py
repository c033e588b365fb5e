"""From a model's text to an object that fits the schema."""

import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from targen.llm.coercion import MISSING, coerced, meant, numbered
from targen.llm.reasoning import answer_part
from targen.llm.sanitize import storable
from targen.llm.values import DEPTH_MOST, first_error, fits, value_at, value_of

_ITEMS = re.compile(r"""["']items["']\s{0,100}:\s{0,100}\[""")
_BRACKETS = re.compile(r"[\[{]")
_NEXT_ITEM = re.compile(r"[{\[\]]")
_UNQUOTED = re.compile(r'[\[\]{}]|"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BEGUN = re.compile(r"\{\s{0,100}[\"'}]|\[\s{0,100}[{\"]")
_QUOTED_LAYERS = 3

_CANDIDATES = 50
_VALUES_MOST = 2000
_LOOSE_BRACKETS = 5
_REPAIRS = 100
_REPAIRED_CHARACTERS = 30_000
"""Bounds for one text: json-repair is slow, and takes more than linear time for some input."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a text holds.

    Attributes:
        value: the object; if `error` is set, what could be salvaged of it, or None.
        error: None only if the text holds one whole object that fits the schema.
    """

    value: dict[str, Any] | None
    error: str | None


def parse(text: str, schema: Mapping[str, Any]) -> Parsed:
    """Read one object out of `text` and check it against `schema`. Never raises.

    Reasoning, fences, chatter around the object, trailing commas and other slips that json-repair
    mends are no error as long as the object is whole; nor is a value that fits the schema in one
    reading only (see `coerced`). Of several objects that fit, the last one is the answer. From a
    broken or invalid answer, those items of its array property `items` are kept that are whole and
    valid by themselves.
    """
    text = _unquoted(storable(text).strip())
    whole = _whole(text)
    if whole is not None:
        candidates: list[Any] = [whole]
    else:
        part = answer_part(text)
        if part is None:
            return Parsed(None, "the answer ends inside its reasoning")
        text = _unquoted(part.strip())
        candidates = []
    if not text:
        return Parsed(None, "the answer is empty")
    scan = _Scan(text)
    if whole is None:
        candidates = [*deque(scan.values(), _CANDIDATES)]
    if scan.broken_at is None:
        for candidate in reversed(candidates):
            found = candidate if fits(schema, candidate) else coerced(candidate, schema)
            if found is not MISSING:
                return Parsed(found, None)
        found = _in_pieces(candidates, schema) if candidates else meant(text, schema)
        if found is not None:
            return Parsed(found, None)
    return _saved(scan, candidates, schema)


def _in_pieces(candidates: list[Any], schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the items that came one after the other (JSON lines, or a fence around each)."""
    if len(candidates) < 2 or "items" not in schema.get("properties", {}):
        return None
    found = coerced(candidates, schema)
    return None if found is MISSING else found


def _saved(scan: "_Scan", candidates: list[Any], schema: Mapping[str, Any]) -> Parsed:
    """Return what can be saved of an answer without a valid object."""
    listed = "items" in schema.get("properties", {})
    error = None
    if scan.broken_at is None:
        for candidate in reversed(candidates):
            value = _with_items(candidate) if listed else candidate
            error = error or first_error(schema, value)
            kept = _valid_part(value, schema) if isinstance(value, dict) else None
            if kept is not None:
                return Parsed(kept, first_error(schema, value))
    items = _valid_items(scan.items(), schema) if listed else []
    error = error or "the answer holds no whole JSON object"
    return Parsed({"items": items} if items else None, error)


def _with_items(value: Any) -> Any:
    """Return an answer with its items as a list."""
    if isinstance(value, list):
        return {"items": value}
    rows = numbered(value.get("items")) if isinstance(value, dict) else None
    if rows is not None:
        return {**value, "items": rows}
    return value if (rows := numbered(value)) is None else {"items": rows}


def _unquoted(text: str) -> str:
    """Return what a JSON string holds, where the whole text is one."""
    for _ in range(_QUOTED_LAYERS):
        quoted = f'"{text}"' if text.startswith('{\\"') else text
        if not (quoted.startswith('"') and quoted.endswith('"')):
            break
        try:
            value = value_of(quoted)
        except ValueError:
            break
        if not isinstance(value, str) or value.strip() == text:
            break
        text = value.strip()
    return text


def _whole(text: str) -> dict[str, Any] | None:
    """Return the object that the whole text is, None if it is not one."""
    if not (text.startswith("{") and text.endswith("}")):
        return None
    try:
        value = value_of(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


class _Scan:
    """Finds the JSON values in a text, in time that grows with its length only."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._repairs = 0
        self._repaired = 0
        self.broken_at: int | None = None

    def values(self) -> Iterator[Any]:
        """Yield the whole top-level objects, and arrays that hold objects.

        Sets `broken_at` to the start of a value that has no end, after which the scan stops.
        """
        start = loose = 0
        for _ in range(_VALUES_MOST):
            found = _BRACKETS.search(self._text, start)
            if found is None:
                return
            at = found.start()
            value, end = self._value_at(at)
            if end is None:
                if _BEGUN.match(self._text, at):
                    self.broken_at = at
                    return
                # A bracket in prose does not start a value that was cut off.
                loose += 1
                if found.group() == "{" or loose > _LOOSE_BRACKETS:
                    return
                start = at + 1
                continue
            start = end
            if isinstance(value, list):
                value = _one_of(value)
            if isinstance(value, (dict, list)):
                yield value

    def items(self) -> list[Any]:
        """Return the whole elements of the array `items` of an answer that was cut off."""
        start = self.broken_at or 0
        named = _ITEMS.search(self._text, start)
        place = named.end() if named else self._text.find("[", start) + 1
        values: list[Any] = []
        while place > 0 and len(values) < _VALUES_MOST:
            found = _NEXT_ITEM.search(self._text, place)
            if found is None or found.group() == "]":
                break
            value, end = self._value_at(found.start())
            if end is None:
                break
            values.append(value)
            place = end
        return values

    def _value_at(self, start: int) -> tuple[Any, int | None]:
        """Return the object or array that starts at `start` and the place behind it.

        The place is None where it has no end, and the value None where it cannot be read.
        """
        if self._repairs > _REPAIRS:
            return None, None
        try:
            return value_at(self._text, start)
        except ValueError:
            self._repairs += 1
        end = _end_of(self._text, start)
        if end is None:
            return None, None
        self._repaired += end - start
        if self._repaired > _REPAIRED_CHARACTERS:
            return None, end
        # Only what is balanced is repaired: a repaired cut-off tail would pass for a whole item.
        from json_repair import repair_json  # noqa: PLC0415 (costs 60 ms, needed for slips only)

        try:
            return value_of(repair_json(self._text[start:end], skip_json_loads=True)), end
        except (ValueError, RecursionError):
            return None, end


def _one_of(values: list[Any]) -> Any:
    """Return an array of objects, or the object if it holds only that one; else None."""
    objects = [value for value in values if isinstance(value, dict)]
    if not objects:
        return None
    same = len(objects) == len(values) and all(value == objects[0] for value in objects)
    return objects[0] if same and len(objects) == 1 else values


def _end_of(text: str, start: int) -> int | None:
    """Return the place behind the bracket that closes the one at `start`, heeding strings."""
    depth = 0
    for found in _UNQUOTED.finditer(text, start):
        mark = found.group()
        if mark in ("{", "["):
            depth += 1
            if depth > DEPTH_MOST:
                return None
        elif mark in ("}", "]"):
            depth -= 1
            if depth == 0:
                return found.end()
    return None


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
        if name != "items" and name in properties and fits(properties[name], part)
    }
    return kept | {"items": items}


def _valid_items(values: list[Any], schema: Mapping[str, Any]) -> list[Any]:
    array = schema["properties"]["items"]
    item = array.get("items", {})
    read = [value if fits(item, value) else coerced(value, item) for value in values[:_VALUES_MOST]]
    valid = [value for value in read if value is not MISSING]
    most = array.get("maxItems")
    return valid if most is None else valid[:most]
