"""Data files that people and other programs write, read as rows with their line numbers.

Own rows, seeds, reference data and review sheets are all read here, so that one file means the same
everywhere.
"""

import codecs
import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from targen.errors import TableError
from targen.steps import DAMAGED

SUFFIXES: Final = (".parquet", ".jsonl", ".csv", ".tsv")

_LONGEST_CELL = 1 << 30
_SEPARATORS: Final = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
"""Column separators that are recognized; the first one wins a tie."""
_SEP_LINE: Final = re.compile(r'"?sep=([^\w\s"]|\t)"?([,;\t|]*)(?:\n|\Z)', re.IGNORECASE)
"""The line that Excel writes or reads ahead of the header. Saved again, it ends in separators."""
_HEADER: Final = re.compile(r'(?:"[^"]*+"|[^"\n])*+')
_BYTE_ORDER_MARKS: Final = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Mark -> encoding. UTF-32 comes before UTF-16, because its mark begins with UTF-16's."""


@dataclass(frozen=True)
class Rows:
    """The rows of a file.

    Attributes:
        name: of the file, for messages.
        columns: name -> values, one per row.
        places: per row the number that a person finds it by.
        place_word: what these numbers count: line, or row.
        header: line of the column names; None if a row carries its own names.
    """

    name: str
    columns: dict[str, list[Any]]
    places: Sequence[int]
    place_word: str
    header: int | None = None

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
        ".parquet": _parquet, ".jsonl": _json_lines, ".csv": read_table, ".tsv": _tsv
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
        raise TableError(f"{path} contains no rows. Add at least one, or name another file.")
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


def read_text(path: Path) -> str:
    """Return a text file's content; every line ends in a line feed.

    UTF-8 needs no byte-order mark. UTF-16 and UTF-32, such as Excel's "Unicode Text", do; UTF-16
    is also recognized by its zero bytes.

    Raises:
        TableError: the file is in another encoding; the message names the first line.
        OSError: the file cannot be read.
    """
    content = path.read_bytes()
    marked = next(
        (name for mark, name in _BYTE_ORDER_MARKS.items() if content.startswith(mark)), None
    )
    if marked is None and content[1:2] == b"\x00":
        marked = "utf-16-le"
    if marked is None and content[:1] == b"\x00":
        marked = "utf-16-be"
    encoding = marked or "utf-8"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        # A line break is the byte 0x0a in all of these encodings.
        line = content.count(b"\n", 0, error.start) + 1
        called = encoding.removesuffix("-sig").upper()
        raise TableError(
            f"{path} is not {called}: line {line} holds the byte 0x{content[error.start]:02x}. "
            'Save it as UTF-8 (in Excel: Save As, "CSV UTF-8").'
        ) from None
    return io.StringIO(text, newline=None).getvalue()


def _encoding(content: bytes) -> str:
    for mark, name in _BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            return name
    if content[1:2] == b"\x00":
        return "utf-16-le"
    return "utf-16-be" if content[:1] == b"\x00" else "utf-8"


def _json_lines(path: Path) -> Rows:
    columns: dict[str, list[Any]] = {}
    places: list[int] = []
    # Not `splitlines`, which also splits at characters that may stand inside a JSON text.
    for line, text in enumerate(read_text(path).split("\n"), 1):
        if not text.strip():
            continue
        try:
            row = json.loads(text, object_pairs_hook=_once)
        except _TwiceError as error:
            raise TableError(
                f"{path}, line {line}: two values for {str(error)!r}. Remove one of them."
            ) from None
        except (ValueError, RecursionError) as error:
            raise TableError(
                f"{path}, line {line} is not valid JSON: {error}. Write one JSON object per line."
            ) from None
        if not isinstance(row, dict):
            raise TableError(f"{path}, line {line}: a row must be a JSON object.")
        for name in row.keys() - columns.keys():
            columns[name] = [None] * len(places)
        places.append(line)
        for name, values in columns.items():
            values.append(row.get(name))
    return Rows(path.name, {name: columns[name] for name in sorted(columns)}, places, "line")


class _TwiceError(Exception):
    """A JSON object has two values of one name."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise _TwiceError(next(name for name in names if names.count(name) > 1))
    return made


def _tsv(path: Path) -> Rows:
    """Read cells as they are if no cell can have been quoted, as in GLUE's files."""
    text = read_text(path)
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
        TableError: the encoding is unknown, two columns have one name, or a row cannot be read or
            has not as many cells as the header.
        OSError: the file cannot be read.
    """
    return _quoted(path, read_text(path), None, fill)


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
    """Return the separator that occurs most often in the header outside quotes."""
    header = _HEADER.match(text.lstrip("\n"))
    bare = re.sub(r'"[^"]*"', "", header[0]) if header else ""
    return max(_SEPARATORS, key=bare.count)


def _table(
    path: Path, cells: list[list[str]], places: list[int], separator: str, fill: bool = False
) -> Rows:
    header = cells[0] if cells else []
    start = places[0] if places else 1
    named = [name for name in header if name]
    if len(set(named)) < len(named):
        twice = next(name for name in named if named.count(name) > 1)
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
    return Rows(path.name, columns, lines, "line", start)


def _uneven(separator: str, longer: bool) -> str:
    called = _SEPARATORS.get(separator, repr(separator))
    if longer:
        return f"Cells are separated by {called}: put a text that contains any in double quotes."
    return f"Cells are separated by {called}: write an empty cell for a value that is missing."
