"""How like the other rows a row is worded: self-BLEU, ROUGE-L, shared 3-grams, compression."""

import zlib
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import polars as pl

from targen.quality.collector import Measure, MetricCollector
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import bootstrap_mean, wilson
from targen.quality.text import Ints, Tokens, generator, joined, tokens

Floats = npt.NDArray[np.float64]

SAMPLE = 500
"""Rows compared with each other: the published studies use 500 to 1,000."""
WORDS = 2_000
"""Words of a row that are compared: the time grows with their square."""

CLOSE = 0.7
"""ROUGE-L F from which Self-Instruct (Wang et al. 2023) calls a row not novel."""
BYTES = (10_000, 20_000, 50_000, 100_000, 200_000, 500_000)
"""Amounts of text at which compression is compared."""


def sample(frame: pl.DataFrame, size: int) -> pl.DataFrame:
    """Return `size` rows, drawn without replacement by a fixed seed, in row order."""
    if frame.height <= size:
        return frame
    chosen = generator("sample", frame.height).permutation(frame.height)[:size]
    return frame[np.sort(chosen)]


def sequences(text: Tokens) -> list[Ints]:
    """Return the word numbers of each row."""
    return np.split(text.ids, text.starts[1:-1]) if text.height else []


def self_bleu(text: Tokens) -> Floats:
    """BLEU-4 of each row against all other rows as references.

    Modified n-gram precision for n = 1 to 4, geometric mean, brevity penalty by the closest
    reference length, zero counts raised to 0.1 (smoothing method 1 of Chen and Cherry 2014, as
    in NLTK's `sentence_bleu`). Without unit, 0 (no word shared) to 1 (a copy); high means
    uniform wording. Source: Zhu et al. 2018 (Texygen), BLEU: Papineni et al. 2002. It grows
    with the number of references, so compare it only at equal numbers of rows; it punishes
    long fixed phrases and does not see that the same is said in other words.

    Returns:
        One score per row; 0 for a row without words, NaN where there is no other row.
    """
    flat = replace(text, texts=text.rows)
    size = (text.starts[1:] - text.starts[:-1]).astype(np.float64)
    if text.height < 2:
        return np.full(text.height, np.nan)
    logs, none = np.zeros(text.height), np.zeros(text.height, dtype=bool)
    for n in range(1, 5):
        clipped = _clipped(flat.grams(n), flat.rows, text.height)
        total = np.maximum(size - n + 1, 1)
        if n == 1:
            none = clipped == 0
        logs += 0.25 * np.log(np.where(clipped == 0, 0.1, clipped) / total)
    closest = _closest(size)
    with np.errstate(divide="ignore"):
        penalty = np.where(size > closest, 1.0, np.exp(1 - closest / np.maximum(size, 1e-9)))
    return np.where(none, 0.0, penalty * np.exp(logs))


def _clipped(codes: Ints, rows: Ints, height: int) -> Floats:
    """Sum per row its n-gram counts, each cut to the largest count in any other row."""
    known = codes >= 0
    if not known.any():
        return np.zeros(height)
    keys, counts = np.unique(codes[known] * height + rows[known], return_counts=True)
    grams, owners = keys // height, keys % height
    order = np.lexsort((-counts, grams))
    first = np.flatnonzero(np.concatenate([[True], np.diff(grams[order]) != 0]))
    ends = np.concatenate([first[1:], [order.size]])
    # Per n-gram the two largest counts: a row that holds the largest is cut to the second.
    second = np.where(ends - first > 1, counts[order[np.minimum(first + 1, order.size - 1)]], 0)
    best = np.repeat(counts[order[first]], ends - first)
    rest = np.repeat(second, ends - first)
    holder = np.repeat(order[first], ends - first)
    limit = np.where(order == holder, rest, best)
    sums = np.bincount(owners[order], np.minimum(counts[order], limit), minlength=height)
    return sums.astype(np.float64)


def _closest(size: Floats) -> Floats:
    """Return per row the length of another row that is closest to its own, the shorter of two."""
    order = np.argsort(size, kind="stable")
    ranked = size[order]
    before = np.concatenate([[-np.inf], ranked[:-1]])
    after = np.concatenate([ranked[1:], [np.inf]])
    closest = np.empty_like(size)
    closest[order] = np.where(ranked - before <= after - ranked, before, after)
    return closest


def rouge_l_nearest(text: Tokens) -> Floats:
    """ROUGE-L F of each row with the row most like it.

    F1 = 2 LCS / (len a + len b) over words, LCS the longest common subsequence. Without unit, 0
    to 1 (a copy exists). Source: Lin 2004; its maximum as a test of novelty: Wang et al. 2023
    (Self-Instruct). It does not see a copy whose parts stand in another order, and reads only the
    first `WORDS` words of a row.

    Returns:
        One score per row; NaN where there is no other row.
    """
    from rapidfuzz import process  # noqa: PLC0415  (slow to import)
    from rapidfuzz.distance import Indel  # noqa: PLC0415

    if text.height < 2:
        return np.full(text.height, np.nan)
    rows = [part[:WORDS].tolist() for part in sequences(text)]
    # Indel similarity is 2 LCS / (len a + len b): the same number, computed bit-parallel.
    scores = process.cdist(rows, rows, scorer=Indel.normalized_similarity, dtype=np.float64)
    np.fill_diagonal(scores, -1)
    return np.asarray(scores.max(axis=1), dtype=np.float64)


def rows_per_gram(text: Tokens, n: int = 3) -> float:
    """INGF: in how many rows a distinct n-gram stands, on average over the distinct n-grams.

    Unit: rows; 1 (no n-gram is shared) up to the number of rows; NaN without an n-gram. As
    with self-BLEU, compare only at equal numbers of rows. It gives a rare phrase the weight of
    a common one, and does not see words in another order.
    """
    codes = text.grams(n)
    known = codes >= 0
    if not known.any():
        return float("nan")
    pairs = np.unique(codes[known] * text.height + text.rows[known])
    return float(pairs.size / np.unique(codes[known]).size)


def compression_ratio(text: str) -> float:
    """Bytes of the text over bytes after DEFLATE at level 9 (what gzip does).

    Without unit, about 1 (random) upwards: high means repetitive; NaN for an empty text.
    Source: Shaib et al. 2024 (Standardizing the measurement of text diversity). It sees
    repetition within 32 kB only and grows with the amount of text, so compare equal amounts.
    """
    raw = text.encode("utf-8", "surrogatepass")
    return len(raw) / len(zlib.compress(raw, 9)) if raw else float("nan")


def _cut(frame: pl.DataFrame, fields: list[str], budget: int) -> str:
    """Return `budget` bytes of rows in a seeded order."""
    order = generator("rows", 0).permutation(frame.height)
    text = "\n".join(joined(frame[order], fields).to_list())
    return text.encode()[:budget].decode(errors="ignore")


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add self-BLEU, ROUGE-L to the nearest row, INGF and compression, also of the reference."""
    fields, gold = inputs.text_fields, inputs.reference
    size = min(SAMPLE, inputs.rows.height, gold.height if gold is not None else SAMPLE)
    if size < 2 or not fields:
        collector.skip("self_bleu", "needs two rows with text")
        return
    mine = tokens(sample(inputs.rows, size), fields)
    theirs = tokens(sample(gold, size), fields) if gold is not None else None
    slice_ = f"{size} rows"
    for name, scores in (("self_bleu", self_bleu), ("rouge_l_nearest", rouge_l_nearest)):
        own, gold_scores = scores(mine), scores(theirs) if theirs is not None else None
        low, high = bootstrap_mean(own, name)
        other = None if gold_scores is None else float(gold_scores.mean())
        collector.add(Measure(name, float(own.mean()), size, slice_, low, high, other))
    novel = int((own < CLOSE).sum())
    low, high = wilson(novel, size)
    other = None if gold_scores is None else float((gold_scores < CLOSE).mean())
    collector.add(Measure("novel", novel / size, size, slice_, low, high, other))
    other = rows_per_gram(theirs) if theirs is not None else None
    collector.add(Measure("rows_per_3gram", rows_per_gram(mine), size, slice_, reference=other))
    sizes = [
        int(joined(f, fields).str.len_bytes().sum()) for f in (inputs.rows, gold) if f is not None
    ]
    budget = max((b for b in BYTES if b <= min(sizes)), default=min(sizes))
    ratio = compression_ratio(_cut(inputs.rows, fields, budget))
    other = None if gold is None else compression_ratio(_cut(gold, fields, budget))
    collector.add(
        Measure("compression", ratio, inputs.rows.height, f"{budget} bytes", reference=other)
    )
