"""`targen init`: writes the file of a new task from five questions, or from options."""

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from targen.cli import base
from targen.cli.base import app, report_errors
from targen.errors import TargenError
from targen.wording import plural

_LONGEST = 2000


@app.command()
@report_errors
def init(
    name: Annotated[str, typer.Argument(help="Name of the task and its file: my_task.")],
    description: Annotated[
        str | None, typer.Option(help="What one row is, in one or two sentences.")
    ] = None,
    field: Annotated[
        list[str] | None,
        typer.Option(help="'NAME: what to write', one for each text of a row; repeatable."),
    ] = None,
    question: Annotated[
        str | None, typer.Option(help="The question about a row that its label answers.")
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(help="'NAME: what it means', two or more; repeatable."),
    ] = None,
    contexts: Annotated[
        str | None, typer.Option(help="The settings of rows: completes 'a list of ...'.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Title; by default from the name.")] = None,
    rows: Annotated[int, typer.Option(min=1, help="Number of rows.")] = 200,
    recipe: Annotated[str, typer.Option(help="The method, a file in the recipes folder.")] = (
        "targen"
    ),
    language: Annotated[str, typer.Option(help="ISO 639-1 code of the texts' language.")] = "en",
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
) -> None:
    """Write a commented task file that can be validated, previewed and run at once.

    On a terminal, it asks for what the options leave out.
    """
    from targen.tasks.draft import Draft, write  # noqa: PLC0415 - a quick command needs none
    from targen.tasks.recipe import NAME_PATTERN  # noqa: PLC0415

    settings = base.settings()
    if not re.fullmatch(NAME_PATTERN, name):
        raise TargenError(f"The name {name!r} must be lower-case letters, digits, _ and -.")
    path = Path(settings.tasks_dir) / f"{name}.yaml"
    if path.exists() and not force:
        raise TargenError(f"{path} exists. Choose another name, or replace it with --force.")
    missing = [
        option
        for option, value in (
            ("--description", description),
            ("--field", field),
            ("--question", question),
            ("--label", label),
            ("--contexts", contexts),
        )
        if not value
    ]
    if missing and not _on_a_terminal():
        raise TargenError(
            f"Give {', '.join(missing)}, or run the command in a terminal, which asks for them."
        )
    if missing:
        typer.echo(f"A new task, {path}. Five questions; Ctrl-C writes nothing.\n")
    draft = Draft(
        name=name,
        title=title or name.replace("_", " ").replace("-", " ").capitalize(),
        description=description or _asked("1. What is one row? (A ticket from a customer.)"),
        fields=_pairs("--field", field)
        or _listed("2. The texts of a row, one a line: `body: Write two to five sentences.`", 1),
        question=question or _asked("3. The question about a row? (How urgent is the ticket?)"),
        labels=_pairs("--label", label)
        or _listed("4. Its answers, one a line: `high: Someone cannot work.`", 2),
        contexts=contexts
        or _asked("5. What are the settings of rows? Completes 'a list of ...' (kinds of shops)."),
        rows=rows,
        recipe=recipe,
        language=language,
    )
    spec = write(draft, path, Path(settings.recipes_dir), replace=force)
    typer.echo(
        f"{path}: {spec.title}, {plural(len(spec.fields), 'field')}, "
        f"{plural(len(spec.labels), 'label')}. Next:\n"
        f"  targen preview {name}            a few rows, with their prompts\n"
        f"  targen estimate {name}           calls, tokens and cost\n"
        f"  TARGEN_ROWS=20 make run TASK={name}"
    )


def _on_a_terminal() -> bool:
    return sys.stdin.isatty()


def _pairs(option: str, values: list[str] | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for value in values or ():
        name, colon, words = (part.strip() for part in value.partition(":"))
        if not name or not colon or not words:
            raise TargenError(f"{option} {value!r} must be 'NAME: words', with a colon.")
        if name in found:
            raise TargenError(f"{option}: '{name}' is given twice.")
        found[name] = words
    return found


def _asked(question: str) -> str:
    while True:
        answer = str(typer.prompt(question, prompt_suffix="\n> ")).strip()
        if answer:
            return answer[:_LONGEST]


def _listed(question: str, least: int) -> dict[str, str]:
    """Ask for pairs, one a line, until an empty line."""
    typer.echo(f"{question} An empty line ends the list.")
    found: dict[str, str] = {}
    while True:
        line = str(typer.prompt("", prompt_suffix="> ", default="", show_default=False)).strip()
        if not line and len(found) >= least:
            return found
        try:
            found |= _pairs("line", [line]) if line else {}
        except TargenError as error:
            typer.echo(str(error))
        if not line and len(found) < least:
            typer.echo(f"At least {least}: {len(found)} so far.")
