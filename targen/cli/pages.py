"""`targen pages`, and the web application that serves reports, Data Docs and audits read-only."""

import re
from collections.abc import Collection
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Final

import typer

from targen.cli import base
from targen.cli.base import app, report_errors
from targen.cli.gate import Gate
from targen.errors import TargenError

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9_-]*"
_PAGES: Final = re.compile(
    rf"(quality_report|targets)/{_NAME}\.html|comparison/comparison(\.{_NAME})?\.html"
    rf"|expectations/{_NAME}/index\.html"
)
"""The keys of the pages; nothing else in the data folder is served."""
_ID: Final = re.compile(r"[0-9a-f]{16,64}")
_HEADERS: Final = {
    # The sandbox gives a page no origin, so nothing in it could act for the user.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@app.command()
@report_errors
def pages(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on loopback.")] = 8322,
) -> None:
    """Serve reports, targets, Data Docs and audits read-only on loopback, as `make ui` does."""
    base.serve(application(), port, f"TARGEN_PAGES_URL=http://{base.HOST}:{port}")


def application(hosts: Collection[str] = ()) -> "Starlette":
    """Return the application; it reads the data folder and the store of the environment.

    It answers GET and HEAD for the pages of the data folder and for `audit/ID`, the page of a row.
    There are no listings. `Gate` refuses requests of other sites.

    Args:
        hosts: names of hosts that requests may be for, besides loopback.
    """
    from starlette.applications import Starlette  # noqa: PLC0415
    from starlette.routing import Route  # noqa: PLC0415 - a quick command needs none

    found = Starlette(
        routes=[
            Route("/audit/{item}", _audit, methods=["GET"]),
            Route("/{key:path}", _page, methods=["GET"]),
        ]
    )
    found.add_middleware(Gate, hosts=hosts, read_only=True)
    return found


def _refusal(text: str, status: int) -> "Response":
    from starlette.responses import PlainTextResponse  # noqa: PLC0415

    return PlainTextResponse(f"{text}\n", status, headers=_HEADERS)


def _html(content: bytes | str) -> "Response":
    from starlette.responses import HTMLResponse  # noqa: PLC0415

    return HTMLResponse(content, headers=_HEADERS)


def _page(request: "Request") -> "Response":
    """Return a page of the data folder. Starlette runs it in a thread."""
    key = request.path_params["key"]
    if not _PAGES.fullmatch(key):
        return _refusal("There is no such page.", 404)
    try:
        content = base.tables().storage.read(key)
    except TargenError as error:
        return _refusal(str(error), 500)
    if content is None:
        return _refusal(f"{key} has not been made, or is not in {base.data_dir()}.", 404)
    return _html(content)


def _audit(request: "Request") -> "Response":
    """Return the page of a row: all that it comes from, verified now."""
    item = request.path_params["item"]
    if not _ID.fullmatch(item):
        return _refusal("This is not the id of a row: it has other characters or length.", 404)
    try:
        page = audit_page(item)
    except TargenError as error:
        return _refusal(str(error), 500)
    if page is None:
        return _refusal(f"No table in {base.data_dir()} has the id {item}.", 404)
    return _html(page)


def audit_page(item: str) -> str | None:
    """Return the page of `targen audit ID --html`; None if no table has the id.

    Raises:
        TargenError: the data folder cannot be read.
    """
    from targen.cli.audit import open_auditor  # noqa: PLC0415
    from targen.cli.audit_report import facts, render  # noqa: PLC0415 - a quick command needs none

    with ExitStack() as stack:
        auditor = open_auditor(stack)
        for task in auditor.find(item, auditor.tasks()):
            for one in auditor.audit(task, [item]):
                return render(facts(one))
    return None
