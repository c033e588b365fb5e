"""Dagster's webserver behind a gate, with the pages of `targen pages` at TARGEN_PAGES_URL.

`python -m targen_dagster.webserver` takes the options of `dagster-webserver`.
"""

from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount

from targen.cli.gate import Gate, known_hosts
from targen.cli.pages import application
from targen.settings import Settings

PROBES = ("/server_info", "/dagit_info")
"""Paths for probes of a cluster, which name the address of the machine. They give versions only."""


_NOTEBOOKS = ("/notebook", "/dagit/notebook")
"""Paths at which Dagster shows a notebook of this machine. Its scripts would run with the rights of
the UI, and a link of another site can open one that the browser has downloaded."""


def gated(webserver: Starlette, settings: Settings) -> Starlette:
    """Return Dagster's application behind the gate, with the pages at the path of their address."""
    _remove_notebooks(webserver.router.routes)
    hosts = known_hosts([settings.pages_url]) | {*filter(None, settings.ui_hosts.split(","))}
    path = urlsplit(settings.pages_url or "").path.rstrip("/")
    if path:
        webserver.router.routes.insert(0, Mount(path, app=application(hosts)))
    webserver.add_middleware(Gate, hosts=hosts, open_paths=PROBES)
    return webserver


def _remove_notebooks(routes: list[BaseRoute]) -> None:
    routes[:] = [one for one in routes if getattr(one, "path", None) not in _NOTEBOOKS]
    for one in routes:
        # All routes are in one if the server has a path prefix.
        if isinstance(one, Mount):
            _remove_notebooks(one.routes)


def main() -> None:
    """Run the webserver."""
    cli: Any = import_module("dagster_webserver.cli")
    create = cli.create_app_from_workspace_process_context

    def created(*arguments: Any, **options: Any) -> Starlette:
        return gated(create(*arguments, **options), Settings.from_environment())

    # Dagster has no public way to add a route or middleware.
    cli.create_app_from_workspace_process_context = created
    cli.main()


if __name__ == "__main__":
    main()
