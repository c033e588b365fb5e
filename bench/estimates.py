"""`targen estimate` against what the run then needs, one task per recipe, on the simulator.

Calls have to be within 10%, tokens within 15%.
"""

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

import simulator
from targen.llm.engine import Engine
from targen.llm.settings import EngineSettings
from targen.operators import run_step
from targen.operators.estimate import estimate
from targen.steps import UPSTREAM
from targen.store.completions import Store
from targen.tasks.loading import load_tasks
from targen.tasks.spec import TaskSpec

ROWS = 300
CALLS, TOKENS = 0.1, 0.15
"""Greatest errors, as shares of what the run needs."""
Needed = dict[str, tuple[int, int]]
"""Step -> calls and tokens."""


async def needed(spec: TaskSpec, store_url: str) -> Needed:
    """Make the tables of a task on the simulator, and return what each step needed."""
    tables: dict[str, pl.DataFrame] = {}
    found: Needed = {}
    for step, upstream in UPSTREAM.items():
        settings = EngineSettings(
            simulator=simulator.application, store_url=store_url, task=spec.name, step=step
        )
        async with Engine(settings) as llm:
            made = await run_step(step, spec, {name: tables[name] for name in upstream}, llm)
        tables[step] = made.table
        if llm.stats.calls:
            tokens = (llm.stats.prompt_tokens or 0) + (llm.stats.completion_tokens or 0)
            found[step] = (llm.stats.calls, tokens)
    return found


def told(spec: TaskSpec, store_url: str) -> Needed:
    """Return the estimate of each step."""
    store = Store(store_url, make=True)
    try:
        made = estimate(spec, lambda step, name: EngineSettings(), store, simulator.complete)
        found = asyncio.run(made)
    finally:
        store.close()
    assert found.problem is None, found.problem
    return {
        step: (
            sum(one.calls for one in asked),
            sum(one.prompt_tokens + one.output_tokens for one in asked),
        )
        for step, asked in found.steps.items()
    }


def total(found: Needed) -> tuple[int, int]:
    """Return the calls and tokens of all steps."""
    return sum(calls for calls, _ in found.values()), sum(tokens for _, tokens in found.values())


def compare(spec: TaskSpec) -> dict[str, object]:
    """Return the errors of the estimate of a task, as shares of what its run needs."""
    with TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/store.db"
        started = time.perf_counter()
        before = told(spec, url)
        seconds = time.perf_counter() - started
        real = asyncio.run(needed(spec, url))
    (calls, tokens), (calls_told, tokens_told) = total(real), total(before)
    steps = {
        step: [
            round(before.get(step, (0, 0))[0] / made - 1, 3),
            round(before.get(step, (0, 0))[1] / used - 1, 3),
        ]
        for step, (made, used) in real.items()
    }
    return {
        "recipe": spec.recipe_name,
        "task": spec.name,
        "calls": calls,
        "calls_error": round(calls_told / calls - 1, 3),
        "tokens": tokens,
        "tokens_error": round(tokens_told / tokens - 1, 3),
        "seconds": round(seconds, 2),
        "steps": steps,
    }


def main(arguments: list[str]) -> int:
    """Print one line of JSON per task; return 1 if an estimate is too far off."""
    parser = argparse.ArgumentParser(prog="python -m bench.estimates", description=__doc__)
    parser.add_argument("rows", nargs="?", type=int, default=ROWS)
    parser.add_argument("names", nargs="*", help="recipes or tasks; by default all recipes")
    parser.add_argument("--every-task", action="store_true", help="not only one task per recipe")
    given = parser.parse_args(arguments)
    tasks = load_tasks(Path("tasks"), Path("recipes"), given.rows)
    chosen: dict[str, TaskSpec] = {}
    for spec in sorted(tasks.values(), key=lambda spec: (spec.own_rows, spec.name != "rte")):
        named = {spec.name, spec.recipe_name} & set(given.names)
        if not given.names or named:
            every = given.every_task or spec.name in named
            chosen.setdefault(spec.name if every else spec.recipe_name, spec)
    wrong = 0
    for _, spec in sorted(chosen.items()):
        line = compare(spec)
        wrong += abs(float(str(line["calls_error"]))) > CALLS
        wrong += abs(float(str(line["tokens_error"]))) > TOKENS
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
