"""Stores, lists, verifies and withdraws releases in `releases/<task>/<version>/`."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final, Literal

import polars as pl

from targen.errors import ReleaseError
from targen.release.inputs import fingerprint
from targen.release.manifest import MANIFEST, VERSION_DIGITS, Contents, text_of, version_of
from targen.release.rows import label_counts
from targen.release.splits import together
from targen.steps import DAMAGED
from targen.tables.storage import Storage
from targen.tasks.recipe import NAME_PATTERN
from targen.tasks.spec import TaskSpec

FOLDER: Final = "releases"
TOMBSTONE: Final = "withdrawn.json"
REASON_AT_MOST: Final = 2000
_PATH: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
_VERSION: Final = re.compile(rf"[0-9a-f]{{{VERSION_DIGITS}}}")


@dataclass(frozen=True)
class Entry:
    """A release in the list.

    Attributes:
        task, version: its name.
        state: whole (its manifest exists; files are not verified), withdrawn, or incomplete.
        rows: number of rows in all splits; 0 if unknown.
        reason: why it was withdrawn.
    """

    task: str
    version: str
    state: Literal["whole", "withdrawn", "incomplete"]
    rows: int = 0
    reason: str = ""

    @property
    def standing(self) -> bool:
        """Whether the release is in use, that is, not withdrawn."""
        return self.state != "withdrawn"


def folder(task: str, version: str) -> str:
    """Return the key of a release's folder.

    Raises:
        ReleaseError: the task or the version is malformed.
    """
    if not re.fullmatch(NAME_PATTERN, task) or not _VERSION.fullmatch(version):
        raise ReleaseError(
            f"{task!r} {version!r} is not a task and a version: a version has {VERSION_DIGITS} hex "
            "digits; `targen release list` shows them."
        )
    return f"{FOLDER}/{task}/{version}"


def put(storage: Storage, task: str, contents: Contents) -> bool:
    """Write a release; if it exists already, compare every byte instead.

    Returns:
        Whether it was written by this call.

    Raises:
        ReleaseError: it was withdrawn, or the existing release was changed.
        TableError: the storage cannot be read or written.
    """
    at = folder(task, contents.version)
    _refuse_withdrawn(storage, task, contents)
    if storage.read(f"{at}/{MANIFEST}") is None:
        # The manifest is written last: without it, a killed run left these files.
        for key in storage.keys(at):
            storage.delete(key)
        storage.write_folder(at, contents.files)
        return True
    problems = list(_changes(storage, at, contents))
    if problems:
        raise ReleaseError(
            f"The release {storage.address(at)} was changed after it was made: "
            f"{'; '.join(problems)}. It is not overwritten. Move it away to make it again."
        )
    return False


def _changes(storage: Storage, at: str, contents: Contents) -> Iterator[str]:
    for path, content in contents.files.items():
        found = storage.read(f"{at}/{path}")
        if found is None:
            yield f"{path} is missing"
        elif found != content:
            yield f"{path} differs"
    yield from _strangers(storage, at, set(contents.files))


def _strangers(storage: Storage, at: str, known: set[str]) -> Iterator[str]:
    """Yield files that are not part of the release, except hidden files (git, for example)."""
    prefix = f"{at}/" if at else ""
    for key in storage.keys(at):
        path = key.removeprefix(prefix)
        if path not in known and not any(part.startswith(".") for part in path.split("/")):
            yield f"{path} is not part of it"


def _refuse_withdrawn(storage: Storage, task: str, contents: Contents) -> None:
    for entry in listed(storage, task):
        if entry.state != "withdrawn":
            continue
        at = folder(task, entry.version)
        same = entry.version == contents.version
        old = {} if same else json.loads(storage.read(f"{at}/{MANIFEST}") or b"{}")
        if same or old.get("inputs") == contents.manifest["inputs"]:
            raise ReleaseError(
                f"{task} is not released: these rows were withdrawn as version {entry.version} "
                f"({entry.reason}). Fix the task or its rows, or, to release them anyway, "
                f"move {storage.address(at)} away first."
            )


def manifest(storage: Storage, at: str = "") -> dict[str, Any]:
    """Return the manifest of a release, checked against its version.

    Raises:
        ReleaseError: the manifest is missing or was changed.
        TableError: the storage cannot be read.
    """
    prefix = f"{at}/" if at else ""
    where = storage.address(at) if at else storage.address("").rstrip("/")
    text = storage.read(f"{prefix}{MANIFEST}")
    if text is None:
        raise ReleaseError(f"{where} is not a release, or it is incomplete: it has no {MANIFEST}.")
    try:
        loaded = json.loads(text)
        right = isinstance(loaded, dict) and loaded["version"] == version_of(loaded)
        right = right and text_of(loaded).encode() == text
        paths = list(loaded["files"]) if right else []
    except (ValueError, RecursionError, KeyError, TypeError):
        right, paths = False, []
    if not right or not all(_PATH.fullmatch(path) for path in paths):
        raise ReleaseError(f"{where}: {MANIFEST} was changed and cannot be trusted.")
    return dict(loaded)


def verify(storage: Storage, at: str = "") -> dict[str, Any]:
    """Verify every file of a release, and return its manifest.

    Raises:
        ReleaseError: files are missing, changed or extra (named), or it was withdrawn.
        TableError: the storage cannot be read.
    """
    prefix = f"{at}/" if at else ""
    loaded = manifest(storage, at)
    where = storage.address(at) if at else storage.address("").rstrip("/")
    gone = storage.read(f"{prefix}{TOMBSTONE}")
    if gone is not None:
        raise ReleaseError(f"The release {where} was withdrawn: {reason_of(gone)}")
    problems = []
    for path, wanted in loaded["files"].items():
        content = storage.read(f"{prefix}{path}")
        if content is None:
            problems.append(f"{path} is missing")
        elif fingerprint(content) != wanted:
            problems.append(f"{path} was changed")
    problems += _strangers(storage, at, {*loaded["files"], MANIFEST})
    if at and at.rsplit("/", 1)[-1] != loaded["version"]:
        problems.append(f"it is version {loaded['version']} in the folder of another version")
    if problems:
        raise ReleaseError(f"The release {where} is damaged: {'; '.join(problems)}.")
    return loaded


def listed(storage: Storage, task: str | None = None) -> list[Entry]:
    """Return all releases, or those of one task, by task and version.

    Raises:
        ReleaseError: the task name is malformed.
        TableError: the storage cannot be read.
    """
    if task is not None and not re.fullmatch(NAME_PATTERN, task):
        raise ReleaseError(f"{task!r} is not a task name.")
    found: dict[tuple[str, str], set[str]] = {}
    for key in storage.keys(FOLDER if task is None else f"{FOLDER}/{task}"):
        parts = key.split("/", 3)
        if len(parts) == 4 and _VERSION.fullmatch(parts[2]):
            found.setdefault((parts[1], parts[2]), set()).add(parts[3])
    return [
        _entry(storage, name, version, files) for (name, version), files in sorted(found.items())
    ]


def _entry(storage: Storage, task: str, version: str, files: set[str]) -> Entry:
    at = f"{FOLDER}/{task}/{version}"
    if MANIFEST not in files:
        return Entry(task, version, "incomplete")
    rows = 0
    try:
        loaded = json.loads(storage.read(f"{at}/{MANIFEST}") or b"")
        rows = sum(split["rows"] for split in loaded["splits"].values())
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        # The list stays short; `verify` reports the details.
        return Entry(task, version, "incomplete")
    if TOMBSTONE in files:
        reason = reason_of(storage.read(f"{at}/{TOMBSTONE}") or b"")
        return Entry(task, version, "withdrawn", rows, reason)
    return Entry(task, version, "whole", rows)


def reason_of(tombstone: bytes) -> str:
    """Return why a release was withdrawn, as its tombstone says."""
    try:
        return str(json.loads(tombstone)["reason"])
    except (ValueError, RecursionError, KeyError, TypeError):
        return "the tombstone cannot be read"


def withdraw(storage: Storage, task: str, version: str, reason: str) -> None:
    """Withdraw a release: delete its files, keep its manifest and the reason.

    An interrupted withdrawal can be repeated with the same reason. A damaged release can be
    withdrawn, too.

    Raises:
        ReleaseError: the release or the reason is missing, or it was withdrawn for another reason.
        TableError: the storage cannot be read or written.
    """
    words = " ".join(reason.split())
    if not words or len(words) > REASON_AT_MOST:
        raise ReleaseError(f"Give a --reason of at most {REASON_AT_MOST} characters.")
    at = folder(task, version)
    if storage.read(f"{at}/{MANIFEST}") is None:
        raise ReleaseError(
            f"{task} has no release {version}. `targen release list {task}` shows its releases."
        )
    before = storage.read(f"{at}/{TOMBSTONE}")
    if before is not None and reason_of(before) != words:
        raise ReleaseError(f"{task} {version} was already withdrawn: {reason_of(before)}")
    note = {"task": task, "version": version, "reason": words}
    # Written first, so that an interrupted withdrawal cannot look like a valid release.
    storage.write(f"{at}/{TOMBSTONE}", (json.dumps(note, ensure_ascii=False) + "\n").encode())
    for key in storage.keys(at):
        if key not in (f"{at}/{MANIFEST}", f"{at}/{TOMBSTONE}"):
            storage.delete(key)
    # The draft of an interrupted withdrawal; the caller has locked the task.
    storage.sweep([f"{at}/{TOMBSTONE}"])


def violations(storage: Storage, at: str, spec: TaskSpec) -> list[str]:
    """Return every violation of a release's contract, as sentences.

    The files match the manifest, and the splits have the rows and labels in the manifest. No row
    occurs twice; duplicates, near duplicates and pairs are in one split; the origins list exactly
    the released rows.

    Raises:
        TableError: the storage cannot be read.
    """
    try:
        loaded = verify(storage, at)
        parts = {
            name: pl.read_parquet(BytesIO(storage.read(f"{at}/data/{name}.parquet") or b""))
            for name in loaded["splits"]
        }
        origins = pl.read_parquet(BytesIO(storage.read(f"{at}/provenance.parquet") or b""))
    except (ReleaseError, *DAMAGED) as error:
        return [str(error)]
    found = []
    for name, part in parts.items():
        counted = {"rows": part.height, "labels": label_counts(spec, part)}
        if counted != loaded["splits"][name]:
            found.append(f"{name} has {counted}, but the manifest says {loaded['splits'][name]}")
    rows = pl.concat(
        [part.with_columns(split=pl.lit(name)) for name, part in parts.items()], how="vertical"
    )
    doubled = int(rows["instance_id"].is_duplicated().sum())
    if doubled:
        found.append(f"{doubled} rows occur more than once")
    listed = origins.select("instance_id", "split").sort("instance_id")
    if not listed.equals(rows.select("instance_id", "split").sort("instance_id")):
        found.append("provenance.parquet does not cover the same rows as data/")
    groups = rows.select("split", group=pl.Series(together(spec, rows), dtype=pl.Int64))
    parted = groups.group_by("group").agg(pl.col("split").n_unique()).filter(pl.col("split") > 1)
    if parted.height:
        found.append(f"{parted.height} groups of related rows are in several splits")
    return found
