"""Data files that people and other programs write, read as rows with their line numbers.

The user's rows and seeds, reference data and review sheets are all read here, so that a file means
the same everywhere.
"""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import polars as pl

from targen.errors import TableError
from targen.reading import MOST_BYTES
from targen.steps import DAMAGED
from targen.tasks import file_content

_LONGEST_CELL = 1 << 30
_TRIED: Final = 20
"""First rows that decide between separators."""
_SEPARATORS: Final = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
"""Column separators that are recognized; the first one wins a tie."""
_SEP_LINE: Final = re.compile(r'"?sep=([^\w\s"]|\t)"?([,;\t|]*)(?:\n|\Z)', re.IGNORECASE)
"""The line that Excel writes or reads ahead of the header. Saved again, it ends in separators."""
_MOST_PACKED: Final = 20_000_000
_PACKED_PER_BYTE: Final = 16
"""Bounds on the values of a Parquet file: their number, and values per byte. Equal values take no
space in it."""
_MOST_EMPTY: Final = 20_000_000
_SPARSEST: Final = 20
"""Bounds on the cells of JSON rows with different keys: their number, and cells per value."""
_HEADER: Final = re.compile(r'(?:"[^"]*+"|[^"\n])*+')


@dataclass(frozen=True)
class Rows:
    """The rows of a file.

    Attributes:
        name: of the file, for messages.
        columns: name -> values, one per row.
        places: per row, the number by which a person finds it.
        place_word: what these numbers count: line, or row.
        header: line of the column names; None if a row carries its own names.
        separated_by: what separates the cells, in words; None if the file is not a text table.
    """

    name: str
    columns: dict[str, list[Any]]
    places: Sequence[int]
    place_word: str
    header: int | None = None
    separated_by: str | None = None

    def find(self, *names: str) -> str | None:
        """Return the column with the first of these names that exists.

        If none exists exactly, case and surrounding spaces are ignored, provided that only one
        column fits.
        """
        exact = next((name for name in names if name in self.columns), None)
        if exact is not None:
            return exact
        for name in names:
            alike = [column for column in self.columns if _folded(column) == _folded(name)]
            if len(alike) == 1:
                return alike[0]
        return None


def _folded(name: str) -> str:
    return name.strip().casefold()


def read(path: Path) -> Rows:
    """Return the rows of a file.

    Raises:
        TableError: the file is missing, empty, of an unknown kind or encoding, or broken.
    """
    readers: dict[str, Callable[[Path], Rows]] = {
        ".parquet": _parquet, ".jsonl": _json_lines, ".ndjson": _json_lines, ".json": _json,
        ".csv": read_table, ".tsv": _tsv,
    }  # fmt: skip
    kind = file_content.kind_of(path.name)
    if kind is None:
        raise TableError(f"{path}: {file_content.wrong_ending(path.name)}.")
    try:
        rows = readers[kind](path)
    except FileNotFoundError:
        raise TableError(f"There is no file {path}.") from None
    except OSError as error:
        raise TableError(f"{path} cannot be read: {error.strerror or error}.") from error
    if not rows.places:
        raise TableError(f"{path} contains no rows. Add at least one, or name another file.")
    return rows


def _parquet(path: Path) -> Rows:
    found = io.BytesIO(file_content.content(path))
    try:
        cells = pl.scan_parquet(found).select(pl.len()).collect().item()
        cells *= len(pl.read_parquet_schema(found))
        if cells > max(_MOST_PACKED, _PACKED_PER_BYTE * len(found.getbuffer())):
            raise TableError(f"{path} has {cells:,} values in few bytes. {_BOMB}")
        frame = pl.read_parquet(found)
        if _text_bytes(frame) > MOST_BYTES:
            raise TableError(f"{path} has more than {MOST_BYTES:,} bytes of text. {_BOMB}")
        features = pl.read_parquet_metadata(found).get("huggingface")
    except DAMAGED as error:
        raise TableError(f"{path} is not a readable Parquet file: {error}.") from error
    return of_frame(path.name, frame, class_names(features))


_BOMB: Final = "Write it again with the rows that are needed."


def _text_bytes(frame: pl.DataFrame) -> int:
    """Return the bytes of all texts; a file may have a text once that is in many rows."""
    sizes = [
        series.cat.len_bytes() if series.dtype == pl.Categorical else series.str.len_bytes()
        for series in frame.get_columns()
        if series.dtype in (pl.Categorical, pl.String)
    ]
    return sum(int(size.cast(pl.Int64).sum()) for size in sizes)


def class_names(features: str | None) -> dict[str, list[str]]:
    """Return column -> names of its classes, from the metadata that `datasets` writes.

    Args:
        features: the value of the key `huggingface`; None without it.
    """
    try:
        described = json.loads(features or "{}")["info"]["features"]
        return {
            column: [str(name) for name in feature["names"]]
            for column, feature in described.items()
            if feature.get("_type") == "ClassLabel"
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def of_frame(
    name: str, frame: pl.DataFrame, classes: Mapping[str, Sequence[str]] | None = None
) -> Rows:
    """Return the rows of a frame, counted from 1.

    Args:
        name: of the file, for messages.
        frame: its rows.
        classes: column -> names of the classes that its numbers stand for; -1 means no class.
    """
    columns: dict[str, list[Any]] = {}
    for column in frame.columns:
        series = frame[column]
        if classes and column in classes and series.dtype.is_integer():
            named = dict(enumerate(classes[column]))
            series = series.replace_strict(named, default=None, return_dtype=pl.String)
        columns[column] = series.to_list()
    return Rows(name, columns, range(1, frame.height + 1), "row")


def _json_lines(path: Path) -> Rows:
    return _lines_of_json(path, file_content.text(path))


def _lines_of_json(path: Path, content: str) -> Rows:
    rows: list[dict[str, Any]] = []
    places: list[int] = []
    # Not `splitlines`, which also splits at characters that may stand inside a JSON text.
    for line, text in enumerate(content.split("\n"), 1):
        if not text.strip():
            continue
        row = _parsed(text, f"{path}, line {line}", "Write one JSON object per line.")
        if not isinstance(row, dict):
            hint = " Let the name of a list end in .json." if isinstance(row, list) else ""
            raise TableError(f"{path}, line {line}: a row must be a JSON object.{hint}")
        rows.append(row)
        places.append(line)
    return Rows(path.name, _columns(path, rows), places, "line")


def _json(path: Path) -> Rows:
    """Read a list of objects, columns as pandas writes them, or JSON lines under this name."""
    content = file_content.text(path)
    try:
        found = json.loads(content, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        # A complete first line means that there is one object per line.
        if content.lstrip().startswith("{") and error.msg == "Extra data":
            return _lines_of_json(path, content)
        raise TableError(f"{path} is not valid JSON: {error}.") from None
    except RecursionError:
        raise TableError(f"{path} is not valid JSON: it is nested too deeply.") from None
    except ValueError:
        raise TableError(f"{path} {_DIGITS}.") from None
    except _TwiceError as error:
        raise TableError(f"{path}: two values for {str(error)!r}. Remove one of them.") from None
    rows = found
    if isinstance(found, dict):
        lists = [one for one in found.values() if _are_objects(one)]
        rows = lists[0] if len(lists) == 1 else _transposed(found)
    if rows == []:
        return Rows(path.name, {}, [], "row")
    if not _are_objects(rows):
        raise TableError(
            f"{path}: expected a list of objects, one for each row, or an object with one list of "
            f"values for each column. Found {_json_kind(found)}."
        )
    return Rows(path.name, _columns(path, rows), range(1, len(rows) + 1), "row")


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _transposed(found: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Return the rows of columns of equal length; None if the object has another form."""
    parts = list(found.values())
    if parts and all(isinstance(part, dict) for part in parts):
        # pandas writes row number -> value for each column.
        keys = list(parts[0])
        if any(list(part) != keys for part in parts):
            return None
        parts = [list(part.values()) for part in parts]
    if not all(isinstance(part, list) for part in parts) or len({len(part) for part in parts}) != 1:
        return None
    return [dict(zip(found, values, strict=True)) for values in zip(*parts, strict=True)]


def _json_kind(value: Any) -> str:
    if isinstance(value, dict):
        shown = ", ".join(repr(key)[:40] for key in list(value)[:5])
        return f"an object with the keys {shown}" if shown else "an empty object"
    return "a list with other items" if isinstance(value, list) else "a single value"


def _columns(path: Path, rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    names = sorted({name for row in rows for name in row})
    if len(names) * len(rows) > max(_MOST_EMPTY, _SPARSEST * sum(map(len, rows))):
        raise TableError(
            f"{path}: its rows have {len(names):,} different keys, and nearly all of them are "
            "missing from nearly every row. Give all rows the same keys."
        )
    return {name: [row.get(name) for row in rows] for name in names}


def _parsed(text: str, where: str, remedy: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_once)
    except _TwiceError as error:
        raise TableError(f"{where}: two values for {str(error)!r}. Remove one of them.") from None
    except (json.JSONDecodeError, RecursionError) as error:
        raise TableError(f"{where} is not valid JSON: {error}. {remedy}") from None
    except ValueError:
        raise TableError(f"{where} {_DIGITS}.") from None


_DIGITS: Final = "has a number of more than 4,300 digits; write it in quotes, as text"
"""Python converts no longer numbers."""


class _TwiceError(Exception):
    """A JSON object has two values of one name."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        raise _TwiceError(next(name for name, count in counts.items() if count > 1))
    return made


def _tsv(path: Path) -> Rows:
    """Read cells as they are if no cell can have been quoted, as in GLUE's files."""
    text = file_content.text(path)
    numbered = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip("\t")]
    cells = [line.split("\t") for _, line in numbered]
    width = len(cells[0]) if cells else 0
    plain = all(len(row) == width for row in cells) and not _SEP_LINE.match(text)
    if plain and not all(_fits_quoting(cell) for row in cells for cell in row):
        return _table(path, cells, [number for number, _ in numbered], "\t")
    return _quoted(path, text, "\t")


def _fits_quoting(cell: str) -> bool:
    """Tell whether a cell may have been written with quotes around it, or needs none."""
    if not cell.startswith('"'):
        return True
    inside = cell[1:-1]
    return len(cell) > 1 and cell.endswith('"') and '"' not in inside.replace('""', "")


def read_table(path: Path, fill: bool = False) -> Rows:
    """Return the rows of a file with a header and quoted cells, such as CSV.

    Commas, semicolons, tabs and vertical bars are recognized as the separator: from Excel's line
    `sep=;`, otherwise from the header. Empty rows are skipped, and so are empty columns without a
    name.

    Args:
        path: of the file; its suffix does not matter.
        fill: add empty cells to a short row. Excel leaves out empty cells at the end of a row.

    Raises:
        TableError: the encoding is unknown, two columns have the same name, or a row cannot be read
            or has more or fewer cells than the header.
        OSError: the file cannot be read.
    """
    return _quoted(path, file_content.text(path), None, fill)


def _quoted(path: Path, text: str, separator: str | None, fill: bool = False) -> Rows:
    line = 1
    if declared := _SEP_LINE.match(text):
        text, line = text[declared.end() :], 2
        separator = None if declared[2] else declared[1]
    separator = separator or _separator(text)
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    cells: list[list[str]] = []
    places: list[int] = []
    first = line
    try:
        for row in reader:
            if any(row):
                cells.append(row)
                # A quoted cell may span lines: a row has the number of its first line.
                places.append(line)
            line = reader.line_num + first
    except csv.Error as error:
        raise TableError(
            f"{path}, line {line}: the row cannot be read: {error}. Check its quotes: a cell in "
            "quotes needs both, and a quote inside it is written twice."
        ) from None
    return _table(path, cells, places, separator, fill)


def _separator(text: str) -> str:
    """Return the separator that occurs most often in the header outside quotes.

    If several occur, those that give the first rows as many cells as the header go first.
    """
    header = _HEADER.match(text.lstrip("\n"))
    bare = re.sub(r'"[^"]*"', "", header[0]) if header else ""
    present = [one for one in sorted(_SEPARATORS, key=bare.count, reverse=True) if one in bare]
    if len(present) < 2:
        return present[0] if present else next(iter(_SEPARATORS))
    return next((one for one in present if _is_even(text, one)), present[0])


def _is_even(text: str, separator: str) -> bool:
    """Return whether a separator divides the first rows into equal numbers of cells."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        return len({len(row) for row in islice(reader, _TRIED) if any(row)}) == 1
    except csv.Error:
        return False


def _table(
    path: Path, cells: list[list[str]], places: list[int], separator: str, fill: bool = False
) -> Rows:
    header = cells[0] if cells else []
    start = places[0] if places else 1
    named = [name for name in header if name]
    if len(set(named)) < len(named):
        twice = next(name for name, count in Counter(named).items() if count > 1)
        raise TableError(
            f"{path}, line {start}: two columns named {twice!r}. Rename or remove one of them."
        )
    rows: list[list[str]] = []
    lines: list[int] = []
    for given, line in zip(cells[1:], places[1:], strict=True):
        missing = len(header) - len(given)
        row = [*given, *[""] * missing] if fill else given
        if fill and not any(row[len(header) :]):
            row = row[: len(header)]
        if len(row) != len(header):
            raise TableError(
                f"{path}, line {line} has {len(row)} cells, but the header has {len(header)}. "
                f"{_uneven(separator, len(row) > len(header))}"
            )
        # The first column may lack a name: it numbers the rows, as pandas writes it.
        extra = next((n for n, name in enumerate(header) if n and not name and row[n]), None)
        if extra is not None:
            raise TableError(
                f"{path}, line {line}: cell {extra + 1} belongs to a column without a name. Name "
                "the column in the header, or empty the cell."
            )
        rows.append(row)
        lines.append(line)
    columns = {name: [row[at] for row in rows] for at, name in enumerate(header) if name}
    return Rows(
        path.name, columns, lines, "line", start, _SEPARATORS.get(separator, repr(separator))
    )


def _uneven(separator: str, longer: bool) -> str:
    called = _SEPARATORS.get(separator, repr(separator))
    if longer:
        return f"Cells are separated by {called}: put a text that contains any in double quotes."
    return f"Cells are separated by {called}: write an empty cell for a value that is missing."


def paragraphs(path: Path, column: str) -> Rows:
    """Return the paragraphs of a text file as rows of one column.

    Raises:
        TableError: the encoding is unknown, or there is no paragraph.
        OSError: the file cannot be read.
    """
    found: list[str] = []
    lines: list[int] = []
    line = 1
    for block in file_content.text(path).split("\n\n"):
        if block.strip():
            found.append(" ".join(block.split()))
            lines.append(line)
        line += block.count("\n") + 2
    if not found:
        raise TableError(f"{path} contains no rows. Add at least one, or name another file.")
    return Rows(path.name, {column: found}, lines, "line")
