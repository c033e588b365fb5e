"""The task: the content of one YAML file, with the files and the recipe that it names."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from targen.steps import INSTANCES
from targen.tasks import plugin_kinds
from targen.tasks.answers import LISTS, ONE_LABEL
from targen.tasks.plugin_kinds import Guard, PluginMetric, PluginSet
from targen.tasks.recipe import NAME_PATTERN, PartialSteps, Recipe
from targen.tasks.sections import (
    ENGLISH,
    Answer,
    Contexts,
    Example,
    Expectation,
    ForeignRows,
    Gate,
    Guards,
    Label,
    Plugins,
    Release,
    Seeds,
    TaskField,
    Twin,
    Vocabulary,
)
from targen.tasks.targets import Round

ROWS_AT_MOST: Final = 10_000_000
"""Tables are held in memory; more rows are a typing error."""

SMALL_CALLS: Final = 4
SMALL_CALL: Final = 3
"""The first `SMALL_CALLS` calls of each label have at most `SMALL_CALL` slots, so that small data
sets do not pay for slots that they do not need."""


def call_range(ordinal: int, per_call: int) -> range:
    """Return the slots of one label that share a generation call, as ordinals within the label.

    The ranges depend on the ordinal only, not on the number of rows, so that a data set that grows
    repeats the calls of the smaller one.

    Args:
        ordinal: a slot of the call: how many earlier slots have its label.
        per_call: slots per call, after the first calls.
    """
    small = min(per_call, SMALL_CALL)
    edge = SMALL_CALLS * small
    size, start = (small, 0) if ordinal < edge else (per_call, edge)
    first = start + (ordinal - start) // size * size
    return range(first, first + size)


@dataclass(frozen=True, slots=True)
class Attached:
    """The recipe and files that a task names; see the properties of `TaskSpec`.

    Attributes:
        drops: whether the recipe's correction may drop rows.
        set_field: the field with the number of a contrast set; None if the recipe makes none.
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
    set_field: str | None = None
    unlabeled_file: Path | None = None
    rounds: tuple[Round, ...] = ()


class TaskSpec(BaseModel):
    """A validated task, as `loading.load_tasks` returns it."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )

    name: str = Field(pattern=NAME_PATTERN)
    """[a-z0-9][a-z0-9_-]{0,62}; the partition key."""
    title: str
    description: str
    rows: int = Field(default=500, ge=1, le=ROWS_AT_MOST)
    """number of rows in the corrected set."""
    edition: int = Field(default=0, ge=0)
    """part of every request's identity; raise it to generate new data."""
    headroom: int | None = Field(default=None, ge=0)
    """rows that `instances` makes beyond `rows`, for correction to drop."""
    recipe_name: str = Field(default="targen", alias="recipe")
    """name of the recipe (key `recipe`)."""
    extends: str | None = None
    language: str = "en"
    """language of all texts, as an ISO 639-1 code."""
    fields: dict[str, TaskField] = Field(min_length=1)
    answer: Answer
    vocabularies: dict[str, Vocabulary] = Field(default_factory=dict)
    contexts: Contexts = Contexts()
    seeds: Seeds | None = None
    examples: list[Example] = Field(default_factory=list)
    """human-made rows, for methods that grow a data set from examples."""
    examples_file: str | None = None
    """a file beside the task, instead of them: YAML with the key `examples`, or a table with one
    column per field and `label`."""
    rows_file: str | None = None
    """a file beside the task with rows to label, for `instances: file`; one column per field."""
    budget_usd: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """limit in US dollars for all runs of this task together; None sets no limit."""
    validators: list[dict[str, dict[str, str]]] = Field(default_factory=list)
    guards: Guards = Guards()
    """thresholds of the checks of content."""
    plugins: Plugins = Plugins()
    """your own Python code: a folder beside the task, or which plug-ins it uses."""
    twin: Twin | None = None
    gates: list[Gate] = Field(default_factory=list)
    """bounds for metrics of the quality report."""
    columns: dict[str, str] = Field(default_factory=dict)
    """column of an imported file -> field of this task, or `label`; applies to your own data for
    reports, to `reference`, and to `elsewhere`."""
    reference: ForeignRows | None = None
    """gold rows of this task, which the report compares the set with."""
    unlabeled: ForeignRows | None = None
    """your own texts without labels, which targets compare the set with; a column per field, or for
    some of them."""
    elsewhere: dict[str, ForeignRows] = Field(default_factory=dict)
    """name -> gold rows of another task with this task's columns, to measure utility out of
    distribution."""
    expectations: dict[str, list[Expectation]] = Field(default_factory=dict)
    """table -> Great Expectations expectations, besides those derived from the task."""
    steps: PartialSteps = PartialSteps()
    """changes to the recipe's parameters."""
    release: Release = Release()
    """splits and license of the finished rows."""

    _attached: Attached = PrivateAttr()
    _plugin_set: PluginSet = PrivateAttr(default=plugin_kinds.NONE)

    def attach(self, attached: Attached) -> None:
        """Set the recipe and the content of the files that the task names."""
        self._attached = attached

    def with_plugins(self, plugins: PluginSet) -> "TaskSpec":
        """Return the task with the plug-ins that it can name."""
        copied = self.model_copy()
        copied._plugin_set = plugins
        return copied

    @property
    def plugin_set(self) -> PluginSet:
        """The plug-ins of installed packages and of the task's folder."""
        return self._plugin_set

    @property
    def plugin_guards(self) -> tuple[Guard, ...]:
        """The guards of plug-ins that the task uses."""
        known = self._plugin_set.guards
        return tuple(known[name] for name in self.plugins.guards if name in known)

    @property
    def plugin_metrics(self) -> tuple[PluginMetric, ...]:
        """The metrics of plug-ins that the task uses, also in gates."""
        known = self._plugin_set.metrics
        used = dict.fromkeys((*self.plugins.metrics, *(gate.metric for gate in self.gates)))
        return tuple(known[name] for name in used if name in known)

    def with_rounds(self, rounds: Iterable[Round]) -> "TaskSpec":
        """Return the task with these rounds of targets."""
        copied = self.model_copy()
        copied.attach(replace(self._attached, rounds=tuple(rounds)))
        return copied

    @property
    def rounds(self) -> tuple[Round, ...]:
        """The rounds of targets that the task's file of targets contains; usually none."""
        return self._attached.rounds

    @property
    def recipe(self) -> Recipe:
        """The recipe with the task's own parameters."""
        return self._attached.recipe

    @property
    def source(self) -> Path:
        """The task file."""
        return self._attached.source

    @property
    def ancestors(self) -> tuple[str, ...]:
        """The tasks that this one extends, nearest first."""
        return self._attached.ancestors

    @property
    def labels(self) -> dict[str, Label]:
        """Label -> its constraint and definition, in the file's order; empty for span and none."""
        return self.answer.labels

    @property
    def reference_file(self) -> Path | None:
        """The file of gold rows, from the folder of references or from the task, if any."""
        return self._attached.reference_file

    @property
    def unlabeled_file(self) -> Path | None:
        """The file of unlabeled texts, if any."""
        return self._attached.unlabeled_file

    @property
    def elsewhere_files(self) -> dict[str, Path]:
        """Name -> file of another task's gold rows."""
        return self._attached.elsewhere_files

    @property
    def seed_rows(self) -> list[dict[str, Any]]:
        """The rows of `seeds.file`, seed field -> value; empty without a file."""
        return self._attached.seed_rows

    @property
    def given_rows(self) -> list[dict[str, Any]]:
        """The rows of `rows_file`, field -> value; empty without a file."""
        return self._attached.given_rows

    @property
    def own_rows(self) -> bool:
        """Whether the rows come from `rows_file`: then there can be fewer of them than `rows`."""
        return self.recipe.choice(INSTANCES).operator == "file"

    @property
    def requirement_words(self) -> dict[str, str]:
        """Vocabulary -> its key `requirement`."""
        return {name: vocabulary.requirement for name, vocabulary in self.vocabularies.items()}

    @property
    def label_constraints(self) -> dict[str, str]:
        """Label -> how to write an instance of it."""
        return {name: label.constraint.strip() for name, label in self.labels.items()}

    @property
    def label_definitions(self) -> dict[str, str]:
        """Label -> what it means, for annotators."""
        return {
            name: (label.definition or label.constraint).strip()
            for name, label in self.labels.items()
        }

    @property
    def label_sets(self) -> list[list[str]]:
        """For `multi` and `spans`, all sets of labels that the plan may give a row; else empty."""
        if self.answer.kind not in LISTS:
            return []
        sizes = range(self.answer.at_least, min(self.answer.at_most, len(self.labels)) + 1)
        names = sorted(self.labels)
        return [list(some) for size in sizes for some in combinations(names, size)]

    @property
    def planned_labels(self) -> list[Any]:
        """The inputs of the plan's labels, for step digests."""
        answer = self.answer
        sets = [answer.at_least, answer.at_most]
        return [answer.kind, list(self.labels), *sets, self.per_call, self.contrast]

    @property
    def per_slot(self) -> bool:
        """Whether context i belongs to slot i only, as with the operator `draw`."""
        return self._attached.per_slot

    @property
    def shown_fields(self) -> list[str]:
        """The fields that a model or a person writes or sees: all but the derived ones."""
        return [name for name, field in self.fields.items() if not field.derived]

    def content(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the task's fields of a row."""
        return {name: row[name] for name in self.fields}

    @property
    def field_types(self) -> dict[str, str]:
        """Field -> type."""
        return {name: field.type for name, field in self.fields.items()}

    @property
    def planned(self) -> dict[str, list[str]]:
        """Planned field -> its values."""
        return {name: list(f.values or ()) for name, f in self.fields.items() if f.planned}

    @property
    def sampled(self) -> dict[str, TaskField]:
        """Field -> the field, for those that a sampler draws."""
        return {name: field for name, field in self.fields.items() if field.sampler is not None}

    @property
    def seed_fields(self) -> list[str]:
        """Fields of the task that seeds contain."""
        return [name for name in (self.seeds.fields if self.seeds else {}) if name in self.fields]

    @property
    def contrast(self) -> bool:
        """Whether each slot is a contrast set: one row per label, with minimal edits."""
        return self._attached.set_field is not None

    @property
    def pair_field(self) -> str | None:
        """The derived field with the number of a row's pair or contrast set; None without them."""
        return self.twin.id_field if self.twin else self._attached.set_field

    @property
    def unit(self) -> int:
        """Rows per slot: 2 for twins, the number of labels for contrast sets, else 1."""
        if self.contrast:
            return len(self.labels)
        return 2 if self.twin else 1

    @property
    def renames(self) -> bool:
        """Whether code can replace names: in English, and in rows that need not stay alike."""
        return self.language == ENGLISH and self.unit == 1

    @property
    def wanted_rows(self) -> int:
        """`rows`, rounded down to a multiple of `unit`."""
        return self.rows - self.rows % self.unit

    @property
    def wanted_instances(self) -> int:
        """Rows that `instances` makes: `rows` plus headroom, rounded up to a multiple of `unit`.

        The default headroom is an eighth of the rows, at least six per label but not more than
        `rows`; three quarters of the rows for contrast sets, of which one row costs the whole set;
        0 if the recipe's correction never drops rows.
        """
        headroom = self.headroom
        if headroom is None:
            spare = max(-(-self.rows // 8), 6 * len(self.labels))
            spare = max(spare, self.rows * 3 // 4) if self.contrast else spare
            headroom = min(spare, self.rows) if self._attached.drops else 0
        total = self.rows + headroom
        return total + -total % self.unit

    @property
    def per_call(self) -> int:
        """Slots per generation call, from the recipe's operator for instances."""
        return self._attached.per_call

    @property
    def slots_wanted(self) -> int:
        """Number of slots that `instances` has to fill."""
        return self.wanted_instances // self.unit

    @property
    def slots_at_most(self) -> int:
        """Maximum number of slots to try: those of the calls that cover `slots_wanted`.

        Without headroom, an eighth of the slots is added to replace slots that fail.
        """
        wanted = self.slots_wanted
        if self.contrast or self.wanted_instances <= self.rows + -self.rows % self.unit:
            wanted += -(-wanted // 8)
        labels = len(self.labels) if self.answer.kind in ONE_LABEL and not self.contrast else 1
        last = call_range(-(-wanted // labels) - 1, self.per_call)
        return last.stop * labels

    @property
    def slots_seeded(self) -> int:
        """Number of slots to make seeds for."""
        return self.slots_at_most
