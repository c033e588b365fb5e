"""The question in a terminal before a run pays again for what its tables already cite."""

import os
import sys
from collections.abc import Sequence
from contextlib import closing

from targen.errors import TargenError
from targen.settings import Settings, variable
from targen.steps import ROW_STEPS


def ask(names: Sequence[str]) -> None:
    """Ask whether completions that the store has lost may be paid for again.

    Without a terminal nothing is asked, and the run itself decides by TARGEN_PAY_AGAIN.

    Raises:
        TargenError: the answer is no, or the store or a table cannot be read.
    """
    settings = Settings.from_environment()
    if settings.model is None or settings.pay_again >= 1:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return
    for name in names:
        if (sentence := _finding(name, settings.pay_again)) is None:
            continue
        sys.stderr.write(f"{sentence}\n")
        sys.stderr.write("Request and pay for them again? [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().casefold() not in ("y", "yes"):
            raise TargenError("Nothing was sent.")
        os.environ[variable("pay_again")] = "1"
        return


def _finding(name: str, allowed: float) -> str | None:
    """Return what a run would pay for again, if that is more than allowed."""
    from targen.cli import base  # noqa: PLC0415 - only with a model
    from targen.cli.estimate import estimated  # noqa: PLC0415
    from targen.operators.missing import missing  # noqa: PLC0415

    spec = base.task(name)
    with closing(base.store(make=True)) as store:
        found = missing(store, base.tables(), name, ROW_STEPS, {str(base.settings().model)})
        if found.share <= allowed:
            return None
        return found.words(found.cost_usd(estimated(spec, store)))
