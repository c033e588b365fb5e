"""Label errors on the simulator that self-correction repairs, before selection.

The corrected set is made twice, with `ask: disputed` and with `ask: always`: their final labels
must be the same.
"""

import asyncio
import os
import tempfile
from collections.abc import Mapping
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


async def tables(
    spec: TaskSpec, store_url: str, given: Mapping[str, pl.DataFrame] | None = None
) -> tuple[dict[str, pl.DataFrame], pl.DataFrame]:
    """Return the tables of a task and the rejected items of its corrected set.

    Args:
        spec: the task.
        store_url: the completion store.
        given: step -> table, for the steps that are not to be run.
    """
    made: dict[str, pl.DataFrame] = {**(given or {})}
    rejected = pl.DataFrame()
    for step, upstream in UPSTREAM.items():
        if step in made:
            continue
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


def differing(disputed: pl.DataFrame, always: pl.DataFrame) -> int:
    """Count the rows whose final label, or whose presence, differs between two corrected sets."""
    first, second = (
        {(row["instance_id"], str(row["label"])) for row in one.iter_rows(named=True)}
        for one in (disputed, always)
    )
    return len(first ^ second)


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
            dropped = any(v["reason"] == "flawed" for v in answers)
            label = None if dropped else decide(policy, spec.answer.kind, *cast)
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


def always(recipes: Path, folder: Path) -> Path:
    """Write these recipes to a folder, with corrections that are always asked for."""
    folder.mkdir()
    for file in recipes.glob("*.yaml"):
        text = file.read_text(encoding="utf-8")
        text = text.replace("policy: majority", "policy: majority, ask: always")
        (folder / file.name).write_text(text, encoding="utf-8")
    return folder


async def measure(rows: int, names: tuple[str, ...] = TASKS) -> dict[str, dict[str, int]]:
    """Return the counts of each task for about `rows` instances."""
    found = {}
    # `rows` is the number of instances here; the headroom would be added to it.
    tasks = load_tasks(ROOT / "tasks", ROOT / "recipes", rows=max(1, rows * 4 // 5))
    with tempfile.TemporaryDirectory() as folder:
        recipes = always(ROOT / "recipes", Path(folder) / "recipes")
        asking_all = load_tasks(ROOT / "tasks", recipes, rows=max(1, rows * 4 // 5))
        for name in names:
            spec = tasks[name]
            url = f"sqlite:///{folder}/completions.db"
            made, rejected = await tables(spec, url)
            found[name] = mended(spec, made["instances"], made["corrected_set"], rejected)
            asked = made["corrected_set"]["correction_asked"]
            found[name]["corrected"] = asked.len() - asked.null_count()
            above = {step: made[step] for step in UPSTREAM if step != CORRECTED_SET}
            every, _ = await tables(asking_all[name], url, above)
            found[name]["labels_that_differ_from_asking_all"] = differing(
                made["corrected_set"], every["corrected_set"]
            )
    return found


def run() -> dict[str, Any]:
    """Measure all eight tasks on 1,000 instances each, or on TARGEN_BENCH_ROWS."""
    rows = int(os.environ.get("TARGEN_BENCH_ROWS", "1000"))
    return {name: shares(counts) for name, counts in asyncio.run(measure(rows)).items()}
