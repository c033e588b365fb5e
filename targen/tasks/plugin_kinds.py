"""What plug-ins can add to a task: operators, validators, guards and metrics."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar

from targen.errors import SpecError
from targen.tasks.registry import Operator
from targen.tasks.yamlfile import nearest

Row = dict[str, Any]
Check = Callable[[Row, Mapping[str, str]], str | None]
Kind = Literal["operator", "validator", "guard", "metric"]
Named = TypeVar("Named")


@dataclass(frozen=True)
class Code:
    """The plug-in that something comes from.

    Attributes:
        kind: what it adds.
        name: its name in task files.
        source: the file, relative to the folder of the task, or `distribution: module`.
        version: `sha256:...` of the source, or the distribution with its version.
        place: file and line of the function, for messages.
    """

    kind: Kind
    name: str
    source: str
    version: str
    place: str

    def record(self) -> dict[str, str]:
        """Return what audits and digests keep of it."""
        return {
            "kind": self.kind,
            "name": self.name,
            "source": self.source,
            "version": self.version,
        }


@dataclass(frozen=True)
class Validator:
    """A named check of one row.

    Attributes:
        name: its name in task files.
        roles: role -> whether the validator fills in the field of that role.
        literals: roles that name a label instead of a field.
        check: gets a row and role -> field (and the task's language as role `language`), fills in
            derived fields, and returns the problem or None.
        code: the plug-in; None for a built-in validator.
        types: role -> types that its field may have; a role that is missing may have any.
    """

    name: str
    roles: Mapping[str, bool]
    check: Check
    literals: frozenset[str] = frozenset()
    code: Code | None = None
    types: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Guard:
    """A guard of a plug-in.

    Attributes:
        name: its name in task files.
        check: gets a text (`targen.tasks.guards.Written`) and returns the problem or None.
        code: the plug-in.
    """

    name: str
    check: Callable[[Any], str | None]
    code: Code


@dataclass(frozen=True)
class PluginMetric:
    """A metric of a plug-in.

    Attributes:
        name: its name in the table `quality_report` and in gates.
        words: its name in a sentence, as the subject.
        says: its definition.
        share: whether it is a share from 0 to 1, shown as a percentage.
        better: the end that is better; None if neither is.
        measure: gets `targen.quality.inputs.ReportInputs` and returns figures
            (`targen.quality.collector.Measure`).
        code: the plug-in.
    """

    name: str
    words: str
    says: str
    share: bool
    better: Literal["lower", "higher"] | None
    measure: Callable[[Any], Iterable[Any]]
    code: Code


@dataclass(frozen=True)
class PluginSet:
    """Everything that plug-ins add, by name; operators by step and name."""

    operators: Mapping[tuple[str, str], Operator] = field(default_factory=dict)
    validators: Mapping[str, Validator] = field(default_factory=dict)
    guards: Mapping[str, Guard] = field(default_factory=dict)
    metrics: Mapping[str, PluginMetric] = field(default_factory=dict)

    def joined(self, other: "PluginSet") -> "PluginSet":
        """Return both sets as one.

        Raises:
            SpecError: both have a plug-in of the same kind and name.
        """
        return PluginSet(
            _joined(self.operators, other.operators),
            _joined(self.validators, other.validators),
            _joined(self.guards, other.guards),
            _joined(self.metrics, other.metrics),
        )


NONE: Final = PluginSet()


def _joined(some: Mapping[Any, Named], others: Mapping[Any, Named]) -> dict[Any, Named]:
    for name in some.keys() & others.keys():
        first, second = code_of(some[name]), code_of(others[name])
        raise SpecError(
            f"{second.place}: {first.place} already defines a {first.kind} '{first.name}'; rename "
            "one of them"
        )
    return {**some, **others}


def code_of(found: Any) -> Code:
    """Return the plug-in that something comes from."""
    code: Code = found.code
    return code


def no_such(kind: Kind, name: str, known: Iterable[str]) -> str:
    """Return the message for a name that no plug-in has."""
    names = sorted(known)
    if not names:
        return f"no plug-in has a {kind} '{name}'; the task has none, and none is installed"
    return f"no plug-in has a {kind} '{name}'; {nearest(name, names)}"
