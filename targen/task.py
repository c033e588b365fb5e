"""Tasks: what a data set is about, as one YAML file says it.

Here belong the model of a task, the reading of the task folder, and the errors about both. How
instances are made from a task does not: that is the recipe's and the operators' work.
"""

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from targen import task_checks, task_files
from targen.errors import SpecError
from targen.recipe import (
    NAME_PATTERN,
    PartialSteps,
    Recipe,
    check_steps,
    load_recipes,
    resolve,
    with_overrides,
)
from targen.task_parts import (
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
from targen.yamlfile import YamlFile, nearest, validate


class TaskSpec(BaseModel):
    """A task, whole and checked: what `load_tasks` returns.

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

    _recipe: Recipe = PrivateAttr()
    _source: Path = PrivateAttr()
    _ancestors: tuple[str, ...] = PrivateAttr(default=())
    _reference_file: Path | None = PrivateAttr(default=None)
    _elsewhere_files: dict[str, Path] = PrivateAttr(default_factory=dict)
    _seed_rows: list[dict[str, Any]] = PrivateAttr(default_factory=list)
    _given_rows: list[dict[str, Any]] = PrivateAttr(default_factory=list)

    @property
    def recipe(self) -> Recipe:
        """The recipe, with this task's own parameters laid over it."""
        return self._recipe

    @property
    def source(self) -> Path:
        """The file that this task was read from."""
        return self._source

    @property
    def ancestors(self) -> tuple[str, ...]:
        """The tasks that this one extends, the nearest first."""
        return self._ancestors

    @property
    def labels(self) -> dict[str, Label]:
        """Label -> its texts, in the file's order; empty for span and none."""
        return self.answer.labels

    @property
    def reference_file(self) -> Path | None:
        """The file of gold rows, from the task or from the folder of references; None without."""
        return self._reference_file

    @property
    def elsewhere_files(self) -> dict[str, Path]:
        """Name -> file of another task's gold rows."""
        return self._elsewhere_files

    @property
    def seed_rows(self) -> list[dict[str, Any]]:
        """The seeds of `seeds.file`, seed field -> value; empty where there is no file."""
        return self._seed_rows

    @property
    def given_rows(self) -> list[dict[str, Any]]:
        """The rows of `rows_file`, field -> value; empty where there is no file."""
        return self._given_rows

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
        return resolve(self.recipe.choice("contexts"), "contexts")[0].per_slot

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
            headroom = max(-(-self.rows // 4), 8 * len(self.labels)) if self._drops else 0
        total = self.rows + headroom
        return total + total % self.unit

    @property
    def _drops(self) -> bool:
        _, params = resolve(self.recipe.choice("correction"), "correction")
        return getattr(params, "policy", None) != "keep"

    @property
    def per_call(self) -> int:
        """Slots in one generation call, as the recipe's operator for instances has it."""
        _, params = resolve(self.recipe.choice("instances"), "instances")
        return int(getattr(params, "per_call", 1))

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


def _merged(base: Any, child: Any) -> Any:
    """Lay `child` over `base`: mappings key by key, everything else replaced."""
    if isinstance(base, Mapping) and isinstance(child, Mapping):
        return {**base, **{k: _merged(base[k], v) if k in base else v for k, v in child.items()}}
    return child


def _extended(name: str, files: Mapping[str, YamlFile], chain: tuple[str, ...] = ()) -> Any:
    """Return the data of a task with everything that it extends below it."""
    file = files[name]
    parent = file.data.get("extends")
    if parent is None:
        return file.data
    if parent not in files:
        raise SpecError(f"{file.where(('extends',))}: no task '{parent}'; {nearest(parent, files)}")
    if parent in (*chain, name):
        circle = " -> ".join((*chain, name, parent))
        raise SpecError(f"{file.where(('extends',))}: `extends` runs in a circle: {circle}")
    return _merged(_extended(parent, files, (*chain, name)), file.data)


def _ancestors(name: str, files: Mapping[str, YamlFile]) -> tuple[str, ...]:
    """Return the names that a task extends; `_extended` has found that they run in no circle."""
    parent = files[name].data.get("extends")
    return () if parent is None else (parent, *_ancestors(parent, files))


def _read_files(folder: Path) -> dict[str, YamlFile]:
    """Return task name -> file for every file of the folder, without validating more."""
    if not folder.is_dir():
        raise SpecError(f"{folder}: there is no such folder of tasks; set TARGEN_TASKS_DIR")
    files: dict[str, YamlFile] = {}
    problems: list[str] = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            file = YamlFile(path)
        except SpecError as error:
            problems.append(str(error))
            continue
        name = file.data.get("name")
        if not isinstance(name, str):
            problems.append(f"{file.where(('name',))}: a task needs a `name` that is text")
        elif name in files:
            other = files[name].path.name
            problems.append(f"{file.where(('name',))}: {other} already has a task named '{name}'")
        else:
            files[name] = file
    if problems:
        raise SpecError("\n".join(problems))
    if not files:
        raise SpecError(f"{folder}: holds no task file (*.yaml)")
    return files


def load_task_names(folder: Path) -> list[str]:
    """Return the names of all tasks, sorted; nothing else of them is checked.

    Raises:
        SpecError: a file does not parse, has no name, or two have one name.
    """
    return sorted(_read_files(folder))


def load_tasks(
    tasks_dir: Path,
    recipes_dir: Path,
    rows: int | None = None,
    references: Path | None = None,
    endpoints_file: Path | None = None,
) -> dict[str, TaskSpec]:
    """Return every task of a folder by name, sorted, with its recipe.

    Args:
        tasks_dir: folder of task files.
        recipes_dir: folder of recipe files.
        rows: overrides the `rows` of every task.
        references: folder with a file of gold rows for tasks, named like the task or one that it
            extends; it goes before the task's own.
        endpoints_file: where the endpoints that steps name are defined; None: they are not checked.

    Raises:
        SpecError: all problems of all files, one a line.
    """
    recipes = load_recipes(recipes_dir)
    files = _read_files(tasks_dir)
    tasks: dict[str, TaskSpec] = {}
    problems: list[str] = []
    for name in sorted(files):
        try:
            tasks[name] = _load(name, files, recipes, rows, references, endpoints_file)
        except SpecError as error:
            problems.append(str(error))
    if problems:
        raise SpecError("\n".join(problems))
    return tasks


def load_task(
    name: str,
    tasks_dir: Path,
    recipes_dir: Path,
    rows: int | None = None,
    references: Path | None = None,
    endpoints_file: Path | None = None,
) -> TaskSpec:
    """Return one task, as `load_tasks` does; problems of the other files do not matter.

    Raises:
        SpecError: there is no such task (with the nearest name), or what is wrong with it.
    """
    files = _read_files(tasks_dir)
    if name not in files:
        raise SpecError(f"{tasks_dir}: no task '{name}'; {nearest(name, files)}")
    return _load(name, files, load_recipes(recipes_dir), rows, references, endpoints_file)


def _load(
    name: str,
    files: Mapping[str, YamlFile],
    recipes: Mapping[str, Recipe],
    rows: int | None,
    references: Path | None,
    endpoints_file: Path | None,
) -> TaskSpec:
    file = files[name]
    spec = validate(TaskSpec, _extended(name, files), file)
    problems = task_checks.problems(spec, file)
    recipe = recipes.get(spec.recipe_name)
    if recipe is None:
        hint = nearest(spec.recipe_name, recipes)
        problems.append(f"{file.where(('recipe',))}: unknown recipe '{spec.recipe_name}'; {hint}")
    else:
        recipe = with_overrides(recipe, spec.steps)
        step_problems = check_steps(recipe, file)
        problems += step_problems or task_checks.recipe_needs(spec, recipe, file)
        if endpoints_file is not None:
            problems += task_checks.unknown_endpoints(recipe, file, endpoints_file)
    if problems or recipe is None:
        raise SpecError("\n".join(problems))
    spec = task_files.with_examples(task_files.with_vocabularies(spec, file), file)
    if rows is not None:
        spec = spec.model_copy(update={"rows": rows})
    spec._recipe = recipe
    spec._source = file.path
    spec._ancestors = _ancestors(name, files)
    spec._reference_file = task_files.reference_file(spec, file, references)
    spec._elsewhere_files = task_files.elsewhere_files(spec, file)
    spec._seed_rows = task_files.seed_rows(spec, file)
    spec._given_rows = task_files.given_rows(spec, file)
    return spec
