"""Reads values that miss their schema only in form: `"Entailment."`, `{"answer": {...}}`, `"3"`.

Servers that do not enforce a schema get the form wrong more often than the content. A value is
changed only if it is invalid as it stands and exactly one reading of it is valid.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from targen.hashing import canonical
from targen.llm.values import fits, value_of

MISSING: Any = object()
"""No reading fits, or several do."""

_ANY: Mapping[str, Any] = {}
_WRAPPERS = 3
_WRAPPED_MOST = 20
_KEYS_MOST = 200
_LABEL_CHARACTERS = 1000
_AROUND = " \t\r\n\"'`*.,;:!?()[]{}<>\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb"
_NUMBERED = re.compile(
    r"[\s\"'*(\[]*(?:(?P<token>\d{1,3}|[a-z]|[ivx]{1,4})\s?[.):\]]|[-\u2022]\s)\s*(?P<rest>\S.*)",
    re.IGNORECASE | re.DOTALL,
)
_NAMED = re.compile(
    r"[\s\"'*]*(?:final )?(?:answer|label|class|category|output|result|verdict|choice|option)"
    r"[\"'*]*\s?[:=](?P<rest>.+)",
    re.IGNORECASE | re.DOTALL,
)
_LED = re.compile(r"\s*(?:[:;.\n(\[\u2013\u2014]|\s-+\s|,\s(?=because|since|as\b|given|due\b))")
"""What separates a label from its explanation."""
_EXPLAINED_WORDS = 3
_NO_EXPLANATION = re.compile(
    r"\W*(?:\d|(?:no|not|never|none|false|true|unlikely|or|and|but|if|unless|except|i|i'm|sorry|cannot)\b)",
    re.IGNORECASE,
)
"""What may take a label back, or is another kind of value, such as the probability of a label."""
_ANSWER_KEYS = re.compile(
    r"(?:final|predicted)?(?:answer|label|class|classification|category|prediction|output|result"
    r"|verdict|choice|response)"
)
_ROW_KEY = re.compile(r"(\D{0,20}?)[\s_-]?(\d{1,4})")
_INTEGER = re.compile(r"[+-]?\d{1,15}(?:\.0{1,15})?")
_NUMBER = re.compile(
    r"[+-]?(?:\d{1,15}(?:\.\d{0,15})?|\.\d{1,15})(?:e[+-]?\d{1,2})?", re.IGNORECASE
)


def coerced(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return the only reading of `value` that fits `schema`, or `MISSING`."""
    if _refers(schema):
        # Parts of such a schema cannot be checked by themselves.
        return value if fits(schema, value) else MISSING
    return _fitted(value, schema, _WRAPPERS)


def meant(text: str, schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the object that a bare label stands for, if `schema` wants one label and no more.

    An explanation may not follow: a refusal can begin with the word that is a label.
    """
    name = _only_option(schema)
    if name is None:
        return None
    found = _option(text, _options(schema["properties"][name]), explained=False)
    made = {name: found}
    return made if found is not MISSING and fits(schema, made) else None


def numbered(value: Any) -> list[Any] | None:
    """Return the parts of an object with the keys 1, 2, 3 (or item_1, item_2), None of others."""
    if not isinstance(value, Mapping) or not value or len(value) > _KEYS_MOST:
        return None
    keys = [_ROW_KEY.fullmatch(name.strip()) for name in value]
    known = [(key[1], int(key[2])) for key in keys if key is not None]
    first = known[0][1] if known else 0
    wanted = [(known[0][0], first + n) for n in range(len(value))] if known else []
    return [*value.values()] if first in (0, 1) and known and known == wanted else None


def _refers(schema: Mapping[str, Any]) -> bool:
    known = _REFERRING.get(id(schema))
    if known is None or known[0] is not schema:
        if len(_REFERRING) >= 256:
            _REFERRING.clear()
        # The entry keeps the schema alive, so that its id is not reused.
        known = _REFERRING[id(schema)] = (schema, '"$ref":' in canonical(schema))
    return known[1]


_REFERRING: dict[int, tuple[Mapping[str, Any], bool]] = {}


def _fitted(value: Any, schema: Any, wrappers: int) -> Any:
    if not isinstance(schema, Mapping):
        return MISSING
    if fits(schema, value):
        return value
    for read in (_direct, _unwrapped):
        readings: dict[str, Any] = {}
        for reading in read(value, schema, wrappers):
            if reading is not MISSING and fits(schema, reading):
                readings[canonical(reading)] = reading
        if readings:
            return next(iter(readings.values())) if len(readings) == 1 else MISSING
    return None if _may_be_unknown(schema) else MISSING


def _may_be_unknown(schema: Any) -> bool:
    """Return whether a schema lists null among its options: it stands for what cannot be read."""
    options = schema.get("enum") if isinstance(schema, Mapping) else None
    return isinstance(options, list) and None in options


def _direct(value: Any, schema: Mapping[str, Any], wrappers: int) -> Iterator[Any]:
    """Yield readings that keep the value where it is."""
    options = _options(schema)
    if isinstance(options, list):
        yield _option(value, options)
        return
    for word in ("anyOf", "oneOf"):
        for branch in schema.get(word, ()):
            yield _fitted(value, branch, wrappers)
    kinds = _kinds(schema)
    if isinstance(value, Mapping) and "object" in kinds:
        yield _object(value, schema, wrappers)
    elif isinstance(value, list) and "array" in kinds:
        parts = []
        for part in value:
            parts.append(_fitted(part, schema.get("items", _ANY), wrappers))
            if parts[-1] is MISSING:
                return
        yield parts
    elif isinstance(value, list) and "object" in kinds and (name := _only_array(schema)):
        part = _fitted(value, schema["properties"][name], wrappers)
        yield MISSING if part is MISSING else {name: part}
    elif isinstance(value, str):
        yield from _decoded(value, schema, kinds, wrappers)


def _kinds(schema: Mapping[str, Any]) -> tuple[str, ...]:
    kind = schema.get("type", "object" if "properties" in schema else ())
    return (kind,) if isinstance(kind, str) else tuple(kind)


def _only_array(schema: Mapping[str, Any]) -> str | None:
    """Return the property that a bare array must stand for: the only required one, if an array."""
    required = schema.get("required", ())
    if len(required) != 1:
        return None
    part = schema.get("properties", {}).get(required[0], {})
    return str(required[0]) if "array" in _kinds(part) else None


def _options(schema: Mapping[str, Any]) -> Any:
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _only_option(schema: Mapping[str, Any]) -> str | None:
    """Return the property that a bare label must stand for: the only one, if it has options."""
    properties = schema.get("properties", {})
    name = next(iter(properties), None)
    alone = len(properties) == 1 and list(schema.get("required", ())) == [name]
    return name if alone and isinstance(_options(properties[name]), list) else None


def _object(value: Mapping[str, Any], schema: Mapping[str, Any], wrappers: int) -> Any:
    """Return an object with its keys renamed and its parts read; unknown keys may be dropped."""
    if len(value) > _KEYS_MOST:
        return MISSING
    properties = schema.get("properties", {})
    known: dict[str, list[str]] = {}
    for name in properties:
        known.setdefault(_key(name), []).append(name)
    given: dict[str, list[str]] = {}
    for name in value:
        given.setdefault(_key(name), []).append(name)
    made = {}
    for name, part in value.items():
        target = name
        if name not in properties:
            alike = known.get(_key(name), [])
            if len(alike) == 1 and len(given[_key(name)]) == 1:
                target = alike[0]
            elif schema.get("additionalProperties") is False:
                continue
        inner = _fitted(part, properties.get(target, _ANY), wrappers)
        made[target] = part if inner is MISSING else inner
    if made:
        made |= {n: None for n, one in properties.items() if n not in made and _may_be_unknown(one)}
    if properties and not any(name in properties for name in made):
        return _under_another_name(value, schema)
    return made


def _under_another_name(value: Mapping[str, Any], schema: Mapping[str, Any]) -> Any:
    """Return the object with a label that came under a key such as `answer`."""
    name = _only_option(schema)
    if name is None:
        return MISSING
    parts = [part for key, part in value.items() if _ANSWER_KEYS.fullmatch(_key(key))]
    if len(parts) != 1:
        return MISSING
    found = _fitted(parts[0], schema["properties"][name], 0)
    return MISSING if found is MISSING else {name: found}


def _key(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).casefold()


def _decoded(
    value: str, schema: Mapping[str, Any], kinds: tuple[str, ...], wrappers: int
) -> Iterator[Any]:
    """Yield what a text contains if a value that is not text is wanted."""
    text = value.strip()
    if ("object" in kinds or "array" in kinds) and wrappers and text[:1] in ("{", "[", '"'):
        try:
            yield _fitted(value_of(text), schema, wrappers - 1)
        except ValueError:
            return
    plain = text.strip("\"'`").removesuffix(".").strip() if len(text) < 40 else ""
    if "boolean" in kinds and plain.casefold() in ("true", "false"):
        yield plain.casefold() == "true"
    if ("integer" in kinds or "number" in kinds) and _INTEGER.fullmatch(plain):
        yield int(float(plain))
    elif "number" in kinds and _NUMBER.fullmatch(plain):
        yield float(plain)


def _unwrapped(value: Any, schema: Mapping[str, Any], wrappers: int) -> Iterator[Any]:
    """Yield readings of the contents of an object or of a one-element list."""
    if not wrappers:
        return
    kinds = _kinds(schema)
    nested = "object" in kinds or "array" in kinds
    if isinstance(value, list) and len(value) == 1:
        yield _fitted(value[0], schema, wrappers - 1)
    elif isinstance(value, Mapping) and len(value) <= _WRAPPED_MOST:
        parts = numbered(value) if nested else None
        if parts is not None and len(parts) > 1:
            yield _fitted(parts, schema, wrappers - 1)
            return
        # For a scalar, any second key makes it unclear which one is meant.
        if nested or len(value) == 1:
            for part in value.values():
                yield _fitted(part, schema, wrappers - 1)
        if "array" in kinds:
            item = _fitted(value, schema.get("items", _ANY), wrappers - 1)
            if item is not MISSING:
                yield [item]


def _option(value: Any, options: list[Any], *, explained: bool = True) -> Any:
    """Return the one option that a text or scalar can mean.

    Args:
        value: what was written.
        options: what may be meant.
        explained: whether an explanation may follow.
    """
    if value is None or isinstance(value, (Mapping, list)):
        return MISSING
    text = value if isinstance(value, str) else json.dumps(value)
    if len(text) > _LABEL_CHARACTERS:
        return MISSING
    found = _meant(text, options)
    numbered = _NUMBERED.fullmatch(text)
    if found is None and numbered:
        found = _meant(numbered["rest"], options)
        token = _meant(numbered["token"], options) if numbered["token"] else None
        if found is not None and token is not None and found != token:
            return MISSING
        found = token if found is None else found
    if found is None and (named := _NAMED.fullmatch(text)):
        return _option(named["rest"], options, explained=explained)
    if found is None and explained:
        found = _explained(text, options)
    return found[0] if found is not None and len(found) == 1 else MISSING


def _explained(text: str, options: list[Any]) -> list[Any] | None:
    """Return the option at the start of a text, if an explanation follows that names no other."""
    for mark in _LED.finditer(text):
        found = _meant(text[: mark.start()], options)
        if found is None:
            continue
        rest = text[mark.end() :]
        if len(rest.split()) < _EXPLAINED_WORDS or _NO_EXPLANATION.match(rest):
            return None
        words = f"_{_words(rest)}_"
        others = [_words(_text(option)) for option in options if option not in found]
        return None if any(f"_{other}_" in words for other in others) else found
    return None


def _meant(text: str, options: list[Any]) -> list[Any] | None:
    """Return the options that a text means in the strictest form that finds any."""
    for form in _FORMS:
        wanted = form(text)
        found = [option for option in options if form(_text(option)) == wanted]
        if wanted and found:
            return found
    return None


def _text(option: Any) -> str:
    return option if isinstance(option, str) else json.dumps(option)


def _case(text: str) -> str:
    return " ".join(text.split()).casefold()


def _bare(text: str) -> str:
    return _case(text).strip(_AROUND)


def _joined(text: str) -> str:
    return re.sub(r"[\s_-]+", "_", _bare(text))


def _plain(text: str) -> str:
    """Return the text without emoji and invisible characters, and with plain hyphens."""
    kept = unicodedata.normalize("NFKC", text)
    kinds = {"Cf": "", "Mn": "", "So": " ", "Pd": "-"}
    kept = "".join(kinds.get(unicodedata.category(one), one) for one in kept)
    return _joined(re.sub(r"\A\s*(?:[-=]+>|\u2192)", "", kept))


def _compact(text: str) -> str:
    """Return `very late`, `VeryLate` and `very_late` in one form."""
    return _plain(text).replace("_", "")


def _words(text: str) -> str:
    return re.sub(r"[\W_]+", "_", _plain(text)).strip("_")


_FORMS: tuple[Callable[[str], str], ...] = (_case, _bare, _joined, _plain, _compact)
