"""`targen estimate`: estimates calls, tokens and cost without sending a request."""

import asyncio
import json
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

import simulator
from targen.cli import base
from targen.cli.base import app, report_errors
from targen.errors import TableError
from targen.wording import plural

if TYPE_CHECKING:
    from targen.operators.estimate import Estimate, SettingsOf
    from targen.store.completions import Store
    from targen.tasks.spec import TaskSpec

_REHEARSED_AT_MOST = 300
_SUMS = (
    "planned",
    "calls",
    "calls_low",
    "calls_high",
    "stored",
    "prompt_tokens",
    "output_tokens",
    "cacheable_tokens",
    "cache_saves_usd",
    "cost_usd",
    "batch_usd",
    "most_usd",
    "low_usd",
    "high_usd",
)


@app.command()
@report_errors
def estimate(
    task: Annotated[str, typer.Argument(help="The task.")],
    rows: Annotated[
        int | None, typer.Option(min=1, help="Number of rows; by default the task's own.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Estimate calls, tokens and cost of a task without sending a request.

    Calls come from the plan, tokens from the prompts of a rehearsal on the simulator with few rows.
    Completions in the store are used and not counted.
    """
    spec = base.task(task, rows)
    status = Console(stderr=True).status("Rehearsing a few rows on the simulator ...")
    with closing(base.store(make=True)) as opened, status:
        found = estimated(spec, opened)
    lines = [
        {"step": step, **asdict(asked)} for step, asks in found.steps.items() for asked in asks
    ]
    total = _total(lines)
    if as_json:
        shown = {"task": spec.name, "rows": spec.rows, "steps": lines, "in_all": total}
        typer.echo(json.dumps({**shown, "problem": found.problem}, indent=2))
    else:
        _show(spec, found, lines, total)
    if found.problem:
        typer.echo(f"error: the simulated run is incomplete: {found.problem}", err=True)
        raise typer.Exit(1)


def estimated(spec: "TaskSpec", store: "Store") -> "Estimate":
    """Return the estimate of a task with the settings of the environment.

    Raises:
        StoreError: the completion store cannot be read.
        SpecError: the price file cannot be read.
    """
    from targen.operators import estimate as estimating  # noqa: PLC0415 - a quick command needs none

    rows = _rows_of_last_run(spec)
    return asyncio.run(estimating.estimate(spec, _settings(spec), store, simulator.complete, rows))


def _rows_of_last_run(spec: "TaskSpec") -> int | None:
    """Return the rows of the last report, if the model of the settings made them."""
    from targen.steps import QUALITY_REPORT  # noqa: PLC0415 - a quick command needs none

    try:
        report = base.tables().read_json(QUALITY_REPORT, spec.name)
    except TableError:
        return None
    if report is None or base.settings().model not in report["models"]:
        return None
    return min(int(report["rows_asked"]), _REHEARSED_AT_MOST)


def _settings(spec: "TaskSpec") -> "SettingsOf":
    """Return the settings of a step in a real run; no API key is needed."""
    from targen.llm import settings  # noqa: PLC0415 - a quick command needs none
    from targen.llm.settings import EngineSettings  # noqa: PLC0415
    from targen.tasks.endpoints import load_endpoints  # noqa: PLC0415

    default = EngineSettings(
        model=base.settings().model,
        base_url=base.settings().base_url,
        endpoint_name=base.settings().endpoint_name,
    )
    path = base.endpoints_file()
    known = load_endpoints(path) if spec.recipe.named_endpoints else {}

    def of(step: str, endpoint: str | None) -> EngineSettings:
        return default if endpoint is None else settings.at(endpoint, known, path, default)

    return of


def _total(lines: list[dict[str, Any]]) -> dict[str, Any]:
    total: dict[str, Any] = {}
    for name in _SUMS:
        values = [line[name] for line in lines]
        total[name] = None if None in values else sum(values)
    return total


def _show(
    spec: "TaskSpec", found: "Estimate", lines: list[dict[str, Any]], total: dict[str, Any]
) -> None:
    from targen.cli.base import table, usd  # noqa: PLC0415 - a quick command needs none
    from targen.llm.settings import EMBEDDED_MODEL  # noqa: PLC0415

    guessed = any(line["basis"] == "assumption" for line in lines)
    rows = [*lines, {"step": "in all", "model": "", "prefix_tokens": "", **total}]
    shown = [
        {
            "step": line["step"],
            "model": line["model"],
            "plan": line["planned"],
            "calls": line["calls"],
            **({"range": f"{line['calls_low']:,}-{line['calls_high']:,}"} if guessed else {}),
            "in the store": line["stored"],
            "tokens in": line["prompt_tokens"],
            "prefix": line["prefix_tokens"],
            "tokens out": line["output_tokens"],
            "live": usd(line["cost_usd"]),
            "batch": usd(line["batch_usd"]),
        }
        for line in rows
    ]
    typer.echo(f"{spec.name}, {plural(spec.rows, 'row')} by recipe {spec.recipe.name}:\n")
    table(shown, list(shown[0]), foot=True)
    typer.echo(f"\n{_basis(lines, found.rehearsed)}{_range(total, guessed)}")
    typer.echo(_cache(total))
    if any(line["model"] == EMBEDDED_MODEL for line in lines):
        typer.echo(
            "The simulator is free. Set TARGEN_MODEL for a real model's price, and "
            "TARGEN_PRICES (a file of prices) if its price is unknown."
        )
    for model, endpoint in _unknown(found):
        typer.echo(
            f"The price of {model} at {endpoint} is unknown. Add it to the file in TARGEN_PRICES."
        )


def _basis(lines: list[dict[str, Any]], rows: int) -> str:
    """Return where the figures come from."""
    from targen.operators.estimate import AT_MOST, EXPECTED  # noqa: PLC0415

    bases = {line["basis"] for line in lines}
    words = (
        "`plan`: the requests if every answer is usable. `calls`: the new requests, with those for "
        "rejected items and without those whose answers are in the store. "
        f"Tokens are from the real prompts of {plural(rows, 'row')}, at four bytes a token. "
    )
    if "history" in bases:
        words += "Rejected items and tokens are those of the answers in the store. "
    if "assumption" in bases:
        words += (
            "No run of this model with this task is stored: `calls` assumes that "
            f"{EXPECTED:.0%} of the items are rejected, `range` none to {AT_MOST:.0%}, and that "
            "answers are as long as the simulator's. A run of 20 rows replaces these guesses. "
        )
    if "simulator" in bases:
        words += "Rejected items are those of the simulator. "
    return words


def _range(total: dict[str, Any], guessed: bool) -> str:
    from targen.cli.base import usd  # noqa: PLC0415 - a quick command needs none

    if not total["most_usd"]:
        return ""
    words = f"Live, this costs {usd(total['low_usd'])} to {usd(total['high_usd'])}, " * guessed
    words += "at most " if guessed else "Live, this costs at most "
    return f"{words}{usd(total['most_usd'])} if every answer has max_output_tokens."


def _cache(total: dict[str, Any]) -> str:
    """Return what a prompt cache would save, in one or two sentences."""
    from targen.cli.base import usd  # noqa: PLC0415 - a quick command needs none
    from targen.llm.prompt_cache import SHORTEST  # noqa: PLC0415

    words = f"All prompts of a step begin with the same `prefix` tokens. From {SHORTEST:,} on, "
    if not total["cacheable_tokens"]:
        return words + "OpenAI's prompt cache would read shared prefixes; here they are shorter."
    saves = ""
    if total["cache_saves_usd"]:
        saves = f" and save at most {usd(total['cache_saves_usd'])} of the live price"
    cacheable = f"{total['cacheable_tokens']:,}"
    return words + f"OpenAI's prompt cache would read shared prefixes: {cacheable} tokens{saves}."


def _unknown(found: "Estimate") -> list[tuple[str, str]]:
    return sorted(
        {
            (asked.model, asked.endpoint)
            for asks in found.steps.values()
            for asked in asks
            if asked.cost_usd is None
        }
    )
