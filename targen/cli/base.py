"""The Typer application, error reporting, tables for the terminal, and shared settings."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

import simulator
from targen.errors import TargenError
from targen.settings import Settings

if TYPE_CHECKING:
    from targen.llm.settings import EngineSettings
    from targen.store.completions import Store
    from targen.tables.files import Tables
    from targen.tasks.spec import TaskSpec
import sys
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

app = typer.Typer(
    help="Labelled data sets from a task description.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def report_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command end in one message and exit status 1 where it meets a `TargenError`."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except TargenError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(1) from None

    return run


def settings() -> Settings:
    """Return the settings from the environment.

    Raises:
        TargenError: a variable has an invalid value.
    """
    return Settings.from_environment()


def data_dir() -> str:
    """Return where tables and reports are stored: a folder, or s3://bucket/prefix."""
    return settings().data_dir


def endpoints_file() -> Path:
    """Return the file that defines the named endpoints."""
    return Path(settings().endpoints_file)


def _task_paths(rows: int | None = None) -> tuple[Path, Path, int | None, Path | None, Path]:
    read = settings()
    references = Path(read.references_dir) if read.references_dir else None
    folders = Path(read.tasks_dir), Path(read.recipes_dir)
    return *folders, rows or read.rows, references, Path(read.endpoints_file)


def tasks() -> "dict[str, TaskSpec]":
    """Return every task by name.

    Raises:
        SpecError: what is wrong with any of the files.
    """
    from targen.tasks.loading import load_tasks  # noqa: PLC0415 - a quick command needs none

    return load_tasks(*_task_paths())


def task(name: str, rows: int | None = None) -> "TaskSpec":
    """Return one task, with `rows` in place of its own where that is given.

    Raises:
        SpecError: there is no such task, or its file is wrong.
    """
    from targen.tasks.loading import load_task  # noqa: PLC0415 - a quick command needs none

    return load_task(name, *_task_paths(rows))


def tables() -> "Tables":
    """Return the tables in the data folder.

    Raises:
        TableError: the data folder is no folder and no S3 prefix.
    """
    from targen.tables.files import Tables  # noqa: PLC0415
    from targen.tables.storage import open_storage  # noqa: PLC0415 - a quick command needs none

    return Tables(open_storage(data_dir()))


def store(make: bool = False) -> "Store":
    """Return the completion store, open; the caller closes it.

    Args:
        make: make one where there is none.

    Raises:
        StoreError: the store must be named and is not, is not there, or cannot be opened.
    """
    from targen.store.completions import Store  # noqa: PLC0415 - a quick command needs none

    return Store(settings().store_address(), make)


def engine_settings(task: str, step: str) -> "EngineSettings":
    """Return the settings of an engine, as the environment has them.

    Raises:
        TargenError: a variable holds what it cannot hold.
        StoreError: the store must be named and is not.
    """
    from targen.llm.settings import EngineSettings  # noqa: PLC0415

    read = settings()
    return EngineSettings(
        model=read.model,
        base_url=read.base_url,
        endpoint_name=read.endpoint_name,
        store_url=read.store_address(),
        embedding_model=read.embedding_model,
        concurrency=read.concurrency,
        budget_usd=read.budget_usd,
        requests_per_minute=read.requests_per_minute,
        tokens_per_minute=read.tokens_per_minute,
        simulator=simulator.application,
        task=task,
        step=step,
    )


_NOT_A_TERMINAL = 10_000


def usd(amount: float | None) -> str:
    """Return an amount in US dollars, `unknown` where a price is missing."""
    if amount is None:
        return "unknown"
    # A whole run may cost less than a cent.
    return f"${amount:,.2f}" if amount >= 100 else f"${amount:.4f}"


def table(rows: Sequence[Mapping[str, Any]], headings: Sequence[str], foot: bool = False) -> None:
    """Print rows under their headings: numbers to the right, the rest to the left.

    Args:
        rows: column -> value; None is shown as a dash.
        headings: the columns, in order.
        foot: True where the last row is the sum of the others.
    """
    made = Table(box=None, pad_edge=False, header_style="bold")
    for name in headings:
        right = any(isinstance(row[name], int | float) or _money(row[name]) for row in rows)
        made.add_column(name, justify="right" if right else "left", no_wrap=True)
    for place, row in enumerate(rows, 1):
        style = "bold" if foot and place == len(rows) else None
        made.add_row(*(_cell(row[name]) for name in headings), style=style)
    # A pipe has no width: nothing may be cut off there.
    width = None if sys.stdout.isatty() else _NOT_A_TERMINAL
    Console(file=sys.stdout, width=width).print(made, soft_wrap=True)


def _money(value: Any) -> bool:
    return isinstance(value, str) and (value.startswith("$") or value == "unknown")


def _cell(value: Any) -> Text:
    # As text and not as markup: names come from files that anybody may have written.
    if value is None:
        return Text("-")
    return Text(f"{value:,}" if isinstance(value, int) else str(value))
