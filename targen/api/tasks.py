"""Tasks by name, file or mapping."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from targen.cli import base
from targen.errors import SpecError
from targen.tasks.spec import TaskSpec

Task = str | Path | Mapping[str, Any] | TaskSpec


def load_task(task: Task, rows: int | None = None) -> TaskSpec:
    """Return a task.

    Args:
        task: its name in the folder of tasks, the path of its file (.yaml), or a mapping with the
            keys of a task file, whose paths are relative to the working directory.
        rows: overrides the task's own number of rows.

    Raises:
        SpecError: the task does not exist or is wrong.
    """
    if rows is not None and (isinstance(rows, bool) or not isinstance(rows, int) or rows < 1):
        raise SpecError(f"`rows` must be a whole number of at least 1, not {rows!r}.")
    if isinstance(task, TaskSpec):
        spec = task
    elif isinstance(task, Mapping):
        spec = base.task_of(task)
    elif isinstance(task, str | Path):
        spec = base.task_or_file(_file_name(task))
    else:
        raise SpecError(
            f"A task is a name, the path of a file or a mapping, not {type(task).__name__}."
        )
    return spec if rows is None else spec.model_copy(update={"rows": rows})


def _file_name(task: str | Path) -> str:
    if isinstance(task, Path) and task.suffix not in (".yaml", ".yml"):
        raise SpecError(f"{task}: the name of a task file must end in .yaml.")
    return str(task)
