"""`targen preview`: a few rows through all steps, before a run is started."""

import asyncio
import json
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from targen.cli import base
from targen.cli.base import app, report_errors
from targen.wording import plural

if TYPE_CHECKING:
    from targen.operators.estimate import SettingsOf
    from targen.operators.preview import Call, Preview, PreviewRow
    from targen.tasks.spec import TaskSpec

_DEFAULT_ROWS = 3
_REJECTED_SHOWN = 5
_SCORES = ("weight", "flaw", "naturalness", "constraint_met")


@app.command()
@report_errors
def preview(
    task: Annotated[str, typer.Argument(help="The task.")],
    rows: Annotated[int, typer.Option(min=1, help="Number of rows.")] = _DEFAULT_ROWS,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make a few rows and show their prompts, answers, verdicts and cost; writes no table.

    Answers are stored. A later run pays only for requests that the preview did not make.
    """
    from targen.operators.preview import few_rows  # noqa: PLC0415 - a quick command needs none
    from targen.operators.preview import preview as run  # noqa: PLC0415

    spec = few_rows(base.task(task), rows)
    found = asyncio.run(run(spec, _settings(spec)))
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2))
    else:
        _show(found)
    if found.problem:
        typer.echo(f"error: {_line(found.problem)}", err=True)
        raise typer.Exit(1)


def _settings(spec: "TaskSpec") -> "SettingsOf":
    """Return the settings of a step's engine, as in a run."""
    run_id = f"preview-{uuid.uuid4().hex}"
    return base.settings_of(
        spec, lambda step: replace(base.engine_settings(spec.name, step), run_id=run_id)
    )


def _show(found: "Preview") -> None:
    simulated = ", simulated" if any(call.simulated for call in found.calls) else ""
    count = plural(found.wanted, "row")
    _head(f"{found.task}: preview of {count} by recipe {found.recipe}{simulated}")
    shown: set[str] = set()
    rows = found.kept or found.rows
    # The rows come last, because a terminal shows the end.
    _instructions(found)
    for number, row in enumerate(rows, 1):
        _head(f"\nCalls of row {number}")
        _calls(row.request_ids, found, shown)
    _unusable(found, shown)
    for number, row in enumerate(rows, 1):
        _row(f"Row {number} of {len(rows)}", row)
    _left_out(found, shown)
    _costs(found)
    for text in found.warnings:
        typer.echo(f"warning: {_line(text)}")


def _instructions(found: "Preview") -> None:
    """Print the fixed part of each prompt once."""
    for text in dict.fromkeys((call.step, call.instructions) for call in found.calls):
        _head(f"\nInstructions of {text[0]}")
        _indented(text[1])


def _row(title: str, row: "PreviewRow") -> None:
    label = row.verdict.get("label", row.intended_label)
    named = "" if label is None else f": {_line(label)}"
    _head(f"\n{title}{named}  ({_line(row.outcome)}, {row.instance_id[:16]})")
    for name, value in row.fields.items():
        _named(name, value)
    given = {
        "intended": row.intended_label,
        "votes": row.votes or row.verdict.get("annotated_label"),
        "corrector": row.verdict.get("corrected_label"),
        "flaw": row.verdict.get("flaw"),
        "reason": row.verdict.get("reason") or row.detail,
    }
    for name, value in given.items():
        if value not in (None, []):
            _named(name, value)
    for one in row.verdict.get("readings") or ():
        said = [f"{name} {one[name]}" for name in _SCORES if one[name] is not None]
        _named(_line(one["reader"]), f"{_line(one['label'])}; {', '.join(said)}")
    shared = "; calls that serve several rows are divided among them"
    _named("cost", f"{base.usd(row.cost_usd)}, {row.tokens:,} tokens{shared}")


def _calls(request_ids: Sequence[str], found: "Preview", shown: set[str]) -> None:
    calls = {call.request_id: call for call in found.calls}
    for name in request_ids:
        _call(calls[name], shown)


def _call(call: "Call", shown: set[str]) -> None:
    """Print a call; one that was printed before is only named."""
    origin = "" if call.paid_now else ", from the store"
    several = f", serves {call.rows} rows" if call.rows > 1 else ""
    base.bold(f"  {call.step}  {call.request_id[:16]}{several}{origin}")
    if call.request_id in shown:
        typer.echo("    (shown above)")
        return
    shown.add(call.request_id)
    _indented(call.data, "    prompt  ")
    _indented(call.answer or "(none)", "    answer  ")
    if call.status != "ok":
        typer.echo(f"    {_line(call.status)}: {_line(call.error or '')}")


def _unusable(found: "Preview", shown: set[str]) -> None:
    """Print answers that were not valid and belong to no row shown."""
    calls = [c for c in found.calls if c.status != "ok" and c.request_id not in shown]
    if calls:
        _head(f"\nAnswers that were not valid: {len(calls)}")
    for call in calls[:_REJECTED_SHOWN]:
        _call(call, shown)
    if len(calls) > _REJECTED_SHOWN:
        typer.echo(f"  and {len(calls) - _REJECTED_SHOWN} more; --json lists them all")


def _left_out(found: "Preview", shown: set[str]) -> None:
    """Print the rows and items that were left out, and the calls of the first of them."""
    if not found.rejected:
        return
    _head(f"\nLeft out: {len(found.rejected)} items")
    calls = {call.request_id: call for call in found.calls}
    for item in found.rejected[:_REJECTED_SHOWN]:
        typer.echo(f"  {item['step']}: {item['reason']}: {_line(item['detail'])}")
        if item["text"]:
            _indented(item["text"], "    ")
        for name in item["request_ids"]:
            if name in calls and name not in shown:
                _call(calls[name], shown)
    if len(found.rejected) > _REJECTED_SHOWN:
        typer.echo(f"  and {len(found.rejected) - _REJECTED_SHOWN} more; --json lists them all")


def _costs(found: "Preview") -> None:
    _head("\nCost")
    lines = [
        {
            "step": line["step"],
            "model": _line(line["model"]),
            "calls": line["calls"],
            "in the store": line["stored"],
            "tokens in": line["prompt_tokens"],
            "tokens out": line["completion_tokens"],
            "cost": base.usd(line["cost_usd"]),
        }
        for line in found.costs()
    ]
    base.table(lines, list(lines[0]), foot=True)
    spare = len(found.rows) - len(found.kept)
    typer.echo(
        f"\n{len(found.kept)} rows were finished; {spare} more were written to replace rows that "
        "correction drops. A run shares more calls between rows, so its rows cost less: "
        f"`targen estimate {found.task}`."
    )
    if any(call.simulated for call in found.calls):
        typer.echo("Made by the simulator. Set TARGEN_MODEL to see rows of a real model.")


def _head(text: str) -> None:
    base.bold(text)


def _named(name: str, value: Any) -> None:
    _indented(value if isinstance(value, str) else _line(value), f"  {name:10} ")


def _line(value: Any) -> str:
    """Return a value as one line without control characters."""
    from targen.cli.audit_story import shown  # noqa: PLC0415 - a quick command needs none

    return shown(value, len(str(value)))


def _indented(text: str, first: str = "  ") -> None:
    """Print a text without control characters, all lines indented like the first."""
    from targen.quality.page import visible  # noqa: PLC0415 - a quick command needs none

    # Only after these characters does a line end: others are shown by their names.
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n")):
        start = first if number == 0 else " " * len(first)
        typer.echo(f"{start}{visible(line, len(line))}".rstrip())
