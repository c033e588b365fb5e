"""The command `targen`: what one does with tasks and data outside of Dagster."""

from targen.cli import (  # noqa: F401 - their commands register themselves
    audit,
    costs,
    estimate,
    export,
    release,
    report,
    review,
    serving,
    store,
    tasks,
    train,
)
from targen.cli.base import app

__all__ = ["app"]
