"""Messages of errors, which quote files, endpoints and models."""

import io
import logging
import sys

import pytest

from dagster_project.run import _report_errors
from dagster_project.shell import ShellHandler
from dagster_project.task_run import TaskRun
from targen.errors import SpecError, StepError, TargenError
from targen.wording import printable

HOSTILE = "a\x1b]0;title\x07\x9b31m\rb\u202ec\u2066d\ud83d"
HARMLESS = "a\\x1b]0;title\\x07\\x9b31m\\rb\\u202ec\\u2066d\\ud83d"


@pytest.mark.parametrize("kind", [TargenError, SpecError, StepError])
def test_no_message_acts_on_a_terminal(kind: type[TargenError]) -> None:
    assert str(kind(f"line 1\n\t{HOSTILE} \u200d\u00e9")) == f"line 1\n\t{HARMLESS} \u200d\u00e9"


def test_no_log_line_and_no_trace_acts_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    handler = ShellHandler(stream)
    handler.emit(logging.LogRecord("x", logging.WARNING, "x", 1, HOSTILE, None, None))
    _report_errors([TaskRun("rte", "1", 0.0, HOSTILE, HOSTILE)])
    shown = stream.getvalue() + capsys.readouterr().err
    assert shown.count(printable(HOSTILE)) == 3 and "\x1b" not in shown


def test_without_control_characters_nothing_changes() -> None:
    assert all(printable(chr(n)) == chr(n) for n in range(sys.maxunicode) if chr(n).isprintable())
