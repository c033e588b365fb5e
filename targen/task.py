"""Tasks: what a data set is about, as one YAML file says it.

Here belong the model of a task, the reading of the task folder, and the errors about both. How
instances are made from a task does not: that is the recipe's and the operators' work.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from targen import task_checks
from targen.answers import Kind
from targen.errors import SpecError
from targen.recipe import (
    NAME_PATTERN,
    RECIPE_STEPS,
    PartialSteps,
    Recipe,
    StepChoice,
    check_steps,
    load_recipes,
    resolve,
    with_overrides,
)
from targen.yamlfile import Loc, YamlFile, nearest, validate


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class TaskField(_Part):
    """One column of an instance.

    Attributes:
        description: what it holds; part of the prompts.
        type: text, choice (one of `values`), integer or texts (a list).
        values: the possible values of a choice.
        planned: a choice that the plan sets, evenly, instead of the model.
        derived: filled in by a validator, never asked of a model.
        max_words: longer texts are rejected.
    """

    description: str = ""
    type: Literal["text", "choice", "integer", "texts"] = "text"
    values: list[str] | None = None
    planned: bool = False
    derived: bool = False
    max_words: int | None = Field(default=None, ge=1)


class Label(_Part):
    """One label of a class task.

    Attributes:
        constraint: how to write an instance of this label; only `instances` reads it.
        definition: what the label means; annotators read it. Defaults to the constraint.
    """

    constraint: str = Field(min_length=1)
    definition: str = ""

    @model_validator(mode="before")
    @classmethod
    def _constraint_alone(cls, value: Any) -> Any:
        return {"constraint": value} if isinstance(value, str) else value


class Answer(_Part):
    """What the label of a row is.

    Attributes:
        kind: class, span (a text from the row), multi (several labels) or none.
        question: what an annotator is asked.
        labels: label -> how to write it and what it means, for class and multi.
        choices: for span, the field that lists the texts to choose from.
        constraint: for span, how to write an instance with a given answer.
    """

    kind: Kind = "class"
    question: str = ""
    labels: dict[str, Label] = Field(default_factory=dict)
    choices: str | None = None
    constraint: str = ""


class Attribute(_Part):
    """A named property of a context, drawn or free."""

    description: str = ""
    values: list[str] | None = None


class Vocabulary(_Part):
    """A list of terms that contexts draw from: given here, in a file, or asked of the model."""

    what: str = ""
    terms: list[str] = Field(default_factory=list)
    file: str | None = None
    count: int = Field(default=40, ge=1)


class Contexts(_Part):
    """What a context is.

    Attributes:
        what: completes "a list of ...".
        attributes: properties that each context has besides its text.
    """

    what: str = "domains or topics in which instances can be set"
    attributes: dict[str, Attribute] = Field(default_factory=dict)


class SeedField(_Part):
    """One part of a seed; a part named like a field of the task becomes that field."""

    description: str
    type: Literal["text", "texts"] = "text"


class Seeds(_Part):
    """What an instance seed is.

    Attributes:
        kind: sentence, passage, word, tuple or example.
        what: what to write, for the prompt.
        fields: part -> description.
        types: attribute -> values; the items of a page take the values in turn.
    """

    kind: Literal["sentence", "passage", "word", "tuple", "example"]
    what: str
    fields: dict[str, SeedField]
    types: dict[str, list[str]] = Field(default_factory=dict)


class Example(_Part):
    """One row made by people: a format to follow, or a seed task to grow from.

    Attributes:
        fields: field -> value, all but derived ones.
        label: as the task's answers are; None where they have none.
    """

    fields: dict[str, Any]
    label: str | list[str] | None = None


class Twin(_Part):
    """A second row that code makes from the first: the unit of the task is the pair.

    Attributes:
        swap: how; `gender` is the only one.
        fields: the texts that are swapped.
        id_field: the derived integer field that holds the pair's number.
    """

    swap: Literal["gender"]
    fields: list[str]
    id_field: str


class TaskSpec(BaseModel):
    """A task, whole and checked: what `load_tasks` returns.

    Attributes:
        name: [a-z0-9][a-z0-9_-]{0,62}; the partition key.
        rows: how many rows the corrected set should hold.
        edition: part of every request's identity; raise it to generate anew.
        headroom: rows that `instances` makes beyond `rows`, for correction to drop.
        recipe_name: the recipe as the file names it (key `recipe`).
        examples: rows made by people, for methods that grow from examples.
        examples_file: a YAML file beside the task with the key `examples`, instead of them.
        steps: parameters of the recipe that this task changes.
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
    fields: dict[str, TaskField] = Field(min_length=1)
    answer: Answer
    vocabularies: dict[str, Vocabulary] = Field(default_factory=dict)
    contexts: Contexts = Contexts()
    seeds: Seeds | None = None
    examples: list[Example] = Field(default_factory=list)
    examples_file: str | None = None
    validators: list[dict[str, dict[str, str]]] = Field(default_factory=list)
    twin: Twin | None = None
    steps: PartialSteps = PartialSteps()

    _recipe: Recipe = PrivateAttr()
    _source: Path = PrivateAttr()

    @property
    def recipe(self) -> Recipe:
        """The recipe, with this task's own parameters laid over it."""
        return self._recipe

    @property
    def source(self) -> Path:
        """The file that this task was read from."""
        return self._source

    @property
    def labels(self) -> dict[str, Label]:
        """Label -> its texts, in the file's order; empty for span and none."""
        return self.answer.labels

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
        """Rows that `instances` makes: rows and headroom, rounded up to whole units."""
        headroom = self.headroom
        if headroom is None:
            headroom = max(-(-self.rows // 4), 8 * len(self.labels))
        total = self.rows + headroom
        return total + total % self.unit

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
        return self.per_call * max(1, len(self.labels))


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


def _named_file(file: YamlFile, loc: Loc, name: str) -> Path:
    """Return the path of a file that a task names, which must stand in the task's folder."""
    folder = file.path.parent.resolve()
    path = (folder / name).resolve()
    if not path.is_relative_to(folder):
        raise SpecError(f"{file.where(loc)}: '{name}' leaves the folder of the tasks")
    return path


def _read_vocabularies(spec: TaskSpec, file: YamlFile) -> TaskSpec:
    """Return the task with the terms of its vocabulary files read in."""
    read: dict[str, Vocabulary] = {}
    for name, vocabulary in spec.vocabularies.items():
        if vocabulary.file is None:
            continue
        loc: Loc = ("vocabularies", name, "file")
        path = _named_file(file, loc, vocabulary.file)
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            where = file.where(loc)
            raise SpecError(f"{where}: '{vocabulary.file}' cannot be read: {error}") from error
        terms = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        read[name] = vocabulary.model_copy(update={"terms": terms})
    return spec.model_copy(update={"vocabularies": spec.vocabularies | read}) if read else spec


class _Examples(_Part):
    examples: list[Example]


def _read_examples(spec: TaskSpec, file: YamlFile) -> TaskSpec:
    """Return the task with the examples of its file read in."""
    if spec.examples_file is None:
        return spec
    loc: Loc = ("examples_file",)
    if spec.examples:
        raise SpecError(f"{file.where(loc)}: give `examples` or `examples_file`, not both")
    source = YamlFile(_named_file(file, loc, spec.examples_file))
    read = spec.model_copy(update={"examples": validate(_Examples, source.data, source).examples})
    problems = [
        f"{source.where(where)}: {text}" for where, text in task_checks.check_examples(read)
    ]
    if problems:
        raise SpecError("\n".join(problems))
    return read


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


def load_tasks(tasks_dir: Path, recipes_dir: Path, rows: int | None = None) -> dict[str, TaskSpec]:
    """Return every task of a folder by name, sorted, with its recipe.

    Args:
        tasks_dir: folder of task files.
        recipes_dir: folder of recipe files.
        rows: overrides the `rows` of every task.

    Raises:
        SpecError: all problems of all files, one a line.
    """
    recipes = load_recipes(recipes_dir)
    files = _read_files(tasks_dir)
    tasks: dict[str, TaskSpec] = {}
    problems: list[str] = []
    for name in sorted(files):
        try:
            tasks[name] = _load(name, files, recipes, rows)
        except SpecError as error:
            problems.append(str(error))
    if problems:
        raise SpecError("\n".join(problems))
    return tasks


def load_task(name: str, tasks_dir: Path, recipes_dir: Path, rows: int | None = None) -> TaskSpec:
    """Return one task; problems of the other files do not matter.

    Raises:
        SpecError: there is no such task (with the nearest name), or what is wrong with it.
    """
    files = _read_files(tasks_dir)
    if name not in files:
        raise SpecError(f"{tasks_dir}: no task '{name}'; {nearest(name, files)}")
    return _load(name, files, load_recipes(recipes_dir), rows)


def _load(
    name: str, files: Mapping[str, YamlFile], recipes: Mapping[str, Recipe], rows: int | None
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
        problems += step_problems or _needs(spec, recipe, file)
    if problems or recipe is None:
        raise SpecError("\n".join(problems))
    spec = _read_examples(_read_vocabularies(spec, file), file)
    if rows is not None:
        spec = spec.model_copy(update={"rows": rows})
    spec._recipe = recipe
    spec._source = file.path
    return spec


def _needs(spec: TaskSpec, recipe: Recipe, file: YamlFile) -> list[str]:
    """Return what the recipe's operators need that the task does not have."""
    problems = []
    steps: dict[str, StepChoice] = {step: recipe.choice(step) for step in RECIPE_STEPS}
    for step, choice in steps.items():
        operator, _ = resolve(choice, step)
        if operator.needs_labels and spec.answer.kind == "none":
            problems.append(
                f"{file.where(('answer', 'kind'))}: the recipe '{recipe.name}' uses "
                f"'{operator.name}' for {step}, which needs labels; this task has none"
            )
    if steps["seeds"].operator == "llm_per_context" and spec.seeds is None:
        problems.append(
            f"{file.where(('recipe',))}: the recipe '{recipe.name}' makes seeds, "
            "so the task needs a section `seeds`"
        )
    return problems


def rows_from_environment() -> int | None:
    """Return TARGEN_ROWS as a number, None where it is unset.

    Raises:
        SpecError: it is no whole number of at least 1.
    """
    text = os.environ.get("TARGEN_ROWS", "").strip()
    if not text:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise SpecError(f"TARGEN_ROWS must be a whole number of at least 1, found '{text}'")
    return int(text)
