"""The command line: what it prints, and how it ends."""

import io
import re
import sys

from typer.testing import CliRunner

from targen.cli import app, base
from targen.cli.base import _ORDER
from tests.support.specs import MOOD, RECIPES, TASKS, write_task

runner = CliRunner()


def test_help_lists_every_command_from_a_new_task_to_its_release():
    text = runner.invoke(app, ["--help"]).output
    shown = re.findall(r"^│ ([a-z]+) ", text.split("Commands")[1], re.M)
    assert shown[:3] == ["init", "list", "show"]
    assert set(shown) == set(_ORDER)


def test_validate_says_what_it_found(monkeypatch):
    monkeypatch.setenv("TARGEN_TASKS_DIR", str(TASKS))
    monkeypatch.setenv("TARGEN_RECIPES_DIR", str(RECIPES))
    result = runner.invoke(app, ["validate"])
    assert result.exit_code == 0
    assert "ticket_urgency: " in result.output
    assert "tasks are valid" in result.output
    one = runner.invoke(app, ["validate", "inbox"], env={"TARGEN_ROWS": "5000"})
    assert re.search(
        r"warning: inbox: data/inbox.csv has \d+ rows, fewer than the 5000", one.output
    )
    assert one.exit_code == 0
    one = runner.invoke(app, ["validate", "rte"])
    assert "1 task is valid" in one.output


def test_validate_ends_in_the_problems(monkeypatch, tmp_path):
    monkeypatch.setenv("TARGEN_TASKS_DIR", str(write_task(tmp_path, MOOD.replace("rows", "rws"))))
    monkeypatch.setenv("TARGEN_RECIPES_DIR", str(RECIPES))
    result = runner.invoke(app, ["validate"])
    assert result.exit_code == 1
    assert "mood.yaml:4: rws: unknown key; did you mean 'rows'?" in result.output
    assert "Traceback" not in result.output


def test_no_text_of_a_task_acts_on_the_terminal(monkeypatch, tmp_path):
    hostile = 'title: "\\e]0;x\\a\\e[8m\\x9b2J\\u202etop\\r"'
    task = re.sub("title: .*", lambda _: hostile, MOOD)
    assert task != MOOD
    monkeypatch.setenv("TARGEN_TASKS_DIR", str(write_task(tmp_path, task)))
    monkeypatch.setenv("TARGEN_RECIPES_DIR", str(RECIPES))
    for color in (False, True):
        output = runner.invoke(app, ["show", "mood"], color=color).output
        assert r"\x9b2J\u202etop\r" in output
        assert not re.search("\x1b(?!\\[[01]m)|[\x07\x9b\u202e\r]", output)


def test_no_name_in_a_table_has_a_style(monkeypatch):
    written = io.StringIO()
    monkeypatch.setattr(written, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdout", base._Output(written))
    monkeypatch.setenv("TERM", "xterm")
    base.table([{"name": "a\x1b[8mb\x1b[2Jc"}], ["name"])
    base.bold("d\x1b[8me")
    assert re.findall("\x1b\\[8m|\x1b\\[2J", written.getvalue()) == []
    assert r"a\x1b[8mb\x1b[2Jc" in written.getvalue() and r"d\x1b[8me" in written.getvalue()
