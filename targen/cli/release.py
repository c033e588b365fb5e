"""`targen release`: lists, verifies, withdraws and pushes releases."""

from typing import Annotated

import typer

from targen.cli import base
from targen.cli.base import app, report_errors
from targen.wording import plural

releases = typer.Typer(help="List, verify, withdraw and push releases.", no_args_is_help=True)
app.add_typer(releases, name="release")


@releases.command("list")
@report_errors
def list_(
    task: Annotated[str | None, typer.Argument(help="A task; by default all tasks.")] = None,
) -> None:
    """List releases."""
    from targen.release import registry  # noqa: PLC0415
    from targen.tables.storage import open_storage  # noqa: PLC0415 - a quick command needs none

    found = registry.listed(open_storage(base.data_dir()), task)
    for entry in found:
        state = f"withdrawn: {entry.reason}" if entry.state == "withdrawn" else entry.state
        path = f"{base.data_dir()}/{registry.folder(entry.task, entry.version)}"
        rows = plural(entry.rows, "row")
        typer.echo(f"{entry.task} {entry.version} {rows} in {path}, {state}")
    if not found:
        typer.echo("no releases found")


@releases.command()
@report_errors
def verify(
    path: Annotated[str, typer.Argument(help="The folder of a release, or s3://bucket/prefix.")],
) -> None:
    """Verify every file of a release against its manifest."""
    from targen.release import registry  # noqa: PLC0415
    from targen.tables.storage import open_storage  # noqa: PLC0415 - a quick command needs none

    manifest = registry.verify(open_storage(path, named_by="PATH"))
    typer.echo(
        f"{manifest['task']} {manifest['version']}: {len(manifest['files'])} files are unchanged"
    )


@releases.command()
@report_errors
def withdraw(
    task: Annotated[str, typer.Argument(help="The task.")],
    version: Annotated[str, typer.Argument(help="The version.")],
    reason: Annotated[str, typer.Option(help="Public reason, kept with the manifest.")],
) -> None:
    """Withdraw a release: delete its files; keep its manifest and the reason."""
    from targen.release import registry  # noqa: PLC0415
    from targen.tables.storage import open_storage  # noqa: PLC0415 - a quick command needs none

    registry.folder(task, version)
    storage = open_storage(base.data_dir())
    with base.locked(storage, task, "targen release withdraw"):
        registry.withdraw(storage, task, version, reason)
    typer.echo(f"{task} {version} is withdrawn; existing copies are not affected")


@releases.command()
@report_errors
def push(
    path: Annotated[str, typer.Argument(help="The folder of a release, or s3://bucket/prefix.")],
    repo: Annotated[str, typer.Argument(help="Dataset repository, owner/name.")],
    private: Annotated[
        bool, typer.Option("--private", help="Make a new repository private.")
    ] = False,
) -> None:
    """Push a release to the Hugging Face hub. The token is read from HF_TOKEN."""
    from targen.release.push import push as send  # noqa: PLC0415
    from targen.tables.storage import open_storage  # noqa: PLC0415 - a quick command needs none

    typer.echo(send(open_storage(path, named_by="PATH"), repo, private=private))
