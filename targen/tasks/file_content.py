"""The content of a data file: its kind by name, its bytes uncompressed, and its text decoded."""

import codecs
import gzip
import io
import zlib
from pathlib import Path
from typing import Final

import zstandard

from targen.errors import TableError
from targen.reading import MOST_BYTES, read_bytes, too_large
from targen.tasks.yamlfile import nearest

KINDS: Final = (".parquet", ".jsonl", ".ndjson", ".json", ".csv", ".tsv")
"""Endings of the names of data files."""
COMPRESSED: Final = (".gz", ".zst")
"""Endings that may follow."""

_BYTE_ORDER_MARKS: Final = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Mark -> encoding. UTF-32 comes before UTF-16, because its mark begins with UTF-16's."""
_OTHER_KINDS: Final = {
    b"\x1f\x8b": ("compressed with gzip", ".gz"),
    b"\x28\xb5\x2f\xfd": ("compressed with Zstandard", ".zst"),
    b"PAR1": ("a Parquet file", ".parquet"),
    b"PK\x03\x04": ("a workbook or an archive (zip)", None),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook", None),
}
"""First bytes -> what the file is, and the ending that its name should have."""
_SPREADSHEETS: Final = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")


def kind_of(name: str) -> str | None:
    """Return the kind of a data file, one of `KINDS`; None if its name has another ending."""
    path = Path(name.lower())
    if path.suffix in COMPRESSED:
        path = path.with_suffix("")
    return path.suffix if path.suffix in KINDS else None


def stem(name: str) -> str:
    """Return a data file's name without its endings."""
    path = Path(name)
    return path.with_suffix("").stem if path.suffix.lower() in COMPRESSED else path.stem


def endings(also: tuple[str, ...] = ()) -> str:
    """Return the valid endings as words."""
    names = (*KINDS, *also)
    return f"{', '.join(names[:-1])} or {names[-1]}, and may be compressed (.gz, .zst)"


def wrong_ending(name: str, also: tuple[str, ...] = ()) -> str:
    """Return what to do about a file whose name has none of the valid endings."""
    suffix = Path(name.lower()).suffix
    if suffix in _SPREADSHEETS:
        return f"'{name}' is a spreadsheet: save it as CSV (in Excel: Save As, \"CSV UTF-8\")"
    hint = nearest(suffix, (*KINDS, *also))
    hint = f"; {hint}" if suffix and hint.startswith("did you mean") else ""
    return f"the name of '{name}' must end in {endings(also)}{hint}"


def content(path: Path) -> bytes:
    """Return the bytes of a file, uncompressed if its name ends in .gz or .zst.

    Raises:
        TableError: the compressed file is damaged.
        OSError: the file cannot be read.
    """
    raw = read_bytes(path)
    suffix = path.suffix.lower()
    try:
        if suffix == ".gz":
            with gzip.GzipFile(fileobj=io.BytesIO(raw)) as file:
                return _bounded(path, file.read(MOST_BYTES + 1))
        if suffix == ".zst":
            with zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True) as stream:
                return _bounded(path, _whole(stream, raw))
    except (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError) as error:
        called = "gzip" if suffix == ".gz" else "Zstandard"
        raise TableError(
            f"{path} cannot be decompressed with {called}: {error}. Copy or compress it again."
        ) from None
    return raw


def _bounded(path: Path, read: bytes) -> bytes:
    if len(read) > MOST_BYTES:
        raise too_large(path, MOST_BYTES)
    return read


def _whole(stream: zstandard.ZstdDecompressionReader, raw: bytes) -> bytes:
    """Return everything in a stream; the library ends silently where a frame is cut off."""
    size = zstandard.frame_content_size(raw)
    read = stream.read(MOST_BYTES + 1)
    if min(size, MOST_BYTES) > len(read):
        raise zstandard.ZstdError("the file is incomplete")
    return bytes(read)


def text(path: Path) -> str:
    """Return a text file's content; every line ends in a line feed.

    UTF-8 needs no byte-order mark. UTF-16 and UTF-32, such as Excel's "Unicode Text", do; UTF-16
    is also recognized by its zero bytes.

    Raises:
        TableError: the file is in another encoding or of another kind; the message names the first
            line.
        OSError: the file cannot be read.
    """
    found = content(path)
    for start, (kind, ending) in _OTHER_KINDS.items():
        if found.startswith(start):
            remedy = f"let its name end in {ending}" if ending else "save it as CSV, UTF-8"
            raise TableError(f"{path} is {kind}: {remedy}.")
    encoding = _encoding(found)
    try:
        decoded = found.decode(encoding)
    except UnicodeDecodeError as error:
        # A line break is the byte 0x0a in all of these encodings.
        line = found.count(b"\n", 0, error.start) + 1
        called = encoding.removesuffix("-sig").upper()
        raise TableError(
            f"{path} is not {called}: line {line} contains the byte 0x{found[error.start]:02x}. "
            'Save it as UTF-8 (in Excel: Save As, "CSV UTF-8").'
        ) from None
    return io.StringIO(decoded, newline=None).getvalue()


def _encoding(found: bytes) -> str:
    for mark, name in _BYTE_ORDER_MARKS.items():
        if found.startswith(mark):
            return name
    if found[1:2] == b"\x00":
        return "utf-16-le"
    return "utf-16-be" if found[:1] == b"\x00" else "utf-8"
