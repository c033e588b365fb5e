"""What `targen validate` checks: tasks by name, files, and folders of tasks or recipes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from targen.cli import base
from targen.errors import SpecError, TableError
from targen.quality.expectations import problems
from targen.steps import INSTANCES
from targen.tables import targets
from targen.tasks import references
from targen.tasks.checks import long_rows_warnings, seed_warnings
from targen.tasks.loading import load_recipes, load_task_names
from targen.tasks.recipe import Recipe
from targen.tasks.spec import TaskSpec
from targen.tasks.targets import reason_not_refinable
from targen.tasks.yamlfile import YamlFile
from targen.wording import plural


@dataclass
class Checked:
    """The result.

    Attributes:
        tasks, recipes: the valid ones, by name.
        problems: one line each: file, line, key and what is wrong.
        warnings: task -> sentences.
        notes: the same, on what a task cannot do; only for tasks that are named.
    """

    tasks: dict[str, TaskSpec] = field(default_factory=dict)
    recipes: dict[str, Recipe] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: dict[str, list[str]] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON-like data."""
        return {
            "valid": not self.problems,
            "tasks": list(self.tasks),
            "recipes": list(self.recipes),
            "problems": self.problems,
            "warnings": self.warnings,
            "notes": self.notes,
        }


def check(items: Sequence[str]) -> Checked:
    """Check tasks, files and folders; without any, all tasks.

    An item with a slash or the ending `.yaml`, or that is a folder, is a path.
    """
    found = Checked()
    for item in items or [base.settings().tasks_dir]:
        path = Path(item)
        try:
            if path.is_dir():
                _folder(path, found)
            elif path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
                _file(path, found)
            else:
                _task(found, base.task(item))
                _targets(found, found.tasks[item])
        except SpecError as error:
            # A folder's and a file's problems may be the same.
            found.problems += [o for o in str(error).split("\n") if o not in found.problems]
    return found


def _folder(path: Path, found: Checked) -> None:
    files = sorted([*path.glob("*.yaml"), *path.glob("*.yml")])
    if not files:
        raise SpecError(f"{path}: contains no task or recipe file (*.yaml)")
    recipes = [file for file in files if _is_recipe(file)]
    if recipes:
        found.recipes |= load_recipes(path)
        return
    for name in load_task_names(path):
        try:
            _task(found, base.task(name, folder=path))
        except SpecError as error:
            found.problems += str(error).split("\n")


def _file(path: Path, found: Checked) -> None:
    if not path.is_file():
        raise SpecError(f"{path}: the file does not exist")
    if path.suffix != ".yaml":
        raise SpecError(f"{path}: task and recipe files end in .yaml")
    file = YamlFile(path)
    if _is_recipe(path):
        recipes = load_recipes(path.parent)
        found.recipes |= {name: one for name, one in recipes.items() if name == file.data["name"]}
        return
    name = file.data.get("name")
    if not isinstance(name, str):
        raise SpecError(f"{file.where(('name',))}: a task needs a `name` that is text")
    _task(found, base.task(name, folder=path.parent))
    _targets(found, found.tasks[name])


def _is_recipe(path: Path) -> bool:
    """Return whether a file is a recipe: it has steps, and neither fields nor a task to extend."""
    try:
        data = YamlFile(path).data
    except SpecError:
        return False
    return "steps" in data and "fields" not in data and "extends" not in data


def _task(found: Checked, spec: TaskSpec) -> None:
    wrong = problems(spec, YamlFile(spec.source))
    if wrong:
        raise SpecError("\n".join(wrong))
    try:
        # Only the last step of a run reads them.
        references.check_files(spec)
    except TableError as error:
        raise SpecError(f"{spec.source}: {error}") from None
    found.tasks[spec.name] = spec
    warnings = list(seed_warnings(spec))
    if spec.source.stem != spec.name:
        warnings.append(f"its file is {spec.source.name}; call it {spec.name}.yaml to find it")
    warnings += long_rows_warnings(spec)
    given = len(spec.given_rows)
    if spec.own_rows and given < spec.rows:
        warnings.append(
            f"{spec.rows_file} has {plural(given, 'row')}, fewer than the {spec.rows} that `rows` "
            "asks for; the data set will be smaller"
        )
    if warnings:
        found.warnings[spec.name] = warnings


def _targets(found: Checked, spec: TaskSpec) -> None:
    """Check the file of targets of a task, and whether targets can be made for it.

    Raises:
        SpecError: the file is wrong.
    """
    targets.load(base.tables().storage, spec)
    reason = reason_not_refinable(spec.recipe.choice(INSTANCES).operator)
    if reason is not None:
        found.notes[spec.name] = [f"{reason}."]
