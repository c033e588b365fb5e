"""Results that need not be computed again, since nothing that they depend on has changed."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import fields
from functools import cache
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

import targen
from targen.hashing import digest, digest_of_text, sha256_of
from targen.memory import ndjson
from targen.quality.inputs import Embedded, ReportInputs
from targen.store import table_digests
from targen.store.completions import Store
from targen.tables.files import Stored, key_of
from targen.tables.storage import Storage
from targen.tasks.spec import TaskSpec

KEY: Final = "computed_from"
"""Key of the result of `basis` in `Stored.made_by`."""
_LIBRARIES: Final = ("numpy", "polars", "rapidfuzz", "scikit-learn", "scipy", "simplemma")
_IN_VERSIONS: Final = ("tables", "rejected", "planted_errors")
"""Attributes of `ReportInputs` that `versions` covers."""
_IN_TASK: Final = ("plugin_metrics",)
"""Attributes whose identity is in the digest of the task."""


def basis(spec: TaskSpec, parts: Mapping[str, Any]) -> str:
    """Return the sha256 of everything that a result depends on.

    It covers the task, the recipe, this package's code, and the libraries that compute figures.

    Args:
        spec: the task.
        parts: what else the result depends on, JSON-like.
    """
    return digest(
        {
            "task": spec.model_dump(mode="json"),
            "recipe": spec.recipe.model_dump(mode="json"),
            "code": _code(),
            "libraries": {name: version(name) for name in _LIBRARIES},
            **parts,
        }
    )


def of_inputs(inputs: ReportInputs) -> dict[str, Any]:
    """Return the inputs of a report as a part of `basis`; its tables as their data versions."""
    left_out = {*_IN_VERSIONS, *_IN_TASK}
    return {
        field.name: _identity(getattr(inputs, field.name))
        for field in fields(inputs)
        if field.name not in left_out
    }


def stored(
    storage: Storage, store: Store, step: str, task: str, computed_from: str, pages: Sequence[str]
) -> Stored | None:
    """Return the stored result of a step, with its pages, if it was computed from the same.

    Args:
        storage: the data folder.
        store: the completion store.
        step: the step.
        task: the task.
        computed_from: the result of `basis`.
        pages: suffixes of the pages beside the table.

    Returns:
        None if the result is not stored, depends on something else, or if the bytes of a file are
        not those that were written.

    Raises:
        StoreError: the store cannot be read.
        TableError: the storage cannot be read.
    """
    made_by: Mapping[str, Any] = {}
    contents: dict[str, bytes] = {}
    with closing(store):
        for suffix in ("parquet", *pages):
            key = key_of(step, task, suffix)
            record, content = table_digests.recorded(store, key), storage.read(key)
            if record is None or content is None or record.sha256 != sha256_of(content):
                return None
            if record.made_by.get(KEY) != computed_from:
                return None
            made_by, contents[suffix] = record.made_by, content
    return Stored(
        pl.read_parquet(BytesIO(contents["parquet"])),
        step_digest=made_by["step_digest"],
        pages={suffix: contents[suffix].decode() for suffix in pages},
        made_by={**made_by, "upstream": list(made_by["upstream"])},
    )


@cache
def _code() -> str:
    """Return the sha256 of this package's source files."""
    folder = Path(targen.__file__).parent
    names = sorted(path for path in folder.rglob("*") if path.suffix in (".py", ".jinja", ".yaml"))
    return digest({str(path.relative_to(folder)): sha256_of(path.read_bytes()) for path in names})


def _identity(value: Any) -> Any:
    """Return a value of `ReportInputs` as JSON-like content."""
    if isinstance(value, pl.DataFrame):
        return [str(value.schema), digest_of_text(ndjson(value))]
    if isinstance(value, Embedded):
        return [_identity(value.vectors), _identity(value.rows)]
    if isinstance(value, np.ndarray):
        return [str(value.dtype), value.shape, sha256_of(np.ascontiguousarray(value).tobytes())]
    if isinstance(value, Mapping):
        return {name: _identity(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_identity(one) for one in value]
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value
