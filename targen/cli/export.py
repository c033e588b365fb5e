"""`targen export`: writes finished rows in common formats."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from targen.cli import base
from targen.cli.base import app, report_errors
from targen.errors import TargenError
from targen.wording import plural

if TYPE_CHECKING:
    from targen.release.export import Exported


@app.command()
@report_errors
def export(
    task: Annotated[str | None, typer.Argument(help="One task.")] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="superglue, instructions (chat), preference (pairs), parquet, jsonl, csv, "
            "tsv or bio (tokens with entities). By default superglue for the eight SuperGLUE tasks "
            "and tasks that extend them, else jsonl.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("export"),
    tasks: Annotated[
        str | None, typer.Option(help="Tasks of a mixture of instructions: a,b,c.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="Shares of the tasks: 2,1,1. By default all rows.")
    ] = None,
    rows: Annotated[
        int | None, typer.Option(min=1, help="Rows of the mixture's training split.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the selection and order.")] = 0,
    whole: Annotated[
        bool, typer.Option("--whole", help="Write one file instead of splits.")
    ] = False,
) -> None:
    """Write the finished rows of a task, or a mixture of several tasks, as a folder of files."""
    from targen.release import export  # noqa: PLC0415 - Polars; a quick command needs none

    if (task is None) == (tasks is None):
        raise TargenError("Give one task, or several with --tasks a,b,c.")
    if task is not None:
        if weights is not None or rows is not None:
            raise TargenError(
                "--weights and --rows apply to a mixture of tasks only. Name its tasks with "
                "--tasks, or leave both options out."
            )
        named = None if form is None else export.form_named(form)
        spec = base.task(task)
        chosen = named or export.default_form(spec)
        _tell(export.export(spec, base.tables(), chosen, output, whole=whole))
        return
    if form not in (None, "instructions"):
        raise TargenError("A mixture of tasks supports --format instructions only.")
    names = _list(tasks or "")
    shares = None if weights is None else _shares(weights, names)
    specs = [base.task(name) for name in names]
    made = export.export_mixture(
        specs, base.tables(), output, weights=shares, rows=rows, seed=seed, whole=whole
    )
    _tell(made)


def _tell(made: "Exported") -> None:
    for path, count in made.rows.items():
        noun = "pair" if made.pairs else "row"
        typer.echo(f"{made.folder / path}: {plural(count, noun)}")
    if made.simulated:
        from targen.quality.report import BANNER  # noqa: PLC0415 - slow to import

        typer.echo(f"{', '.join(made.simulated)}: {BANNER}")


def _list(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names) or len(set(names)) != len(names):
        raise TargenError(f"--tasks {text!r} must name each task once, separated by commas.")
    return names


def _shares(text: str, names: list[str]) -> list[float]:
    try:
        shares = [float(part) for part in text.split(",")]
    except ValueError:
        shares = []
    if len(shares) != len(names) or not all(0 < share < float("inf") for share in shares):
        raise TargenError(
            f"--weights {text!r} must be one number above 0 for each of the {len(names)} tasks."
        )
    return shares
