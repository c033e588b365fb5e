"""The log of a run as a few lines for a terminal, in place of Dagster's own."""

import logging
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from dagster import DagsterEvent, DagsterEventType, InitLoggerContext, logger

SHELL_LOGGER = "shell"


class ShellHandler(logging.Handler):
    """Writes a line per finished table, and warnings; errors are told once, at the end.

    Where no bars are drawn, also what the engine says every few seconds.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record's line, if it is worth one."""
        event = getattr(record, "dagster_event", None)
        # What Dagster knows of the record; its own text repeats job, run and step in every line.
        meta = getattr(record, "dagster_meta", None) or {}
        line = None
        said = meta.get("orig_message") or record.getMessage()
        if event is None and record.levelno == logging.WARNING:
            line = f"warning: {said}"
        elif event is None and record.levelno == logging.INFO and not self.stream.isatty():
            line = f"{meta.get('step_key') or '':<16} {said}"
        elif event is not None and event.event_type == DagsterEventType.ASSET_MATERIALIZATION:
            line = materialised(event)
        if line:
            task = (meta.get("job_tags") or {}).get("dagster/partition", "")
            self.stream.write(f"{task:<16} {line}\n")
            self.stream.flush()


def materialised(event: DagsterEvent) -> str:
    """Return what is worth saying of a finished table."""
    found = values(event)
    asset = event.asset_key.path[-1] if event.asset_key else ""
    noun = "figures" if asset == "quality_report" else "rows"
    words = [f"{found['dagster/row_count']} {noun}"]
    reasons = found.get("rejected_by_reason") or {}
    spare = reasons.get("surplus", 0)
    if lost := sum(reasons.values()) - spare:
        words.append(f"{lost} rejected")
    if spare:
        words.append(f"{spare} surplus")
    if found.get("calls"):
        words.append(f"{found['calls']} calls")
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
    made = logging.Logger("targen.shell", level=logging.DEBUG)
    made.addHandler(ShellHandler(sys.stdout))
    return made
