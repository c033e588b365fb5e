"""What a terminal sees while a step asks, and what a pipe sees."""

import io
import logging
import re
from typing import Any

from dagster_project.shell import ShellHandler
from dagster_project.terminal import bars
from targen.llm.progress import _WATCHERS, Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def figures(done: int, **more: Any) -> Progress:
    known: dict[str, Any] = {
        "task": "rte",
        "step": "[red]labels",
        "done": done,
        "total": 40,
        "from_store": 3,
        "failed": 1,
        "calls": done,
        "limit": None,
        "tokens": 100,
        "cost_usd": 0.5,
        "per_s": 8.0,
        "left_s": 65.0,
    }
    return Progress(**(known | more))


def drawn(*seen: Progress) -> str:
    stream = Terminal()
    with bars(stream) as shown:
        assert shown
        for one in seen:
            for watcher in _WATCHERS:
                watcher(one)
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())


def test_a_terminal_gets_a_bar_that_goes_when_the_step_ends(monkeypatch: Any) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    text = drawn(figures(10))
    # A name is no markup.
    assert "rte [red]labels" in text
    assert "10/40" in text
    assert "8.0 calls/s, 3 from the store, 1 failed, $0.5000, 1:05 left" in text
    assert "cost unknown" in drawn(figures(10, cost_usd=None, left_s=None))
    assert "10/?" in drawn(figures(10, total=None))
    ended = drawn(figures(10), figures(40, ended=True))
    assert not ended.rstrip().endswith("left")


def test_a_step_that_asks_nothing_has_no_bar() -> None:
    assert "rte" not in drawn(figures(0, total=None), figures(0, total=None, ended=True))


def test_a_pipe_gets_lines(monkeypatch: Any) -> None:
    stream = io.StringIO()
    with bars(stream) as shown:
        assert not shown
        assert not _WATCHERS
    record = logging.LogRecord("targen", logging.INFO, "", 0, "%s", (figures(10).line(),), None)
    ShellHandler(stream).emit(record)
    assert "10/40 done, 8.0 calls/s" in stream.getvalue()
    terminal = Terminal()
    ShellHandler(terminal).emit(record)
    assert terminal.getvalue() == ""
