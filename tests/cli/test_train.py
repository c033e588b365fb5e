"""`targen train` where the extra is not there, or the words are wrong; the rest is `test-train`."""

import importlib.util

import pytest
from typer.testing import CliRunner

from targen.cli import app

runner = CliRunner()


@pytest.mark.skipif(
    importlib.util.find_spec("torch") is not None, reason="the extra `train` is installed"
)
def test_without_the_extra_it_says_what_to_install() -> None:
    result = runner.invoke(app, ["train", "rte", "--model", "any"])
    assert result.exit_code == 1
    assert "pip install torch transformers accelerate" in result.output


def test_a_wrong_format_is_named() -> None:
    result = runner.invoke(app, ["train", "rte", "--model", "any", "--format", "poem"])
    assert result.exit_code == 1
    assert "--format 'poem'" in result.output


def test_a_task_named_twice_is_an_error() -> None:
    result = runner.invoke(app, ["train", "rte", "cb", "rte", "--model", "any"])
    assert result.exit_code == 1
    assert "named twice" in result.output


def test_one_file_of_gold_rows_is_not_for_several_tasks() -> None:
    result = runner.invoke(app, ["train", "rte", "cb", "--model", "any", "--gold", "gold.tsv"])
    assert result.exit_code == 1
    assert "one file for 2 tasks" in " ".join(result.output.split())
