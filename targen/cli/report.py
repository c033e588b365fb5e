"""`targen report`: the quality report of any table of rows."""

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import polars as pl
import typer

from targen.cli import base
from targen.cli.base import app, report_errors
from targen.errors import TableError, TargenError
from targen.settings import variable
from targen.steps import CORRECTED_SET
from targen.wording import plural

if TYPE_CHECKING:
    from targen.quality.inputs import ReportInputs
    from targen.quality.report import Report
    from targen.tasks.import_files import Rows
    from targen.tasks.spec import TaskSpec

STEP = "report"


@app.command()
@report_errors
def report(
    file: Annotated[
        Path,
        typer.Argument(
            help="Parquet, JSON (.json, .jsonl, .ndjson), CSV or TSV; .gz and .zst may follow."
        ),
    ],
    task: Annotated[
        str | None, typer.Option(help="The task of the rows: its name, or the path of its file.")
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(help="Instead of a task: the columns with text, separated by commas."),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            help="COLUMN of the label. Also LABEL=VALUE: the name of a label, and its value in the "
            "file; several are separated by commas (no=0,yes=1)."
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            help="FIELD=COLUMN: a field of the task, or label, and its column in the file."
        ),
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="Without a task: the language of the texts, such as de.")
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(help="Gold rows to compare with; by default the task's own reference."),
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder to write the report to.")] = Path("reports"),
    rows: Annotated[
        Path | None,
        typer.Option(help="CSV file to write: the rows that have a fault, and the fault."),
    ] = None,
    entities: Annotated[
        str | None,
        typer.Option(help="A spaCy pipeline (name or path) that finds named entities."),
    ] = None,
) -> None:
    """Measure any table of rows; write a page, a JSON file and a table of all figures.

    Without a task: targen report rows.csv --text question,answer --label kind

    With one, columns are found by field name, by `columns` in the task, or by --column, also in
    the reference.
    """
    from targen.files import write_file  # noqa: PLC0415
    from targen.quality import first_screen, marked, page  # noqa: PLC0415
    from targen.tables.changes import replace_together  # noqa: PLC0415
    from targen.tasks import file_content, imports  # noqa: PLC0415 - a quick command needs none

    labels = [name for name in label or () if "=" not in name]
    if len(labels) > 1:
        raise TableError(f"--label {labels[1]}: the label is already --label {labels[0]}.")
    options = Options(
        columns=imports.pairs(column or (), "column"),
        labels=imports.pairs([name for name in label or () if "=" in name], "label"),
        label=labels[0] if labels else None,
        text=tuple(name.strip() for part in text or () for name in part.split(",") if name.strip()),
        language=language,
    )
    if task is not None and (options.text or language):
        raise TableError("Give --task, or --text with --label and --language, not both.")
    spec = None if task is None else base.task_or_file(task)
    inputs = replace(gather(file, spec, reference, options), entity_model=entities)
    assert inputs.file is not None
    typer.echo(_read_as(inputs.file))
    made = asyncio.run(measured(inputs))
    files = {
        "html": page.render(made, first_screen.Origin(today())).encode(),
        "json": made.json_text().encode(),
        "parquet": _parquet(made),
    }
    stem = file_content.stem(file.name)
    named = {f"{stem}.report.{suffix}": content for suffix, content in files.items()}
    replace_together(output, stem, named, "targen report")
    count = plural(inputs.rows.height, "row")
    typer.echo(f"{count} of {file.name}: {made.json['verdict']['short']}")
    missed = [gate for gate in made.json["gates"] if gate["passed"] is not True]
    for item in (*missed, *made.json["findings"]):
        typer.echo(f"  {item['text']} {item.get('action', '')}".rstrip())
    typer.echo(f"Page: {output / f'{stem}.report.html'}")
    if rows is not None:
        write_file(rows, marked.sheet(made.marked).encode(), "--rows")
        typer.echo(f"Rows with a fault: {rows} ({made.marked.height:,})")


@dataclass(frozen=True)
class Options:
    """What the command line says about the columns and labels of a file.

    Attributes:
        columns: column -> field of the task; overrides the task's `columns`.
        labels: label in the file -> label of the task; overrides the task's `labels`.
        label: the column of the label.
        text: without a task, the columns with text.
        language: without a task, the ISO 639-1 code of the texts.
    """

    columns: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    label: str | None = None
    text: tuple[str, ...] = ()
    language: str | None = None


def gather(
    file: Path, spec: "TaskSpec | None", reference: Path | None, options: Options
) -> "ReportInputs":
    """Return the inputs of a file's report.

    Args:
        file: the rows.
        spec: their task; None to make one of `options`.
        reference: gold rows that replace the task's own reference.
        options: names of columns and labels.

    Raises:
        TableError: a file cannot be read, or does not match the task.
    """
    from targen.tasks import import_files  # noqa: PLC0415 - not when loading

    return of_rows(import_files.read(file), file, spec, reference, options)


def of_rows(
    read: "Rows", file: Path, spec: "TaskSpec | None", reference: Path | None, options: Options
) -> "ReportInputs":
    """Return the inputs of the report of rows that were read.

    Raises:
        TableError: the rows or the reference do not match the task.
    """
    from targen.quality.inputs import for_task  # noqa: PLC0415
    from targen.tasks import (  # noqa: PLC0415 - not when loading
        import_files,
        imports,
        own_data,
        references,
    )
    from targen.tasks.yamlfile import nearest  # noqa: PLC0415

    own = spec is None
    columns = dict(options.columns)
    if spec is None:
        gold_rows = [] if reference is None else [import_files.read(reference)]
        spec = own_data.from_columns(
            file, [read, *gold_rows], options.text, options.label, options.labels,
            options.language or "en",
        )  # fmt: skip
    elif options.label is not None:
        columns[options.label] = imports.LABEL
    for name in columns.values():
        if name not in (*spec.fields, imports.LABEL, *imports.READINGS):
            known = (*spec.fields, imports.LABEL, *imports.READINGS)
            hint = imports.sentence(nearest(name, known))
            raise TableError(f"--column {name}: {spec.name} has no such field; {hint}")
    mapped = references.mapped(spec, spec.reference, columns, options.labels)
    rows = imports.shaped(read, spec, mapped, to_report=True)
    gold = references.of(spec, reference, columns, options.labels)
    pair = spec.pair_field
    return for_task(
        spec,
        {CORRECTED_SET: rows},
        title=spec.title if own else f"{spec.title}: {file.name}",
        # Files need not have the derived fields, nor follow the task's plan.
        fields={name: kind for name, kind in spec.field_types.items() if name in rows.columns},
        pair_field=pair if pair in rows.columns else None,
        planned={},
        rows_asked=None,
        corrector_blind=True,
        recipe=None,
        reference=gold.rows,
        reference_name=gold.name,
        elsewhere=gold.elsewhere,
        file=_described(
            file, read, rows, {name: imports.source_of(read, name, mapped) for name in rows.columns}
        ),
    )


def _described(
    path: Path, read: "Rows", rows: pl.DataFrame, columns: dict[str, str | None]
) -> dict[str, Any]:
    blank = {
        name: (rows[name].fill_null("").str.strip_chars() == "").sum()
        if rows.schema[name] == pl.String
        else rows[name].null_count()
        for name in rows.columns
    }
    return {
        "name": path.name,
        "rows": rows.height,
        "separated_by": read.separated_by,
        "columns": columns,
        "empty": {name: count for name, count in blank.items() if count},
    }


def _read_as(file: Mapping[str, Any]) -> str:
    """Return how a file was read, in one line."""
    columns = [
        name if column in (name, None) else f"{name} (column {column})"
        for name, column in file["columns"].items()
    ]
    parts = [f"Read {file['name']}: {plural(file['rows'], 'row')}", ", ".join(columns)]
    if file["separated_by"]:
        parts.append(f"cells separated by {file['separated_by']}")
    empty = ", ".join(f"{name} {count:,}" for name, count in file["empty"].items())
    parts.append(f"empty cells: {empty}" if empty else "no empty cells")
    return "; ".join(parts) + "."


def today() -> date:
    """Return the date in UTC, or that of SOURCE_DATE_EPOCH, which makes builds repeatable."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    at = float(epoch) if epoch.isdecimal() else time.time()
    return datetime.fromtimestamp(at, UTC).date()


async def measured(inputs: "ReportInputs") -> "Report":
    """Return the report, with embeddings if a model is set.

    Raises:
        EndpointError, BudgetError, StoreError: the embedding model cannot be used.
    """
    from targen.llm.engine import EmbeddingEngine  # noqa: PLC0415
    from targen.quality import report as quality  # noqa: PLC0415
    from targen.quality.semantic import with_embeddings  # noqa: PLC0415

    settings = base.engine_settings(inputs.task_name, STEP).to_embed()
    read = base.settings()
    if settings.model and read.api_key is None and read.api_key_secret:
        raise TargenError(
            f"Only Dagster runs read {variable('api_key_secret')}. Set "
            f"{variable('api_key')} as well, or unset {variable('embedding_model')}."
        )
    async with EmbeddingEngine(settings) as engine:
        inputs = await with_embeddings(inputs, engine, engine.embeddings.model)
    return quality.build(inputs)


def _parquet(made: "Report") -> bytes:
    from io import BytesIO  # noqa: PLC0415

    buffer = BytesIO()
    made.table.write_parquet(buffer)
    return buffer.getvalue()
