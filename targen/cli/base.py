"""The Typer application, error reporting, tables for the terminal, and shared settings."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, redirect_stdout
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TextIO, cast

import typer

import simulator
import targen
from targen.errors import TargenError
from targen.settings import Settings, unknown_variables
from targen.wording import printable

if TYPE_CHECKING:
    from targen.llm.settings import EngineSettings
    from targen.operators.estimate import SettingsOf
    from targen.store.completions import Store
    from targen.tables.files import Tables
    from targen.tables.storage import Storage
    from targen.tasks.profiles import Profile
    from targen.tasks.spec import TaskSpec
import re
import sys
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

HOST = "127.0.0.1"
_ORDER = (
    "init", "list", "show", "validate", "preview", "estimate", "costs", "report", "audit", "review",
    "release", "export", "train", "pages", "serve", "schema", "store",
)  # fmt: skip
"""The commands in the order of `targen --help`: from a new task to its release."""


class _Commands(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))


app = typer.Typer(
    cls=_Commands,
    help="Makes labeled data sets with language models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"targen {targen.__version__}")
        raise typer.Exit


class _Output:
    """Standard output on which no text of a file or a model can act."""

    styled = True
    """Whether styles pass: those of typer's help, and of `styles`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        if not self.styled:
            return self._stream.write(printable(text))
        return self._stream.write(
            "".join(
                part if _STYLE.fullmatch(part) else printable(part) for part in _STYLE.split(text)
            )
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


_STYLE: Final = re.compile(r"(\x1b\[[0-9;]*m)")


@contextmanager
def _styles(allowed: bool) -> Iterator[None]:
    before, _Output.styled = _Output.styled, allowed
    try:
        yield
    finally:
        _Output.styled = before


def bold(text: str) -> None:
    """Print a line in bold."""
    with _styles(True):
        typer.secho(printable(text), bold=True)


@app.callback()
def main(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Makes labeled data sets with language models."""
    del version
    context.with_resource(redirect_stdout(cast("TextIO", _Output(sys.stdout))))
    for sentence in unknown_variables():
        typer.echo(f"warning: {sentence}", err=True)


def task_names(incomplete: str) -> list[str]:
    """Return the names of tasks that begin so, for shell completion; none on any error."""
    from targen.tasks.loading import load_task_names  # noqa: PLC0415 - a quick command needs none

    try:
        names = load_task_names(Path(settings().tasks_dir))
    except TargenError:
        return []
    return [name for name in names if name.startswith(incomplete)]


TASK: Any = typer.Argument(help="The task.", autocompletion=task_names)
"""The argument of commands that work on one task."""


def report_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Report a `TargenError` of a command as one message, with exit status 1."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            # Texts of files and models can contain styles, too, such as one that hides text.
            with _styles(False):
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
    """Return the folder of tables and reports, or s3://bucket/prefix."""
    return settings().data_dir


def endpoints_file() -> Path:
    """Return the file that defines the named endpoints."""
    return Path(settings().endpoints_file)


def _task_arguments(
    rows: int | None = None, folder: Path | None = None
) -> "tuple[Path, Path, int | None, Path | None, Path, Profile]":
    from targen.tasks.profiles import of_settings  # noqa: PLC0415 - a quick command needs none

    read = settings()
    references = Path(read.references_dir) if read.references_dir else None
    folders = folder or Path(read.tasks_dir), Path(read.recipes_dir)
    profile = of_settings(read.sampling, read.reasoning_tokens, read.style)
    return *folders, rows or read.rows, references, Path(read.endpoints_file), profile


def tasks() -> "tuple[dict[str, TaskSpec], list[str]]":
    """Return every valid task by name, and the problems of the other files.

    Raises:
        SpecError: a recipe is invalid, or there is no task file.
    """
    from targen.tasks.loading import valid_tasks  # noqa: PLC0415 - a quick command needs none

    return valid_tasks(*_task_arguments())


def task(name: str, rows: int | None = None, folder: Path | None = None) -> "TaskSpec":
    """Return one task.

    Args:
        name: its name.
        rows: overrides the task's own number.
        folder: of the task files; by default that of the settings.

    Raises:
        SpecError: the task does not exist, or its file is invalid.
    """
    from targen.tasks.loading import load_task  # noqa: PLC0415 - a quick command needs none

    return load_task(name, *_task_arguments(rows, folder))


def task_or_file(name: str) -> "TaskSpec":
    """Return a task by name, or by the path of its file, which may be for reports only.

    Raises:
        SpecError: the task does not exist, or its file is invalid.
    """
    from targen.tasks.loading import load_task_file  # noqa: PLC0415 - a quick command needs none

    if not name.endswith((".yaml", ".yml")):
        return task(name)
    return load_task_file(Path(name), *_task_arguments()[1:])


def task_of(data: "Mapping[str, Any]") -> "TaskSpec":
    """Return the task that a mapping with the keys of a task file describes.

    Raises:
        SpecError: the data is wrong.
    """
    from targen.tasks.loading import load_task_data  # noqa: PLC0415 - a quick command needs none

    return load_task_data(data, *_task_arguments())


def tables() -> "Tables":
    """Return the tables in the data folder.

    Raises:
        TableError: the data folder is neither a folder nor an S3 prefix.
    """
    from targen.tables.files import Tables  # noqa: PLC0415
    from targen.tables.storage import open_storage  # noqa: PLC0415 - a quick command needs none

    return Tables(open_storage(data_dir()))


def store(make: bool = False) -> "Store":
    """Return the open completion store; the caller closes it.

    Args:
        make: create the store if it does not exist.

    Raises:
        StoreError: the store's URL is required, or the store does not exist or cannot be opened.
    """
    from targen.store.completions import Store  # noqa: PLC0415 - a quick command needs none

    return Store(settings().store_address(), make)


def locked(storage: "Storage", task: str, command: str) -> "AbstractContextManager[None]":
    """Lock the files of a task while a command changes them.

    Raises:
        TableError: a run or another command holds the lock for longer than 10 seconds.
        StoreError: the data is on S3, and the store, which has the locks, cannot be reached.
    """
    from targen.tables import changes  # noqa: PLC0415 - a quick command needs none

    return changes.locked(storage, task, command, lambda: store(make=True))


def engine_settings(task: str, step: str) -> "EngineSettings":
    """Return the settings of an engine from the environment.

    Raises:
        TargenError: a variable has an invalid value.
        StoreError: the store's URL is required.
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
        timeout_s=read.timeout_s,
        patience_s=read.patience_s,
        simulator=simulator.application,
        task=task,
        step=step,
    )


def settings_of(spec: "TaskSpec", default: "Callable[[str], EngineSettings]") -> "SettingsOf":
    """Return the settings of a step's engine at the default endpoint or at a named one.

    Raises:
        SpecError: the file of endpoints is wrong.
    """
    from targen.llm.settings import with_key  # noqa: PLC0415 - a quick command needs none
    from targen.tasks.endpoints import load_endpoints  # noqa: PLC0415

    path = endpoints_file()
    known = load_endpoints(path) if spec.recipe.named_endpoints else {}

    def of(step: str, endpoint: str | None) -> "EngineSettings":
        found = default(step)
        return found if endpoint is None else with_key(endpoint, known, path, found)

    return of


_NOT_A_TERMINAL = 10_000


def usd(amount: float | None) -> str:
    """Return an amount in US dollars, or `unknown` if a price is missing."""
    if amount is None:
        return "unknown"
    # A run may cost less than a cent.
    return f"${amount:,.2f}" if amount >= 100 else f"${amount:.4f}"


def table(rows: Sequence[Mapping[str, Any]], headings: Sequence[str], foot: bool = False) -> None:
    """Print a table: numbers right-aligned, the rest left-aligned.

    Args:
        rows: column -> value; None is shown as a dash.
        headings: the columns, in order.
        foot: the last row is a sum of the others.
    """
    made = Table(box=None, pad_edge=False, header_style="bold")
    for name in headings:
        right = any(isinstance(row[name], int | float) or _money(row[name]) for row in rows)
        made.add_column(name, justify="right" if right else "left", no_wrap=True)
    for place, row in enumerate(rows, 1):
        style = "bold" if foot and place == len(rows) else None
        made.add_row(*(_cell(row[name]) for name in headings), style=style)
    # A pipe has no width, and text sent to it must not be cut.
    width = None if sys.stdout.isatty() else _NOT_A_TERMINAL
    with _styles(True):
        Console(file=sys.stdout, width=width).print(made, soft_wrap=True)


def _money(value: Any) -> bool:
    return isinstance(value, str) and (value.startswith("$") or value == "unknown")


def _cell(value: Any) -> Text:
    # As text, not as markup: names come from untrusted files.
    if value is None:
        return Text("-")
    return Text(f"{value:,}" if isinstance(value, int) else printable(str(value)))


def serve(application: Any, port: int, said: str) -> None:
    """Serve an ASGI application on loopback until it is interrupted.

    Raises:
        TargenError: the port cannot be used.
    """
    import socket  # noqa: PLC0415 - only few commands need a server

    import uvicorn  # noqa: PLC0415

    with socket.socket() as listening:
        # A port that was just given up can be used again at once.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, port))
        except OSError as error:
            raise TargenError(
                f"Port {port} cannot be used ({error.strerror}). Choose another one with --port."
            ) from None
        server = uvicorn.Server(uvicorn.Config(application, log_level="warning"))
        listening.listen()
        typer.echo(said)
        server.run([listening])
