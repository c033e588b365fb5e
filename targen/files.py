"""Writing of files: atomic, durable, private, and never through a planted link.

A file is written under a random name in its target's folder, flushed to the disk and renamed; then
the folder is flushed. Readers see the old bytes or the new, and what was written survives a loss of
power.
"""

import errno
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, Final

from targen.errors import TableError

_READ_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_FOLDER_SYNC: Final = frozenset({errno.EINVAL, errno.ENOTSUP, errno.ENOSYS})
"""What file systems answer that cannot flush a folder."""
_NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS})
_MAX_STEM: Final = 100
_ABANDONED_S: Final = 3600.0
"""Age after which a draft cannot belong to a living process."""


def cannot(verb: str, address: str, error: Exception, named_by: str) -> TableError:
    """Return the error for a failed file operation, with advice that follows the cause.

    Args:
        verb: `read`, `write` or `delete`.
        address: the file, for people.
        error: the cause.
        named_by: the setting or option that names the file.
    """
    cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return TableError(f"Cannot {verb} {address}: {cause}. {advice(error, named_by)}")


def advice(error: Exception, named_by: str) -> str:
    """Return what to do about a failed file operation, as a sentence.

    Args:
        error: the cause.
        named_by: the setting or option that names the file or its folder.
    """
    number = error.errno if isinstance(error, OSError) else None
    other = f"name another {named_by}."
    if number in _ADVICE:
        return f"{_ADVICE[number]}, or {other}"
    if number in (errno.EMFILE, errno.ENFILE):
        return "Raise the limit on open files (`ulimit -n`), then try again."
    if number in (errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ENOENT, errno.EINVAL):
        return f"Check the path, or {other}"
    return f"Give this user permission, or {other}"


_ADVICE: Final = {
    errno.ENOSPC: "The disk is full: free some space",
    errno.EDQUOT: "This user's disk quota is used up: delete files or raise the quota",
    errno.EROFS: "The file system is read-only: make it writable",
    errno.EIO: "The disk reports an error: check it and its log",
    errno.ELOOP: "A symbolic link is in the way, and links are not followed: remove it",
}


@lru_cache(maxsize=1)
def _umask() -> int:
    try:
        # Python can only read it by setting it, which other threads would notice.
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return int(status.partition("\nUmask:")[2].split()[0], 8)
    except (OSError, ValueError, IndexError):
        found = os.umask(0o077)
        os.umask(found)
        return found


def file_mode() -> int:
    """Return the permissions of a new private file.

    The owner alone may read and write it. With a umask that lets the group write (002, 007), which
    shared folders use, the group may, too.
    """
    return 0o600 if _umask() & 0o020 else 0o660


def folder_mode() -> int:
    """Return the permissions of a new folder; as those of files."""
    return 0o700 if _umask() & 0o020 else 0o770


def is_draft(name: str) -> bool:
    """Return whether a file or folder is a draft, being written or left by a killed process."""
    return name.startswith(".") and name.endswith(".tmp")


def draft_name(name: str) -> str:
    """Return a new random name for the draft of a file or folder."""
    return f"{_stem(name)}{secrets.token_hex(8)}.tmp"


def _stem(name: str) -> str:
    # File systems allow 255 bytes.
    return f".{name.encode()[:_MAX_STEM].decode(errors='ignore')}."


def make_folders(path: Path, *, private: bool = True) -> None:
    """Make a folder and its parents, as far as they do not exist.

    Raises:
        OSError: it cannot be made, or is no folder.
    """
    missing = []
    at = path
    while not at.exists():
        missing.append(at)
        at = at.parent
    for folder in reversed(missing):
        try:
            os.mkdir(folder, folder_mode() if private else 0o777)  # noqa: PTH102
        except FileExistsError:
            # Another process made it, or it is a dangling link, which opening it will tell.
            continue
        parent = os.open(folder.parent, _READ_FOLDER)
        try:
            flush_folder(parent)
        finally:
            os.close(parent)


@contextmanager
def opened(
    root: Path, below: Sequence[str] = (), *, make: bool = True, private: bool = True
) -> Iterator[int]:
    """Yield a descriptor of the folder `root/below`.

    Links are followed in `root`, which the user names, but not below it.

    Args:
        root: a folder.
        below: names of folders below it.
        make: make what is missing.
        private: only for the owner; see `file_mode`.

    Raises:
        OSError: it does not exist, cannot be made, or is no folder.
    """
    if make:
        make_folders(root, private=private)
    at = os.open(root, _READ_FOLDER)
    try:
        for name in below:
            inner = _entered(at, name, make=make, private=private)
            os.close(at)
            at = inner
        yield at
    finally:
        os.close(at)


def _entered(parent: int, name: str, *, make: bool, private: bool) -> int:
    if name in ("", ".", ".."):
        raise OSError(errno.EINVAL, "it is not the path of a file")
    try:
        return os.open(name, _READ_FOLDER | os.O_NOFOLLOW, dir_fd=parent)
    except FileNotFoundError:
        if not make:
            raise
        with suppress(FileExistsError):
            os.mkdir(name, folder_mode() if private else 0o777, dir_fd=parent)
        flush_folder(parent)
        return os.open(name, _READ_FOLDER | os.O_NOFOLLOW, dir_fd=parent)
    except NotADirectoryError:
        # What Linux answers for a link, too.
        if stat.S_ISLNK(os.lstat(name, dir_fd=parent).st_mode):
            raise OSError(errno.ELOOP, f"{name} is a symbolic link") from None
        raise


def make_private(path: Path) -> None:
    """Make an empty file that only the owner may read, unless the path exists.

    Raises:
        OSError: it cannot be made, or is a link of another user, which SQLite would follow.
    """
    make_folders(path.parent)
    if path.is_symlink() and path.lstat().st_uid not in (0, os.geteuid()):
        raise OSError(errno.ELOOP, "it is a symbolic link of another user", str(path))
    with suppress(FileExistsError):
        os.close(os.open(path, _NEW_FILE, file_mode()))


def flush_folder(folder: int) -> None:
    """Flush a folder's entries to the disk.

    Raises:
        OSError: the disk reports an error.
    """
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise


@contextmanager
def drafted_in(folder: int, name: str, *, private: bool = True) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield the name and the file of a new draft; it is on the disk when the block ends.

    On an error the draft is removed.

    Args:
        folder: descriptor of the target's folder.
        name: the target. The permissions of one that this user owns are kept.
        private: the permissions of a new one: only for the owner (see `file_mode`), or by umask.

    Raises:
        OSError: it cannot be written.
    """
    draft = draft_name(name)
    descriptor = os.open(draft, _NEW_FILE, file_mode() if private else 0o666, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            with suppress(FileNotFoundError):
                before = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if stat.S_ISREG(before.st_mode) and before.st_uid == os.geteuid():
                    os.fchmod(descriptor, stat.S_IMODE(before.st_mode) & 0o777)
            yield draft, file
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        with suppress(OSError):
            os.unlink(draft, dir_fd=folder)
        raise


@contextmanager
def drafted(
    path: Path, named_by: str, *, private: bool = True, replace: bool = True
) -> Iterator[IO[bytes]]:
    """Yield a file that becomes `path` when the block ends without an error.

    Args:
        path: the target; its folders are made.
        named_by: the setting or option that names it, for the error.
        private: the permissions of a new file and its folders; see `file_mode`.
        replace: replace a file that exists; otherwise that is an error.

    Raises:
        TableError: it cannot be written.
    """
    # `.` has no name of its own.
    path = path.absolute()
    try:
        with opened(path.parent, private=private) as folder:
            sweep(folder, path.name, _ABANDONED_S)
            with drafted_in(folder, path.name, private=private) as (draft, file):
                yield file
            try:
                if replace:
                    os.replace(draft, path.name, src_dir_fd=folder, dst_dir_fd=folder)
                else:
                    _placed(folder, draft, path.name)
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(draft, dir_fd=folder)
            flush_folder(folder)
    except OSError as error:
        raise cannot("write", str(path), error, named_by) from error


@contextmanager
def draft_folder(path: Path, named_by: str) -> Iterator[Path]:
    """Yield a new folder beside `path` for drafts that another program writes; it is removed.

    Raises:
        TableError: it cannot be made.
    """
    path = path.absolute()
    name = draft_name(path.name)
    try:
        with opened(path.parent) as folder:
            sweep(folder, path.name, _ABANDONED_S)
            os.mkdir(name, folder_mode(), dir_fd=folder)
    except OSError as error:
        raise cannot("write", str(path), error, named_by) from error
    try:
        yield path.with_name(name)
    finally:
        shutil.rmtree(path.with_name(name), ignore_errors=True)


def move(draft: Path, path: Path, named_by: str) -> None:
    """Give a file in a `draft_folder` the name of its target, durably.

    Args:
        draft: the file.
        path: the target; a file that exists is an error.
        named_by: the setting or option that names it, for the error.

    Raises:
        TableError: it cannot be moved.
    """
    path = path.absolute()
    try:
        with opened(path.parent, make=False) as folder:
            inside = f"{draft.parent.name}/{draft.name}"
            written = os.open(inside, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)
            try:
                os.fsync(written)
            finally:
                os.close(written)
            _placed(folder, inside, path.name)
            flush_folder(folder)
    except OSError as error:
        raise cannot("write", str(path), error, named_by) from error


def _placed(folder: int, draft: str, name: str) -> None:
    """Give a draft its name unless that is taken."""
    try:
        os.link(draft, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.close(os.open(name, _NEW_FILE, 0o600, dir_fd=folder))
        os.replace(draft, name, src_dir_fd=folder, dst_dir_fd=folder)


def write_file(
    path: Path, content: bytes, named_by: str, *, private: bool = True, replace: bool = True
) -> None:
    """Write a file atomically; see `drafted`."""
    with drafted(path, named_by, private=private, replace=replace) as file:
        file.write(content)


def sweep(folder: int, name: str, older_s: float = 0.0) -> None:
    """Remove the drafts of a file or folder that killed processes left.

    Args:
        folder: descriptor of the target's folder.
        name: the target.
        older_s: leave drafts that are younger; 0 only under a lock, which no other writer holds.
    """
    # Earlier versions named a draft after its target only.
    ours = re.compile(rf"{re.escape(_stem(name))}([0-9a-f]{{16}}\.)?tmp")
    before = time.time() - older_s
    with suppress(OSError):
        for found in os.listdir(folder):
            if not ours.fullmatch(found):
                continue
            with suppress(OSError):
                kind = os.stat(found, dir_fd=folder, follow_symlinks=False)
                if older_s and kind.st_mtime > before:
                    continue
                if stat.S_ISDIR(kind.st_mode):
                    shutil.rmtree(found, ignore_errors=True, dir_fd=folder)
                else:
                    os.unlink(found, dir_fd=folder)
