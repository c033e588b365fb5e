"""The code location that Dagster loads.

Dagster imports this module in every process that it starts, so it must import no slow libraries.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dagster import Definitions, colored_console_logger, in_process_executor

from assets.scope import TASKS
from dagster_project import alerts
from dagster_project.location import data_folder, location, make_resources, make_scope, task_folder
from dagster_project.shell import SHELL_LOGGER, shell_logger
from resources.run_config import restricted
from targen.settings import Settings, default

__all__ = [
    "build_defs",
    "data_folder",
    "defs",
    "location",
    "make_resources",
    "make_scope",
    "task_folder",
]

_ROOT = Path(__file__).resolve().parent.parent
_FOLDERS = ("tasks_dir", "recipes_dir", "data_dir", "endpoints_file")


def build_defs(overrides: Mapping[str, Any] | None = None) -> Definitions:
    """Return the definitions, with some resources replaced.

    Args:
        overrides: resource name -> resource to use instead, for tests. The partitions come from the
            resource `tasks`.

    Raises:
        TargenError: an environment variable or a task file is wrong.
    """
    settings = rooted(Settings.from_environment())
    resources = {**make_resources(settings), **(overrides or {})}
    prefix = tuple(filter(None, settings.key_prefix.split("/")))
    scope = make_scope(settings, resources[TASKS], key_prefix=prefix)
    return Definitions.merge(
        location(scope),
        Definitions(
            sensors=alerts.build(settings),
            resources={name: restricted(one) for name, one in resources.items()},
            # One process per run, also for runs without a job.
            executor=in_process_executor,
            loggers={"console": colored_console_logger, SHELL_LOGGER: shell_logger},
        ),
    )


def rooted(settings: Settings) -> Settings:
    """Return the settings with default folders in the checkout, if they are not in this folder.

    In another deployment, the process that loads the code location is in a folder of that one.
    """
    if settings.tasks_dir != default("tasks_dir") or Path(settings.tasks_dir).is_dir():
        return settings
    unset = [name for name in _FOLDERS if getattr(settings, name) == default(name)]
    changes: dict[str, Any] = {name: str(_ROOT / default(name)) for name in unset}
    return replace(settings, **changes)


defs = build_defs()
