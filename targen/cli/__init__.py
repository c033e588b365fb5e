"""The `targen` command line."""

from targen.cli import (  # noqa: F401 - importing them registers their commands
    audit,
    estimate,
    export,
    init,
    overview,
    pages,
    preview,
    release,
    report,
    review,
    store,
    tasks,
    train,
)
from targen.cli.base import app

__all__ = ["app"]
