"""Rows from other sources in a task's columns: the user's data and reference data."""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import polars as pl

from targen.columns import FIELD_DTYPES
from targen.errors import TableError
from targen.tasks import import_files
from targen.tasks.answers import LISTS
from targen.tasks.entities import entry, parts
from targen.tasks.field_values import fits_column, read_date
from targen.tasks.import_files import Rows
from targen.tasks.spec import TaskSpec
from targen.tasks.yamlfile import nearest

LABEL: Final = "label"
READINGS: Final = ("intended_label", "annotated_label", "corrected_label")
"""Columns with other readings of a row's label, which the report compares."""
_SHOWN = 3
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}


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
        TableError: a column is missing, or a value does not fit; the message names the places.
    """
    made: dict[str, pl.Series] = {}
    for name, field in spec.fields.items():
        absent = source_of(rows, name, mapped) is None
        if absent and field.derived:
            continue
        optional = field.optional or to_report
        if absent and field.optional:
            values = absent_values(rows, field.type)
        else:
            values = column(rows, name, field.type, mapped, field.values, optional=optional)
        made[name] = pl.Series(name, values, dtype=FIELD_DTYPES[field.type])
    if spec.answer.kind != "none":
        made[LABEL] = _labels(rows, LABEL, spec, mapped, to_report)
        # A column that is a text of the rows is no reading of their label.
        texts = {source_of(rows, name, mapped) for name in spec.fields}
        for name in READINGS if to_report else ():
            if source_of(rows, name, mapped) not in {None, *texts}:
                made[name] = _labels(rows, name, spec, mapped, to_report)
    return pl.DataFrame(made)


def unlabeled(rows: Rows, spec: TaskSpec, mapped: Mapped) -> pl.DataFrame:
    """Return texts without labels: a column for each text field that they have.

    Raises:
        TableError: there is no such column, or a value does not fit.
    """
    texts = {name: one.type for name, one in spec.fields.items() if one.type in ("text", "texts")}
    known = [name for name in texts if source_of(rows, name, mapped) is not None]
    if not known:
        raise TableError(
            f"{rows.name} has no column for any of the text fields {', '.join(texts)}. It has the "
            f"columns {', '.join(rows.columns)}. Name one in `columns` of `unlabeled`."
        )
    made = {name: column(rows, name, texts[name], mapped, optional=True) for name in known}
    return pl.DataFrame(
        [pl.Series(name, values, dtype=FIELD_DTYPES[texts[name]]) for name, values in made.items()]
    )


def column(
    rows: Rows,
    name: str,
    kind: str,
    mapped: Mapped,
    values: Sequence[str] | None = None,
    *,
    blank: bool = False,
    optional: bool = False,
) -> list[Any]:
    """Return the values of one field, converted to its type.

    Args:
        rows: the rows of a file.
        name: the field.
        kind: its type: text, texts, choice or integer.
        mapped: names of columns.
        values: the values that a choice may have; None allows every value.
        blank: whether a text may have no characters except spaces.
        optional: whether cells may be empty; they become "", [] or None.

    Raises:
        TableError: the column is missing, or a value does not fit; the message names the places.
    """
    return _converted(rows, name, mapped, _reader(kind, values, blank, optional))


def absent_values(rows: Rows, kind: str) -> list[Any]:
    """Return the values of an optional field without a column, as if all its cells were empty."""
    read = _reader(kind, None, blank=False, optional=True)
    return [read(None) for _ in rows.places]


def _labels(rows: Rows, name: str, spec: TaskSpec, mapped: Mapped, to_report: bool) -> pl.Series:
    """Return a column of labels; in a report, an empty one is null."""
    read = _label_reader(spec, mapped.labels)

    def or_null(value: Any) -> Any:
        return None if empty(value) else read(value)

    values = _converted(rows, name, mapped, or_null if to_report else read)
    many = spec.answer.kind in LISTS
    return pl.Series(name, values, dtype=pl.List(pl.String) if many else pl.String)


def source_of(rows: Rows, name: str, mapped: Mapped) -> str | None:
    """Return the column of a field in the file: the first mapped one that exists, else None."""
    given = [column for column, field in mapped.columns.items() if field == name]
    return rows.find(*given, name)


def _missing(rows: Rows, name: str) -> TableError:
    where = rows.name if rows.header is None else f"{rows.name}, line {rows.header},"
    cells = "" if rows.separated_by is None else f" (cells are separated by {rows.separated_by})"
    hint = sentence(nearest(name, rows.columns))
    return TableError(
        f"{where} has no column for '{name}'{cells}; {hint} Name it in `columns` of the task or, "
        f"for targen report, with --column {name}=FOUND."
    )


def sentence(hint: str) -> str:
    """Return the text of `nearest` with a punctuation mark at its end."""
    return hint if hint.endswith("?") else f"{hint}."


class _WrongError(ValueError):
    """A value does not fit; the message says why, without the value's line."""


def _converted(rows: Rows, name: str, mapped: Mapped, read: Callable[[Any], Any]) -> list[Any]:
    """Return the values of a column, converted to the type of the field.

    Raises:
        TableError: the column is missing, or some values do not fit; the message has the first
            kind of problem and its lines.
    """
    source = source_of(rows, name, mapped)
    if source is None:
        raise _missing(rows, name)
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


def _reader(
    kind: str, values: Sequence[str] | None, blank: bool, optional: bool
) -> Callable[[Any], Any]:
    """Return the function that converts a value to this type."""

    def text(value: Any) -> str:
        if empty(value):
            if optional or (blank and isinstance(value, str)):
                return whole(value) if isinstance(value, str) else ""
            raise _WrongError("is empty: fill it in or leave the row out")
        if not isinstance(value, str):
            raise _WrongError(f"must be text, found {_shown(value)}")
        return whole(value)

    def choice(value: Any) -> str | None:
        if optional and empty(value):
            return None
        found = label_text(value)
        if values and found not in values:
            raise _WrongError(f"is {_shown(value)}, but must be one of {', '.join(values)}")
        return text(found)

    def integer(value: Any) -> int | None:
        if optional and empty(value):
            return None
        try:
            found = int(value)
            # A float does not hold every integer.
            if isinstance(value, bool) or not (isinstance(value, int | str) or found == value):
                raise ValueError
        except (TypeError, ValueError, OverflowError):
            raise _WrongError(f"must be a whole number, found {_shown(value)}") from None
        if not fits_column(int(value)):
            raise _WrongError(f"must be a whole number of at most 64 bits, found {_shown(value)}")
        return int(value)

    def texts(value: Any) -> list[str]:
        return [] if optional and empty(value) else _texts(value)

    def boolean(value: Any) -> bool | None:
        if optional and empty(value):
            return None
        found = _BOOLEANS.get(str(value).strip().casefold())
        if found is None:
            raise _WrongError(f"must be true or false, found {_shown(value)}")
        return found

    def number(value: Any) -> float | None:
        if optional and empty(value):
            return None
        try:
            if isinstance(value, bool) or not math.isfinite(float(value)):
                raise ValueError
        except (TypeError, ValueError, OverflowError):
            raise _WrongError(f"must be a number, found {_shown(value)}") from None
        return float(value)

    def day(value: Any) -> date | None:
        if optional and empty(value):
            return None
        # Parquet may have a time of day, which is midnight.
        found = value.date() if isinstance(value, datetime) else read_date(value)
        if found is None:
            raise _WrongError(f"must be a date in the form YYYY-MM-DD, found {_shown(value)}")
        return found

    readers: dict[str, Callable[[Any], Any]] = {"float": number, "boolean": boolean, "date": day}
    readers |= {"text": text, "choice": choice, "integer": integer, "texts": texts}
    return readers[kind]


def empty(value: Any) -> bool:
    """Return whether a cell has no value: null, NaN, or blank text."""
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or (isinstance(value, str) and not value.strip())


def _listed(value: Any) -> list[Any] | None:
    """Return a list, which text files have as JSON; None for everything else."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, list) else None


def _texts(value: Any) -> list[str]:
    found = _listed(value)
    if found is None or not all(isinstance(text, str) for text in found):
        raise _WrongError(f"must be a list of texts, found {_shown(value)}")
    return [whole(text) for text in found]


def whole(text: str) -> str:
    """Return the text with question marks for lone surrogates, which no table can store."""
    return text.encode("utf-8", "replace").decode()


def label_text(value: Any) -> str | None:
    """Return a label as text, as in the task: true, 1. Spaces around it do not count."""
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _label_reader(spec: TaskSpec, mapping: Mapping[str, str]) -> Callable[[Any], Any]:
    names = list(spec.labels)
    folded = {name.casefold(): name for name in names}

    wanted = ",".join(f"{name}=FOUND" for name in names[:_SHOWN])

    def one(value: Any) -> str:
        text = None if empty(value) else label_text(value)
        if text is None:
            raise _WrongError("is empty: fill it in or leave the row out")
        text = whole(mapping.get(str(value), mapping.get(text, text)))
        if spec.answer.kind == "span" or text in names:
            return text
        # Other programs write True and TRUE. Case counts only if two labels differ by it alone.
        if len(folded) == len(names) and text.casefold() in folded:
            return folded[text.casefold()]
        raise _WrongError(
            f"is {_shown(value)}, which is not a label of {spec.name} ({', '.join(names)}). State "
            f"which label it means: `labels` of the reference in the task, or --label {wanted}"
        )

    def several(value: Any) -> list[str]:
        return sorted({one(part) for part in _texts(value)})

    if spec.answer.kind == "spans":
        return lambda value: _entities(value, names, mapping)
    return several if spec.answer.kind in LISTS else one


def _entities(value: Any, types: Sequence[str], mapping: Mapping[str, str]) -> list[str]:
    """Return a list of entities, given as `type: text` or as objects with `type` and `text`."""
    found = _listed(value)
    pairs = [
        (one.get("type"), one.get("text")) if isinstance(one, Mapping) else parts(str(one))
        for one in found or []
    ]
    label = {entry(mapping.get(str(kind), str(kind)), whole(str(text))) for kind, text in pairs}
    if found is None or any(parts(one)[0] not in types for one in label):
        raise _WrongError(
            f"must be a list of entities, `type: text` or objects with type and text, of the types "
            f"{', '.join(types)}, found {_shown(value)}"
        )
    return sorted(label)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def pairs(options: Iterable[str], what: str) -> dict[str, str]:
    """Return found -> wanted for options written WANTED=FOUND, in their order.

    One option may contain several pairs, separated by commas.

    Raises:
        TableError: one has another form, or a name occurs twice.
    """
    made: dict[str, str] = {}
    for option in options:
        parts = option.split(",")
        for part in parts if all("=" in part for part in parts) else [option]:
            wanted, sign, found = part.partition("=")
            if not sign or not wanted or not found or found in made:
                raise TableError(f"--{what} {option}: write {what.upper()}=FOUND, each FOUND once.")
            made[found] = wanted
    return made
