"""`targen serve`: serves the embedded model on a loopback port."""

from typing import Annotated

import typer

from targen.cli.base import app, report_errors


@app.command()
@report_errors
def serve(
    port: Annotated[int, typer.Option(help="Where to listen, on loopback.")] = 8321,
) -> None:
    """Serve the embedded demonstration model as an OpenAI-compatible endpoint on loopback."""
    import uvicorn  # noqa: PLC0415 - only this command needs a server

    from simulator.app import create_app  # noqa: PLC0415 - its lexicons take a while

    typer.echo(f"the embedded model (a simulation) listens on http://127.0.0.1:{port}/v1")
    uvicorn.run(create_app(), host="127.0.0.1", port=port, log_level="warning")
