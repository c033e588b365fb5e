"""The Dagster component: the assets of tasks in another project, from a `defs.yaml`."""

import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any, Final

from dagster import Component, ComponentLoadContext, Definitions, Model, Resolvable, scaffold_with
from dagster.components.resolved.model import Resolver
from dagster.components.scaffold.scaffold import Scaffolder, ScaffoldRequest
from pydantic import Field
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from targen.errors import SpecError, TargenError
from targen.files import write_file
from targen.settings import Settings, parsed, variable
from targen.tasks.yamlfile import nearest

_SECRET: Final = {one.name for one in fields(Settings) if not one.repr}
_TYPE: Final = "targen_dagster.TargenComponent"
_OWN: Final = {"tasks_dir", "recipes_dir", "data_dir", "key_prefix"}
"""Settings that have an attribute of their own."""


class _Scaffolder(Scaffolder):
    """Writes a `defs.yaml` with a small task in it."""

    def scaffold(self, request: ScaffoldRequest) -> None:
        """Write the file."""
        if request.scaffold_format != "yaml":
            raise TargenError("TargenComponent is scaffolded as YAML: omit --format.")
        # It is the prefix of the keys, too, which can have no `-`.
        name = re.sub(r"[^a-z0-9]+", "_", request.target_path.name.lower()).strip("_") or "task"
        text = _SCAFFOLD.format(type=request.type_name, name=name)
        file = request.target_path / "defs.yaml"
        before = file.read_text(encoding="utf-8") + "---\n" if request.append else ""
        write_file(file, (before + text).encode(), "path", private=False)


@scaffold_with(_Scaffolder)
class TargenComponent(Component, Resolvable, Model):
    """Assets that make labeled data sets: one partition per task, with checks, jobs and sensors.

    Endpoint, key and store come from the environment: OPENAI_API_KEY, OPENAI_BASE_URL,
    TARGEN_STORE_URL. Without a model, a simulator answers, and its rows are not training data.
    """

    task: Annotated[
        dict[str, Any] | None,
        # As it is: braces in a task's texts are not Dagster's templates.
        Resolver(lambda context, value: value, model_field_type=dict[str, Any] | None),
        Field(default=None, description="One task, in the form of a task file."),
    ] = None
    tasks: str | None = Field(
        default=None, description="A folder of task files, relative to this file's folder."
    )
    recipes: str | None = Field(
        default=None,
        description="A folder of recipes, relative to this file's folder; the shipped ones by "
        "default.",
    )
    data_dir: str | None = Field(
        default=None,
        description="Where tables and reports are stored: a folder, relative to the project, or "
        "s3://bucket/prefix. TARGEN_DATA_DIR by default.",
    )
    key_prefix: list[str] = Field(
        default_factory=list,
        description="First parts of all asset keys. They also begin the names of jobs, schedule "
        "and sensors. Two components of one project need different ones.",
    )
    group_name: str | None = Field(
        default=None, description="The group of all assets; by default they are grouped by purpose."
    )
    settings: dict[str, str | int | float | bool] = Field(
        default_factory=dict,
        description="Other settings by their names in Python, such as model, rows, concurrency, "
        "budget_usd or nightly_cron. They override the environment.",
    )

    def build_defs(self, context: ComponentLoadContext) -> Definitions:
        """Return the assets and what belongs to them.

        Raises:
            TargenError: an attribute, a task file or a variable is wrong.
        """
        from dagster_project.location import (  # noqa: PLC0415 - not to list the component
            location,
            make_resources,
            make_scope,
        )
        from resources.run_config import restricted  # noqa: PLC0415

        _check_prefix(self.key_prefix, Path(context.path))
        prefix = "".join(f"{part}_" for part in self.key_prefix)
        settings = self._settings(Path(context.path), Path(context.project_root))
        resources = make_resources(settings, f"targen_{prefix}")
        scope = make_scope(
            settings,
            resources[f"targen_{prefix}tasks"],
            key_prefix=tuple(self.key_prefix),
            name_prefix=prefix,
            resource_prefix=f"targen_{prefix}",
            group=self.group_name,
        )
        shown = {name: restricted(resource) for name, resource in resources.items()}
        return Definitions.merge(location(scope), Definitions(resources=shown))

    def _settings(self, folder: Path, project: Path) -> Settings:
        if (self.task is None) == (self.tasks is None):
            raise SpecError(f"{folder}/defs.yaml: give either `task` or `tasks`.")
        read = Settings.from_environment()
        # Links in the metadata would be dead: Dagster's own webserver does not serve the pages.
        pages = read.pages_url if os.environ.get(variable("pages_url")) else None
        data = self.data_dir or read.data_dir
        if "://" not in data:
            data = str((project / Path(data).expanduser()).absolute())
        tasks = folder / str(self.tasks)
        if self.task is not None:
            tasks = _written(self.task, folder)
        changes: dict[str, Any] = {"pages_url": pages, "data_dir": data, "tasks_dir": str(tasks)}
        if self.recipes is not None:
            changes["recipes_dir"] = str(folder / self.recipes)
        settings = replace(read, **changes, **_parsed(self.settings, folder))
        if self.task is not None:
            _check(tasks, Path(settings.recipes_dir), folder)
        return settings


def _parsed(given: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return settings by name as `Settings` has them.

    Raises:
        TargenError: a name is unknown, names a secret, or has a wrong value.
    """
    known = {one.name: one for one in fields(Settings)}
    found = {}
    for name, value in given.items():
        where = f"{folder}/defs.yaml: settings.{name}"
        if name in _SECRET:
            raise TargenError(f"{where}: set {variable(name)} in the environment of the runs.")
        if name in _OWN or name not in known:
            choices = sorted(set(known) - _SECRET - _OWN)
            raise TargenError(f"{where}: no such setting; {nearest(name, choices)}")
        text = ("on" if value else "off") if isinstance(value, bool) else value
        found[name] = parsed(name, str(text), where)
    return found


def _check_prefix(prefix: list[str], folder: Path) -> None:
    """Check the parts of the prefix, and that no component beside this one has the same.

    Dagster's own errors name no file.

    Raises:
        SpecError: a part cannot begin a name in Dagster, or another component has the prefix.
    """
    wrong = next((part for part in prefix if not re.fullmatch(r"[A-Za-z0-9_]+", part)), None)
    if wrong is not None:
        raise SpecError(
            f"{folder}/defs.yaml: key_prefix: each part must be letters, digits and _, "
            f"not {wrong!r}."
        )
    same = []
    for path in sorted(folder.parent.glob("*/defs.yaml")):
        try:
            documents = list(YAML(typ="safe").load_all(path))
        except (OSError, ValueError, YAMLError):
            continue  # Dagster reports the file, or it is a template that only Dagster can read.
        same += [path for one in documents if _prefix_of(one) == prefix]
    others = [path for path in same if path.parent != folder]
    if others or len(same) > 1:
        raise SpecError(
            f"{folder}/defs.yaml: key_prefix: a component in {[*others, *same][0]} has the same "
            f"prefix, {prefix}. Give each component its own."
        )


def _prefix_of(document: Any) -> list[Any] | None:
    """Return the prefix in a document of a `defs.yaml`; None if it is no TargenComponent."""
    if not isinstance(document, dict) or document.get("type") != _TYPE:
        return None
    attributes = document.get("attributes")
    found = attributes.get("key_prefix") if isinstance(attributes, dict) else None
    return found if isinstance(found, list) else []


def _check(tasks: Path, recipes: Path, folder: Path) -> None:
    """Check the inline task, so that `dg check defs` finds what is wrong.

    Raises:
        SpecError: the task is wrong; the message names defs.yaml instead of the written file.
    """
    from targen.tasks.loading import load_tasks  # noqa: PLC0415 - only for an inline task

    try:
        load_tasks(tasks, recipes)
    except SpecError as error:
        where = rf"{re.escape(str(tasks))}/[^:]*:\d+: "
        raise SpecError(re.sub(where, f"{folder}/defs.yaml: task.", str(error))) from None


def _written(task: Mapping[str, Any], folder: Path) -> Path:
    """Write an inline task as a file and return its folder, named after the content.

    Every process that loads the component writes the same file, also on other machines.

    Raises:
        SpecError: the task has no usable name.
    """
    from io import StringIO  # noqa: PLC0415

    from ruamel.yaml import YAML  # noqa: PLC0415 - not to list the component

    from targen.tasks.recipe import NAME_PATTERN, NAME_RULE  # noqa: PLC0415

    name = task.get("name")
    if not isinstance(name, str) or not re.fullmatch(NAME_PATTERN, name):
        raise SpecError(f"{folder}/defs.yaml: task.name: {NAME_RULE}")
    buffer = StringIO()
    YAML(typ="safe").dump(dict(task), buffer)
    content = buffer.getvalue().encode()
    own = Path(tempfile.gettempdir()) / f"targen-tasks-{os.getuid()}"
    own.mkdir(mode=0o700, exist_ok=True)
    found = own.lstat()
    if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode):
        raise SpecError(f"{own} belongs to another user. Set TMPDIR, or use `tasks`.")
    written = own / hashlib.sha256(content).hexdigest()[:16]
    write_file(written / f"{name}.yaml", content, "TMPDIR")
    return written


_SCAFFOLD = """\
type: {type}

attributes:
  # The keys of the assets: {name}/corrected_set and so on.
  key_prefix: [{name}]
  # Where tables and reports are stored; relative to the project, or s3://bucket/prefix.
  data_dir: data
  settings:
    rows: 50
    # Without a model, a simulator answers. Set OPENAI_API_KEY in the environment of the runs.
    # model: gpt-5.4-mini
    # budget_usd: 5
  # Or a folder of task files: `tasks: tasks`.
  task:
    name: {name}
    title: Urgency of a message
    description: A customer's message to support. The question is whether it must be answered today.
    recipe: targen
    fields:
      message:
        description: Write the message of a customer, one to four sentences.
        max_words: 80
    answer:
      kind: class
      question: Must the message be answered today?
      labels:
        urgent:
          definition: Waiting until tomorrow would cause damage, costs or danger.
          constraint: Write a message about something that gets worse by the hour.
        normal:
          definition: The message can wait until tomorrow without damage.
          constraint: Write a message about something that can wait.
    contexts:
      what: products and services that people contact support about
    seeds:
      kind: sentence
      what: A situation in which a customer writes to support.
      fields:
        situation:
          description: Describe the situation in one sentence.
"""
