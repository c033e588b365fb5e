"""The `targen` command line."""

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
