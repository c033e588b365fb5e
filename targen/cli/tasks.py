"""`targen validate`, `schema` and `serve`: task files, their JSON Schemas, and the simulator."""

import json
from pathlib import Path
from typing import Annotated

import typer

from targen.cli import base
from targen.cli.base import app, report_errors
from targen.errors import SpecError
from targen.wording import plural


@app.command()
@report_errors
def validate(
    items: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME|FILE|FOLDER]...",
            help="Tasks, files of tasks or recipes, or folders of them; by default all tasks.",
            autocompletion=base.task_names,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Validate task and recipe files, and report every error."""
    from targen.cli.validation import Checked, check  # noqa: PLC0415 - a quick command needs none

    found: Checked = check(items or [])
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2))
        if found.problems:
            raise typer.Exit(1)
        return
    if found.problems:
        raise SpecError("\n".join(found.problems))
    for name, spec in found.tasks.items():
        typer.echo(
            f"{name}: {plural(spec.rows, 'row')} by recipe {spec.recipe.name}, "
            f"{plural(len(spec.labels), 'label') if spec.labels else 'no labels'}, "
            f"fields {', '.join(spec.fields)}"
        )
        for text in found.warnings.get(name, ()):
            typer.echo(f"warning: {name}: {text}")
        for text in found.notes.get(name, ()):
            typer.echo(f"note: {name}: {text}")
    for name in found.recipes:
        typer.echo(f"{name}: a recipe")
    count, recipes = len(found.tasks), len(found.recipes)
    words = [plural(count, "task")] if count or not recipes else []
    words += [plural(recipes, "recipe")] if recipes else []
    verb = "is" if count + recipes == 1 else "are"
    typer.echo(f"{' and '.join(words)} {verb} valid")


@app.command()
@report_errors
def schema(
    folder: Annotated[Path, typer.Argument(help="Folder to write to.")] = Path("schemas"),
) -> None:
    """Write the JSON Schemas of task and recipe files, for completion in editors."""
    from targen.files import write_file  # noqa: PLC0415
    from targen.tasks import json_schemas  # noqa: PLC0415 - slow to import

    for name, text in json_schemas.files().items():
        write_file(folder / name, text.encode(), "FOLDER", private=False)
        typer.echo(f"{folder / name}")


@app.command()
@report_errors
def serve(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on loopback.")] = 8321,
) -> None:
    """Serve the simulator as an OpenAI-compatible endpoint on loopback."""
    from simulator.app import create_app  # noqa: PLC0415 - its lexicons take a while

    said = f"the simulator is listening on http://{base.HOST}:{port}/v1"
    base.serve(create_app(), port, said)
