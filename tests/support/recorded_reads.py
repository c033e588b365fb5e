"""Tasks that record which of their attributes are read.

A recording task is a copy of a task whose models, its sections included, note every read. A path
such as `vocabularies.requirement` names a key of the file; names and places in a mapping or list
are left out. A property is recorded with the paths that it reads itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pydantic import BaseModel

from targen.tasks.spec import TaskSpec


@dataclass(frozen=True)
class Read:
    """One attribute that was read; `through` holds what a property read to compute its value."""

    path: str
    through: list["Read"] = field(default_factory=list, compare=False)


_open: list[list[Read]] = []
"""The lists that reads go to: that of `recording`, then one for each property being computed."""


@contextmanager
def recording() -> Iterator[list[Read]]:
    """Record what is read meanwhile, in the list that this yields."""
    reads: list[Read] = []
    _open.append(reads)
    try:
        yield reads
    finally:
        _open.remove(reads)


@cache
def _recording_class(kind: type[BaseModel], prefix: str) -> type[BaseModel]:
    properties = {name for name in dir(kind) if isinstance(getattr(kind, name), property)}
    properties -= set(dir(BaseModel))
    fields = set(kind.model_fields)

    def read(self: BaseModel, name: str) -> Any:
        if not _open or (name not in fields and name not in properties):
            return super(made, self).__getattribute__(name)
        if name in fields:
            value = super(made, self).__getattribute__(name)
            # A required section only leads to its keys; whether an optional one is there is a fact.
            if not isinstance(value, BaseModel) or kind.model_fields[name].default is None:
                _open[-1].append(Read(prefix + name))
            return value
        through: list[Read] = []
        _open[-1].append(Read(prefix + name, through))
        _open.append(through)
        try:
            return super(made, self).__getattribute__(name)
        finally:
            _open.pop()

    made: type[BaseModel] = type(f"Recording{kind.__name__}", (kind,), {"__getattribute__": read})
    return made


def _copy(value: Any, path: str) -> Any:
    if isinstance(value, BaseModel):
        prefix = f"{path}." if path else ""
        kind = _recording_class(type(value), prefix)
        parts = {n: _copy(getattr(value, n), prefix + n) for n in type(value).model_fields}
        return kind.model_construct(value.model_fields_set, **parts)
    if isinstance(value, dict):
        return {name: _copy(one, path) for name, one in value.items()}
    if isinstance(value, list):
        return [_copy(one, path) for one in value]
    return value


def recording_task(spec: TaskSpec) -> TaskSpec:
    """Return a copy of a task that records its reads while `recording` is open."""
    copy: TaskSpec = _copy(spec, "")
    copy.attach(spec._attached)
    return copy
