"""Dagster's webserver with the pages of `targen pages` at TARGEN_PAGES_URL.

`python -m targen_dagster.webserver` takes the options of `dagster-webserver`.
"""

from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.routing import Mount

from targen.cli.pages import application
from targen.settings import Settings


def with_pages(webserver: Starlette, pages_url: str | None) -> Starlette:
    """Return Dagster's application with the pages at the path of `pages_url`, if it has one."""
    path = urlsplit(pages_url or "").path.rstrip("/")
    if path:
        webserver.router.routes.insert(0, Mount(path, app=application([pages_url or ""])))
    return webserver


def main() -> None:
    """Run the webserver."""
    cli: Any = import_module("dagster_webserver.cli")
    create = cli.create_app_from_workspace_process_context

    def created(*arguments: Any, **options: Any) -> Starlette:
        return with_pages(create(*arguments, **options), Settings.from_environment().pages_url)

    # Dagster has no public way to add a route.
    cli.create_app_from_workspace_process_context = created
    cli.main()


if __name__ == "__main__":
    main()
