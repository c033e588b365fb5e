"""The benchmark of what accepted rows cost."""

import asyncio

import polars as pl
import pytest

from bench import cost_of_rows
from bench.cost_of_rows import PerRow


def test_the_figures_are_of_one_whole_run() -> None:
    found = asyncio.run(cost_of_rows.measured("targen", "rte", 4))
    assert found.problem is None
    assert (found.rows, found.wanted) == (4, 4)
    assert found.opened >= 4
    assert 0 < found.judging_tokens < found.prompt_tokens + found.output_tokens
    assert 0 <= found.unused < found.seeds


def test_a_seed_is_unused_if_no_prompt_contains_it() -> None:
    seeds = pl.DataFrame({"fields": ['{"a": "one"}', '{"a": "two", "b": "x"}', "{}"]})
    prompts = '{"given": {"a": "one", "b": "y"}, "other": "two"}'
    assert cost_of_rows._seeds(seeds, prompts) == {"seeds": 2, "unused": 1}


@pytest.mark.parametrize(("recipe", "task"), [("targen", "rte"), ("textbook", "textbook-python")])
def test_a_recipe_is_measured_with_a_task_of_its_own(recipe: str, task: str) -> None:
    assert cost_of_rows.task_of(recipe) == task
    assert cost_of_rows.task_of("no-such-recipe") is None


def test_the_table_says_what_failed() -> None:
    good = PerRow("a", "t", 3, 12, rows=10, calls=15, prompt_tokens=90, output_tokens=10, seeds=4)
    bad = PerRow("b", "t", 1, 12, problem="seeds: too few")
    lines = cost_of_rows.markdown([good, bad]).splitlines()
    assert lines[2] == "| `a` (t) | 3 | 10 / 12 | 1.50 | 10 | 0 | 0 | 0% of 4 |"
    assert lines[3].startswith("| `b` (t) | 1 | 0 / 12 | – |")
    assert lines[-1] == "b, 12 rows: seeds: too few"
