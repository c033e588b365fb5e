"""Coverage and width of the interval of the noise estimate, against the true share of errors."""

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bench.correction import ROOT, tables
from simulator.truth import truth
from targen.quality import noise
from targen.quality.inputs import for_task
from targen.tasks.loading import load_tasks
from targen.tasks.spec import TaskSpec

TASKS = ("rte",)
EDITIONS = 20
ROWS = 500


def wrong_share(spec: TaskSpec, corrected: pl.DataFrame) -> float:
    """Return the share of wrong final labels, according to the simulator's hidden truth."""
    wrong = [
        row["label"] != truth({name: row[name] for name in spec.fields}, list(spec.labels))
        for row in corrected.iter_rows(named=True)
    ]
    return float(np.mean(wrong))


async def one(spec: TaskSpec, store_url: str) -> dict[str, Any]:
    """Make one edition of a task; return truth, estimate and interval."""
    made, rejected = await tables(spec, store_url)
    inputs = for_task(spec, made, rejected={"corrected_set": rejected})
    left = noise.estimate(noise.readings_of(inputs), list(spec.labels)).left
    low, high = left.low or 0.0, left.high or 0.0
    corrected = made["corrected_set"]
    true = wrong_share(spec, corrected)
    differs = corrected["label"] != corrected["annotated_label"]
    return {
        "edition": spec.edition,
        "rows": corrected.height,
        "truth": round(true, 4),
        "estimate": round(left.value, 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "covered": low <= true + 1e-12 and true - 1e-12 <= high,
        "differs_from_annotator": round(float(differs.mean() or 0.0), 4),  # type: ignore[arg-type]
    }


async def measure(rows: int, editions: int, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the figures of each task over so many editions, one after the other."""
    found: dict[str, Any] = {}
    tasks = load_tasks(ROOT / "tasks", ROOT / "recipes", rows=rows)
    for name in names:
        made = []
        for edition in range(editions):
            spec = tasks[name].model_copy(update={"edition": edition})
            with tempfile.TemporaryDirectory() as folder:
                url = f"sqlite:///{Path(folder) / 'completions.db'}"
                made.append(await one(spec, url))
        found[name] = summary(made)
    return found


def summary(made: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the summary of all editions, and each edition."""
    off = [abs(one["estimate"] - one["truth"]) for one in made]
    naive = [abs(one["differs_from_annotator"] - one["truth"]) for one in made]
    return {
        "editions": len(made),
        "covered": sum(one["covered"] for one in made),
        "widest_half_width": round(max(one["high"] - one["low"] for one in made) / 2, 4),
        "mean_error": round(float(np.mean(off)), 4),
        "mean_error_of_disagreement_with_annotator": round(float(np.mean(naive)), 4),
        "each": made,
    }


def run() -> dict[str, Any]:
    """Measure 20 editions of rte with 500 rows.

    TARGEN_BENCH_ROWS, TARGEN_BENCH_EDITIONS and TARGEN_BENCH_TASKS (comma-separated) change this.
    """
    rows = int(os.environ.get("TARGEN_BENCH_ROWS", str(ROWS)))
    editions = int(os.environ.get("TARGEN_BENCH_EDITIONS", str(EDITIONS)))
    names = tuple(os.environ.get("TARGEN_BENCH_TASKS", ",".join(TASKS)).split(","))
    return asyncio.run(measure(rows, editions, names))
