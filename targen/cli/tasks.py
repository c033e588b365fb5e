"""`targen validate`, `schema` and `serve`: task files, their JSON Schemas, and the simulator."""

from pathlib import Path
from typing import Annotated

import typer

from targen.cli import base
from targen.cli.base import app, report_errors


@app.command()
@report_errors
def validate(
    task: Annotated[str | None, typer.Argument(help="A task; by default all tasks.")] = None,
) -> None:
    """Validate task and recipe files, and report every error."""
    from targen.errors import SpecError  # noqa: PLC0415 - only here
    from targen.quality.expectations import problems  # noqa: PLC0415
    from targen.tasks.checks import seed_warnings  # noqa: PLC0415
    from targen.tasks.yamlfile import YamlFile  # noqa: PLC0415

    found = base.tasks() if task is None else {task: base.task(task)}
    wrong = [text for spec in found.values() for text in problems(spec, YamlFile(spec.source))]
    if wrong:
        raise SpecError("\n".join(wrong))
    for name, spec in found.items():
        typer.echo(
            f"{name}: {spec.rows} rows by recipe {spec.recipe.name}, "
            f"{len(spec.labels) or 'no'} labels, fields {', '.join(spec.fields)}"
        )
        for text in seed_warnings(spec):
            typer.echo(f"warning: {name}: {text}")
        given = len(spec.given_rows)
        if spec.own_rows and given < spec.rows:
            typer.echo(
                f"warning: {name}: {spec.rows_file} has {given} rows, fewer than the {spec.rows} "
                "that `rows` asks for; the data set will be smaller"
            )
    typer.echo(f"{len(found)} tasks are valid" if task is None else "the task is valid")


@app.command()
@report_errors
def schema(
    folder: Annotated[Path, typer.Argument(help="Folder to write to.")] = Path("schemas"),
) -> None:
    """Write the JSON Schemas of task and recipe files, for completion in editors."""
    from targen.tables.storage import write_file  # noqa: PLC0415
    from targen.tasks import json_schemas  # noqa: PLC0415 - slow to import

    for name, text in json_schemas.files().items():
        write_file(folder / name, text.encode(), "FOLDER")
        typer.echo(f"{folder / name}")


@app.command()
@report_errors
def serve(
    port: Annotated[int, typer.Option(help="Port on loopback.")] = 8321,
) -> None:
    """Serve the simulator as an OpenAI-compatible endpoint on loopback."""
    import uvicorn  # noqa: PLC0415 - only this command needs a server

    from simulator.app import create_app  # noqa: PLC0415 - its lexicons take a while

    typer.echo(f"the simulator is listening on http://127.0.0.1:{port}/v1")
    uvicorn.run(create_app(), host="127.0.0.1", port=port, log_level="warning")
