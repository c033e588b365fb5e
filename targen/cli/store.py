"""`targen store` and `targen costs`: maintain the completion store and show what it cost."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from targen.cli import base
from targen.cli.base import app, report_errors

if TYPE_CHECKING:
    from targen.store.completions import Store
from enum import StrEnum

store = typer.Typer(help="Maintain the completion store.", no_args_is_help=True)
app.add_typer(store, name="store")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@contextmanager
def _opened(make: bool = False) -> "Iterator[Store]":
    made = base.store(make)
    try:
        yield made
    finally:
        made.close()


@store.command()
@report_errors
def stats(as_json: AsJson = False) -> None:
    """Show the number of completions, their tokens, and the amount spent."""
    from targen.cli.base import usd  # noqa: PLC0415 - a quick command needs none
    from targen.store import maintenance  # noqa: PLC0415

    with _opened() as opened:
        found = maintenance.stats(opened)
        shown = opened.shown
    if as_json:
        typer.echo(json.dumps({"store": shown, **found}, indent=2))
        return
    statuses = ", ".join(f"{count:,} {name}" for name, count in found["completions"].items())
    unpriced = f"; the price of {found['unpriced']:,} is unknown" if found["unpriced"] else ""
    lines: dict[str, Any] = {
        "store": shown,
        "completions": statuses or "none",
        "tokens": f"{found['prompt_tokens']:,} in ({found['cached_tokens']:,} of them cached), "
        f"{found['completion_tokens']:,} out",
        "cost": f"{usd(found['cost_usd'])}{unpriced}",
        "embeddings": "{texts:,} texts, {prompt_tokens:,} tokens".format(**found["embeddings"])
        + f", {usd(found['embeddings']['cost_usd'])}",
        "first, last": f"{_moment(found['first_at'])}, {_moment(found['last_at'])}",
    }
    for scope, amount in sorted(found["spent_usd"].items()):
        # The amount that counts against a budget includes lost calls at their maximum cost.
        lines[f"spent, {'all runs' if scope == '*' else scope}"] = usd(amount)
    width = max(map(len, lines))
    for name, value in lines.items():
        typer.echo(f"{name.ljust(width)}  {value}")


@store.command()
@report_errors
def verify() -> None:
    """Verify the id and checksum of every completion; exit status 1 if one is damaged."""
    from targen.store import maintenance  # noqa: PLC0415 - a quick command needs none

    with _opened() as opened:
        found = maintenance.verify(opened)
        count = sum(maintenance.stats(opened)["completions"].values())
        shown = opened.shown
    for line in found:
        typer.echo(line)
    if found:
        typer.echo(
            f"{len(found)} findings in {shown}. `targen store drop ID` deletes a completion, and "
            "the next run requests it again.",
            err=True,
        )
        raise typer.Exit(1)
    typer.echo(f"{count:,} completions in {shown} match their ids and checksums")


@store.command()
@report_errors
def export(
    file: Annotated[Path, typer.Argument(help="File to write (gzipped JSON lines).")],
) -> None:
    """Write a backup of all completions, their uses and the amounts spent."""
    from targen.store import maintenance  # noqa: PLC0415 - a quick command needs none
    from targen.tables.storage import drafted  # noqa: PLC0415

    with _opened() as opened, drafted(file, "FILE") as draft:
        count = maintenance.export(opened, draft)
    typer.echo(f"{file}: {count:,} lines")


@store.command("import")
@report_errors
def import_(file: Annotated[Path, typer.Argument(help="A file written by `export`.")]) -> None:
    """Import the completions that the store lacks from a backup.

    An invalid backup changes nothing.
    """
    from targen.store import maintenance  # noqa: PLC0415 - a quick command needs none

    with _opened(make=True) as opened:
        count = maintenance.load(opened, file)
        shown = opened.shown
    typer.echo(f"{shown}: {count:,} new entries")


@store.command()
@report_errors
def prune(
    yes: Annotated[
        bool, typer.Option("--yes", help="Delete. Without this option, only list.")
    ] = False,
) -> None:
    """Delete completions that no table, rejected item or release descends from.

    Completions used by the last runs of tasks with tables are kept, so that a rerun makes no call.
    """
    from targen.cli.base import table, usd  # noqa: PLC0415
    from targen.lineage import completions  # noqa: PLC0415 - a quick command needs none
    from targen.store import maintenance  # noqa: PLC0415

    storage = base.tables().storage
    needed = completions.request_ids(storage)
    with _opened() as opened:
        needed |= maintenance.last_used(opened, completions.tasks(storage))
        found = maintenance.unneeded(opened, needed)
        total = int(found["completions"].sum())
        if total:
            rows = [{**row, "cost_usd": usd(row["cost_usd"])} for row in found.to_dicts()]
            table(rows, found.columns)
        if yes and total:
            total = maintenance.prune(opened, needed)
    where = f"the data folder {base.data_dir()}"
    if not total:
        typer.echo(f"{where} needs every completion")
    elif yes:
        typer.echo(f"{total:,} completions deleted")
    else:
        typer.echo(
            f"{where} does not need these {total:,} completions. --yes deletes them; requesting "
            "one of them again costs money."
        )


@store.command()
@report_errors
def drop(
    request_id: Annotated[str, typer.Argument(help="The request id: 64 hex digits.")],
) -> None:
    """Delete the completion of a request, so that the next run sends the request again."""
    from targen.store import maintenance  # noqa: PLC0415 - a quick command needs none

    with _opened() as opened:
        count = maintenance.drop(opened, request_id)
    again = f", with {count - 1} earlier attempts" if count > 1 else ""
    typer.echo(f"{request_id} is deleted{again}; the next run that needs it requests it again")


def _moment(seconds: float | None) -> str:
    from datetime import UTC, datetime  # noqa: PLC0415 - a quick command needs none

    if seconds is None:
        return "-"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


class Key(StrEnum):
    """Groupings of costs."""

    task = "task"
    step = "step"
    model = "model"
    day = "day"
    run = "run"


@app.command()
@report_errors
def costs(
    by: Annotated[Key, typer.Option(help="Grouping.")] = Key.task,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show calls, tokens and US dollars of everything that was paid for.

    A completion is counted where it was paid for, not where it was reused.
    """
    from targen.cli.base import table, usd  # noqa: PLC0415 - a quick command needs none
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
        typer.echo("no costs yet")
        return
    known = all(row["cost_usd"] is not None for row in rows)
    total = {
        by.value: "in all",
        "calls": sum(row["calls"] or 0 for row in rows),
        "prompt_tokens": sum(row["prompt_tokens"] for row in rows),
        "completion_tokens": sum(row["completion_tokens"] for row in rows),
        "cached_tokens": sum(row["cached_tokens"] for row in rows),
        "cost_usd": sum(row["cost_usd"] for row in rows) if known else None,
    }
    shown = [{**row, "cost_usd": usd(row["cost_usd"])} for row in [*rows, total]]
    table(shown, frame.columns, foot=True)
