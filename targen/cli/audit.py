"""`targen audit`: traces rows to their sources and verifies them."""

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from targen.cli import base
from targen.cli.base import app, report_errors
from targen.errors import StoreError, TargenError
from targen.tasks.yamlfile import nearest

if TYPE_CHECKING:
    from targen.lineage.audit import Auditor

FINDINGS_SHOWN = 20
VERDICTS = {"wrong": "NOT VERIFIED", "unverifiable": "UNVERIFIABLE", "verified": "Verified"}


@app.command()
@report_errors
def audit(
    item: Annotated[
        str | None,
        typer.Argument(
            metavar="ID",
            help="A row's instance_id (shown in reports, tables and the UI), or the id of a row of "
            "another table or of a rejected item.",
        ),
    ] = None,
    release: Annotated[
        str | None, typer.Option(help="A release's folder: audit its files and rows.")
    ] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, help="Audit this many random finished rows of every task.")
    ] = None,
    descendants: Annotated[
        str | None,
        typer.Option(help="Id of a request, term, context, seed or row: list its descendants."),
    ] = None,
    task: Annotated[str | None, typer.Option(help="Audit this task only.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the sample.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write the row's page to this file.")] = None,
) -> None:
    """Trace a row to its sources and verify every step; exit status 0 only if it is verified."""
    if [item, release, sample, descendants].count(None) != 3:
        raise TargenError(
            "Give one of these: a row's id, --release PATH, --sample 200 or --descendants ID."
        )
    if html is not None and item is None:
        raise TargenError("--html shows one row: give its id.")
    with ExitStack() as stack:
        stack.enter_context(_quiet())
        auditor = open_auditor(stack)
        tasks = auditor.tasks()
        if task is not None and task not in tasks:
            known = nearest(task, tasks) if tasks else "no task has tables"
            raise TargenError(f"{base.data_dir()} has no tables of a task '{task}'; {known}")
        tasks = [task] if task else tasks
        if not tasks:
            raise TargenError(f"{base.data_dir()} has no tables. Run `make run TASK=...` first.")
        if item is not None:
            good = _row(auditor, item, tasks, as_json, html)
        elif sample is not None:
            good = _sample(auditor, sample, seed, tasks, as_json)
        elif descendants is not None:
            good = _descendants(auditor, descendants, tasks, as_json)
        else:
            assert release is not None
            good = _release(auditor, release, seed, as_json)
    if not good:
        raise typer.Exit(1)


@contextmanager
def _quiet() -> Iterator[None]:
    """Discard what Polars' native code prints to the terminal about damaged tables.

    That output bypasses Python's stderr. The findings describe the damage.
    """
    stderr, devnull = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(devnull, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(devnull)


def open_auditor(stack: ExitStack) -> "Auditor":
    """Return the auditor; an unreadable store is reported as a finding."""
    from targen.lineage.audit import Auditor  # noqa: PLC0415 - a quick command needs none
    from targen.operators.verify import ROW_CHECKS  # noqa: PLC0415

    storage = base.tables().storage
    try:
        return Auditor(storage, ROW_CHECKS, stack.enter_context(closing(base.store())))
    except StoreError as error:
        return Auditor(storage, ROW_CHECKS, None, str(error))


def _row(
    auditor: "Auditor", item: str, tasks: Sequence[str], as_json: bool, html: Path | None
) -> bool:
    from targen.cli.audit_report import facts  # noqa: PLC0415 - a quick command needs none

    found = auditor.find(item, tasks)
    if not found:
        unread = [
            f"{file.key}: {file.error}"
            for name in tasks
            for file in auditor.tables(name).files.values()
            if file.sha256 and file.error
        ]
        more = f" These files cannot be read: {'; '.join(unread[:3])}." if unread else ""
        if item in auditor.tasks():
            more = (
                f" It is a task: `targen audit --task {item} --sample 200` audits its rows.{more}"
            )
        raise TargenError(
            f"No table in {base.data_dir()} has the id {item!r}. Use an id from a column such as "
            f"`instance_id` or `item_id`.{more}"
        )
    known = [facts(one) for name in found for one in auditor.audit(name, [item])]
    if html is not None:
        from targen.cli.audit_report import render  # noqa: PLC0415
        from targen.files import write_file  # noqa: PLC0415

        write_file(html, render(known[0]).encode(), "--html")
    if as_json:
        typer.echo(json.dumps(known if len(known) > 1 else known[0], indent=2))
    else:
        for one in known:
            _print_row(one)
        if html is not None:
            typer.echo(f"Page with all prompts and answers: {html}")
    return all(one["verdict"] == "verified" for one in known)


def _print_row(known: dict[str, Any]) -> None:
    from targen.cli.audit_story import shown  # noqa: PLC0415 - a quick command needs none

    for sentence in known["story"]:
        typer.echo(sentence)
    typer.echo("")
    for one in known["completions"]:
        used = ", ".join(dict.fromkeys(use["table"] for use in one["used_by"]))
        again = "  asks again" if one["asks_again"] else ""
        typer.echo(
            f"  {one['request_id'][:16]}  {one['created_at']}  {shown(one['status']):9} "
            f"{(one['prompt_tokens'] or 0) + (one['completion_tokens'] or 0):>6} tokens  "
            f"{shown(one['model'], 30)}  {used}{again}"
        )
    _findings(known["findings"])


def _findings(findings: Sequence[dict[str, Any]]) -> None:
    from targen.cli.audit_story import shown  # noqa: PLC0415 - a quick command needs none

    for one in findings[:FINDINGS_SHOWN]:
        typer.echo(f"  {one['level']:8} {shown(one['where'], 300)}: {shown(one['what'], 300)}")
    if len(findings) > FINDINGS_SHOWN:
        typer.echo(f"  and {len(findings) - FINDINGS_SHOWN} more; --json lists them all")


def _sample(auditor: "Auditor", count: int, seed: int, tasks: Sequence[str], as_json: bool) -> bool:
    from targen.cli.audit_report import summary  # noqa: PLC0415 - a quick command needs none

    started = time.monotonic()
    audits, files = [], []
    for name in tasks:
        files += auditor.check_files(name)
        audits += auditor.audit(name, auditor.sample(name, count, seed))
    known = summary(audits, files, time.monotonic() - started)
    if as_json:
        typer.echo(json.dumps(known, indent=2))
    else:
        for name, counts in known["tasks"].items():
            typer.echo(f"{name:32} {counts['verified']:>5} of {counts['rows']:>5} rows verified")
        _findings(known["findings"])
        typer.echo(
            f"{VERDICTS[known['verdict']]}: {known['rows']} rows and {known['completions']} "
            f"completions in {known['seconds']} s."
        )
    return bool(known["verdict"] == "verified" and known["rows"])


def _descendants(auditor: "Auditor", name: str, tasks: Sequence[str], as_json: bool) -> bool:
    from targen.cli.audit_story import shown  # noqa: PLC0415 - a quick command needs none
    from targen.release.descendants import descendants  # noqa: PLC0415

    found = descendants(auditor, name, tasks)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        for one in found["rows"]:
            origin = one.get("release") or one["task"]
            typer.echo(f"{origin:40} {one['table']:24} {shown(one['id'])}")
        typer.echo(f"{len(found['rows'])} rows descend from {name}.")
        _findings(found["findings"])
    if not found["rows"] and not found["known"]:
        raise TargenError(
            f"{base.data_dir()} and the completion store have no id {name!r}. Give the id of a "
            "request, a term, a context, a seed or a row from a table."
        )
    return not any(one["level"] != "note" for one in found["findings"])


def _release(auditor: "Auditor", path: str, seed: int, as_json: bool) -> bool:
    from targen.cli.audit_report import summary  # noqa: PLC0415 - a quick command needs none
    from targen.release.audit import check  # noqa: PLC0415
    from targen.tables.storage import open_storage  # noqa: PLC0415

    started = time.monotonic()
    audited = check(auditor, open_storage(path, named_by="--release"), seed)
    known = summary(audited.audits, audited.findings, time.monotonic() - started)
    known |= {"release": path, "released_rows": audited.rows, "manifest": dict(audited.manifest)}
    if as_json:
        typer.echo(json.dumps(known, indent=2))
    else:
        _findings(known["findings"])
        named = f"{audited.manifest.get('task', '?')} {audited.manifest.get('version', '?')}"
        typer.echo(
            f"{VERDICTS[known['verdict']]}: release {named} with {audited.rows} rows; "
            f"{known['rows']} were traced to {known['completions']} completions in "
            f"{known['seconds']} s."
        )
    return bool(known["verdict"] == "verified")
