"""Label errors on the simulator that self-correction repairs, before selection."""

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Any

import polars as pl

import simulator
from simulator.truth import truth
from targen.llm.engine import Engine, EngineSettings
from targen.operators import run_step
from targen.steps import CORRECTED_SET, UPSTREAM
from targen.tasks.loading import load_tasks
from targen.tasks.spec import TaskSpec

ROOT = Path(__file__).parent.parent
TASKS = ("axg", "boolq", "cb", "copa", "record", "rte", "wic", "wsc")


async def tables(spec: TaskSpec, store_url: str) -> tuple[dict[str, pl.DataFrame], pl.DataFrame]:
    """Return the tables of a task and the rejected items of its corrected set."""
    made: dict[str, pl.DataFrame] = {}
    rejected = pl.DataFrame()
    for step, upstream in UPSTREAM.items():
        settings = EngineSettings(
            simulator=simulator.application,
            model=None,
            store_url=store_url,
            task=spec.name,
            step=step,
        )
        async with Engine(settings) as llm:
            output = await run_step(step, spec, {name: made[name] for name in upstream}, llm)
        made[step], rejected = output.table, output.rejected
    return made, rejected


def mended(
    spec: TaskSpec, instances: pl.DataFrame, corrected: pl.DataFrame, rejected: pl.DataFrame
) -> dict[str, int]:
    """Count the outcomes of the labels of all instances, including those that were not selected.

    A row that was corrected but not selected counts with the label that it would have had:
    `rejected` has its three labels, and the policy is applied again.
    """
    from targen.operators.correction import decide  # noqa: PLC0415

    final = dict(corrected.select("instance_id", "label").iter_rows())
    votes = {row["item_id"]: row for row in rejected.iter_rows(named=True)}
    policy = spec.recipe.choice(CORRECTED_SET).params.get("policy", "majority")
    units: dict[int, list[dict[str, Any]]] = {}
    for row in instances.iter_rows(named=True):
        units.setdefault(row["slot"], []).append(row)
    counts = {"wrong": 0, "wrong_mended": 0, "wrong_dropped": 0, "right": 0, "right_spoilt": 0}
    counts["right_dropped"] = 0
    for unit in units.values():
        ids = [row["instance_id"] for row in unit]
        if ids[0] in final:
            label = final[ids[0]]
        else:
            answers = [votes[i] for i in ids]
            columns = ("intended_label", "annotated_label", "corrected_label")
            cast = [[v[c] for v in answers] for c in columns]
            label = decide(policy, spec.answer.kind, *cast)
        for row in unit:
            options = list(spec.labels) or row[spec.answer.choices or ""]
            right = truth({n: row[n] for n in spec.fields}, options)
            if row["intended_label"] == right:
                counts["right"] += 1
                counts["right_spoilt"] += label is not None and label != right
                counts["right_dropped"] += label is None
            else:
                counts["wrong"] += 1
                counts["wrong_mended"] += label == right
                counts["wrong_dropped"] += label is None
    return counts


def shares(counts: dict[str, int]) -> dict[str, float | int]:
    """Return the counts and the two main shares."""
    wrong, right = max(1, counts["wrong"]), max(1, counts["right"])
    return {
        **counts,
        "wrong_right_or_dropped": round(
            (counts["wrong_mended"] + counts["wrong_dropped"]) / wrong, 4
        ),
        "right_made_wrong": round(counts["right_spoilt"] / right, 4),
        "wrong_without_correction": round(counts["wrong"] / (wrong + right), 4),
    }


async def measure(rows: int, names: tuple[str, ...] = TASKS) -> dict[str, dict[str, int]]:
    """Return the counts of each task for about `rows` instances."""
    found = {}
    # `rows` is the number of instances here; the headroom would be added to it.
    tasks = load_tasks(ROOT / "tasks", ROOT / "recipes", rows=max(1, rows * 4 // 5))
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            spec = tasks[name]
            url = f"sqlite:///{folder}/completions.db"
            made, rejected = await tables(spec, url)
            found[name] = mended(spec, made["instances"], made["corrected_set"], rejected)
    return found


def run() -> dict[str, Any]:
    """Measure all eight tasks on 1,000 instances each, or on TARGEN_BENCH_ROWS."""
    rows = int(os.environ.get("TARGEN_BENCH_ROWS", "1000"))
    return {name: shares(counts) for name, counts in asyncio.run(measure(rows)).items()}
