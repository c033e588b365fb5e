"""The command `targen`: what one does with tasks and data outside of Dagster.

Here belong modules of commands that parse arguments, call one function of the package and print.
Making tables does not: that is Dagster's work (`make run`, the UI).
"""

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
