"""`targen review`: exports a sample for human review and imports the verdicts."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from targen.cli import base
from targen.cli.base import app, report_errors
from targen.errors import TargenError
from targen.steps import CORRECTED_SET, LABELS

if TYPE_CHECKING:
    import polars as pl

    from targen.tables.files import Tables
    from targen.tasks.spec import TaskSpec

review = typer.Typer(
    help="Human review of finished rows; it overrides the estimate of label errors.",
    no_args_is_help=True,
)
app.add_typer(review, name="review")


@review.command()
@report_errors
def export(
    task: Annotated[str, typer.Argument(help="The task.")],
    rows: Annotated[int, typer.Option(min=1, help="Number of rows to review.")] = 100,
    output: Annotated[
        Path | None, typer.Option(help="The file to write; by default TASK.review.csv.")
    ] = None,
) -> None:
    """Write a sample as CSV with a column `verdict` to fill in; disputed rows are oversampled."""
    from targen.quality import review as sheets  # noqa: PLC0415 - Polars

    spec, tables = _task(task), base.tables()
    chosen = sheets.sample(spec, *_rows(tables, task), rows)
    path = output or Path(f"{task}.review.csv")
    sheets.write_sheet(path, sheets.sheet(spec, chosen))
    typer.echo(
        f"{path}: {len(chosen)} rows. Fill in `verdict` (right, wrong, or the right label), then: "
        f"targen review import {path}"
    )


@review.command(name="import")
@report_errors
def import_(
    file: Annotated[Path, typer.Argument(help="The sheet, filled in completely or in part.")],
) -> None:
    """Import the verdicts; the next quality report uses them."""
    from targen.quality import review as sheets  # noqa: PLC0415 - Polars

    name = sheets.task_of(file)
    spec, tables = _task(name), base.tables()
    table, _ = _rows(tables, name)
    found = sheets.read_sheet(spec, table, file)
    kept = sheets.keep(tables.storage, name, found.verdicts)
    wrong = found.verdicts.height - int(found.verdicts["right"].sum())
    notes = [f"{found.empty} not filled in"] * bool(found.empty)
    notes += [f"{found.lapsed} lapsed, because their rows have changed"] * bool(found.lapsed)
    if found.by_content:
        first = ", ".join(str(line) for line in found.by_content[: sheets.SHOWN])
        notes.append(
            f"{len(found.by_content)} with a changed instance_id, found by content (line {first})"
        )
    typer.echo(
        f"{name}: {found.verdicts.height} verdicts read, {wrong} of them wrong"
        f"{''.join(f', {note}' for note in notes)}; {kept.height} kept in all. "
        f"Make quality_report of {name} again to see them."
    )


def _task(name: str) -> "TaskSpec":
    spec = base.task(name)
    if spec.answer.kind == "none":
        raise TargenError(f"The rows of {name} have no label that could be right or wrong.")
    return spec


def _rows(tables: "Tables", task: str) -> "tuple[pl.DataFrame, pl.DataFrame]":
    return tables.read(CORRECTED_SET, task).table, tables.read(LABELS, task).table
