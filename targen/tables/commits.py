"""Files that become current together, even if the process or the machine ends in between.

All drafts are written first. Then one file, the journal, lists them. While the journal exists,
readers get the drafts, so writing it makes all new files current at once. The drafts are then
renamed over the old files, the completion store records them, and the journal is removed. A journal
that is still there later means that a run was interrupted. The next run that locks the task
completes the renames.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from targen.errors import TableError
from targen.hashing import sha256_of
from targen.store.written import Written
from targen.tables.storage import Storage

if TYPE_CHECKING:
    from targen.store.completions import Store

FOLDER: Final = ".commits"
INTERRUPTED: Final = (
    "a run was interrupted while it wrote this file, or is writing it now; run the task again"
)
_DRAFT: Final = re.compile(r"\.[^/]+\.tmp")


@dataclass(frozen=True)
class Journal:
    """The files of one step that are becoming current.

    Attributes:
        step, task: whose files they are.
        files: key -> sha256 of the new bytes.
        drafts: key -> key of the draft.
        versions: key -> data version, or nothing, for tables whose cells are recorded.
        made_by: how they were made, for the completion store; None if it does not record them.
        run_id: the run.
        upstream: step -> key of the file that they were made from.
        removed: keys of files before, which are removed before the first draft replaces one, so
            that programs that know no journal never see old files beside new ones.
    """

    step: str
    task: str
    files: Mapping[str, str]
    drafts: Mapping[str, str]
    versions: Mapping[str, str] = field(default_factory=dict)
    made_by: Mapping[str, Any] | None = None
    run_id: str = ""
    upstream: Mapping[str, str] = field(default_factory=dict)
    removed: Sequence[str] = ()


def journal_key(step: str, task: str) -> str:
    """Return the key of the journal of a step of a task."""
    return f"{FOLDER}/{step}/{task}.json"


def pending(storage: Storage, step: str, task: str) -> Journal | None:
    """Return the journal of a step; None if its files are complete.

    Raises:
        TableError: the storage or the journal cannot be read.
    """
    return _journal(storage, journal_key(step, task))


def _journal(storage: Storage, key: str) -> Journal | None:
    text = storage.read(key)
    if text is None:
        return None
    try:
        found = Journal(**json.loads(text))
        sound = found.drafts.keys() == found.files.keys() and all(
            _DRAFT.fullmatch(draft.rpartition("/")[2])
            and draft.rpartition("/")[0] == name.rpartition("/")[0]
            for name, draft in found.drafts.items()
        )
    except (ValueError, RecursionError, TypeError, AttributeError):
        sound = False
    if not sound or journal_key(found.step, found.task) != key:
        raise TableError(
            f"{storage.address(key)} is not what TarGEN wrote there. Delete it, and run the task "
            "again."
        )
    return found


def read(storage: Storage, journal: Journal | None, key: str) -> bytes | None:
    """Return the current bytes of a file, or None if it does not exist.

    Args:
        storage: the data folder.
        journal: of the step, if it is not complete.
        key: the file.

    Raises:
        TableError: the storage cannot be read, or neither file nor draft is what the journal names.
    """
    if journal is None or key not in journal.files:
        return storage.read(key)
    for name in (journal.drafts[key], key):
        content = storage.read(name)
        if content is not None and sha256_of(content) == journal.files[key]:
            return content
    raise TableError(f"{storage.address(key)}: {INTERRUPTED}.")


@contextmanager
def committed(storage: Storage, contents: Mapping[str, bytes], journal: Journal) -> Iterator[None]:
    """Make files current; the block, which records them in the store, is part of the commit.

    The caller has locked the task. On an error before the files are current, nothing has changed.

    Args:
        storage: the data folder.
        contents: key -> new bytes.
        journal: what is known about them; `files` and `drafts` are set here.

    Raises:
        TableError: the storage cannot be written.
    """
    name = journal_key(journal.step, journal.task)
    before = _abandoned(storage, name)
    journaled = before is not None
    stale = set(journal.removed) - contents.keys()
    if stale or not all(_same(storage, key, content) for key, content in contents.items()):
        drafts = storage.stage(contents)
        files = {key: sha256_of(content) for key, content in contents.items()}
        journal = replace(journal, files=files, drafts=drafts)
        text = json.dumps(asdict(journal), sort_keys=True)
        journaled = True
        try:
            storage.write(name, text.encode())
        except BaseException:
            _withdraw(storage, name, text.encode(), drafts)
            raise
        _promote(storage, journal)
    yield
    if journaled:
        storage.delete(name, prune=False)
    storage.discard(before or {})
    storage.sweep([name])


def _same(storage: Storage, key: str, content: bytes) -> bool:
    try:
        return storage.read(key) == content
    except TableError:
        return False


def _abandoned(storage: Storage, name: str) -> Mapping[str, str] | None:
    """Return the drafts of a commit that was never finished; None without one."""
    try:
        found = _journal(storage, name)
    except TableError:
        return {}
    return None if found is None else found.drafts


def _withdraw(storage: Storage, name: str, text: bytes, drafts: Mapping[str, str]) -> None:
    """Remove the drafts of a journal that could not be written, unless it was written after all."""
    with suppress(TableError):
        if storage.read(name) != text:
            storage.discard(drafts)


def recover(storage: Storage, task: str, open_store: Callable[[], "Store"]) -> list[str]:
    """Finish the commits of a task that were interrupted; return the steps.

    The caller has locked the task.

    Args:
        storage: the data folder.
        task: the task.
        open_store: opens the completion store; called only if there is something to record.

    Raises:
        TableError: the storage cannot be read or written.
        StoreError: the store cannot be written.
    """
    found = []
    for key in storage.keys(FOLDER):
        if key.rpartition("/")[2] != f"{task}.json":
            continue
        try:
            journal = _journal(storage, key)
            if journal is not None:
                _finish(storage, journal, open_store)
                found.append(journal.step)
        except TableError:
            # Its drafts are gone, so that it cannot be finished: the step is made again.
            if _readable(storage, key):
                raise
        storage.delete(key, prune=False)
        storage.sweep([key])
    return found


def _readable(storage: Storage, key: str) -> bool:
    """Return whether everything that a journal names can be read."""
    try:
        journal = _journal(storage, key)
        return journal is None or all(read(storage, journal, name) for name in journal.files)
    except TableError:
        return False


def _promote(storage: Storage, journal: Journal) -> None:
    """Let the drafts replace the files before."""
    for key in journal.removed:
        draft = journal.drafts.get(key)
        if draft is None or storage.read(draft) is not None:
            storage.delete(key)
    storage.promote(journal.drafts)
    storage.sweep(journal.files)


def _finish(storage: Storage, journal: Journal, open_store: Callable[[], "Store"]) -> None:
    contents = {key: read(storage, journal, key) or b"" for key in journal.files}
    _promote(storage, journal)
    if journal.made_by is None:
        return
    written = []
    for key, content in contents.items():
        version = journal.versions.get(key)
        frame = None if version is None else pl.read_parquet(BytesIO(content))
        written.append(Written(key, journal.files[key], frame, version or None))
    from targen.store import table_digests  # noqa: PLC0415 - not when loading the code location

    with closing(open_store()) as store:
        table_digests.record(store, written, journal.made_by, journal.run_id, journal.upstream)
