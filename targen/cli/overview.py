"""`targen list` and `targen show`: the tasks, their state, and the plan of one task."""

import json
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from targen.cli import base
from targen.cli.base import app, report_errors
from targen.errors import SpecError, StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from targen.store.completions import Store
    from targen.tables.files import Tables
    from targen.tasks.spec import TaskSpec


@app.command("list")
@report_errors
def list_(
    made: Annotated[bool, typer.Option("--made", help="Only tasks that have a table.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the tasks: rows, state, cost, last report and failed gates."""
    tasks, problems = base.tasks()
    _list(list(tasks.values()), made, as_json)
    if problems:
        raise SpecError("\n".join(problems))


def _list(specs: "Sequence[TaskSpec]", made: bool, as_json: bool) -> None:
    tables = base.tables()
    with ExitStack() as stack:
        # Only the dates of the reports come from the store.
        opened = None
        with suppress(StoreError):
            opened = stack.enter_context(closing(base.store()))
        lines = [_line(spec, tables, opened) for spec in specs]
    if made:
        lines = [line for line in lines if line["state"] != "not made"]
    if as_json:
        typer.echo(json.dumps(lines, indent=2))
        return
    if not lines:
        typer.echo("No task has been made. `make run TASK=...` makes one.")
        return
    shown = [
        {
            "task": line["task"],
            "recipe": line["recipe"],
            "rows": "-" if line["rows"] is None else f"{line['rows']:,} of {line['rows_asked']:,}",
            "state": f"{line['state']}: {line['step']}" if line["step"] else line["state"],
            "cost": _cost(line),
            "last report (UTC)": (line["reported_at"] or "-").replace("T", " ").removesuffix("Z"),
            "failed gates": _gates(line),
        }
        for line in lines
    ]
    base.table(shown, list(shown[0]))


def _line(spec: "TaskSpec", tables: "Tables", opened: "Store | None") -> dict[str, Any]:
    from targen.quality.gates import outcome  # noqa: PLC0415 - Polars
    from targen.release.state import NOT_MADE, state_of  # noqa: PLC0415

    found = state_of(spec, tables)
    report = found.report
    # A set of another size than the task's is current for its own size.
    if report is not None and base.settings().rows is None and report["rows_asked"] != spec.rows:
        spec = spec.model_copy(update={"rows": report["rows_asked"]})
        found = state_of(spec, tables)
    spent = [] if report is None else [row["cost_usd"] for row in report.get("spent", [])]
    gates = [] if report is None else report["gates"]
    return {
        "task": spec.name,
        "recipe": spec.recipe_name,
        "rows": None if report is None else report["rows"],
        "rows_asked": spec.rows,
        "state": found.state,
        "step": None if found.state == NOT_MADE else found.step,
        "why": found.why,
        "simulated": None if report is None else report["simulated"],
        "cost_usd": None if report is None or None in spent else sum(spent),
        "reported_at": None if opened is None else _reported_at(opened, spec.name),
        "gates": len(gates),
        "failed_gates": [gate["metric"] for gate in gates if outcome(gate) != "passed"],
        "warned_gates": [gate["metric"] for gate in gates if outcome(gate) == "warned"],
    }


def _gates(line: dict[str, Any]) -> str:
    """Return the gates that did not pass; those of severity `warn` say so."""
    warned = line["warned_gates"]
    failed = [f"{name} (warns)" if name in warned else name for name in line["failed_gates"]]
    return ", ".join(failed) or "-"


def _reported_at(opened: "Store", task: str) -> str | None:
    from targen.steps import QUALITY_REPORT  # noqa: PLC0415 - a quick command needs none
    from targen.store.table_digests import recorded  # noqa: PLC0415
    from targen.tables.files import key_of  # noqa: PLC0415

    record = recorded(opened, key_of(QUALITY_REPORT, task))
    if record is None:
        return None
    return datetime.fromtimestamp(record.recorded_at, UTC).strftime("%Y-%m-%dT%H:%MZ")


def _cost(line: dict[str, Any]) -> str:
    if line["rows"] is None:
        return "-"
    return "simulated" if line["simulated"] else base.usd(line["cost_usd"])


@app.command()
@report_errors
def show(
    task: Annotated[str, base.TASK],
    rows: Annotated[
        int | None, typer.Option(min=1, help="Number of rows; by default the task's own.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show a task and its plan: contexts, seeds, rows and calls of each step."""
    from targen.operators.planning import plan  # noqa: PLC0415 - a quick command needs none

    spec = base.task(task, rows)
    steps = [one.as_dict() for one in plan(spec)]
    content: dict[str, Any] = {
        "task": spec.name,
        "title": spec.title,
        "source": str(spec.source),
        "recipe": spec.recipe.name,
        "recipe_title": spec.recipe.title,
        "language": spec.language,
        "rows": spec.rows,
        "instances": spec.wanted_instances,
        "fields": {name: one.description for name, one in spec.fields.items()},
        "question": spec.answer.question,
        "labels": {
            name: {"definition": one.definition or one.constraint, "ways": len(one.ways)}
            for name, one in spec.labels.items()
        },
        "gates": [gate.model_dump(exclude_none=True) for gate in spec.gates],
        "steps": steps,
    }
    if as_json:
        typer.echo(json.dumps(content, indent=2))
        return
    typer.echo(f"{spec.name}: {spec.title} ({spec.source})")
    typer.echo(f"{spec.rows:,} rows by recipe {spec.recipe.name}: {spec.recipe.title}\n")
    for name, words in content["fields"].items():
        typer.echo(f"  field {name}: {' '.join(words.split())}")
    for name, one in content["labels"].items():
        ways = f" ({one['ways']} ways)" if one["ways"] else ""
        typer.echo(f"  label {name}{ways}: {' '.join(one['definition'].split())}")
    typer.echo(
        f"\nThe plan, if every answer is usable: {spec.wanted_instances:,} instances, of which "
        f"{spec.wanted_instances - spec.rows:,} are spare, so that correction can drop some.\n"
    )
    base.table(steps, ["step", "operator", "items", "calls", "note"])
    typer.echo(f"\n`targen estimate {spec.name}` adds tokens, cost and rejected answers.")
