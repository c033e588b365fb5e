"""Similarity of each row's wording to the other rows: self-BLEU, ROUGE-L, 3-grams, compression."""

import zlib
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import polars as pl

from targen.quality.collector import Measure, MetricCollector
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import Floats, jackknife, proportion
from targen.quality.text import Ints, Tokens, generator, joined, sample, tokens, unique

SAMPLE = 500
"""Rows to compare with each other; published studies use 500 to 1,000."""
WORDS = 2_000
"""Words to compare per row; the time grows with their square."""
CLOSE = 0.7
"""ROUGE-L F from which a row is not novel, as in Self-Instruct (Wang et al. 2023)."""
BYTES = (10_000, 20_000, 50_000, 100_000, 200_000, 500_000)
"""Amounts of text at which compression is compared."""


GROUPS = 20
"""Groups of rows that are left out in turn for the intervals."""


def without(text: Tokens, rows: npt.NDArray[np.bool_]) -> Tokens:
    """Return the words of the other rows; the vocabulary does not change."""
    kept = ~rows[text.rows]
    number = np.cumsum(~rows) - 1
    return Tokens(
        ids=text.ids[kept],
        rows=number[text.rows[kept]],
        texts=text.texts[kept],
        vocabulary=text.vocabulary,
        height=int((~rows).sum()),
    )


def groups(height: int) -> list[npt.NDArray[np.bool_]]:
    """Return `GROUPS` seeded disjoint groups of rows, or one per row if there are fewer."""
    order = generator("jackknife", height).permutation(height)
    return [order % GROUPS == k for k in range(min(GROUPS, height))]


def sequences(text: Tokens) -> list[Ints]:
    """Return the word ids of each row."""
    return np.split(text.ids, text.starts[1:-1]) if text.height else []


def self_bleu(text: Tokens) -> Floats:
    """BLEU-4 of each row, with all other rows as references.

    Geometric mean of the modified n-gram precisions for n = 1 to 4, times a brevity penalty from
    the closest reference length. Zero counts become 0.1 (smoothing method 1 of Chen and Cherry
    2014, as in NLTK's `sentence_bleu`). From 0 (no shared word) to 1 (a copy); high values mean
    uniform wording. Sources: Zhu et al. 2018 (Texygen); BLEU: Papineni et al. 2002. It grows with
    the number of references, so compare it only at equal numbers of rows. It penalizes long fixed
    phrases and does not detect paraphrases.

    Returns:
        One score per row: 0 for a row without words, NaN if it is the only row.
    """
    if text.height < 2:
        return np.full(text.height, np.nan)
    flat = replace(text, texts=text.rows)
    size = text.lengths.astype(np.float64)
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
    """Return the sum of each row's n-gram counts, clipped to the largest count in another row."""
    known = codes >= 0
    if not known.any():
        return np.zeros(height)
    keys, counts = np.unique(codes[known] * height + rows[known], return_counts=True)
    grams, owners = keys // height, keys % height
    order = np.lexsort((-counts, grams))
    first = np.flatnonzero(np.concatenate([[True], np.diff(grams[order]) != 0]))
    ends = np.concatenate([first[1:], [order.size]])
    # The two largest counts per n-gram: the row with the largest is clipped to the second.
    second = np.where(ends - first > 1, counts[order[np.minimum(first + 1, order.size - 1)]], 0)
    best = np.repeat(counts[order[first]], ends - first)
    rest = np.repeat(second, ends - first)
    holder = np.repeat(order[first], ends - first)
    limit = np.where(order == holder, rest, best)
    sums = np.bincount(owners[order], np.minimum(counts[order], limit), minlength=height)
    return sums.astype(np.float64)


def _closest(size: Floats) -> Floats:
    """Return per row the closest length of another row; of two equally close, the shorter."""
    order = np.argsort(size, kind="stable")
    ranked = size[order]
    before = np.concatenate([[-np.inf], ranked[:-1]])
    after = np.concatenate([ranked[1:], [np.inf]])
    closest = np.empty_like(size)
    closest[order] = np.where(ranked - before <= after - ranked, before, after)
    return closest


def rouge_l(text: Tokens) -> Floats:
    """Return the ROUGE-L F of all pairs of rows, (rows, rows), with -1 on the diagonal."""
    from rapidfuzz import process  # noqa: PLC0415  (slow to import)
    from rapidfuzz.distance import Indel  # noqa: PLC0415

    rows = [part[:WORDS].tolist() for part in sequences(text)]
    # Indel similarity equals 2 LCS / (len a + len b), and its implementation is bit-parallel.
    scores = process.cdist(rows, rows, scorer=Indel.normalized_similarity, dtype=np.float64)
    np.fill_diagonal(scores, -1)
    return np.asarray(scores, dtype=np.float64)


def rouge_l_nearest(text: Tokens) -> Floats:
    """ROUGE-L F of each row with the most similar row.

    F1 = 2 LCS / (len a + len b) over words, where LCS is the length of the longest common
    subsequence. From 0 to 1 (a copy exists). Sources: Lin 2004; its maximum as a test of novelty:
    Wang et al. 2023 (Self-Instruct). It does not detect copies with parts in another order, and
    uses only the first `WORDS` words of a row.

    Returns:
        One score per row; NaN if it is the only row.
    """
    if text.height < 2:
        return np.full(text.height, np.nan)
    return np.asarray(rouge_l(text).max(axis=1), dtype=np.float64)


def rows_per_gram(text: Tokens, n: int = 3) -> float:
    """INGF: the number of rows that contain an n-gram, averaged over the distinct n-grams.

    From 1 (no n-gram is shared) to the number of rows; NaN without n-grams. Compare only at equal
    numbers of rows. Rare and common phrases have the same weight, and reordered words are not
    detected.
    """
    codes = text.grams(n)
    known = codes >= 0
    if not known.any():
        return float("nan")
    pairs = unique(codes[known] * text.height + text.rows[known])
    return float(pairs.size / unique(codes[known]).size)


def compression_ratio(text: str) -> float:
    """Bytes of the text divided by bytes after DEFLATE at level 9 (as in gzip).

    From about 1 (random); high values mean repetitive text; NaN for an empty text. Source: Shaib
    et al. 2024 (Standardizing the measurement of text diversity). It detects repetition within
    32 kB only and grows with the amount of text, so compare equal amounts.
    """
    raw = text.encode("utf-8", "surrogatepass")
    return len(raw) / len(zlib.compress(raw, 9)) if raw else float("nan")


def _bytes(frame: pl.DataFrame, fields: list[str]) -> int:
    return int(joined(frame, fields).str.len_bytes().sum())


def _excerpt(frame: pl.DataFrame, fields: list[str], budget: int) -> str:
    """Return the first `budget` bytes of the rows in a seeded order."""
    order = generator("rows", 0).permutation(frame.height)
    text = "\n".join(joined(frame[order], fields).to_list())
    return text.encode()[:budget].decode(errors="ignore")


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add self-BLEU, ROUGE-L to the nearest row, INGF and compression, with the reference's."""
    rows, fields, gold = inputs.rows, inputs.text_fields, inputs.reference
    size = min(SAMPLE, rows.height)
    if size < 2 or not fields:
        collector.skip("self_bleu", "needs two rows with text")
        return
    own = tokens(sample(rows, size), fields)
    # These figures grow with the number of rows: `matched` compares smaller reference data.
    enough = gold is not None and gold.height >= size
    reference = tokens(sample(gold, size), fields) if gold is not None and enough else None
    slice_ = f"{size} rows"
    left_out = groups(size)
    bleu = float(self_bleu(own).mean())
    low, high = jackknife(bleu, [self_bleu(without(own, rows)).mean() for rows in left_out])
    other = None if reference is None else float(self_bleu(reference).mean())
    collector.add(Measure("self_bleu", bleu, size, slice_, low, high, other))
    pairs = rouge_l(own)
    scores = pairs.max(axis=1)
    nearest = float(scores.mean())
    parts = [pairs[~rows][:, ~rows].max(axis=1).mean() for rows in left_out]
    low, high = jackknife(nearest, parts)
    others = None if reference is None else rouge_l_nearest(reference)
    other = None if others is None else float(others.mean())
    collector.add(Measure("rouge_l_nearest", nearest, size, slice_, low, high, other))
    novel = int((scores < CLOSE).sum())
    other = None if others is None else float((others < CLOSE).mean())
    collector.add(proportion("novel", slice_, novel, size, other))
    other = rows_per_gram(reference) if reference is not None else None
    collector.add(Measure("rows_per_3gram", rows_per_gram(own), size, slice_, reference=other))
    total = _bytes(rows, fields)
    budget = max((b for b in BYTES if b <= total), default=total)
    ratio = compression_ratio(_excerpt(rows, fields, budget))
    other = None
    if gold is not None and _bytes(gold, fields) >= budget:
        other = compression_ratio(_excerpt(gold, fields, budget))
    collector.add(Measure("compression", ratio, rows.height, f"{budget} bytes", reference=other))
