"""Rows from other sources in a task's columns: own data and reference data."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from targen.errors import TableError
from targen.steps import FIELD_DTYPES
from targen.tasks import import_files
from targen.tasks.import_files import Rows
from targen.tasks.spec import TaskSpec
from targen.tasks.yamlfile import nearest

LABEL: Final = "label"
READINGS: Final = ("intended_label", "annotated_label", "corrected_label")
"""Columns with other readings of a row's label, which the report compares."""
_SHOWN = 3


@dataclass(frozen=True)
class Mapped:
    """The names in the task of a file's columns and labels.

    Attributes:
        columns: column of the file -> field of the task, or `label`; earlier ones win.
        labels: label of the file -> label of the task.
    """

    columns: Mapping[str, str]
    labels: Mapping[str, str]


def read_file(
    path: Path, spec: TaskSpec, mapped: Mapped, *, to_report: bool = False
) -> pl.DataFrame:
    """Return the rows of a file: a column for each field of the task, and `label`.

    Derived fields that the file lacks are absent. So is `label` if the task has no labels.

    Args:
        path: the file.
        spec: the task.
        mapped: names of columns and labels.
        to_report: keep rows with empty texts (as "") and labels (as null), because the report
            counts them, and add the columns `READINGS` that the file has.

    Raises:
        TableError: the file cannot be read, lacks a column, or has a value that does not fit.
    """
    return shaped(import_files.read(path), spec, mapped, to_report=to_report)


def shaped(rows: Rows, spec: TaskSpec, mapped: Mapped, *, to_report: bool = False) -> pl.DataFrame:
    """Return rows in the task's columns; see `read_file`.

    Raises:
        TableError: a column is missing, or a value does not fit; with the first places.
    """
    made: dict[str, pl.Series] = {}
    for name, field in spec.fields.items():
        source = _source(rows, name, mapped)
        if source is None and field.derived:
            continue
        if source is None and field.optional:
            made[name] = pl.Series(name, [""] * len(rows.places), dtype=pl.String)
            continue
        if source is None:
            raise _missing(rows, name)
        lenient = field.optional or (to_report and field.type == "text")
        values = _converted(rows, source, name, _reader(field.type, field.values, lenient))
        made[name] = pl.Series(name, values, dtype=FIELD_DTYPES[field.type])
    if spec.answer.kind != "none":
        source = _source(rows, LABEL, mapped)
        if source is None:
            raise _missing(rows, LABEL)
        made[LABEL] = _labels(rows, source, LABEL, spec, mapped, to_report)
        for name in READINGS if to_report else ():
            source = _source(rows, name, mapped)
            if source is not None:
                made[name] = _labels(rows, source, name, spec, mapped, to_report)
    return pl.DataFrame(made)


def _labels(
    rows: Rows, source: str, name: str, spec: TaskSpec, mapped: Mapped, to_report: bool
) -> pl.Series:
    """Return a column of labels; in a report, an empty one is null."""
    read = _label_reader(spec, mapped.labels)

    def or_null(value: Any) -> Any:
        return None if value is None or not str(value).strip() else read(value)

    values = _converted(rows, source, name, or_null if to_report else read)
    many = spec.answer.kind == "multi"
    return pl.Series(name, values, dtype=pl.List(pl.String) if many else pl.String)


def _source(rows: Rows, name: str, mapped: Mapped) -> str | None:
    """Return the column of a field in the file: the first mapped one that exists."""
    given = [column for column, field in mapped.columns.items() if field == name]
    return rows.find(*given, name)


def _missing(rows: Rows, name: str) -> TableError:
    return TableError(
        f"{rows.name} has no column for '{name}'; {nearest(name, rows.columns)}. Say which one it "
        f"is: `columns:` in the task, or --column {name}=FOUND."
    )


class _WrongError(ValueError):
    """A value does not fit; the message says why, without the value's line."""


def _converted(rows: Rows, source: str, name: str, read: Callable[[Any], Any]) -> list[Any]:
    """Return the values of a column, converted to the type of the field.

    Raises:
        TableError: some do not fit; the message has the first kind of problem and its lines.
    """
    made: list[Any] = []
    fault: str | None = None
    places: list[int] = []
    for value, place in zip(rows.columns[source], rows.places, strict=True):
        try:
            made.append(read(value))
        except _WrongError as error:
            fault = fault or str(error)
            if str(error) == fault:
                places.append(place)
    if fault is not None:
        column = "" if source == name else f" (column {source!r})"
        where = _places(places, rows.place_word)
        raise TableError(f"{rows.name}, {where}: '{name}'{column} {fault}.")
    return made


def _places(places: Sequence[int], word: str) -> str:
    """Return `line 4`, or `lines 4, 7, 9 and 12 more`."""
    if len(places) == 1:
        return f"{word} {places[0]}"
    shown = ", ".join(str(place) for place in places[:_SHOWN])
    more = len(places) - _SHOWN
    return f"{word}s {shown}" + (f" and {more:,} more" if more > 0 else "")


def _reader(kind: str, values: Sequence[str] | None, optional: bool) -> Callable[[Any], Any]:
    """Return the function that converts a value to this type."""

    def text(value: Any) -> str:
        if optional and value is None:
            return ""
        if value is None or (isinstance(value, str) and not value.strip() and not optional):
            raise _WrongError("is empty: fill it in or leave the row out")
        if not isinstance(value, str):
            raise _WrongError(f"must be text, found {_shown(value)}")
        return whole(value)

    def choice(value: Any) -> str:
        found = _label_text(value)
        if values and found not in values:
            raise _WrongError(f"is {_shown(value)}, which is none of {', '.join(values)}")
        return text(found)

    def integer(value: Any) -> int:
        try:
            if isinstance(value, bool) or int(value) != float(value):
                raise ValueError
        except (TypeError, ValueError, OverflowError):
            raise _WrongError(f"must be a whole number, found {_shown(value)}") from None
        return int(value)

    return {"text": text, "choice": choice, "integer": integer, "texts": _texts}[kind]


def _texts(value: Any) -> list[str]:
    """Return a list of texts; text files have it as a JSON list."""
    found = value
    if isinstance(value, str):
        try:
            found = json.loads(value)
        except (ValueError, RecursionError):
            found = None
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise _WrongError(f"must be a list of texts, found {_shown(value)}")
    return [whole(text) for text in found]


def whole(text: str) -> str:
    """Return the text with question marks for lone surrogates, which no table can store."""
    return text.encode("utf-8", "replace").decode()


def _label_text(value: Any) -> str | None:
    """Return a label as text, as in the task: true, 1."""
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _label_reader(spec: TaskSpec, mapping: Mapping[str, str]) -> Callable[[Any], Any]:
    names = list(spec.labels)
    folded = {name.casefold(): name for name in names}

    def one(value: Any) -> str:
        text = _label_text(value)
        if text is None or not text.strip():
            raise _WrongError("is empty: fill it in or leave the row out")
        text = whole(mapping.get(text, text))
        if spec.answer.kind == "span" or text in names:
            return text
        # Other programs write True and TRUE. Case counts only if two labels differ by it alone.
        if len(folded) == len(names) and text.casefold() in folded:
            return folded[text.casefold()]
        raise _WrongError(
            f"is {_shown(value)}, which is no label of {spec.name} ({', '.join(names)}). Say which "
            "one it is: `labels:` of the reference in the task, or --label LABEL=FOUND"
        )

    def several(value: Any) -> list[str]:
        return sorted({one(part) for part in _texts(value)})

    return several if spec.answer.kind == "multi" else one


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def pairs(options: Iterable[str], what: str) -> dict[str, str]:
    """Return found -> wanted for options written WANTED=FOUND, in their order.

    Raises:
        TableError: one has another form, or a name comes twice.
    """
    made: dict[str, str] = {}
    for option in options:
        wanted, sign, found = option.partition("=")
        if not sign or not wanted or not found or found in made:
            raise TableError(f"--{what} {option}: write {what.upper()}=FOUND, each FOUND once.")
        made[found] = wanted
    return made
