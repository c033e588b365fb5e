"""`targen report`: the quality report of any table of rows."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from targen.cli import base
from targen.cli.base import app, report_errors
from targen.errors import TableError, TargenError
from targen.settings import variable
from targen.steps import CORRECTED_SET

if TYPE_CHECKING:
    from targen.quality.inputs import ReportInputs
    from targen.quality.report import Report
    from targen.tasks.spec import TaskSpec

STEP = "report"


@app.command()
@report_errors
def report(
    file: Annotated[Path, typer.Argument(help="Parquet, JSON lines (.jsonl), CSV or TSV.")],
    task: Annotated[str, typer.Option(help="The task of the rows.")],
    reference: Annotated[
        Path | None,
        typer.Option(help="Gold rows to compare with; by default the task's own reference."),
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder to write the report to.")] = Path("reports"),
    column: Annotated[
        list[str] | None,
        typer.Option(
            help="FIELD=COLUMN: a field of the task, or label, and its column in the file."
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(help="LABEL=VALUE: a label of the task, and its value in the file."),
    ] = None,
    rows: Annotated[
        Path | None,
        typer.Option(help="CSV file to write, with the rows that have a fault and which it is."),
    ] = None,
    entities: Annotated[
        str | None,
        typer.Option(help="A spaCy pipeline (name or path) that finds named entities."),
    ] = None,
) -> None:
    """Measure any table of a task's rows; write a page, a JSON file and a table of all figures.

    Columns are found by field name, by `columns` in the task, or by --column, also in the
    reference.
    """
    from targen.quality import marked, page  # noqa: PLC0415
    from targen.tables.storage import write_file  # noqa: PLC0415
    from targen.tasks import imports  # noqa: PLC0415 - a quick command needs none

    columns, labels = imports.pairs(column or (), "column"), imports.pairs(label or (), "label")
    inputs = gather(file, base.task(task), reference, columns, labels)
    inputs = replace(inputs, entity_model=entities)
    made = asyncio.run(_measured(inputs))
    files = {
        "html": page.render(made).encode(),
        "json": made.json_text().encode(),
        "parquet": _parquet(made),
    }
    for suffix, content in files.items():
        write_file(output / f"{file.stem}.report.{suffix}", content, "--output")
    typer.echo(f"{inputs.rows.height:,} rows of {file.name}: {made.json['verdict']['short']}")
    missed = [gate for gate in made.json["gates"] if gate["passed"] is not True]
    for item in (*missed, *made.json["findings"]):
        typer.echo(f"  {item['text']} {item.get('action', '')}".rstrip())
    typer.echo(f"Page: {output / f'{file.stem}.report.html'}")
    if rows is not None:
        write_file(rows, marked.sheet(made.marked).encode(), "--rows")
        typer.echo(f"Rows with a fault: {rows} ({made.marked.height:,})")


def gather(
    file: Path,
    spec: "TaskSpec",
    reference: Path | None,
    columns: dict[str, str],
    labels: dict[str, str],
) -> "ReportInputs":
    """Return the inputs of a file's report.

    Args:
        file: the rows.
        spec: their task.
        reference: gold rows that replace the task's own reference.
        columns: column -> field; overrides the task's `columns`.
        labels: label in the file -> label of the task; overrides the task's `labels`.

    Raises:
        TableError: a file cannot be read, or does not match the task.
    """
    from targen.quality.inputs import for_task  # noqa: PLC0415
    from targen.tasks import (  # noqa: PLC0415 - not when loading
        imports,
        references,
    )

    for name in columns.values():
        if name not in (*spec.fields, imports.LABEL, *imports.READINGS):
            fields = ", ".join((*spec.fields, imports.LABEL, *imports.READINGS))
            raise TableError(f"--column {name}: {spec.name} has no such field; it has {fields}.")
    mapped = references.mapped(spec, spec.reference, columns, labels)
    rows = imports.read_file(file, spec, mapped, to_report=True)
    gold = references.of(spec, reference, columns, labels)
    pair = spec.twin.id_field if spec.twin else None
    return for_task(
        spec,
        {CORRECTED_SET: rows},
        title=f"{spec.title}: {file.name}",
        # Files need not have the derived fields, nor follow the task's plan.
        fields={name: kind for name, kind in spec.field_types.items() if name in rows.columns},
        pair_field=pair if pair in rows.columns else None,
        planned={},
        rows_asked=None,
        corrector_blind=True,
        reference=gold.rows,
        reference_name=gold.name,
        elsewhere=gold.elsewhere,
    )


async def _measured(inputs: "ReportInputs") -> "Report":
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
