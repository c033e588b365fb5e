"""Time and memory of the quality report by number of rows, and compared with naive methods."""

import json
import os
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from targen import hashing

SIZES = (1_000, 10_000, 100_000)
NEAR_ROWS = 1_000_000
PAIRED = 20
"""One row in this many is an edited copy of the row before it."""
CHECKED = 6_000
"""Rows on which recall is measured, by comparing all pairs."""


def texts(rows: int, words: int, seed: str) -> list[str]:
    """Return random texts with words from Zipf's law; every `PAIRED`-th is nearly a copy."""
    random = np.random.default_rng(hashing.rng("bench quality", seed, rows).getrandbits(64))
    names = np.array([f"w{i:x}" for i in range(30_000)])
    share = 1 / np.arange(1, names.size + 1)
    lengths = random.integers(words // 2, words * 3 // 2, rows)
    drawn = names[random.choice(names.size, int(lengths.sum()), p=share / share.sum())]
    ends = np.cumsum(lengths)
    found = [" ".join(drawn[end - size : end]) for end, size in zip(ends, lengths, strict=True)]
    for i in range(PAIRED, rows, PAIRED):
        # One to fourteen more letters: similarities from about 0.8 at twelve words.
        found[i] = f"{found[i - 1]} {'abcdefghijklmn'[: 1 + i // PAIRED % 14]}"
    return found


def rows_of(count: int) -> pl.DataFrame:
    """Return rows of two text fields with a label that the text partly predicts."""
    random = np.random.default_rng(count)
    labels = random.integers(0, 2, count)
    hinted = random.random(count) < 0.3
    second = [
        f"{text} {'yes' if label else 'no'}" if cue else text
        for text, label, cue in zip(texts(count, 12, "b"), labels, hinted, strict=True)
    ]
    return pl.DataFrame(
        {
            "instance_id": [hashing.short_id(["bench", i]) for i in range(count)],
            "premise": texts(count, 30, "a"),
            "hypothesis": second,
            "label": np.where(labels == 1, "entailment", "not_entailment"),
        }
    )


def report(count: int) -> dict[str, float]:
    """Return the seconds for a complete report and for its page."""
    from targen.quality.inputs import Embedded, ReportInputs  # noqa: PLC0415
    from targen.quality.page import render  # noqa: PLC0415
    from targen.quality.report import build  # noqa: PLC0415

    frame = rows_of(count)
    # As many embeddings as a report requests at most.
    size = min(count, 20_000)
    vectors = np.random.default_rng(0).normal(0.2, 1, size=(size, 256))
    given = ReportInputs(
        task_name="bench", title="Bench", description="Made-up rows.",
        fields={"premise": "text", "hypothesis": "text"}, answer_kind="class",
        labels=("entailment", "not_entailment"), tables={"corrected_set": frame},
        embeddings=Embedded(vectors, np.arange(size)),
    )  # fmt: skip
    started = time.monotonic()
    made = build(given)
    built, memory = time.monotonic() - started, peak_mb()
    started = time.monotonic()
    page = render(made)
    return {
        "seconds": round(built, 2),
        "page_seconds": round(time.monotonic() - started, 2),
        "page_kB": len(page) // 1000,
        "peak_MB": memory,
    }


def near(count: int) -> dict[str, float]:
    """Return time and recall of the search for near duplicates over short texts."""
    from targen.quality.duplicates import near_pairs  # noqa: PLC0415

    column = pl.Series(texts(count, 12, "near"))
    started = time.monotonic()
    found = near_pairs([column])
    seconds, memory = time.monotonic() - started, peak_mb()
    exact = exact_pairs(column.head(CHECKED).to_list(), 0.8)
    inside = found.second < CHECKED
    got = set(zip(found.first[inside].tolist(), found.second[inside].tolist(), strict=True))
    return {
        "seconds": round(seconds, 1),
        "pairs": int(found.first.size),
        "exact_pairs_in_sample": len(exact),
        "recall_in_sample": round(len(exact & got) / max(len(exact), 1), 4),
        "false_in_sample": len(got - exact),
        "peak_MB": memory,
    }


def exact_pairs(rows: list[str], threshold: float) -> set[tuple[int, int]]:
    """Return all pairs at or above a Jaccard similarity of 5-character shingles."""
    from scipy import sparse  # noqa: PLC0415

    kept = [row.lower() for row in rows]
    sets = [{row[i : i + 5] for i in range(len(row) - 4)} or {row} for row in kept]
    names = {shingle: i for i, shingle in enumerate(sorted(set().union(*sets)))}
    sizes = np.array([len(one) for one in sets])
    columns = np.array([names[shingle] for one in sets for shingle in one])
    owners = np.repeat(np.arange(len(sets)), sizes)
    matrix = sparse.csr_matrix((np.ones(columns.size), (owners, columns)))
    both = sparse.triu(matrix @ matrix.T, 1).tocoo()
    alike = both.data >= threshold * (sizes[both.row] + sizes[both.col] - both.data)
    return set(zip(both.row[alike].tolist(), both.col[alike].tolist(), strict=True))


def peak_mb() -> int:
    """Return the peak memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def timed(function: Callable[[], Any]) -> float:
    """Return the seconds that a call takes."""
    started = time.monotonic()
    function()
    return time.monotonic() - started


def obvious() -> dict[str, Any]:
    """Return the seconds of three metrics, and of naive implementations of them."""
    from datasketch import MinHash, MinHashLSH  # noqa: PLC0415
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu  # noqa: PLC0415

    from targen.quality import (  # noqa: PLC0415
        duplicates,
        self_similarity,
        semantic,
    )
    from targen.quality.text import tokens  # noqa: PLC0415

    rows = texts(500, 30, "bleu")
    words, smooth = [row.split() for row in rows], SmoothingFunction().method1

    def nltk_bleu() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for i in range(len(words)):
                others = words[:i] + words[i + 1 :]
                sentence_bleu(others, words[i], smoothing_function=smooth)

    many = texts(20_000, 12, "sketch")

    def datasketch_pairs() -> None:
        index = MinHashLSH(params=(duplicates.BANDS, duplicates.WIDTH_OF_BAND), num_perm=96)
        for i, row in enumerate(many):
            sketch = MinHash(num_perm=96)
            sketch.update_batch([row[k : k + 5].encode() for k in range(len(row) - 4)])
            index.query(sketch)
            index.insert(i, sketch)

    vectors = semantic.unit(np.random.default_rng(1).normal(0.2, 1, size=(8_000, 256)))

    def all_pairs() -> None:
        cosines, n = vectors @ vectors.T, len(vectors)
        (cosines.sum() - np.trace(cosines)) / (n * (n - 1))

    frame = pl.DataFrame({"a": rows})
    pairs = {
        "self_bleu_500_rows": (lambda: self_similarity.self_bleu(tokens(frame, ["a"])), nltk_bleu),
        "near_20000_rows_datasketch": (
            lambda: duplicates.near_pairs([pl.Series(many)]), datasketch_pairs,
        ),
        "mean_cosine_8000_rows": (lambda: semantic.mean_similarity(vectors), all_pairs),
    }  # fmt: skip
    found = {}
    for name, (ours, theirs) in pairs.items():
        ours()
        a, b = timed(ours), timed(theirs)
        found[name] = {"ours": round(a, 4), "obvious": round(b, 3), "ratio": round(b / a, 1)}
    return found


def _alone(part: str) -> dict[str, Any]:
    """Run one part in a process of its own, for its peak memory; return its figures."""
    code = f"import json\nfrom bench import quality\nprint(json.dumps(quality.{part}))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def run() -> dict[str, Any]:
    """Measure everything; TARGEN_BENCH_ROWS limits the number of rows."""
    most = int(os.environ.get("TARGEN_BENCH_ROWS", str(NEAR_ROWS)))
    found: dict[str, Any] = {"load_at_start": round(os.getloadavg()[0], 1)}
    for size in SIZES:
        if size <= most:
            found[f"report_{size}"] = _alone(f"report({size})")
    found[f"near_{min(NEAR_ROWS, most)}"] = _alone(f"near({min(NEAR_ROWS, most)})")
    return found | {"against": obvious()}
