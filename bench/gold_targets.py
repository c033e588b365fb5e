"""What targets from a student's errors on gold rows bring, on the simulator.

    python -m bench.gold_targets rte gold.tsv --column sentence1=premise ...

The gold rows are split in halves: the errors on one half drive the targets, and the other half
measures the student after each round. Plain growth gets the same tokens.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bench.targeting import ROOT, Made, make
from simulator.habits import NO_HABITS
from targen.quality import learner
from targen.quality.inputs import for_task
from targen.quality.report import build
from targen.quality.text import generator
from targen.targeting import detectors, effect, student, table
from targen.targeting.gaps import View
from targen.tasks import import_files, imports
from targen.tasks.imports import Mapped
from targen.tasks.loading import load_task
from targen.tasks.spec import TaskSpec
from targen.tasks.targets import TargetsFile

ROUNDS = 3


def view_of(spec: TaskSpec, made: Made, gold: pl.DataFrame) -> View:
    """Return the view of a set with gold rows."""
    inputs = for_task(spec, made.tables, rejected=made.rejected, reference=gold)
    return View(spec, inputs, build(inputs).json)


def tested(view: View, gold: pl.DataFrame) -> dict[str, Any]:
    """Return the student's accuracy on gold rows, and how sure it is that it beats chance."""
    assert view.student is not None
    labels = learner.label_codes(gold["label"], view.names)
    probability = view.student.predict(gold)
    right = probability.argmax(axis=1) == labels
    recall = [float(right[labels == i].mean()) for i in range(len(view.names))]
    return {
        "accuracy": round(float(right.mean()), 3),
        "balanced": round(float(np.mean(recall)), 3),
        "z": round(student.above_chance(probability, labels), 2),
    }


async def measure(
    task: str, gold: pl.DataFrame, rows: int, *, whole: bool, rounds: int = ROUNDS
) -> dict[str, Any]:
    """Return the student's accuracy before and after rounds, and the targets of each."""
    spec = load_task(task, ROOT / "tasks", ROOT / "recipes", rows=rows)
    order = generator("gold", gold.height).permutation(gold.height)
    drives, tests = gold[np.sort(order[::2])], gold[np.sort(order[1::2])]
    if whole:
        drives = tests = gold
    content, log = TargetsFile(task=task), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = base = await make(spec, folder, NO_HABITS)
        while True:
            view = view_of(spec.with_rounds(content.rounds), made, drives)
            content = table.proposing(content, str(len(content.rounds)), detectors.targets(view))
            done = [one for part in content.rounds for one in part.targets]
            after = {one.target_id: effect.current(view, one) for one in done}
            log.append(
                {
                    "tested": tested(view, tests),
                    "tokens": round((made.tokens - base.tokens) / base.tokens, 3),
                    "patterns": [
                        [one.slice, one.count, one.value, after[one.target_id]]
                        for one in done
                        if one.kind == "student_error"
                    ],
                    "notes": detectors.notes(view),
                }
            )
            reason = effect.stop_reason(content, table.frame(content, after), [], rounds)
            if reason is not None or content.proposed is None:
                break
            log[-1]["asked"] = [f"{one.count}: {one.reason}" for one in content.proposed.approved]
            content = table.beginning(content, 0)
            made = await make(spec.with_rounds(content.rounds), folder, NO_HABITS)
        share = (made.tokens - base.tokens) / base.tokens
        larger = load_task(task, ROOT / "tasks", ROOT / "recipes", rows=round(rows * (1 + share)))
        (folder / "grown").mkdir()
        grown = await make(larger, folder / "grown", NO_HABITS)
        growth = tested(view_of(larger, grown, drives), tests)
    return {"task": task, "gold": gold.height, "stopped": reason, "rounds": log, "grown": growth}


def main(arguments: list[str]) -> int:
    """Print the result as JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.gold_targets", description=__doc__)
    parser.add_argument("task")
    parser.add_argument("file", type=Path)
    parser.add_argument("--column", action="append", default=[], help="FOUND=FIELD")
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--whole", action="store_true", help="drive and test with all gold rows")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args(arguments)
    spec = load_task(given.task, ROOT / "tasks", ROOT / "recipes")
    columns = dict(one.split("=", 1) for one in given.column)
    gold = imports.shaped(import_files.read(given.file), spec, Mapped(columns, {}))
    found = asyncio.run(
        measure(given.task, gold, given.rows, whole=given.whole, rounds=given.rounds)
    )
    sys.stdout.write(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
