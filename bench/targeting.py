"""How far targets close gaps that the simulator's habits leave, and at what cost.

Each gap is planted by a switch of the simulator (`simulator.habits`). A set is made, then refined
in at most three rounds. Plain growth gets the same tokens. `python -m bench.targeting` prints what
the table of docs/targeting.md shows.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa

from simulator.app import create_app
from simulator.habits import Habits
from simulator.truth import truth
from targen.llm.engine import Engine, EngineSettings
from targen.operators import run_step
from targen.quality.inputs import ReportInputs, for_task
from targen.quality.report import build
from targen.quality.text import joined, words
from targen.steps import CORRECTED_SET, UPSTREAM
from targen.targeting import effect, table
from targen.targeting.detectors import targets
from targen.targeting.gaps import View
from targen.tasks.loading import load_task
from targen.tasks.spec import TaskSpec
from targen.tasks.targets import TargetsFile

ROOT = Path(__file__).parent.parent
ROUNDS = 3
ROWS = 250
CLOSED = 0.8
"""Part of a gap after which its cost is measured."""
WAY = ("ticket_urgency", "critical", "report that strangers can see private data")
NAME = "Elara Voss"


@dataclass(frozen=True)
class Planted:
    """A gap to close.

    Attributes:
        name: for the table.
        task: a task of the repository.
        habits: the simulator's switches.
        size: rows and their report -> the size of the gap.
        bound: its size where the report has no finding.
    """

    name: str
    task: str
    habits: Habits
    size: Callable[[pl.DataFrame, Any], float]
    bound: float = 0.0


def _share(rows: pl.DataFrame, name: str, word: str) -> pl.Series:
    return words(rows[name]).list.contains(word)


def _way(rows: pl.DataFrame, _: Any) -> float:
    own = rows.filter(pl.col("label") == WAY[1])
    made = own.filter(pl.col("planned_way") == WAY[2]).height
    return max(0.0, 1 - 4 * made / max(1, own.height))


def _cue(name: str, label: str, word: str) -> Callable[[pl.DataFrame, Any], float]:
    def size(rows: pl.DataFrame, _: Any) -> float:
        has, own = _share(rows, name, word), rows["label"] == label
        return float(has.filter(own).mean() or 0) - float(has.filter(~own).mean() or 0)  # type: ignore[arg-type]

    return size


def _figure(metric: str, slice_: str) -> Callable[[pl.DataFrame, Any], float]:
    def size(_: pl.DataFrame, report: Any) -> float:
        return max(0.0, report.value(metric, slice_) or 0.0)

    return size


def _name(rows: pl.DataFrame, _: Any) -> float:
    fields = [n for n in ("subject", "body", "premise", "hypothesis") if n in rows.columns]
    return float(joined(rows, fields).str.contains(NAME, literal=True).mean() or 0)  # type: ignore[arg-type]


PLANTED = (
    Planted("a way never made", "ticket_urgency", Habits(never=WAY[2]), _way),
    Planted(
        "a cue word", "ticket_urgency", Habits(cue=("low", "honestly")),
        _cue("body", "low", "honestly"),
    ),
    Planted(
        "a cue word", "rte", Habits(cue=("entailment", "evidently")),
        _cue("hypothesis", "entailment", "evidently"),
    ),
    Planted(
        "long texts of a label", "rte", Habits(long="entailment"),
        _figure("shortcut", "length only"), 0.05,
    ),
    Planted(
        "long texts of a label", "ticket_urgency", Habits(long="low"),
        _figure("shortcut", "length only"), 0.05,
    ),
    Planted(
        "ten templates", "rte", Habits(templates=0.6), _figure("template_share", "hypothesis"), 0.12
    ),
    Planted("one name", "ticket_urgency", Habits(name=NAME), _name, 0.12),
    Planted("one name", "rte", Habits(name=NAME), _name, 0.12),
)  # fmt: skip


@dataclass(eq=False)
class Made:
    """A set at one moment.

    Attributes:
        tables: step -> table.
        rejected: step -> rejected items.
        report: its quality report.
        tokens: spent so far, prompts and answers.
    """

    tables: dict[str, pl.DataFrame] = field(default_factory=dict)
    rejected: dict[str, pl.DataFrame] = field(default_factory=dict)
    report: Any = None
    inputs: ReportInputs | None = None
    tokens: int = 0

    @property
    def rows(self) -> pl.DataFrame:
        """The corrected set."""
        return self.tables[CORRECTED_SET]


async def make(spec: TaskSpec, folder: Path, habits: Habits, draw: int = 0) -> Made:
    """Make a set on the simulator; other draws give other answers."""
    made = Made()
    for step, upstream in UPSTREAM.items():
        settings = EngineSettings(
            simulator=lambda: create_app(habits=habits, draw=draw),
            store_url=f"sqlite:///{folder / 'completions.db'}",
            task=spec.name,
            step=step,
        )
        async with Engine(settings) as engine:
            above = {name: made.tables[name] for name in upstream}
            output = await run_step(step, spec, above, engine)
        made.tables[step], made.rejected[step] = output.table, output.rejected
    made.inputs = for_task(spec, made.tables, rejected=made.rejected)
    made.report = build(made.inputs)
    made.tokens = _tokens(folder)
    return made


def _tokens(folder: Path) -> int:
    store = sa.create_engine(f"sqlite:///{folder / 'completions.db'}")
    with store.connect() as connection:
        found = connection.exec_driver_sql(
            "SELECT sum(prompt_tokens + completion_tokens) FROM completions"
        ).scalar()
    store.dispose()
    return int(found or 0)


async def refine(
    spec: TaskSpec,
    folder: Path,
    habits: Habits,
    made: Made,
    draw: int = 0,
    enough: Callable[[Made], bool] = lambda _: False,
) -> tuple[list[Made], list[Any]]:
    """Refine a set; return the set after each round, and what each round did.

    It stops early once `enough` is true.
    """
    after_rounds: list[Made] = []
    content, log = TargetsFile(task=spec.name), []
    while True:
        assert made.inputs is not None
        own = spec.with_rounds(content.rounds)
        view = View(own, made.inputs, made.report.json)
        content = table.proposing(content, str(len(content.rounds)), targets(view))
        after = {
            one.target_id: effect.current(view, one)
            for part in content.rounds
            for one in part.targets
        }
        known = table.frame(content, after)
        reason = effect.stop_reason(content, known, made.report.json["gates"], ROUNDS)
        if reason is not None:
            log.append(reason)
            return after_rounds, log
        assert content.proposed is not None
        log.append([f"{t.kind} {t.slice}: {t.count}" for t in content.proposed.approved])
        content = table.beginning(content, 0)
        made = await make(spec.with_rounds(content.rounds), folder, habits, draw)
        after_rounds.append(made)
        own = {one.target_id for one in content.rounds[-1].targets}
        log.append(f"{sum(one in own for one in made.rows['target_id'])} entered")
        if enough(made):
            return after_rounds, log


def wrong(spec: TaskSpec, rows: pl.DataFrame) -> float:
    """Return the share of wrong labels, by the simulator's private truth."""
    labels = list(spec.labels)
    right = [
        truth({n: row[n] for n in spec.fields}, labels) == row["label"]
        for row in rows.iter_rows(named=True)
    ]
    return 1 - sum(right) / max(1, len(right))


async def measure(one: Planted, rows: int, draw: int = 0, *, whole: bool = False) -> dict[str, Any]:
    """Return what refining and plain growth close of one gap."""
    spec = load_task(one.task, ROOT / "tasks", ROOT / "recipes", rows=rows)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = await make(spec, folder, one.habits, draw)
        before = one.size(base.rows, base.report)

        def closed(made: Made) -> float:
            return (before - one.size(made.rows, made.report)) / (before - one.bound)

        def enough_of(made: Made) -> bool:
            return not whole and closed(made) >= CLOSED

        rounds, log = await refine(spec, folder, one.habits, base, draw, enough_of)
        # Later rounds work on other gaps, which the simulator has by nature.
        enough = next((made for made in rounds if closed(made) >= CLOSED), None)
        refined = enough or (rounds[-1] if rounds else base)
        share = (refined.tokens - base.tokens) / base.tokens
        larger = load_task(
            one.task, ROOT / "tasks", ROOT / "recipes", rows=round(rows * (1 + share))
        )
        (folder / "grown").mkdir()
        grown = await make(larger, folder / "grown", one.habits, draw)
    after = one.size(refined.rows, refined.report)
    return {
        "gap": one.name,
        "task": one.task,
        "draw": draw,
        "before": round(before, 3),
        "after": round(after, 3),
        "closed": round(closed(refined), 3),
        "after_rounds": rounds.index(refined) + 1 if refined in rounds else 0,
        "closed_by_round": [round(closed(made), 3) for made in rounds],
        "grown_closed": round(closed(grown), 3),
        "tokens": round(share, 3),
        "wrong": [round(wrong(spec, m.rows), 3) for m in (base, refined)],
        "labels": [_spread(m.rows) for m in (base, refined)],
        "self_bleu": [_figure_of(m, "self_bleu") for m in (base, refined)],
        "vendi": [_figure_of(m, "vendi_score") for m in (base, refined)],
        "rounds": log,
        "label_noise": [_noise(m) for m in (base, refined)],
    }


def _figure_of(made: Made, metric: str) -> list[Any]:
    return [
        [one["slice"], one["value"], one["low"], one["high"]]
        for one in made.report.json["figures"]
        if one["metric"] == metric
    ]


def _noise(made: Made) -> list[Any]:
    """Return the report's estimate of wrong labels with its interval."""
    rows = [one for one in made.report.json["figures"] if one["metric"] == "label_noise"]
    return [[one["slice"], one["value"], one["low"], one["high"]] for one in rows]


def _spread(rows: pl.DataFrame) -> int:
    counts = rows["label"].value_counts()["count"]
    return int(counts.max()) - int(counts.min())  # type: ignore[arg-type]


def run() -> list[dict[str, Any]]:
    """Measure all gaps on 250 rows each, or on TARGEN_BENCH_ROWS."""
    rows = int(os.environ.get("TARGEN_BENCH_ROWS", str(ROWS)))
    return [asyncio.run(measure(one, rows)) for one in PLANTED]


def main(arguments: list[str]) -> int:
    """Print one line of JSON per gap."""
    parser = argparse.ArgumentParser(prog="python -m bench.targeting", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--gap", default="", help="part of a gap's name")
    parser.add_argument("--task", default="")
    parser.add_argument("--whole", action="store_true", help="go on after the gap is closed")
    parser.add_argument("--draw", type=int, default=0, help="other answers of the simulator")
    given = parser.parse_args(arguments)
    for one in PLANTED:
        if given.gap in one.name and given.task in one.task:
            found = asyncio.run(measure(one, given.rows, given.draw, whole=given.whole))
            sys.stdout.write(json.dumps(found) + "\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
