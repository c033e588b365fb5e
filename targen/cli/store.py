"""`targen store` and `targen costs`: maintain the completion store and show what it cost."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from targen.cli import base
from targen.cli.base import app, report_errors
from targen.errors import StoreError
from targen.wording import plural

if TYPE_CHECKING:
    from targen.store.completions import Store
from enum import StrEnum

store = typer.Typer(help="Maintain the completion store.", no_args_is_help=True)
app.add_typer(store, name="store")

_PRUNE = "`targen store prune`"
WAIT_S = 10.0
"""Seconds that a command waits for runs and other commands; killed ones count for less."""

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
    """Verify the id and checksum of every completion; exit status 1 if one is damaged.

    A damaged file is read past the damage, so that every lost request is named.
    """
    from targen.store import maintenance, salvage  # noqa: PLC0415 - a quick command needs none

    remedy = (
        "`targen store drop ID` deletes a completion, and the next run requests and pays for it "
        "again."
    )
    try:
        with _opened() as opened:
            found = maintenance.verify(opened)
            count = sum(maintenance.stats(opened)["completions"].values())
            shown = opened.shown
    except StoreError:
        file = _file()
        if file is None or not file.is_file():
            raise
        found, shown = salvage.verify(file), str(file)
        if not found:
            # It is a database without damage, but not a store that can be used.
            raise
        remedy = "`targen store salvage NEW` copies what can be read to a new store."
    for line in found:
        typer.echo(line)
    if found:
        typer.echo(f"{len(found)} findings in {shown}. {remedy}", err=True)
        raise typer.Exit(1)
    typer.echo(f"{count:,} completions in {shown} match their ids and checksums")


@store.command(name="salvage")
@report_errors
def salvage_(
    new: Annotated[Path, typer.Argument(help="The new SQLite file.")],
    source: Annotated[
        Path | None, typer.Option("--from", help="The damaged file; by default the store.")
    ] = None,
) -> None:
    """Copy what can be read of a damaged SQLite store to a new one; the old one stays as it is."""
    from targen.store import salvage  # noqa: PLC0415 - a quick command needs none

    file = source or _file()
    if file is None:
        raise StoreError("The store is not a SQLite file. Restore a backup of the database.")
    found = salvage.salvage(file, new)
    for name, problem in sorted(found.damaged.items()):
        typer.echo(f"{name}: {problem}")
    for table, count in found.rows.items():
        typer.echo(f"{table}: {count:,} rows")
    lost = len(found.damaged)
    typer.echo(
        f"{new}: {plural(lost, 'completion')} that {file} names could not be copied. To use it, "
        f"move it to {file}, without the files -wal and -shm of the old one; a run then requests "
        "and pays for what is lost."
    )


def _file() -> Path | None:
    """Return the store's file; None if it is no SQLite file."""
    from sqlalchemy import make_url  # noqa: PLC0415 - slow to import
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    try:
        url = make_url(base.settings().store_address())
    except (ArgumentError, ValueError):
        return None
    named = url.get_backend_name() == "sqlite" and url.database
    return Path(named) if named else None


@store.command()
@report_errors
def export(
    file: Annotated[Path, typer.Argument(help="File to write (gzipped JSON lines).")],
) -> None:
    """Write a backup of all completions, their uses and the amounts spent."""
    from targen.files import drafted  # noqa: PLC0415
    from targen.store import maintenance  # noqa: PLC0415 - a quick command needs none

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
    from targen.store.access import exclusive  # noqa: PLC0415

    with _opened(make=True) as opened, exclusive(opened, "`targen store import`", WAIT_S):
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
    from targen.store.access import exclusive  # noqa: PLC0415
    from targen.tables.locks import held  # noqa: PLC0415

    storage = base.tables().storage
    with _opened() as opened, exclusive(opened, _PRUNE, WAIT_S) if yes else nullcontext():
        if yes and (busy := held(storage)):
            raise StoreError(f"{busy} {_PRUNE} changed nothing.")
        needed = completions.request_ids(storage)
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
    from targen.store.access import exclusive  # noqa: PLC0415

    with _opened() as opened, exclusive(opened, "`targen store drop`", WAIT_S):
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
        "simulated": all(row["simulated"] for row in rows),
    }
    shown = [
        {**row, "cost_usd": "simulated" if row["simulated"] else usd(row["cost_usd"])}
        for row in [*rows, total]
    ]
    table(shown, [name for name in frame.columns if name != "simulated"], foot=True)
