"""Cost of 1k, 100k and 10M rows: calls, tokens, dollars and hours, for docs/operations.md.

A task is made twice on the simulator, small and larger. Calls and tokens are linear in the
number of rows, so two points give the figures for any number. Prompts are the real ones, but a real
model's answers have other lengths: measure them first with 100 rows. Dollars are from the price
file, hours from the tightest limit.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from targen.llm.prices import price_of
from targen.llm.settings import DEFAULT_BASE_URL

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
