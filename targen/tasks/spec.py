"""Tasks: what a data set is about, as one YAML file says it."""

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from targen.steps import INSTANCES
from targen.tasks.recipe import NAME_PATTERN, PartialSteps, Recipe
from targen.tasks.sections import (
    Answer,
    Contexts,
    Example,
    Expectation,
    ForeignRows,
    Gate,
    Label,
    Release,
    Seeds,
    TaskField,
    Twin,
    Vocabulary,
)


@dataclass(frozen=True, slots=True)
class Attached:
    """What a task's file leads to, read and checked with it.

    Attributes:
        source: the file that the task was read from.
        recipe: the recipe, with the task's own parameters laid over it.
        per_call: slots in one generation call, as the recipe's operator for instances has it.
        per_slot: whether context i is slot i's own, as `draw` makes them.
        drops: whether the recipe's correction may drop a row.
        ancestors: the tasks that it extends, the nearest first.
        reference_file: gold rows, from the task or from the folder of references; None without.
        elsewhere_files: name -> file of another task's gold rows.
        seed_rows: the seeds of `seeds.file`, seed field -> value; empty where there is no file.
        given_rows: the rows of `rows_file`, field -> value; empty where there is no file.
    """

    source: Path
    recipe: Recipe
    per_call: int
    per_slot: bool
    drops: bool
    ancestors: tuple[str, ...]
    reference_file: Path | None
    elsewhere_files: dict[str, Path]
    seed_rows: list[dict[str, Any]]
    given_rows: list[dict[str, Any]]


class TaskSpec(BaseModel):
    """A task, whole and checked: what `loading.load_tasks` returns.

    Attributes:
        name: [a-z0-9][a-z0-9_-]{0,62}; the partition key.
        rows: how many rows the corrected set should hold.
        edition: part of every request's identity; raise it to generate anew.
        headroom: rows that `instances` makes beyond `rows`, for correction to drop.
        recipe_name: the recipe as the file names it (key `recipe`).
        language: of all texts, as ISO 639-1 has it; prompts, validators and metrics are told.
        examples: rows made by people, for methods that grow from examples.
        examples_file: a YAML file beside the task with the key `examples`, instead of them.
        rows_file: a file beside the task with rows to label, for `instances: file`; JSON lines or
            CSV, a column for each field.
        gates: bounds that metrics of the quality report must keep.
        columns: column of a foreign file -> field of this task, or `label`; holds for own data
            that is reported on, for the reference, and for `elsewhere`.
        reference: gold rows of this task, which the report measures against.
        elsewhere: name -> gold rows of another task in this one's columns, to measure utility out
            of distribution.
        budget_usd: ceiling in US dollars over all runs of this task; None is none of its own.
        expectations: table -> expectations of Great Expectations, beyond those that follow from
            the task.
        steps: parameters of the recipe that this task changes.
        release: in which parts and under which licence the finished rows go out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)

    name: str = Field(pattern=NAME_PATTERN)
    title: str
    description: str
    rows: int = Field(default=500, ge=1)
    edition: int = Field(default=0, ge=0)
    headroom: int | None = Field(default=None, ge=0)
    recipe_name: str = Field(default="targen", alias="recipe")
    extends: str | None = None
    language: str = "en"
    fields: dict[str, TaskField] = Field(min_length=1)
    answer: Answer
    vocabularies: dict[str, Vocabulary] = Field(default_factory=dict)
    contexts: Contexts = Contexts()
    seeds: Seeds | None = None
    examples: list[Example] = Field(default_factory=list)
    examples_file: str | None = None
    rows_file: str | None = None
    budget_usd: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    validators: list[dict[str, dict[str, str]]] = Field(default_factory=list)
    twin: Twin | None = None
    gates: list[Gate] = Field(default_factory=list)
    columns: dict[str, str] = Field(default_factory=dict)
    reference: ForeignRows | None = None
    elsewhere: dict[str, ForeignRows] = Field(default_factory=dict)
    expectations: dict[str, list[Expectation]] = Field(default_factory=dict)
    steps: PartialSteps = PartialSteps()
    release: Release = Release()

    _attached: Attached = PrivateAttr()

    def attach(self, attached: Attached) -> None:
        """Add what the task's file leads to; without it the task says only what the file says."""
        self._attached = attached

    @property
    def recipe(self) -> Recipe:
        """The recipe, with this task's own parameters laid over it."""
        return self._attached.recipe

    @property
    def source(self) -> Path:
        """The file that this task was read from."""
        return self._attached.source

    @property
    def ancestors(self) -> tuple[str, ...]:
        """The tasks that this one extends, the nearest first."""
        return self._attached.ancestors

    @property
    def labels(self) -> dict[str, Label]:
        """Label -> its texts, in the file's order; empty for span and none."""
        return self.answer.labels

    @property
    def reference_file(self) -> Path | None:
        """The file of gold rows, from the task or from the folder of references; None without."""
        return self._attached.reference_file

    @property
    def elsewhere_files(self) -> dict[str, Path]:
        """Name -> file of another task's gold rows."""
        return self._attached.elsewhere_files

    @property
    def seed_rows(self) -> list[dict[str, Any]]:
        """The seeds of `seeds.file`, seed field -> value; empty where there is no file."""
        return self._attached.seed_rows

    @property
    def given_rows(self) -> list[dict[str, Any]]:
        """The rows of `rows_file`, field -> value; empty where there is no file."""
        return self._attached.given_rows

    @property
    def own_rows(self) -> bool:
        """Whether the rows come from `rows_file`: then there can be fewer of them than `rows`."""
        return self.recipe.choice(INSTANCES).operator == "file"

    @property
    def requirement_words(self) -> dict[str, str]:
        """Vocabulary -> how prompts word a term of it as a requirement."""
        return {name: vocabulary.requirement for name, vocabulary in self.vocabularies.items()}

    @property
    def label_constraints(self) -> dict[str, str]:
        """Label -> how to write an instance of it."""
        return {name: label.constraint.strip() for name, label in self.labels.items()}

    @property
    def label_definitions(self) -> dict[str, str]:
        """Label -> what it means, as annotators are told."""
        return {
            name: (label.definition or label.constraint).strip()
            for name, label in self.labels.items()
        }

    @property
    def label_sets(self) -> list[list[str]]:
        """For `multi`, every set of labels that a row may be planned to have, sorted; else none."""
        if self.answer.kind != "multi":
            return []
        sizes = range(self.answer.at_least, min(self.answer.at_most, len(self.labels)) + 1)
        names = sorted(self.labels)
        return [list(some) for size in sizes for some in combinations(names, size)]

    @property
    def planned_labels(self) -> list[Any]:
        """All that the plan reads to say which label a slot has."""
        answer = self.answer
        return [answer.kind, list(self.labels), answer.at_least, answer.at_most, self.per_call]

    @property
    def per_slot(self) -> bool:
        """Whether context i is slot i's own, as `draw` makes them."""
        return self._attached.per_slot

    @property
    def field_types(self) -> dict[str, str]:
        """Field -> type, as `tables.schema` takes it."""
        return {name: field.type for name, field in self.fields.items()}

    @property
    def planned(self) -> dict[str, list[str]]:
        """Planned field -> its values."""
        return {name: list(f.values or ()) for name, f in self.fields.items() if f.planned}

    @property
    def seed_fields(self) -> list[str]:
        """Fields of the task that a seed already holds."""
        return [name for name in (self.seeds.fields if self.seeds else {}) if name in self.fields]

    @property
    def unit(self) -> int:
        """Rows per slot: 2 where each row has a twin, else 1."""
        return 2 if self.twin else 1

    @property
    def wanted_rows(self) -> int:
        """`rows`, rounded down to whole units."""
        return self.rows - self.rows % self.unit

    @property
    def wanted_instances(self) -> int:
        """Rows that `instances` makes: rows and headroom, rounded up to whole units.

        Where the task says nothing, the headroom is a quarter of the rows and eight a label, and
        none at all where the recipe has no correction that could drop a row.
        """
        headroom = self.headroom
        if headroom is None:
            drops = self._attached.drops
            headroom = max(-(-self.rows // 4), 8 * len(self.labels)) if drops else 0
        total = self.rows + headroom
        return total + total % self.unit

    @property
    def per_call(self) -> int:
        """Slots in one generation call, as the recipe's operator for instances has it."""
        return self._attached.per_call

    @property
    def slots_wanted(self) -> int:
        """Slots that `instances` has to fill."""
        return self.wanted_instances // self.unit

    @property
    def slots_at_most(self) -> int:
        """Slots that may be opened where some are given up: an eighth more, and a group a label."""
        return self.slots_wanted + self.slots_wanted // 8 + self._overhang

    @property
    def slots_seeded(self) -> int:
        """Slots that seeds are made for: all that may be opened, and the groups they stand in."""
        return self.slots_at_most + self._overhang

    @property
    def _overhang(self) -> int:
        return self.per_call * (len(self.labels) if self.answer.kind == "class" else 1)
