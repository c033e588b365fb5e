"""Files that somebody else made, read as rows with the place that each stood at."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from targen.errors import TableError
from targen.steps import DAMAGED

SUFFIXES: Final = (".parquet", ".jsonl", ".csv", ".tsv")

_LONGEST_CELL = 1 << 30


@dataclass(frozen=True)
class Rows:
    """The rows of a file.

    Attributes:
        name: of the file, for messages.
        columns: name -> values, one per row.
        places: per row the number that a person finds it by.
        place_word: what these numbers count: line, or row.
    """

    name: str
    columns: dict[str, list[Any]]
    places: Sequence[int]
    place_word: str


def read(path: Path) -> Rows:
    """Return the rows of a file.

    Raises:
        TableError: the file is missing, empty, of an unknown kind, not UTF-8, or broken.
    """
    readers: dict[str, Callable[[Path], Rows]] = {
        ".parquet": _parquet, ".jsonl": _json_lines, ".csv": _csv, ".tsv": _tsv
    }  # fmt: skip
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise TableError(f"{path} must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}.")
    try:
        rows = reader(path)
    except FileNotFoundError:
        raise TableError(f"There is no file {path}.") from None
    except OSError as error:
        raise TableError(f"{path} cannot be read: {error.strerror or error}.") from error
    if not rows.places:
        raise TableError(f"{path} holds no row.")
    return rows


def _parquet(path: Path) -> Rows:
    if not path.is_file():
        raise FileNotFoundError
    try:
        frame = pl.read_parquet(path)
    except DAMAGED as error:
        raise TableError(f"{path} is not a readable Parquet file: {error}.") from error
    return of_frame(path.name, frame)


def of_frame(name: str, frame: pl.DataFrame) -> Rows:
    """Return the rows of a frame, counted from 1."""
    columns = {column: frame[column].to_list() for column in frame.columns}
    return Rows(name, columns, range(1, frame.height + 1), "row")


def _text(path: Path) -> str:
    """Return a text file's content.

    Raises:
        TableError: it is not UTF-8.
    """
    content = path.read_bytes()
    try:
        # A byte-order mark, as spreadsheets write it, is no part of the first column's name.
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise TableError(
            f"{path} is not UTF-8: line {line} holds the byte 0x{content[error.start]:02x}. Save "
            "it as UTF-8."
        ) from None


def _json_lines(path: Path) -> Rows:
    columns: dict[str, list[Any]] = {}
    places: list[int] = []
    # Not `splitlines`, which also splits at characters that may stand inside a JSON text.
    for line, text in enumerate(_text(path).split("\n"), 1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise TableError(f"{path}, line {line}: this is no JSON: {error}.") from None
        if not isinstance(row, dict):
            raise TableError(f"{path}, line {line}: a row must be a JSON object.")
        for name in row.keys() - columns.keys():
            columns[name] = [None] * len(places)
        places.append(line)
        for name, values in columns.items():
            values.append(row.get(name))
    return Rows(path.name, {name: columns[name] for name in sorted(columns)}, places, "line")


def _csv(path: Path) -> Rows:
    return _quoted(path, _text(path), ",")


def _tsv(path: Path) -> Rows:
    """Read cells as they stand where no cell can have been quoted, as in GLUE's files."""
    text = _text(path)
    lines = text.split("\n")
    cells = [line.removesuffix("\r").split("\t") for line in lines if line.strip("\r")]
    width = len(cells[0]) if cells else 0
    plain = all(len(row) == width for row in cells)
    if plain and not all(_fits_quoting(cell) for row in cells for cell in row):
        places = [number for number, line in enumerate(lines, 1) if line.strip("\r")]
        return _table(path, cells, places)
    return _quoted(path, text, "\t")


def _fits_quoting(cell: str) -> bool:
    """Tell whether a cell may have been written with quotes around it, or needs none."""
    if not cell.startswith('"'):
        return True
    inside = cell[1:-1]
    return len(cell) > 1 and cell.endswith('"') and '"' not in inside.replace('""', "")


def _quoted(path: Path, text: str, delimiter: str) -> Rows:
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    cells: list[list[str]] = []
    places: list[int] = []
    line = 1
    try:
        for row in reader:
            if row:
                cells.append(row)
                # A quoted cell may span lines: the row stands where it begins.
                places.append(line)
            line = reader.line_num + 1
    except csv.Error as error:
        raise TableError(f"{path}, line {line}: the row cannot be read: {error}.") from None
    return _table(path, cells, places)


def _table(path: Path, cells: list[list[str]], places: list[int]) -> Rows:
    header = cells[0] if cells else []
    if len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise TableError(f"{path} has two columns named {twice!r}.")
    for row, line in zip(cells, places, strict=True):
        if len(row) != len(header):
            raise TableError(
                f"{path}, line {line}: {len(row)} cells, and the header has {len(header)}."
            )
    rows = cells[1:]
    columns = {name: [row[at] for row in rows] for at, name in enumerate(header)}
    return Rows(path.name, dict(columns), places[1:], "line")
