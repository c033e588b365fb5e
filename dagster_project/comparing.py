"""The plan of `make compare`: which tasks of a group are missing or older, and what they cost."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import typer

from targen.cli import base as cli
from targen.cli.estimate import estimated
from targen.operators.estimate import Totals
from targen.release.state import NOT_MADE, State, state_of
from targen.settings import Settings, variable
from targen.tables.files import Tables
from targen.tasks.spec import TaskSpec


@dataclass(frozen=True)
class Planned:
    """A task of the group.

    Attributes:
        spec: the task.
        state: of its tables.
        making: whether this run makes its tables.
        why: the reason, one clause; empty if there is nothing to say.
        totals: estimated calls, tokens and cost; None if its tables are not made.
    """

    spec: TaskSpec
    state: State
    making: bool
    why: str
    totals: Totals | None = None


def plan(specs: Sequence[TaskSpec], tables: Tables, settings: Settings) -> list[Planned]:
    """Return which tasks need to be made, and why.

    The simulator never replaces the rows of a real model. A run with a real model replaces
    simulated rows.

    Raises:
        TableError: the storage cannot be read.
        StoreError: the completion store cannot be read.
    """
    found = []
    with closing(cli.store(make=True)) as store:
        for spec in specs:
            state = state_of(spec, tables)
            making, why = _decided(state, settings)
            totals = estimated(spec, store).totals() if making else None
            found.append(Planned(spec, state, making, why, totals))
    return found


def _decided(state: State, settings: Settings) -> tuple[bool, str]:
    report = state.report
    changed = f"{state.step}: {state.why}"
    if report is not None and not report["simulated"] and settings.model is None:
        models = ", ".join(report["models"])
        kept = f"rows by {models or 'no model'} are not replaced by simulated rows"
        return False, kept if state.current else f"{changed}; {kept}"
    if state.current and report is not None and report["simulated"] and settings.model is not None:
        return True, f"its rows are simulated, and {variable('model')} is set"
    if state.state == NOT_MADE:
        return True, ""
    return not state.current, "" if state.current else changed


def show(base: str, planned: Sequence[Planned]) -> None:
    """Print what will be made and what it is estimated to cost."""
    lines: list[dict[str, Any]] = []
    for one in planned:
        totals = one.totals or Totals()
        figures = {"calls": totals.calls, "tokens": totals.tokens, "cost": _price(totals)}
        lines.append(
            {
                "task": one.spec.name,
                "rows": one.spec.rows,
                "state": one.state.state,
                **(figures if one.totals else dict.fromkeys(figures)),
                "why": one.why,
            }
        )
    cli.table(lines, list(lines[0]))
    making = [one.totals for one in planned if one.totals is not None]
    if making:
        total = sum(making, Totals())
        noun = "task" if len(planned) == 1 else "tasks"
        typer.echo(
            f"\n{len(making)} of {len(planned)} {noun} will be made, about {total.calls:,} calls, "
            f"{total.tokens:,} tokens, {_price(total)}.\n"
        )
    else:
        typer.echo(f"\nNo task of {base} needs to be made; only the comparison is written.\n")


def _price(totals: Totals) -> str:
    return "simulated" if totals.simulated else cli.usd(totals.cost_usd)
