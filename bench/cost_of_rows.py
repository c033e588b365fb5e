"""Calls, tokens, dollars and hours that rows cost, for docs/performance.md and docs/operations.md.

`python -m bench.cost_of_rows` prints a Markdown table of every recipe: calls and tokens per
accepted row, instances that were opened, and seeds that no prompt used. Everything runs on the
simulator. Prompts are the real ones, but a real model's answers have other lengths: measure them
first with 100 rows. A token is four bytes, because no tokenizer is among the dependencies.

`run` makes one task in two sizes. Calls and tokens are linear in the number of rows, so two points
give the figures for any number. Dollars are from the price file, hours from the tightest limit.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa

import simulator
from targen.errors import TargenError
from targen.llm.engine import Engine, EngineSettings
from targen.llm.prices import price_of
from targen.llm.settings import DEFAULT_BASE_URL
from targen.llm.types import Outcome, Request
from targen.operators import run_step
from targen.steps import CORRECTED_SET, INSTANCES, LABELS, RECIPE_STEP, SEEDS, UPSTREAM
from targen.tasks.loading import load_tasks
from targen.tasks.recipe import PartialSteps, with_overrides
from targen.tasks.registry import resolve
from targen.tasks.spec import TaskSpec

ROOT = Path(__file__).parents[1]
SMALL = (12, 100)
"""Rows of every recipe's measurement."""
LARGE = 1_000
"""Rows of one more measurement, of `LARGE_TASK`."""
LARGE_TASK = "rte"

SIZES = (50, 250)
ROWS = (1_000, 100_000, 10_000_000)
MODELS = ("gpt-5.4-nano", "gpt-5.4-mini", "gpt-5.4", "gpt-4o-mini")
LIMITS = {
    "500 calls/min, 200k tokens/min": (500, 200_000),
    "10k calls/min, 10M tokens/min": (10_000, 10_000_000),
}
"""Name -> calls and tokens per minute, of a small account and of a large one."""


def run(task: str = "rte") -> dict[str, Any]:
    """Return the figures for `task` with its own recipe."""
    with tempfile.TemporaryDirectory() as folder:
        small, large = (_needs(task, rows, Path(folder) / str(rows)) for rows in SIZES)
    span = SIZES[1] - SIZES[0]
    slope = {name: (large[name] - small[name]) / span for name in small}
    base = {name: small[name] - slope[name] * SIZES[0] for name in small}
    figures: dict[str, Any] = {
        "task": task,
        "per_row": {name: round(value, 2) for name, value in slope.items()},
        "fixed": {name: round(value, 0) for name, value in base.items()},
    }
    for rows in ROWS:
        needs = {name: base[name] + slope[name] * rows for name in slope}
        figures[f"{rows} rows"] = {name: round(value) for name, value in needs.items()} | {
            "dollars": {model: _dollars(model, needs) for model in MODELS},
            "hours": {name: _hours(limit, needs) for name, limit in LIMITS.items()},
        }
    return figures


def _needs(task: str, rows: int, folder: Path) -> dict[str, float]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("TARGEN_")},
        "DAGSTER_HOME": str(folder / "home"),
        "TARGEN_DATA_DIR": str(folder / "data"),
        "TARGEN_ROWS": str(rows),
    }
    command = [sys.executable, "-m", "dagster_project.run", task]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    store = sa.create_engine(f"sqlite:///{folder}/data/completions.db")
    with store.connect() as connection:
        found = connection.exec_driver_sql(
            "SELECT count(*), sum(prompt_tokens), sum(completion_tokens) FROM completions"
        ).one()
    store.dispose()
    return dict(zip(("calls", "prompt_tokens", "completion_tokens"), found, strict=True))


def _dollars(model: str, needs: dict[str, float]) -> dict[str, float]:
    price = price_of(model, DEFAULT_BASE_URL)
    if price is None:
        raise SystemExit(f"the price file does not name {model}")
    tokens = int(needs["prompt_tokens"]), int(needs["completion_tokens"])
    return {
        "live": round(price.cost(*tokens), 2),
        "batch": round(price.cost(*tokens, batch=True), 2),
    }


def _hours(limit: tuple[int, int], needs: dict[str, float]) -> float:
    tokens = needs["prompt_tokens"] + needs["completion_tokens"]
    return round(max(needs["calls"] / limit[0], tokens / limit[1]) / 60, 2)


@dataclass(frozen=True)
class PerRow:
    """What the accepted rows of one run cost.

    Attributes:
        recipe, task: what ran; `per_call`: rows that a call of steps 4 and 5 judges.
        wanted: rows asked for; `rows`: rows accepted; `opened`: instances asked for.
        calls, prompt_tokens, output_tokens: of all steps.
        judging_tokens: of steps 4 and 5.
        seeds, unused: seeds made, and those that no prompt of step 3 contains.
        problem: why the run ended early.
    """

    recipe: str
    task: str
    per_call: int
    wanted: int
    rows: int = 0
    opened: int = 0
    calls: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    judging_tokens: int = 0
    seeds: int = 0
    unused: int = 0
    problem: str | None = None

    @property
    def tokens(self) -> int:
        """Prompt and output tokens."""
        return self.prompt_tokens + self.output_tokens


class _Noted:
    """An engine that keeps the text of all prompts."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.text = ""

    async def run(self, requests: Iterable[Request]) -> AsyncIterator[Outcome]:
        given = list(requests)
        self.text += "".join(m["content"] for request in given for m in request.messages)
        async for outcome in self._engine.run(given):
            yield outcome


def task_of(recipe: str) -> str | None:
    """Return the task that a recipe is measured with: one made from rte if there is one."""
    specs = load_tasks(ROOT / "tasks", ROOT / "recipes", None)
    named = sorted(name for name, spec in specs.items() if spec.recipe.name == recipe)
    first = [name for name in named if name.split("-")[0] == LARGE_TASK]
    return next(iter([*first, *named]), None)


def with_per_call(spec: TaskSpec, per_call: int) -> TaskSpec:
    """Return a task whose steps 4 and 5 judge `per_call` rows a call, where they can."""
    changes = {}
    for step in (LABELS, CORRECTED_SET):
        operator, _ = resolve(spec.recipe.choice(step), step)
        if "per_call" in operator.params.model_fields:
            changes[RECIPE_STEP[step]] = {"per_call": per_call}
    copied = spec.model_copy()
    attached = spec._attached
    recipe = with_overrides(spec.recipe, PartialSteps(**changes))
    copied.attach(replace(attached, recipe=recipe))
    return copied


async def measured(recipe: str, task: str, wanted: int, per_call: int = 1) -> PerRow:
    """Run all steps of a task on the simulator with a store of their own."""
    loaded = load_tasks(ROOT / "tasks", ROOT / "recipes", wanted)[task]
    spec = with_per_call(loaded, per_call)
    figures: dict[str, int] = dict.fromkeys(
        ("calls", "prompt_tokens", "output_tokens", "judging_tokens"), 0
    )
    tables: dict[str, pl.DataFrame] = {}
    problem = None
    with tempfile.TemporaryDirectory() as folder:
        settings = EngineSettings(
            simulator=simulator.application, store_url=f"sqlite:///{folder}/s.db", task=task
        )
        for step, upstream in UPSTREAM.items():
            engine = Engine(settings)
            noted = _Noted(engine)
            try:
                async with engine:
                    given = {name: tables[name] for name in upstream}
                    made = await run_step(step, spec, given, noted)
            except TargenError as error:
                problem = f"{step}: {error}"
            stats = engine.stats
            figures["calls"] += stats.calls
            figures["prompt_tokens"] += stats.prompt_tokens
            figures["output_tokens"] += stats.completion_tokens
            if step in (LABELS, CORRECTED_SET):
                figures["judging_tokens"] += stats.prompt_tokens + stats.completion_tokens
            if problem:
                break
            tables[step] = made.table
            if step == INSTANCES:
                figures |= {"opened": made.asked} | _seeds(tables[SEEDS], noted.text)
    rows = tables[CORRECTED_SET].height if CORRECTED_SET in tables else 0
    return PerRow(recipe, task, per_call, wanted, rows, problem=problem, **figures)


def _seeds(seeds: pl.DataFrame, prompts: str) -> dict[str, int]:
    """Return the number of seeds, and of those whose fields are in no prompt."""
    texts = [json.loads(fields or "{}") for fields in seeds["fields"]]
    known = [list(fields.values()) for fields in texts if fields]
    unused = sum(
        not all(json.dumps(value, ensure_ascii=False).strip('"') in prompts for value in values)
        for values in known
    )
    return {"seeds": len(known), "unused": unused}


def per_row(
    sizes: Iterable[int] = SMALL, per_call: int = 1, recipes: Iterable[str] = ()
) -> list[PerRow]:
    """Return the figures of every recipe in the folder, or of those named, in `sizes`."""
    names = sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml"))
    found = []
    for recipe in [name for name in names if not recipes or name in set(recipes)]:
        task = task_of(recipe)
        if task is None:
            found.append(PerRow(recipe, "none", per_call, 0, problem="no task uses it"))
            continue
        found += [asyncio.run(measured(recipe, task, rows, per_call)) for rows in sizes]
    return found


def markdown(found: Iterable[PerRow]) -> str:
    """Return the figures as a table; below it, why a run ended early."""
    lines = [
        "| recipe (task) | rows per judging call | rows kept / asked | calls per row "
        "| tokens per row | of which judging | instances opened | seeds unused |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    notes = []
    for one in found:
        if one.problem:
            notes.append(f"{one.recipe}, {one.wanted} rows: {one.problem}")
        share = f"{one.unused / one.seeds:.0%} of {one.seeds}" if one.seeds else "–"
        each = [
            f"{value / one.rows:,.{digits}f}" if one.rows else "–"
            for value, digits in ((one.calls, 2), (one.tokens, 0), (one.judging_tokens, 0))
        ]
        cells = (
            f"`{one.recipe}` ({one.task})", str(one.per_call), f"{one.rows} / {one.wanted}", *each,
            str(one.opened), share,
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, *(f"\n{note}" for note in notes)])


def main(arguments: list[str]) -> None:
    """Print the table of all recipes."""
    parser = argparse.ArgumentParser(prog="python -m bench.cost_of_rows", description=__doc__)
    parser.add_argument("--recipe", action="append", default=[], help="only this one; repeatable")
    parser.add_argument("--rows", type=int, nargs="*", default=list(SMALL))
    parser.add_argument("--per-call", type=int, default=1, help="rows per call of steps 4 and 5")
    parser.add_argument("--large", type=int, default=LARGE, help=f"rows of {LARGE_TASK}; 0: none")
    given = parser.parse_args(arguments)
    found = per_row(given.rows, given.per_call, given.recipe)
    if given.large:
        recipe = load_tasks(ROOT / "tasks", ROOT / "recipes", None)[LARGE_TASK].recipe.name
        found.append(asyncio.run(measured(recipe, LARGE_TASK, given.large, given.per_call)))
    print(markdown(found))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
