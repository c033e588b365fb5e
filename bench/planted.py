"""What the report's first screen says about data sets with planted faults, and about clean ones.

`python -m bench.planted FOLDER` reads the base data sets from a folder with `rte.tsv`,
`boolq.jsonl`, `creak.jsonl` and `riddle_sense.jsonl`. Files that are absent are replaced by rows
that the simulator makes. The rows go through the code of `targen report FILE`, without embeddings.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from bench.faults import FAULTS, Base, Fault, names, sentences
from targen.hashing import rng
from targen.tasks import import_files
from targen.tasks.loading import load_task
from targen.tasks.spec import TaskSpec

ROOT = Path(__file__).parent.parent
SET, GOLD = 600, 272
"""Rows of a set and of its gold data, if the base has that many."""
BESIDE_GOLD = ("artefact", "length tells the label")
"""Faults that are judged beside gold rows, because gold rows once hid them."""
KINDS = """
name: kinds
title: Riddle or claim
description: A short text that is either a riddle or a claim about something well known.
recipe: data-creator
fields:
  text: {description: one or two sentences, max_words: 80}
answer:
  kind: class
  question: Is the text a riddle or a claim?
  labels:
    riddle: {definition: The text is a riddle., constraint: Write a riddle.}
    claim: {definition: The text makes a claim., constraint: Write a claim.}
examples:
  - fields: {text: I have teeth but never bite. What am I?}
    label: riddle
"""


def _records(path: Path) -> list[dict[str, Any]]:
    rows = import_files.read(path)
    return [
        dict(zip(rows.columns, one, strict=True))
        for one in zip(*rows.columns.values(), strict=True)
    ]


def real(name: str, folder: Path) -> list[dict[str, Any]] | None:
    """Return the rows of a base data set in the columns of its task; None without its file."""
    files = {"rte": ["rte.tsv"], "boolq": ["boolq.jsonl"], "creak": ["creak.jsonl"],
             "kinds": ["riddle_sense.jsonl", "creak.jsonl"],
             "riddlesense": ["riddle_sense.jsonl"]}[name]  # fmt: skip
    if not all((folder / file).exists() for file in files):
        return None
    tables = [_records(folder / file) for file in files]
    if name == "rte":
        return [
            {"premise": r["sentence1"], "hypothesis": r["sentence2"], "label": r["label"]}
            for r in tables[0]
        ]
    if name == "boolq":
        return [
            {"passage": r["context"], "question": r["question"], "label": str(r["label"]).lower()}
            for r in tables[0]
        ]
    if name == "creak":
        return [{"claim": r["question"], "label": str(r["label"]).lower()} for r in tables[0]]
    if name == "riddlesense":
        return [{k: r[k] for k in ("question", "options", "label")} for r in tables[0]]
    riddles = [r["question"] for r in tables[0] if len(r["question"].split()) <= 20]
    claims = [r["question"] for r in tables[1]]
    count = min(len(riddles), len(claims), (SET + GOLD) // 2)
    labeled = [(text, "riddle") for text in riddles[:count]]
    labeled += [(text, "claim") for text in claims[:count]]
    # Punctuation and capitals would tell the two apart.
    return [{"text": t.lower().rstrip(" .?!").replace("?", ","), "label": k} for t, k in labeled]


async def simulated(spec: TaskSpec) -> list[dict[str, Any]]:
    """Return the rows that the simulator makes for a task."""
    from bench.correction import tables  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        made, _ = await tables(spec, f"sqlite:///{Path(folder) / 'completions.db'}")
    return made["corrected_set"].select(*spec.fields, "label").to_dicts()


@lru_cache
def spec_of(name: str) -> TaskSpec:
    """Return the task of a base data set."""
    if name != "kinds":
        return load_task(name, ROOT / "tasks", ROOT / "recipes", rows=SET + GOLD)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "kinds.yaml").write_text(KINDS, encoding="utf-8")
        return load_task(name, Path(folder), ROOT / "recipes", rows=SET + GOLD)


@lru_cache
def base_of(name: str, folder: Path) -> Base:
    """Return the clean rows of a base data set and its gold rows, in a seeded order."""
    spec = spec_of(name)
    rows = real(name, folder)
    if rows is None:
        rows = asyncio.run(simulated(spec))
    fields = tuple(n for n, field in spec.fields.items() if field.type == "text")
    # Rows about one passage go to the same side.
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row[fields[0]], []).append(row)
    order = list(groups.values())
    rng("planted", name).shuffle(order)
    shuffled = [row for group in order for row in group]
    gold = min(GOLD, len(rows) * 2 // 5)
    return Base(
        name, shuffled[gold : gold + SET], shuffled[:gold], fields[0], fields[-1], fields,
        tuple(spec.labels),
    )  # fmt: skip


def judged(name: str, rows: list[dict[str, Any]], gold: list[dict[str, Any]] | None) -> Any:
    """Return what the first screen says about the rows: headline and sentences."""
    from targen.cli.report import Options, gather  # noqa: PLC0415
    from targen.quality.report import build  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        file, other = Path(folder) / "set.jsonl", Path(folder) / "gold.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        if gold is not None:
            other.write_text("".join(json.dumps(row) + "\n" for row in gold), encoding="utf-8")
        try:
            inputs = gather(file, spec_of(name), None if gold is None else other, Options())
        except Exception as error:
            return {"headline": f"refused: {error}", "findings": []}
    made = build(replace(inputs, gates=()))
    return {"headline": made.json["verdict"]["text"], "findings": made.json["findings"]}


def one(
    name: str, folder: Path, fault: Fault | None, strength: float, gold: bool
) -> dict[str, Any]:
    """Return what the report says of one set."""
    started = time.monotonic()
    base = base_of(name, folder)
    draw = rng(name, fault.name if fault else "clean", strength)
    rows = fault.plant(base, strength, draw) if fault else base.rows
    said = judged(name, rows, base.gold if gold else None)
    return {
        "base": name,
        "fault": fault.name if fault else "clean",
        "strength": strength,
        "gold": gold,
        "seconds": round(time.monotonic() - started, 1),
        **said,
    }


def _jobs(bases: list[str], wanted: list[str], strongest: bool) -> list[tuple[Any, ...]]:
    jobs: list[tuple[Any, ...]] = []
    for name in bases:
        for gold in (False, True):
            jobs.append((name, None, 0.0, gold))
        if name == "riddlesense":
            continue
        for index, fault in enumerate(FAULTS):
            # The kind of text is only for labels: it is a task that a bag of words can learn.
            if name not in (fault.bases or ("rte", "boolq", "creak")):
                continue
            if wanted and not any(part in fault.name for part in wanted):
                continue
            for strength in (fault.review or fault.strengths[:1]) if strongest else fault.strengths:
                jobs.append((name, index, strength, fault.with_gold or fault.name in BESIDE_GOLD))
    return jobs


def _work(job: tuple[Any, ...], folder: Path) -> dict[str, Any]:
    name, index, strength, gold = job
    return one(name, folder, None if index is None else FAULTS[index], strength, gold)


def main(arguments: list[str]) -> int:
    """Run the benchmark; print one line per fault and set, and the two counts."""
    parser = argparse.ArgumentParser(prog="python -m bench.planted", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--base", action="append", help="rte, boolq, creak, kinds, riddlesense")
    parser.add_argument("--fault", action="append", default=[], help="part of a fault's name")
    parser.add_argument(
        "--strongest", action="store_true", help="only the review's strengths, or else the first"
    )
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--output", type=Path, help="JSON file for everything that was said")
    given = parser.parse_args(arguments)
    bases = given.base or ["rte", "boolq", "creak", "kinds", "riddlesense"]
    jobs = _jobs(bases, given.fault, given.strongest)
    with ProcessPoolExecutor(given.processes) as pool:
        results = list(pool.map(_work, jobs, [given.folder] * len(jobs)))
    summary = summarize(results)
    sys.stdout.write("\n".join(summary["lines"]) + "\n")
    if given.output:
        given.output.write_text(json.dumps({**summary, "results": results}, indent=1))
    return 0


def summarize(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what was named, as figures and as lines to print."""
    clean = {
        (r["base"], r["gold"]): sentences(r["findings"]) for r in results if r["fault"] == "clean"
    }
    faults = {fault.name: fault for fault in FAULTS}
    lines, named, total, review, review_total = [], 0, 0, 0, 0
    for r in results:
        if r["fault"] == "clean":
            continue
        fault = faults[r["fault"]]
        text = names(fault, sentences(r["findings"]), clean[r["base"], r["gold"]])
        total += 1
        named += text is not None
        if r["strength"] in fault.review:
            review_total += 1
            review += text is not None
        mark = "named " if text else "MISSED"
        shown = text or r["headline"]
        lines.append(f"{mark} {r['base']:6} {r['fault']:34} {r['strength']:<5} {shown[:150]}")
    lines.append(
        f"Named: {named} of {total}; at the review's strengths {review} of {review_total}."
    )
    false = 0
    for r in results:
        if r["fault"] == "clean":
            serious = [
                f
                for f in r["findings"]
                if f["level"] in ("bad", "warn") and not f.get("unmeasured")
            ]
            false += len(serious)
            where = f"{r['base']} {'with' if r['gold'] else 'without'} gold"
            lines.append(f"Clean {where}: {len(serious)} findings; {r['headline']}")
            lines += [
                f"    {f['level']}: {f['text']}" for f in r["findings"] if f["level"] != "good"
            ]
    lines.append(f"False findings on clean sets: {false}.")
    return {"lines": lines, "named": named, "total": total, "review": review,
            "review_total": review_total, "false": false}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
