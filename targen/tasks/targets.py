"""The file of targets of a task, `targets/<task>.yaml` in the data folder.

A target says what further rows to write, what they must avoid, and which rows they replace. The
file is an input of the steps, like the task file.
"""

import io
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from ruamel.yaml import YAML

from targen.hashing import short_id

Kind = Literal[
    "thin_cell",
    "label_short",
    "label_word",
    "shortcut",
    "length_label",
    "template",
    "near_duplicates",
    "name",
    "too_easy",
    "missing_region",
    "student_error",
    "high_entropy",
]
APPROVED: Final = "approved"
STRUCK: Final = "struck"
SUFFIX: Final = "yaml"
OPERATORS: Final = ("label_constrained", "compose", "select_by_logprob")
"""The operators of `instances` that write rows for targets."""
FIRST_SLOT: Final = 10**9
"""Number of the first slot of targets. The slots of the plan are numbered from 0."""
GAP: Final = "…"
"""Stands for the part of a template that varies."""
_HEAD: Final = """\
# Targets of {task}: rows to write next. `make refine TASK={task}` makes the approved ones.
# Under `proposed`, you can set `status: struck`, change `count`, and edit the lists of `avoid`.
# `rounds` has the targets that were made; `instances` and `corrected_set` read them.
"""


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )


class Avoid(_Part):
    """What the new rows must not contain."""

    words: list[str] = Field(default_factory=list)
    """words, in the target's field, or in any field if it has none."""
    templates: list[str] = Field(default_factory=list)
    """patterns of a text, with … for the parts that vary."""
    names: list[str] = Field(default_factory=list)
    openings: list[str] = Field(default_factory=list)
    """first words of a text."""


class Target(_Part):
    """Rows to write."""

    target_id: str = Field(pattern=r"^[0-9a-f]{16}$")
    """content hash of the target as it was proposed."""
    status: Literal["approved", "struck"] = "approved"
    kind: Kind
    reason: str
    count: int = Field(ge=0)
    """number of rows to write."""
    label: str | None = None
    """label of the new rows; null keeps the label of the row that is replaced."""
    way: str | None = None
    """how they get their label; null keeps the way of the row that is replaced."""
    difficulty: Literal["easy", "medium", "hard"] | None = None
    attributes: dict[str, str] = Field(default_factory=dict)
    """attribute values of the contexts of `sources`."""
    context: str | None = None
    """what the rows are about, instead of the context of the row that is replaced."""
    demand: str | None = None
    """what the rows are like otherwise, as a sentence of the prompt."""
    field: str | None = None
    """the field that has the fault."""
    least_words: int | None = Field(default=None, ge=0)
    """length of `field` in words."""
    most_words: int | None = Field(default=None, ge=1)
    avoid: Avoid = Avoid()
    edit: Literal["rename"] | None = None
    """make the rows by code instead of by a model: `rename` replaces the name in `avoid` by another
    one in all fields of the row that is replaced."""
    rewrite_seed: bool = False
    """write the fields that come from the seed again as well."""
    metric: str
    slice: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    bound: float | None = None
    """value from which there is no gap."""
    rows: str = ""
    """ids of the rows to replace, separated by spaces, the first `count` of which are used."""
    sources: str = ""
    """ids of rows whose context and seed are used instead of those of `rows`."""

    @property
    def gap(self) -> tuple[str, str, str]:
        """What identifies the gap in every round."""
        return self.kind, self.metric, self.slice

    @property
    def replaced(self) -> list[str]:
        """The ids in `rows`."""
        return self.rows.split()

    @property
    def source_ids(self) -> list[str]:
        """The ids in `sources`, or those in `rows`."""
        return self.sources.split() or self.replaced


class Round(_Part):
    """The targets that came from one report."""

    report: str
    """data version of the report that asked for the rows."""
    failed_gates: int = Field(default=0, ge=0)
    """number of the report's gates that had not passed when the round began."""
    targets: list[Target]

    @property
    def approved(self) -> list[Target]:
        """The targets that are not struck and ask for rows."""
        return [one for one in self.targets if one.status == APPROVED and one.count]


class TargetsFile(_Part):
    """The content of the file."""

    task: str
    proposed: Round | None = None
    rounds: list[Round] = Field(default_factory=list)


def reason_not_refinable(operator: str) -> str | None:
    """Return why no rows can be written for the targets of a task, and what to do instead."""
    if operator in OPERATORS:
        return None
    why = "a target replaces one row"
    if operator == "contrast":
        why += ", and a row of a contrast set cannot be replaced without the others of its set"
    else:
        why += f", and {operator} does not write rows one by one"
    return (
        f"targets cannot be made with the operator {operator} of `instances`: {why}. Make a larger "
        f"set with `rows`, or use a recipe with {', '.join(OPERATORS[:-1])} or {OPERATORS[-1]}, "
        "such as targen"
    )


def with_id(task: str, number: int, content: dict[str, Any]) -> Target:
    """Return a target with its id."""
    bare = Target(target_id="0" * 16, **content).model_dump(mode="json", exclude={"target_id"})
    return Target(target_id=short_id(["target", task, number, bare]), **content)


def key_of(task: str) -> str:
    """Return the key of a task's file in the data folder."""
    return f"targets/{task}.{SUFFIX}"


def text_of(content: TargetsFile) -> str:
    """Return a file's text; default values are left out, except the status."""
    dumped: dict[str, Any] = {"task": content.task}
    if content.proposed is not None:
        dumped["proposed"] = _dumped(content.proposed)
    dumped["rounds"] = [_dumped(one) for one in content.rounds]
    buffer = io.StringIO()
    yaml = YAML()
    yaml.width = 100
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump(dumped, buffer)
    return _HEAD.format(task=content.task) + buffer.getvalue()


def _dumped(one: Round) -> dict[str, Any]:
    targets = [
        {
            "target_id": target.target_id,
            "status": target.status,
            **target.model_dump(mode="json", exclude_defaults=True),
        }
        for target in one.targets
    ]
    gates = {"failed_gates": one.failed_gates} if one.failed_gates else {}
    return {"report": one.report, **gates, "targets": targets}
