"""Reads and checks the folders of tasks and recipes."""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

import targen
from targen.errors import SpecError
from targen.settings import default, variable
from targen.steps import CONTEXTS, CORRECTED_SET, INSTANCES, RECIPE_STEP
from targen.tasks import checks, own_data
from targen.tasks import files as task_files
from targen.tasks.endpoints import load_endpoints
from targen.tasks.plugin_kinds import NONE, PluginSet
from targen.tasks.plugin_packages import installed
from targen.tasks.profiles import Profile
from targen.tasks.recipe import (
    NAME_PATTERN,
    NAME_RULE,
    READERS,
    Recipe,
    Steps,
    with_overrides,
    with_plugins,
)
from targen.tasks.registry import operator_of, resolve
from targen.tasks.sections import Gate
from targen.tasks.spec import ROWS_AT_MOST, Attached, TaskSpec
from targen.tasks.yamlfile import Loc, YamlFile, nearest, validate, validate_partly

_PACKAGE = Path(targen.__file__).parent
SHIPPED: Final = (_PACKAGE / "recipes", _PACKAGE.parent / "recipes")
"""Where the shipped recipes may be: in the installed package, or in the checkout."""


def check_steps(recipe: Recipe, file: YamlFile, plugins: PluginSet = NONE) -> list[str]:
    """Return the problems of a recipe's operators and parameters, one line each.

    Args:
        recipe: the recipe.
        file: the file of the recipe, or of the task that changes it.
        plugins: the plug-ins that it can name.
    """
    prefix: Loc = ("steps",)
    problems: list[str] = []
    for step, key in RECIPE_STEP.items():
        choice = recipe.choice(step)
        own = [name for of, name in plugins.operators if of == step]
        try:
            operator_of(choice, step, own)
            resolve(choice, step)
        except LookupError as error:
            problems.append(f"{file.where((*prefix, key, 'operator'))}: {error.args[0]}")
        except ValidationError as error:
            known = operator_of(choice, step).params.model_fields
            for item in error.errors():
                where = file.where((*prefix, key, *item["loc"]))
                if item["type"] == "extra_forbidden":
                    hint = nearest(item["loc"][-1], known)
                    problems.append(f"{where}: '{choice.operator}' has no such parameter; {hint}")
                else:
                    problems.append(f"{where}: {item['msg'].lower()} (found {item['input']!r})")
    return problems


def load_recipes(folder: Path) -> dict[str, Recipe]:
    """Return the recipes of a folder by name.

    If there is no folder `recipes`, the shipped recipes take the place of that default.

    Raises:
        SpecError: the problems of all files, one per line.
    """
    recipes, problems = _valid_recipes(folder)
    if problems:
        raise SpecError("\n".join(problems))
    return recipes


def _valid_recipes(folder: Path) -> tuple[dict[str, Recipe], list[str]]:
    """Return the recipes of a folder that can be used, like `load_recipes`, and all problems.

    Raises:
        SpecError: the folder does not exist.
    """
    if folder == Path(default("recipes_dir")) and not folder.is_dir():
        folder = next(filter(Path.is_dir, SHIPPED), folder)
    if not folder.is_dir():
        raise SpecError(f"{folder}: the folder of recipes does not exist; set TARGEN_RECIPES_DIR")
    plugins = installed()
    recipes: dict[str, Recipe] = {}
    unusable: set[str] = set()
    problems: list[str] = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            file = YamlFile(path)
            recipe = with_plugins(validate(Recipe, file.data, file), plugins.operators)
        except SpecError as error:
            problems.append(str(error))
            continue
        found = check_steps(recipe, file, plugins)
        if recipe.name in recipes:
            found.append(f"{file.where(('name',))}: another recipe is named '{recipe.name}'")
        if found:
            problems += found
            unusable.add(recipe.name)
        recipes[recipe.name] = recipe
    return {name: one for name, one in recipes.items() if name not in unusable}, problems


def _merged(base: Any, child: Any) -> Any:
    """Merge mappings recursively; any other value of `child` replaces that of `base`."""
    if isinstance(base, Mapping) and isinstance(child, Mapping):
        return {**base, **{k: _merged(base[k], v) if k in base else v for k, v in child.items()}}
    return child


def _extended(name: str, files: Mapping[str, YamlFile], chain: tuple[str, ...] = ()) -> Any:
    """Return the data of a task merged with that of the tasks that it extends."""
    file = files[name]
    parent = file.data.get("extends")
    if parent is None:
        return file.data
    if not isinstance(parent, str):
        raise SpecError(f"{file.where(('extends',))}: give the name of one task")
    if parent not in files:
        raise SpecError(f"{file.where(('extends',))}: no task '{parent}'; {nearest(parent, files)}")
    if parent in (*chain, name):
        circle = " -> ".join((*chain, name, parent))
        raise SpecError(f"{file.where(('extends',))}: `extends` is circular: {circle}")
    return _merged(_extended(parent, files, (*chain, name)), file.data)


def _ancestors(name: str, files: Mapping[str, YamlFile]) -> tuple[str, ...]:
    """Return the names of the tasks that a task extends; they must not be circular."""
    parent = files[name].data.get("extends")
    return () if parent is None else (parent, *_ancestors(parent, files))


def _read_files(folder: Path) -> tuple[dict[str, YamlFile], dict[str, str]]:
    """Return task name -> file, and for broken files, file name -> problem.

    Only names are checked.
    """
    if not folder.is_dir():
        raise SpecError(
            f"{folder}: the folder of tasks does not exist. `targen init NAME` writes a first "
            f"task; {variable('tasks_dir')} names another folder."
        )
    files: dict[str, YamlFile] = {}
    broken: dict[str, str] = {}
    for path in sorted(folder.glob("*.yaml")):
        try:
            file = YamlFile(path)
        except SpecError as error:
            broken[path.stem] = str(error)
            continue
        name = file.data.get("name")
        if not isinstance(name, str):
            broken[path.stem] = f"{file.where(('name',))}: a task needs a `name` that is text"
            continue
        if not re.fullmatch(NAME_PATTERN, name):
            # It becomes part of file names, also in tasks that extend this one.
            broken[path.stem] = f"{file.where(('name',))}: {NAME_RULE}"
            continue
        first = files.setdefault(name, file)
        if first is not file:
            # The copy is the file whose name differs from the task's name.
            copy = first if path.stem == name else file
            files[name] = other = file if copy is first else first
            broken[copy.path.stem] = (
                f"{copy.where(('name',))}: {other.path.name} already has a task named '{name}'; "
                f"give this one another name, such as {copy.path.stem}"
            )
    if not files and not broken:
        raise SpecError(f"{folder}: contains no task file (*.yaml)")
    return files, broken


def _own_files(folder: Path, name: str) -> dict[str, YamlFile]:
    """Return the files of a task and of those that it extends, without reading all others.

    Empty if one of them has another file name, or is missing or broken.
    """
    files: dict[str, YamlFile] = {}
    at: Any = name
    while at is not None and at not in files:
        if not isinstance(at, str) or not re.fullmatch(NAME_PATTERN, at):
            return {}
        try:
            file = YamlFile(folder / f"{at}.yaml")
        except SpecError:
            return {}
        if file.data.get("name") != at:
            return {}
        files[at] = file
        at = file.data.get("extends")
    return files


def load_task_names(folder: Path) -> list[str]:
    """Return the names of all tasks, sorted; only names are checked.

    A broken file is listed by its file name if that is a valid task name; loading it raises its
    error.

    Raises:
        SpecError: the folder does not exist or contains no task.
    """
    return _names(*_read_files(folder))


def _names(files: Mapping[str, YamlFile], broken: Mapping[str, str]) -> list[str]:
    return sorted({*files, *(name for name in broken if re.fullmatch(NAME_PATTERN, name))})


def load_gates(folder: Path) -> dict[str, list[Gate]]:
    """Return task -> its gates, for the tasks of `load_task_names`; nothing else is checked.

    Gates that are wrong are left out; loading the task raises their error.

    Raises:
        SpecError: the folder does not exist or contains no task.
    """
    files, broken = _read_files(folder)
    found: dict[str, list[Gate]] = {}
    for name in _names(files, broken):
        try:
            items = _extended(name, files).get("gates") if name in files else None
        except SpecError:
            items = None
        found[name] = []
        for item in items if isinstance(items, list) else ():
            try:
                found[name].append(Gate.model_validate(item))
            except ValidationError:
                continue
    return found


def load_tasks(
    tasks_dir: Path,
    recipes_dir: Path,
    rows: int | None = None,
    references: Path | None = None,
    endpoints_file: Path | None = None,
    profile: Profile | None = None,
) -> dict[str, TaskSpec]:
    """Return the tasks of a folder by name, sorted.

    Args:
        tasks_dir: folder of task files.
        recipes_dir: folder of recipe files.
        rows: overrides the `rows` of every task.
        references: folder with gold rows in files named after the task or one that it extends;
            overrides the task's own reference.
        endpoints_file: defines the endpoints that steps name, with their profiles; None skips
            that check.
        profile: of the default endpoint.

    Raises:
        SpecError: the problems of all files, one per line.
    """
    tasks, problems = valid_tasks(tasks_dir, recipes_dir, rows, references, endpoints_file, profile)
    if problems:
        raise SpecError("\n".join(problems))
    return tasks


def valid_tasks(
    tasks_dir: Path,
    recipes_dir: Path,
    rows: int | None = None,
    references: Path | None = None,
    endpoints_file: Path | None = None,
    profile: Profile | None = None,
) -> tuple[dict[str, TaskSpec], list[str]]:
    """Return the tasks of a folder that can be loaded, like `load_tasks`, and all problems.

    Raises:
        SpecError: a folder does not exist, or contains no task.
    """
    recipes, problems = _valid_recipes(recipes_dir)
    files, broken = _read_files(tasks_dir)
    tasks: dict[str, TaskSpec] = {}
    problems += broken.values()
    for name in sorted(files):
        try:
            tasks[name] = _load(name, files, recipes, rows, references, endpoints_file, profile)
        except SpecError as error:
            problems.append(str(error))
    return tasks, problems


def load_task(
    name: str,
    tasks_dir: Path,
    recipes_dir: Path,
    rows: int | None = None,
    references: Path | None = None,
    endpoints_file: Path | None = None,
    profile: Profile | None = None,
) -> TaskSpec:
    """Return one task, like `load_tasks`; problems of other files are ignored.

    Raises:
        SpecError: the task does not exist or is wrong.
    """
    files = _own_files(tasks_dir, name)
    if not files:
        files, broken = _read_files(tasks_dir)
    if name not in files:
        unknown = f"{tasks_dir}: no task '{name}'; {nearest(name, files)}"
        raise SpecError(broken.get(name, unknown))
    recipes, wrong = _valid_recipes(recipes_dir)
    return _load(name, files, recipes, rows, references, endpoints_file, profile, wrong)


def load_task_file(
    path: Path,
    recipes_dir: Path,
    rows: int | None = None,
    references: Path | None = None,
    endpoints_file: Path | None = None,
    profile: Profile | None = None,
) -> TaskSpec:
    """Return the task of one file, which may be in any folder and may be for reports only.

    The tasks that it extends are in the same folder.

    Raises:
        SpecError: the file does not exist or is wrong.
    """
    if not path.is_file():
        near = nearest(path.name, [other.name for other in path.parent.glob("*.yaml")])
        raise SpecError(f"There is no file {path}; {near}")
    file = YamlFile(path)
    if own_data.REPORT_ONLY in file.data:
        return own_data.from_file(file)
    name = file.data.get("name")
    try:
        files, broken = _read_files(path.parent)
        if not isinstance(name, str) or path.stem in broken:
            raise SpecError(broken.get(path.stem, f"{path}: a task needs a `name` that is text"))
        recipes, wrong = _valid_recipes(recipes_dir)
        return _load(name, files, recipes, rows, references, endpoints_file, profile, wrong)
    except SpecError as error:
        hint = "For a report alone, add `report_only: true`; then `fields` and `answer` are enough."
        raise SpecError(f"{error}\n{hint}") from None


def load_task_data(
    data: Mapping[str, Any],
    tasks_dir: Path,
    recipes_dir: Path,
    rows: int | None = None,
    references: Path | None = None,
    endpoints_file: Path | None = None,
    profile: Profile | None = None,
) -> TaskSpec:
    """Return the task that a mapping describes, with the keys of a task file.

    The tasks that it extends are in `tasks_dir`. Paths are relative to the working directory.

    Raises:
        SpecError: the data is wrong.
    """
    file = YamlFile.of("task", data)
    if own_data.REPORT_ONLY in file.data:
        return own_data.from_file(file)
    name = file.data.get("name")
    if not isinstance(name, str):
        raise SpecError("task: name: a task needs a `name` that is text")
    # A task that extends none needs no folder.
    files = _read_files(tasks_dir)[0] if "extends" in file.data else {}
    recipes, wrong = _valid_recipes(recipes_dir)
    files = {**files, name: file}
    return _load(name, files, recipes, rows, references, endpoints_file, profile, wrong)


def _load(
    name: str,
    files: Mapping[str, YamlFile],
    recipes: Mapping[str, Recipe],
    rows: int | None,
    references: Path | None,
    endpoints_file: Path | None,
    profile: Profile | None,
    wrong_recipes: Sequence[str] = (),
) -> TaskSpec:
    """Return one task; `wrong_recipes` are the problems to show if its recipe is not in `recipes`.

    Raises:
        SpecError: the task or its recipe is wrong.
    """
    file = files[name]
    if own_data.REPORT_ONLY in file.data:
        raise SpecError(
            f"{file.where((own_data.REPORT_ONLY,))}: this task is for reports only; move it to "
            f"another folder, for targen report FILE --task {file.path.name}"
        )
    partly, problems = validate_partly(TaskSpec, _extended(name, files), file)
    if partly is None:
        raise SpecError("\n".join(problems))
    try:
        spec = task_files.with_plugins(partly, file)
    except SpecError as error:
        raise SpecError("\n".join([*problems, str(error)])) from error
    problems += checks.problems(spec, file)
    recipe = recipes.get(spec.recipe_name)
    if recipe is None:
        hint = nearest(spec.recipe_name, recipes)
        problems.append(f"{file.where(('recipe',))}: unknown recipe '{spec.recipe_name}'; {hint}")
        problems += wrong_recipes
    else:
        recipe = with_plugins(with_overrides(recipe, spec.steps), spec.plugin_set.operators)
        step_problems = check_steps(recipe, file, spec.plugin_set)
        problems += step_problems or checks.recipe_needs(spec, recipe, file)
        if endpoints_file is not None:
            problems += checks.unknown_endpoints(recipe, file, endpoints_file)
    if problems or recipe is None:
        raise SpecError("\n".join(problems))
    recipe = _with_profiles(recipe, _profiles(recipe, endpoints_file, profile))
    spec = task_files.with_examples(task_files.with_vocabularies(spec, file), file)
    if rows is not None:
        if not 1 <= rows <= ROWS_AT_MOST:
            # A plan has an entry for each row.
            raise SpecError(
                f"{name}: {rows:,} rows are asked for, but a task has 1 to {ROWS_AT_MOST:,}; "
                f"check {variable('rows')} or --rows"
            )
        spec = spec.model_copy(update={"rows": rows})
    ancestors = _ancestors(name, files)
    spec.attach(
        Attached(
            source=file.path,
            recipe=recipe,
            **_plan_of(recipe),
            ancestors=ancestors,
            reference_file=task_files.reference_file(spec, ancestors, file, references),
            unlabeled_file=task_files.unlabeled_file(spec, file),
            elsewhere_files=task_files.elsewhere_files(spec, file),
            seed_rows=task_files.seed_rows(spec, file),
            given_rows=task_files.given_rows(spec, file),
        )
    )
    return spec


def _profiles(
    recipe: Recipe, endpoints_file: Path | None, default: Profile | None
) -> dict[str | None, Profile]:
    """Return the profiles of the endpoints that a recipe's steps use; None is the default one."""
    found: dict[str | None, Profile] = {} if default is None else {None: default}
    if endpoints_file is not None and recipe.named_endpoints:
        found.update(load_endpoints(endpoints_file).items())
    return found


def _with_profiles(recipe: Recipe, profiles: Mapping[str | None, Profile]) -> Recipe:
    """Return a valid recipe whose steps have the parameters of their endpoints' profiles."""
    chosen = {}
    for step, key in RECIPE_STEP.items():
        choice = recipe.choice(step)
        operator = operator_of(choice, step)
        known = operator.params.model_fields
        params = choice.params
        # Operators that call no model have no endpoint.
        if "endpoint" in known:
            params = _with_profile(params, profiles, known)
        if READERS in known:
            of_reader = operator.reader_fields
            readers = [_with_profile(one, profiles, of_reader) for one in params[READERS]]
            params = {**params, READERS: readers}
        chosen[key] = choice.with_params(params)
    return recipe.model_copy(update={"steps": Steps(**chosen)})


def _with_profile(
    params: Mapping[str, Any], profiles: Mapping[str | None, Profile], known: Collection[str]
) -> dict[str, Any]:
    """Return parameters with those of the profile of the endpoint that they name."""
    profile = profiles.get(params.get("endpoint"))
    return dict(params) if profile is None else profile.added(params, known)


def _plan_of(recipe: Recipe) -> dict[str, Any]:
    """Return the properties of a recipe's operators that a task's plan depends on."""
    contexts, _ = resolve(recipe.choice(CONTEXTS), CONTEXTS)
    writer, instances = resolve(recipe.choice(INSTANCES), INSTANCES)
    _, correction = resolve(recipe.choice(CORRECTED_SET), CORRECTED_SET)
    return {
        "per_slot": contexts.per_slot,
        "set_field": getattr(instances, "id_field", None) if writer.contrast else None,
        "per_call": int(getattr(instances, "per_call", 1)),
        "drops": getattr(correction, "policy", None) != "keep"
        or getattr(correction, "drop_flawed", False),
    }
