"""A short log of a run for the terminal, instead of Dagster's own."""

import logging
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from dagster import DagsterEvent, DagsterEventType, InitLoggerContext, logger

from targen.steps import QUALITY_REPORT
from targen.wording import plural, printable

SHELL_LOGGER = "shell"


class ShellHandler(logging.Handler):
    """Writes one line per finished table, and warnings. Errors are reported once, at the end.

    Without progress bars, it also writes the engine's progress messages.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        """Write to `stream`; None is the standard output of the moment, which may be captured."""
        super().__init__()
        self._stream = stream

    @property
    def stream(self) -> TextIO:
        """The stream."""
        return self._stream or sys.stdout

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line of a record, if it has one."""
        event = getattr(record, "dagster_event", None)
        # Dagster's own text repeats job, run and step in every line.
        meta = getattr(record, "dagster_meta", None) or {}
        line = None
        message = meta.get("orig_message") or record.getMessage()
        if event is None and record.levelno == logging.WARNING:
            line = f"warning: {message}"
        elif (
            event is None
            and record.levelno == logging.INFO
            and not self.stream.isatty()
            # Dagster says this of the gates of other tasks, whose checks are in the same step.
            and "did not yield or return expected outputs" not in message
        ):
            line = f"{meta.get('step_key') or '':<16} {message}"
        elif event is not None and event.event_type == DagsterEventType.ASSET_MATERIALIZATION:
            line = materialized_line(event)
        if line:
            task = (meta.get("job_tags") or {}).get("dagster/partition", "")
            self.stream.write(f"{task:<16} {printable(line)}\n")
            self.stream.flush()


def materialized_line(event: DagsterEvent) -> str:
    """Return the line of a finished table."""
    found = values(event)
    asset = event.asset_key.path[-1] if event.asset_key else ""
    report = asset == QUALITY_REPORT
    count = (found["figures"], "figure") if report else (found["dagster/row_count"], "row")
    words = [plural(*count)]
    reasons = found.get("rejected_by_reason") or {}
    surplus = reasons.get("surplus", 0)
    if lost := sum(reasons.values()) - surplus:
        words.append(f"{lost} rejected")
    if surplus:
        words.append(f"{surplus} surplus")
    if found.get("calls"):
        words.append(plural(found["calls"], "call"))
    if found.get("found_in_store"):
        words.append(f"{found['found_in_store']} from the store")
    words.append(f"{found['seconds']:.1f} s")
    return f"{asset:<16} {', '.join(words)}"


def values(event: DagsterEvent) -> Mapping[str, Any]:
    """Return a materialization's metadata as plain values."""
    materialization = event.step_materialization_data.materialization
    return {name: entry.value for name, entry in materialization.metadata.items()}


@logger(None, description="A line per table, for a terminal.")
def shell_logger(init_context: InitLoggerContext) -> logging.Logger:
    """Return a logger that writes to the terminal of `make run`."""
    del init_context
    shell = logging.Logger("targen.shell", level=logging.DEBUG)
    shell.addHandler(ShellHandler())
    return shell
