"""Memory of the process."""

import ctypes
from collections.abc import Iterator
from contextlib import suppress

import polars as pl

_ROWS = 1 << 10
"""Rows rendered as JSON at a time."""


def trim() -> None:
    """Give freed memory back to the operating system, where the C library can (glibc).

    After a step with 100,000 rows, the allocator would keep several hundred megabytes.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def ndjson(frame: pl.DataFrame) -> Iterator[str]:
    """Yield the rows as newline-delimited JSON, about a thousand at a time.

    As one text, a table takes several times its size in memory.
    """
    for part in frame.iter_slices(_ROWS):
        yield part.write_ndjson()
