"""The command `targen`: what one does with tasks and data outside of Dagster.

Here belong commands that parse arguments, call one function of the package and print. Making
tables does not: that is Dagster's work (`make run`, the UI).
"""

import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from targen.errors import TargenError

app = typer.Typer(
    help="Labelled data sets from a task description.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _folder(variable: str, default: str) -> Path:
    return Path(os.environ.get(variable) or default)


def told(command: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command end in one message and exit status 1 where it meets a `TargenError`."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except TargenError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(1) from None

    return run


@app.command()
@told
def validate(
    task: Annotated[str | None, typer.Argument(help="One task; all of them without it.")] = None,
) -> None:
    """Check task and recipe files, and say everything that is wrong with them."""
    from targen.task import load_task, load_tasks, rows_from_environment  # noqa: PLC0415

    tasks_dir = _folder("TARGEN_TASKS_DIR", "tasks")
    recipes_dir = _folder("TARGEN_RECIPES_DIR", "recipes")
    rows = rows_from_environment()
    if task is None:
        tasks = load_tasks(tasks_dir, recipes_dir, rows)
    else:
        tasks = {task: load_task(task, tasks_dir, recipes_dir, rows)}
    for name, spec in tasks.items():
        typer.echo(
            f"{name}: {spec.rows} rows by recipe {spec.recipe.name}, "
            f"{len(spec.labels) or 'no'} labels, fields {', '.join(spec.fields)}"
        )
    typer.echo(f"{len(tasks)} tasks are valid" if task is None else "the task is valid")


@app.command()
@told
def schema(
    folder: Annotated[Path, typer.Argument(help="Where to write them.")] = Path("schemas"),
) -> None:
    """Write the JSON Schemas of task and recipe files, for completion in editors."""
    from targen import schemas  # noqa: PLC0415

    for path in schemas.write(folder):
        typer.echo(f"{path}")


@app.command()
@told
def serve(
    port: Annotated[int, typer.Option(help="Where to listen, on loopback.")] = 8321,
) -> None:
    """Serve the embedded demonstration model as an OpenAI-compatible endpoint on loopback."""
    import uvicorn  # noqa: PLC0415 - only this command needs a server

    from targen.offline.app import create_app  # noqa: PLC0415 - its lexicons take a while

    typer.echo(f"the embedded model (a simulation) listens on http://127.0.0.1:{port}/v1")
    uvicorn.run(create_app(), host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    sys.exit(app())
