"""The command `targen`: what one does with tasks and data outside of Dagster."""

from targen.cli import (  # noqa: F401 - importing them registers their commands
    audit,
    estimate,
    export,
    release,
    report,
    review,
    store,
    tasks,
    train,
)
from targen.cli.base import app

__all__ = ["app"]
