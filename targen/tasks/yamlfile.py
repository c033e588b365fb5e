"""YAML files read safely, with the line of every key, and validated into pydantic models."""

import copy
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.scanner import RoundTripScanner

from targen.errors import SpecError
from targen.reading import read_bytes
from targen.tasks import yamlfast

Model = TypeVar("Model", bound=BaseModel)
Loc = tuple[str | int, ...]


LISTED = 20
"""Valid names that an error message lists at most."""


def nearest(name: object, valid: Iterable[str]) -> str:
    """Return "did you mean ...?" or the list of valid names, to end an error message."""
    names = sorted(valid)
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    if not names:
        return "there is none"
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"valid: {', '.join(names[:LISTED])}{more}"


_DUPLICATE = re.compile(r'found duplicate key "?([^"\n]*?)"? with value')
_LOOK = ". Check the indentation and the colons of this line and the previous one"


_MOST_BYTES = 1_000_000
_MOST_DEPTH = 40
_MOST_NODES = 200_000
"""Bounds of a file: its size, and the depth and number of its values with all aliases resolved."""
_SHOWN = 80


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Any:
    """Parse a text; cached, because every step of a run reads all task files.

    Raises:
        YAMLError: it is not YAML.
        ValueError: a value cannot be read, such as a number with 5,000 digits.
    """
    if len(text) > _MOST_BYTES:
        raise ValueError(f"it has more than {_MOST_BYTES:,} characters")
    yaml = YAML(typ="rt", pure=True)
    yaml.Scanner, yaml.Constructor = _Scanner, _Constructor
    try:
        return yaml.load(text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None


@lru_cache(maxsize=8192)
def _quick(text: str) -> Any:
    """Parse an ordinary text, without lines; cached for the same reason.

    Raises:
        UnusualError: it is for `_parsed`.
    """
    if len(text) > _MOST_BYTES:
        raise yamlfast.UnusualError
    return yamlfast.parse(text)


class _Scanner(RoundTripScanner):
    """Ends at the bound on the depth: each level makes the next token more expensive."""

    def fetch_flow_collection_start(self, token: Any, to_push: str) -> None:
        """Begin a list in brackets or a mapping in braces."""
        if len(self.flow_context) > _MOST_DEPTH:
            raise ValueError(_TOO_DEEP)
        super().fetch_flow_collection_start(token, to_push)

    def add_indent(self, column: int) -> bool:
        """Begin an indented list or mapping."""
        if len(self.indents) > 2 * _MOST_DEPTH:
            raise ValueError(_TOO_DEEP)
        return bool(super().add_indent(column))


class _Constructor(RoundTripConstructor):
    """Ends at the bound on the values that merge keys (`<<`) copy."""

    def flatten_mapping(self, node: Any) -> Any:
        """Return the mappings that one mapping merges."""
        merged = super().flatten_mapping(node)
        self._copied = getattr(self, "_copied", 0) + sum(len(one) for one in merged)
        if self._copied > _MOST_NODES:
            raise ValueError(_TOO_MANY)
        for one in merged:
            # The library compares each new referent with all others, value by value.
            one._ref = []
        return merged


_TOO_MANY = f"with its aliases it has more than {_MOST_NODES:,} values"
_TOO_DEEP = f"values are nested more than {_MOST_DEPTH} deep"


class YamlFile:
    """A parsed YAML file, with the line of each key.

    Raises:
        SpecError: the file cannot be read or parsed, or is not a mapping.
    """

    def __init__(self, path: Path, text: str | None = None) -> None:
        """Parse `text`, or the file if it is None."""
        self.path = path
        try:
            if text is None:
                text = read_bytes(path, _MOST_BYTES).decode("utf-8")
            try:
                parsed, exact = _quick(text), None
            except yamlfast.UnusualError:
                parsed = exact = _parsed(text)
            data = _plain(parsed)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = f":{mark.line + 1}" if mark else ""
            problem = error.problem or error.context or "it does not parse"
            advice = "; use spaces, not tabs" if "\\t" in problem else _LOOK
            if twice := _DUPLICATE.match(problem):
                # The library's text quotes both values.
                raise SpecError(
                    f"{path}{line}: the key '{twice[1]}' occurs twice; remove or rename one"
                ) from error
            raise SpecError(f"{path}{line}: not valid YAML: {problem}{advice}") from error
        except OSError as error:
            raise SpecError(f"{path}: cannot be read: {error.strerror or error}") from error
        except (ValueError, TypeError, AttributeError, YAMLError) as error:
            # The library raises the latter two for keys and tags that it cannot read.
            problem = shortened(str(error).partition("\n")[0])
            raise SpecError(f"{path}: cannot be read as YAML: {problem}") from None
        if not isinstance(parsed, dict):
            raise SpecError(f"{path}:1: expected a mapping of keys, found {_kind(parsed)}")
        self._text, self._exact = text, exact
        self.data: dict[str, Any] = data

    @classmethod
    def of(cls, name: str, data: Mapping[str, Any]) -> "YamlFile":
        """Return data of a program as a file; messages have its name and no lines.

        Paths in the data are relative to the working directory.
        """
        made = cls.__new__(cls)
        made.path, made._text, made._exact, made.data = Path(name), "", data, _plain(data)
        return made

    def line(self, loc: Loc) -> int | None:
        """Return the line, from 1, of the deepest key of `loc` that the file contains."""
        if self._exact is None:
            # Only now: it is much slower.
            try:
                self._exact = _parsed(self._text)
            except (YAMLError, ValueError, TypeError, AttributeError):
                return None
        node = self._exact
        line: int | None = None
        for part in loc:
            try:
                lines: Any = node
                mark = lines.lc.key(part) if isinstance(node, dict) else lines.lc.item(part)
                node = node[part]
            except (KeyError, IndexError, AttributeError, TypeError):
                break
            line = int(mark[0]) + 1
        return line

    def where(self, loc: Loc) -> str:
        """Return `file:line: key.path`."""
        line = self.line(loc)
        key = ".".join(str(part) for part in loc)
        start = f"{self.path}:{line}" if line else f"{self.path}"
        return f"{start}: {key}" if key else start


def shortened(text: str) -> str:
    """Return a text that is short enough to be quoted in a message."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _plain(node: Any, counted: list[int] | None = None, depth: int = 0) -> Any:
    """Return a value of the parser as Python's own.

    Raises:
        ValueError: it is too deep, or it is too large with its aliases resolved.
    """
    counted = [0] if counted is None else counted
    counted[0] += 1
    if depth > _MOST_DEPTH:
        raise ValueError(_TOO_DEEP)
    if counted[0] > _MOST_NODES:
        raise ValueError(_TOO_MANY)
    if isinstance(node, dict):
        return {key: _plain(value, counted, depth + 1) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(item, counted, depth + 1) for item in node]
    if isinstance(node, bool):
        return bool(node)
    if isinstance(node, date):
        return node.isoformat()
    for kind in (int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


_KINDS: tuple[tuple[type, str], ...] = (
    (dict, "a mapping"),
    (list, "a list"),
    (str, "text"),
    (bool, "true or false"),
    (int, "an integer"),
    (float, "a number"),
)


def _kind(value: object) -> str:
    if value is None:
        return "nothing"
    # The parser's own classes extend these.
    return next((words for kind, words in _KINDS if isinstance(value, kind)), type(value).__name__)


def non_string_keys(data: Any, loc: Loc = ()) -> list[tuple[Loc, object]]:
    """Return every mapping key that YAML does not read as text."""
    found: list[tuple[Loc, object]] = []
    if isinstance(data, dict):
        for key, value in data.items():
            if not isinstance(key, str):
                found.append(((*loc, key), key))
            else:
                found.extend(non_string_keys(value, (*loc, key)))
    return found


def _quoted(value: object) -> str:
    if value is None:
        return 'write "null" in quotes, or a name before the colon'
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"quote it: '{shortened(text)}'"


def validate(model: type[Model], data: Any, file: YamlFile) -> Model:
    """Return `data` as a `model`.

    Raises:
        SpecError: one line per problem: file, line, key, what was expected, nearest valid name.
    """
    found, problems = validate_partly(model, data, file)
    if found is None or problems:
        raise SpecError("\n".join(problems))
    return found


def validate_partly(
    model: type[Model], data: Any, file: YamlFile
) -> tuple[Model | None, list[str]]:
    """Return `data` as a `model`, and the problems, one line each.

    If unknown keys are the only problems, the model is made without them, so that other checks
    can find more. Otherwise it is None.
    """
    problems = [
        f"{file.where(loc)}: a key must be text, found {_kind(key)}; {_quoted(key)}"
        for loc, key in non_string_keys(data)
    ]
    if problems:
        return None, problems
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        errors = error.errors()
    problems = [_problem(model, item, file) for item in errors]
    if any(item["type"] != "extra_forbidden" for item in errors):
        return None, problems
    rest = copy.deepcopy(data)
    for item in errors:
        parent: Any = rest
        for part in item["loc"][:-1]:
            parent = parent[part]
        del parent[item["loc"][-1]]
    try:
        return model.model_validate(rest), problems
    except ValidationError:
        return None, problems


def _problem(model: type[BaseModel], item: Any, file: YamlFile) -> str:
    loc: Loc = tuple(part for part in item["loc"] if part != "[key]")
    where = file.where(loc)
    kind = item["type"]
    found = item.get("input")
    if kind == "extra_forbidden":
        return f"{where}: unknown key; {nearest(loc[-1], _keys(model, loc[:-1]))}"
    if kind == "missing":
        return f"{where}: this required key is missing"
    if kind == "literal_error":
        expected = [word.strip(" '") for word in _expected(item)]
        return f"{where}: '{shortened(str(found))}' is not valid here; {nearest(found, expected)}"
    if kind in ("dict_type", "model_type", "list_type"):
        expected_kind = "a list" if kind == "list_type" else "keys with values below it"
        return f"{where}: expected {expected_kind}, found {_kind(found)}"
    if kind == "string_type":
        hint = f"; {_quoted(found)}" if isinstance(found, int | float) else ""
        return f"{where}: expected text, found {_kind(found)}{hint}"
    message = str(item["msg"]).removeprefix("Value error, ")
    if kind == "too_short" and item["ctx"]["actual_length"] == 0:
        message = f"it is empty; {item['ctx']['min_length']} or more are required"
    shown = f" (found {shortened(repr(found))})" if isinstance(found, int | float | str) else ""
    return f"{where}: {message[:1].lower()}{message[1:]}{shown if kind != 'value_error' else ''}"


def _expected(item: Any) -> Sequence[str]:
    text = str(item.get("ctx", {}).get("expected", ""))
    return [part for chunk in text.split(" or ") for part in chunk.split(",")]


def _keys(model: type[BaseModel], loc: Loc) -> list[str]:
    current: Any = model
    for part in loc:
        if isinstance(part, int):
            continue  # `current` is already the model of the list's items
        if isinstance(current, type) and issubclass(current, BaseModel):
            info = current.model_fields.get(str(part))
            current = info.annotation if info else None
            while current is not None and not _is_model(current):
                inner = [arg for arg in get_args(current) if arg is not type(None)]
                if not inner or (len(inner) == 2 and inner[0] is str):
                    break
                current = inner[-1]
        elif get_args(current):
            current = get_args(current)[-1]
    fields = current.model_fields.items() if _is_model(current) else ()
    return [field.alias or name for name, field in fields]


def _is_model(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseModel)
