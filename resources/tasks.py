"""The task and recipe files as a Dagster resource."""

from pathlib import Path

from dagster import ConfigurableResource

from resources.fields import setting
from targen.tasks.loading import load_gates, load_task, load_task_names, load_tasks
from targen.tasks.profiles import Profile, of_settings
from targen.tasks.sections import Gate
from targen.tasks.spec import TaskSpec


class TaskFolder(ConfigurableResource[None]):
    """Folders of tasks, recipes and references, and the number of rows."""

    tasks_dir: str = setting("tasks_dir")
    recipes_dir: str = setting("recipes_dir")
    rows: int | None = setting("rows")
    references_dir: str | None = setting("references_dir")
    endpoints_file: str = setting("endpoints_file")
    sampling: str | None = setting("sampling")
    reasoning_tokens: int | None = setting("reasoning_tokens")
    style: str | None = setting("style")

    def names(self) -> list[str]:
        """Return the names of all tasks, sorted.

        Raises:
            SpecError: the folder does not exist or contains no task.
        """
        return load_task_names(Path(self.tasks_dir))

    def gates(self) -> dict[str, list[Gate]]:
        """Return task -> its gates, for the tasks of `names`; wrong gates are left out.

        Raises:
            SpecError: the folder does not exist or contains no task.
        """
        return load_gates(Path(self.tasks_dir))

    def load_all(self) -> dict[str, TaskSpec]:
        """Return every task by name, sorted.

        Raises:
            SpecError: the problems of all files.
        """
        return load_tasks(*self._arguments())

    def load(self, name: str) -> TaskSpec:
        """Return the task of this name.

        Raises:
            SpecError: the task does not exist or is wrong.
        """
        return load_task(name, *self._arguments())

    def _arguments(self) -> tuple[Path, Path, int | None, Path | None, Path, Profile]:
        references = Path(self.references_dir) if self.references_dir else None
        folders = Path(self.tasks_dir), Path(self.recipes_dir)
        profile = of_settings(self.sampling, self.reasoning_tokens, self.style)
        return *folders, self.rows, references, Path(self.endpoints_file), profile
