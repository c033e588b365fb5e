"""`targen costs`: sums up paid calls."""

import json
from enum import StrEnum
from typing import Annotated

import typer

from targen.cli import base
from targen.cli.base import app, report_errors


class Key(StrEnum):
    """What costs can be summed by."""

    task = "task"
    step = "step"
    model = "model"
    day = "day"
    run = "run"


@app.command()
@report_errors
def costs(
    by: Annotated[Key, typer.Option(help="What to sum by.")] = Key.task,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show calls, tokens and US dollars of everything that was paid for.

    A completion counts where it was paid for, not where it was found in the store.
    """
    from targen.cli.printing import table, usd  # noqa: PLC0415 - a quick command needs none
    from targen.store import maintenance  # noqa: PLC0415

    opened = base.store()
    try:
        frame = maintenance.costs(opened, by.value)
    finally:
        opened.close()
    rows = frame.to_dicts()
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        typer.echo("nothing was paid for yet")
        return
    known = all(row["cost_usd"] is not None for row in rows)
    total = {
        by.value: "in all",
        "calls": sum(row["calls"] or 0 for row in rows),
        "prompt_tokens": sum(row["prompt_tokens"] for row in rows),
        "completion_tokens": sum(row["completion_tokens"] for row in rows),
        "cost_usd": sum(row["cost_usd"] for row in rows) if known else None,
    }
    shown = [{**row, "cost_usd": usd(row["cost_usd"])} for row in [*rows, total]]
    table(shown, frame.columns, foot=True)
