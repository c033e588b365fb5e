"""Reads files that a user names: regular files only, up to a size."""

import errno
import os
import stat
from pathlib import Path
from typing import IO, Final

MOST_BYTES: Final = 2 * 1024**3
"""The largest data file that is read, before and after decompression."""


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """Return the content of a file.

    A named pipe would wait for a writer forever, and a device such as /dev/zero has no end.

    Raises:
        OSError: the file cannot be read, is not a regular file, or has more than `most` bytes.
    """
    with opened(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise too_large(path, most)
    return content


def opened(path: Path | str, folder: int | None = None) -> IO[bytes]:
    """Open a regular file for reading.

    Args:
        path: the file.
        folder: descriptor of the folder that has it. A link in place of the file is then refused.

    Raises:
        OSError: the file cannot be read, or is not a regular file.
    """
    follow = 0 if folder is None else os.O_NOFOLLOW
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | follow
    file = os.fdopen(os.open(path, flags, dir_fd=folder), "rb")
    found = os.fstat(file.fileno())
    if stat.S_ISREG(found.st_mode):
        return file
    file.close()
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "it is a pipe, socket or device, not a file", str(path))


def too_large(path: Path, most: int) -> OSError:
    """Return the error about a file with more than `most` bytes."""
    return OSError(errno.EFBIG, f"it has more than {most:,} bytes", str(path))
