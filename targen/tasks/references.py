"""Reads the gold rows of a task and converts them to its columns."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from targen.columns import FIELD_DTYPES
from targen.errors import TableError
from targen.hashing import sha256_of
from targen.reading import read_bytes
from targen.tasks import file_content, import_files, imports
from targen.tasks.imports import Mapped

if TYPE_CHECKING:
    from targen.tasks.sections import ForeignRows, HubDataset
    from targen.tasks.spec import TaskSpec


@dataclass(frozen=True)
class References:
    """Gold rows in a task's columns.

    Attributes:
        name: the name of `rows` on the report page.
        rows: the task's gold rows, if any.
        elsewhere: name -> rows of another task.
    """

    name: str
    rows: pl.DataFrame | None
    elsewhere: dict[str, pl.DataFrame]


def mapped(
    spec: "TaskSpec",
    source: "ForeignRows | None" = None,
    columns: dict[str, str] | None = None,
    labels: dict[str, str] | None = None,
) -> Mapped:
    """Return the mapping of a file's columns and labels.

    Args:
        spec: the task.
        source: the section of the task that names the file, if any.
        columns: column -> field, for this file only; overrides the task.
        labels: label of the file -> label of the task, likewise.
    """
    own = (source.columns, source.labels) if source is not None else ({}, {})
    # The first line sets the order in which columns are tried, the second the values.
    merged = {**(columns or {}), **own[0], **spec.columns}
    merged |= {**spec.columns, **own[0], **(columns or {})}
    return Mapped(merged, {**own[1], **(labels or {})})


def of(
    spec: "TaskSpec",
    given: Path | None = None,
    columns: dict[str, str] | None = None,
    labels: dict[str, str] | None = None,
) -> References:
    """Return the gold rows of a task.

    Raises:
        TableError: a file or data set cannot be read, or does not match the task.
    """
    source = spec.reference
    meant = mapped(spec, source, columns, labels)
    path = given or spec.reference_file
    name, rows = "reference", None
    if path is not None:
        name, rows = file_content.stem(path.name), imports.read_file(path, spec, meant)
    elif source is not None and source.hf is not None:
        name, rows = source.hf.dataset, _from_hub(spec, source, meant)
    elsewhere = {}
    for other, part in spec.elsewhere.items():
        meant = mapped(spec, part)
        file = spec.elsewhere_files.get(other)
        elsewhere[other] = (
            imports.read_file(file, spec, meant)
            if file is not None
            else _from_hub(spec, part, meant)
        )
    return References(name, None if rows is None else _with_all_fields(rows, spec), elsewhere)


def check_files(spec: "TaskSpec") -> None:
    """Read all gold rows and unlabeled texts that are in files; nothing is fetched.

    Raises:
        TableError: a file cannot be read, or does not match the task.
    """
    files = [(spec.reference_file, spec.reference)]
    files += [(spec.elsewhere_files.get(name), part) for name, part in spec.elsewhere.items()]
    for path, source in files:
        if path is not None:
            imports.read_file(path, spec, mapped(spec, source))
    if spec.unlabeled_file is not None:
        unlabeled(spec)


def unlabeled(spec: "TaskSpec") -> pl.DataFrame | None:
    """Return the task's unlabeled texts, a column for each text field that they have.

    Raises:
        TableError: a file or data set cannot be read, or has no column for a text field.
    """
    source = spec.unlabeled
    if source is None:
        return None
    if spec.unlabeled_file is not None:
        rows = import_files.read(spec.unlabeled_file)
    elif source.hf is not None:
        rows = import_files.of_frame(source.hf.dataset, _hub_rows(source.hf))
    else:
        return None
    return imports.unlabeled(rows, spec, mapped(spec, source))


def unlabeled_identity(spec: "TaskSpec") -> dict[str, Any] | None:
    """Return the section of the task on unlabeled texts and the digest of the file, if any."""
    if spec.unlabeled is None:
        return None
    path = spec.unlabeled_file
    section = spec.unlabeled.model_dump(mode="json")
    return {**section, "content": None if path is None else _digest(path)}


def _from_hub(spec: "TaskSpec", source: "ForeignRows", meant: Mapped) -> pl.DataFrame:
    assert source.hf is not None
    rows = import_files.of_frame(source.hf.dataset, _hub_rows(source.hf))
    return imports.shaped(rows, spec, meant)


def _with_all_fields(rows: pl.DataFrame, spec: "TaskSpec") -> pl.DataFrame:
    """Add a null column for each derived field that gold rows lack."""
    absent = [name for name in spec.fields if name not in rows.columns]
    types = spec.field_types
    return rows.with_columns(
        pl.lit(None, dtype=FIELD_DTYPES[types[name]]).alias(name) for name in absent
    )


def identity(spec: "TaskSpec") -> dict[str, Any]:
    """Return the inputs of the report from references: task sections and digests of files."""
    files = {"reference": spec.reference_file, **spec.elsewhere_files}
    return {
        "columns": spec.columns,
        "reference": None if spec.reference is None else spec.reference.model_dump(mode="json"),
        "elsewhere": {name: rows.model_dump(mode="json") for name, rows in spec.elsewhere.items()},
        "files": {name: _digest(path) for name, path in files.items() if path is not None},
    }


def _digest(path: Path) -> str:
    try:
        return sha256_of(read_bytes(path))
    except OSError:
        # Reading the file raises an error with a message.
        return "unreadable"


def _hub_rows(source: "HubDataset") -> pl.DataFrame:
    """Return the rows of a data set, with class names instead of class numbers.

    Raises:
        TableError: the package is not installed, or the data set cannot be loaded.
    """
    try:
        from datasets import ClassLabel, load_dataset  # noqa: PLC0415 - seconds to import
    except ImportError as error:
        raise TableError(
            f"The reference data set {source.dataset} needs a package that is not installed: "
            "pip install datasets, or name a local file instead."
        ) from error
    try:
        data = load_dataset(
            source.dataset, source.config, split=source.split, revision=source.revision
        )
        frame = pl.DataFrame(data.to_polars())
    # The package, the network and the data set's own loader raise many kinds of exceptions.
    except Exception as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise TableError(
            f"The data set {source.dataset} ({source.config or 'default'}, {source.split}) cannot "
            f"be loaded: {reason[0]}. Check `hf` in the task, or name a local file instead."
        ) from error
    for name, feature in data.features.items():
        if isinstance(feature, ClassLabel):
            names = dict(enumerate(feature.names))
            named = pl.col(name).replace_strict(names, default=None, return_dtype=pl.String)
            frame = frame.with_columns(named)
    return frame
