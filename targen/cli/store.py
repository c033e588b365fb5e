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

store = typer.Typer(
    help="The completion store: everything that was paid for.", no_args_is_help=True
)
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
    """Show how many completions there are, their tokens, and what was spent."""
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
        "tokens": f"{found['prompt_tokens']:,} in, {found['completion_tokens']:,} out",
        "cost": f"{usd(found['cost_usd'])}{unpriced}",
        "embeddings": "{texts:,} texts, {prompt_tokens:,} tokens".format(**found["embeddings"])
        + f", {usd(found['embeddings']['cost_usd'])}",
        "first, last": f"{_moment(found['first_at'])}, {_moment(found['last_at'])}",
    }
    for scope, amount in sorted(found["spent_usd"].items()):
        # What counts against a budget: calls that were lost are in it with the most they can cost.
        lines[f"spent, {'all runs' if scope == '*' else scope}"] = usd(amount)
    width = max(map(len, lines))
    for name, value in lines.items():
        typer.echo(f"{name.ljust(width)}  {value}")


@store.command()
@report_errors
def verify() -> None:
    """Check every completion against its own name; exit status 1 where one is damaged."""
    from targen.store import maintenance  # noqa: PLC0415 - a quick command needs none

    with _opened() as opened:
        found = maintenance.verify(opened)
        count = sum(maintenance.stats(opened)["completions"].values())
        shown = opened.shown
    for line in found:
        typer.echo(line)
    if found:
        typer.echo(
            f"{len(found)} findings in {shown}; `targen store drop ID` has a request asked anew",
            err=True,
        )
        raise typer.Exit(1)
    typer.echo(f"{count:,} completions in {shown} are what they are named for")


@store.command()
@report_errors
def export(file: Annotated[Path, typer.Argument(help="Where to; gzipped JSON lines.")]) -> None:
    """Write a backup of all completions, who used them, and what was spent."""
    from targen.store import maintenance  # noqa: PLC0415 - a quick command needs none
    from targen.tables.storage import drafted  # noqa: PLC0415

    with _opened() as opened, drafted(file, "FILE") as draft:
        count = maintenance.export(opened, draft)
    typer.echo(f"{file}: {count:,} lines")


@store.command("import")
@report_errors
def import_(file: Annotated[Path, typer.Argument(help="What `export` wrote.")]) -> None:
    """Take from a backup what the store does not have; all of it or, where it is bad, nothing."""
    from targen.store import maintenance  # noqa: PLC0415 - a quick command needs none

    with _opened(make=True) as opened:
        count = maintenance.load(opened, file)
        shown = opened.shown
    typer.echo(f"{shown}: {count:,} new entries")


@store.command()
@report_errors
def prune(
    yes: Annotated[bool, typer.Option("--yes", help="Delete; without it, only show.")] = False,
) -> None:
    """Delete completions that no table, rejected item or release descends from.

    What the last runs of tasks with tables used stays as well, so that a rerun asks nothing.
    """
    from targen.cli.base import table, usd  # noqa: PLC0415
    from targen.lineage import completions  # noqa: PLC0415 - a quick command needs none
    from targen.store import maintenance  # noqa: PLC0415

    place = base.tables().storage
    needed = completions.request_ids(place)
    with _opened() as opened:
        needed |= maintenance.last_used(opened, completions.tasks(place))
        found = maintenance.unneeded(opened, needed)
        total = int(found["completions"].sum())
        if total:
            rows = [{**row, "cost_usd": usd(row["cost_usd"])} for row in found.to_dicts()]
            table(rows, found.columns)
        if yes and total:
            total = maintenance.prune(opened, needed)
    where = f"the data folder {base.data_dir()}"
    if not total:
        typer.echo(f"every completion is needed by something in {where}")
    elif yes:
        typer.echo(f"{total:,} completions deleted")
    else:
        typer.echo(
            f"nothing in {where} needs these {total:,} completions: --yes deletes them, and "
            "asking for one of them again costs money"
        )


@store.command()
@report_errors
def drop(
    request_id: Annotated[str, typer.Argument(help="64 hex digits, as tables name it.")],
) -> None:
    """Delete one request's completion, so that the next run asks it anew."""
    from targen.store import maintenance  # noqa: PLC0415 - a quick command needs none

    with _opened() as opened:
        count = maintenance.drop(opened, request_id)
    again = f", with {count - 1} that it was asked again from" if count > 1 else ""
    typer.echo(f"{request_id} is deleted{again}; the next run that needs it asks anew")


def _moment(seconds: float | None) -> str:
    from datetime import UTC, datetime  # noqa: PLC0415 - a quick command needs none

    if seconds is None:
        return "-"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


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
