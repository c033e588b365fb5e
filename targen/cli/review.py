"""`targen review`: exports a sample for human review and imports the verdicts."""

import getpass
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from targen.cli import base
from targen.cli.base import app, report_errors
from targen.errors import TargenError
from targen.settings import variable
from targen.steps import CORRECTED_SET, LABELS, QUALITY_REPORT
from targen.wording import plural

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from targen.quality.review_tools import Form
    from targen.store.written import Written
    from targen.tasks.spec import TaskSpec

review = typer.Typer(
    help="Human review of finished rows; it corrects their labels and measures label errors.",
    no_args_is_help=True,
)
app.add_typer(review, name="review")


@review.command()
@report_errors
def export(
    task: Annotated[str, typer.Argument(help="The task.")],
    rows: Annotated[int, typer.Option(min=1, help="Number of rows to review.")] = 100,
    output: Annotated[
        Path | None,
        typer.Option(
            help="The file to write; by default TASK.review.csv or TASK.review.FORMAT.json."
        ),
    ] = None,
    form: Annotated[
        str, typer.Option("--format", help="csv, argilla or labelstudio (JSON).")
    ] = "csv",
) -> None:
    """Write a sample as CSV with a column `verdict` to fill in; disputed rows are oversampled."""
    from targen.quality import review as sheets  # noqa: PLC0415 - Polars
    from targen.quality import review_tools  # noqa: PLC0415
    from targen.tables import reviews  # noqa: PLC0415

    spec, tables = _task(task), base.tables()
    verdicts = reviews.stored(tables.storage, task)
    table = tables.read(CORRECTED_SET, task).table
    chosen = sheets.sample(spec, table, tables.read(LABELS, task).table, rows, verdicts)
    if not chosen and table.height:
        raise TargenError(f"People have reviewed all {table.height} rows of {task}.")
    if (chosen_form := review_tools.form_named(form)) != "csv":
        _write_records(output or Path(f"{task}.review"), spec, chosen, chosen_form)
        return
    path = output or Path(f"{task}.review.csv")
    sheets.write_sheet(path, sheets.sheet(spec, chosen))
    typer.echo(
        f"{path}: {plural(len(chosen), 'row')}. Fill in `verdict` (right, wrong, or the "
        f"right label), then: targen review import {path}"
    )


@review.command(name="import")
@report_errors
def import_(
    file: Annotated[
        Path,
        typer.Argument(help="The filled-in sheet, or JSON exported from Argilla or Label Studio."),
    ],
    reviewer: Annotated[
        str | None,
        typer.Option(
            help="Who filled it in; by default the user's name. A column `reviewer` takes "
            "precedence."
        ),
    ] = None,
) -> None:
    """Import the verdicts; the next run of corrected_set applies them, without a model call."""
    from targen.quality import review as sheets  # noqa: PLC0415 - Polars
    from targen.quality.review_strata import reviewable  # noqa: PLC0415
    from targen.tables import reviews  # noqa: PLC0415

    name = sheets.task_of(file)
    spec, tables = _task(name), base.tables()
    with base.locked(tables.storage, name, reviews.IMPORT):
        corrected = tables.read(CORRECTED_SET, name)
        before = reviews.stored(tables.storage, name)
        rows = reviewable(spec, corrected.table, corrected.rejected, before)
        moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        found = sheets.read_sheet(spec, rows, file, reviewer or _user(), moment)
        kept, _ = reviews.keep(
            tables.storage, name, found.verdicts, lambda written: _record(name, written)
        )
    wrong = found.verdicts.height - int(found.verdicts["right"].sum())
    report = tables.read_json(QUALITY_REPORT, name)
    asked = spec.rows if report is None else report["rows_asked"]
    size = "" if asked == spec.rows else f"{variable('rows')}={asked} "
    notes = [f"{found.empty} not filled in"] * bool(found.empty)
    for lines, what in (
        (found.commented, "with a comment but no verdict"),
        (found.lapsed, "left out, because their rows have changed or are gone"),
        (found.by_content, "with a changed instance_id, found by content"),
    ):
        first = ", ".join(str(line) for line in lines[: sheets.SHOWN])
        more = ", ..." if len(lines) > sheets.SHOWN else ""
        notes += [f"{len(lines)} {what} (line {first}{more})"] * bool(lines)
    typer.echo(
        f"{name}: {plural(found.verdicts.height, 'verdict')} read, {wrong} of them wrong"
        f"{''.join(f', {note}' for note in notes)}; {kept.height} kept in all. Materialize "
        f"{CORRECTED_SET} and {QUALITY_REPORT} of {name} again to apply them: "
        f"{size}make run TASK={name}"
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _record(task: str, written: "Sequence[Written]") -> None:
    """Record the digest of the file of verdicts, for audits."""
    from targen.store import table_digests  # noqa: PLC0415
    from targen.tables import reviews  # noqa: PLC0415

    with closing(base.store(make=True)) as store:
        table_digests.record(store, written, reviews.made_by(task), reviews.IMPORT)


def _write_records(
    path: Path, spec: "TaskSpec", chosen: "Sequence[Mapping[str, Any]]", form: "Form"
) -> None:
    """Write the records of a sample for Argilla or Label Studio."""
    from targen.quality import review_tools  # noqa: PLC0415 - a quick command needs none
    from targen.tables.changes import replace_together  # noqa: PLC0415

    start, whole = path.name.removesuffix(".json"), path.suffix == ".json"
    made = {
        f"{start}{suffix.removeprefix(f'.{form}') if whole else suffix}": text.encode()
        for suffix, text in review_tools.records(spec, chosen, form).items()
    }
    replace_together(path.parent, start, made, "targen review export", replace=False)
    for name in made:
        typer.echo(f"{path.with_name(name)}")
    typer.echo(
        f"{plural(len(chosen), 'record')}. Answer the question `verdict` there, "
        "export the answers as JSON, then: targen review import FILE.json"
    )


def _task(name: str) -> "TaskSpec":
    spec = base.task(name)
    if spec.answer.kind == "none":
        raise TargenError(f"The rows of {name} have no label that could be right or wrong.")
    return spec
