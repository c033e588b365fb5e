"""How often the 95% intervals of a report contain the mean of their figures over many samples.

`python -m bench.coverage` draws made-up sets from one distribution, measures each of them, and
counts the intervals that contain the mean of the figure over all draws.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from targen.hashing import rng
from targen.quality import copies, difficulty, duplicates, self_similarity, shortcuts, utility
from targen.quality.collector import Measure, MetricCollector
from targen.quality.inputs import ReportInputs

WORDS = 3000
CUES = 60
"""Words that are commoner with one of the labels."""
Draw = np.random.Generator
Floats = npt.NDArray[np.float64]


def _generator(*content: Any) -> Draw:
    return np.random.default_rng(rng("bench coverage", *content).getrandbits(64))


def shares(strength: float) -> list[list[Floats]]:
    """Return the probability of each word, by field and label: Zipf's law, with cues."""
    base = 1 / np.arange(3, WORDS + 3)
    draw, found = _generator("cues"), []
    for weight in (1.0, 0.6):
        tilt = np.zeros(WORDS)
        tilt[20 + draw.permutation(300)[:CUES]] = draw.normal(0, strength * weight, CUES)
        found.append([side / side.sum() for side in (base * np.exp(tilt), base * np.exp(-tilt))])
    return found


def rows_of(count: int, strength: float, draw: Draw) -> pl.DataFrame:
    """Return rows of two fields; the words and the length of the second tell the label a little."""
    labels = draw.integers(0, 2, count)
    columns: dict[str, Any] = {}
    for name, sides, (least, most) in zip("ab", shares(strength), ((6, 26), (6, 14)), strict=True):
        lengths = draw.integers(least, most, count) + (labels if name == "b" else 0)
        words = [iter(draw.choice(WORDS, int(lengths.sum()), p=side)) for side in sides]
        columns[name] = [
            " ".join(f"w{next(words[label]):x}" for _ in range(length)) + "."
            for length, label in zip(lengths, labels, strict=True)
        ]
    return pl.DataFrame({**columns, "label": np.where(labels == 1, "x", "y")})


def with_copies(count: int, draw: Draw) -> pl.DataFrame:
    """Return rows of which a fifth repeats an earlier row, half of these with one more word."""
    rows = rows_of(count, 1.0, draw).to_dicts()
    for i in range(1, count):
        if draw.random() < 0.2:
            rows[i] = dict(rows[draw.integers(0, i)])
            if draw.random() < 0.5:
                rows[i]["a"] += f" w{draw.integers(0, WORDS):x}"
    return pl.DataFrame(rows)


def popular(count: int, draw: Draw) -> pl.DataFrame:
    """Return rows from 500 texts of unequal popularity, as from a model with few ideas."""
    texts = rows_of(500, 1.0, _generator("texts"))
    weights = 1 / np.arange(10, 510)
    return texts[draw.choice(500, count, p=weights / weights.sum())]


def _measured(module: Any, rows: pl.DataFrame, gold: pl.DataFrame | None = None) -> list[Measure]:
    collector = MetricCollector()
    given = ReportInputs(
        task_name="coverage", title="", description="", fields={"a": "text", "b": "text"},
        answer_kind="class", labels=("x", "y"), tables={"corrected_set": rows}, reference=gold,
    )  # fmt: skip
    module.measure(given, collector)
    return collector.measures


def _utility(count: int, draw: Draw) -> list[Measure]:
    return _measured(utility, rows_of(600, 0.8, draw), rows_of(count, 1.0, draw))


def _alone(module: Any, make: Callable[[int, Draw], pl.DataFrame]) -> Any:
    return lambda count, draw: _measured(module, make(count, draw))


def _labeled(count: int, draw: Draw) -> pl.DataFrame:
    return rows_of(count, 1.0, draw)


def _weak(count: int, draw: Draw) -> pl.DataFrame:
    return rows_of(count, 0.6, draw)


CASES: dict[str, tuple[Any, tuple[int, ...]]] = {
    "self-BLEU": (_alone(self_similarity, _labeled), (100, 277)),
    "copies": (_alone(duplicates, with_copies), (100, 300)),
    "copies, edited": (_alone(copies, with_copies), (100, 300)),
    "few texts": (_alone(duplicates, popular), (100, 300)),
    "V-information": (_alone(difficulty, _labeled), (100, 272)),
    "V-information, weak": (_alone(difficulty, _weak), (272,)),
    "utility": (_utility, (100, 272)),
    "shortcut": (_alone(shortcuts, _labeled), (100, 272)),
}
"""Case -> function from a number of rows to figures, and the numbers of rows."""


def coverage(case: str, count: int, times: int) -> Iterator[dict[str, Any]]:
    """Yield, for each figure with an interval, how often it contains the mean of the figure."""
    measure, _ = CASES[case]
    found: dict[str, list[Measure]] = {}
    for i in range(times):
        for one in measure(count, _generator(case, count, i)):
            found.setdefault(f"{one.metric}, {one.slice}", []).append(one)
    for name, made in found.items():
        values = np.array([one.value for one in made], dtype=np.float64)
        bounds = [(one.low, one.high) for one in made]
        known = [(low, high) for low, high in bounds if low is not None and high is not None]
        if not known or name.startswith("word_log_odds"):
            continue
        mean = float(values.mean())
        yield {
            "case": case,
            "figure": name,
            "n": count,
            "mean": round(mean, 3),
            "covered": round(sum(low <= mean <= high for low, high in known) / times, 3),
            "without_interval": times - len(known),
            "zero_width": sum(high - low <= 0 for low, high in known),
            "width": round(float(np.mean([high - low for low, high in known])), 3),
            "ideal_width": round(3.92 * float(values.std()), 3),
        }


def main(arguments: Sequence[str]) -> int:
    """Print one line per figure."""
    parser = argparse.ArgumentParser(prog="python -m bench.coverage", description=__doc__)
    parser.add_argument("--case", action="append", choices=CASES)
    parser.add_argument("--times", type=int, default=200)
    given = parser.parse_args(arguments)
    for case in given.case or CASES:
        for count in CASES[case][1]:
            started = time.process_time()
            for line in coverage(case, count, given.times):
                sys.stdout.write(f"{line}\n")
            seconds = time.process_time() - started
            sys.stderr.write(f"{case}, {count} rows: {seconds:.0f} s of processor time\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
