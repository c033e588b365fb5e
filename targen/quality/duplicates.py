"""Exact and near duplicates."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from targen import hashing
from targen.quality.collector import MetricCollector
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import proportion
from targen.quality.text import Ints, joined, unique

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Words64 = npt.NDArray[np.uint64]

WIDTH = 5
"""Characters per shingle."""
THRESHOLD = 0.8
"""Jaccard similarity at or above which two rows are near duplicates."""
FLOOR = 0.5
"""Jaccard similarity that each text field must also have, so that two questions about one long
passage are not duplicates."""
BANDS, WIDTH_OF_BAND = 16, 6
"""A pair of Jaccard similarity s is found with probability 1 - (1 - s^6)^16: 0.992 at 0.8."""
UNLIKELY = 0.62
"""Share of equal hashes below which a candidate is not compared in full. At a similarity of 0.8,
the share of 96 hashes is lower with probability 2e-5."""
CROWD = 32
"""In a bucket with more rows than this, each row is compared only with the `CHAIN` rows
before it. Rows in such a bucket are nearly all similar."""
CHAIN = 4
CHUNK = 1 << 21
"""Shingles hashed at a time; bounds the memory."""
EXAMPLES = 8
"""Pairs shown on the page."""

HELD = 1 << 25
"""Characters of the rows whose shingle sets are in memory at a time, at about 9 bytes each."""
_OWNER_BITS = 20

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def normalized(text: pl.Series) -> pl.Series:
    """Return the texts in NFKC, in lower case and with single spaces, for comparison."""
    folded = text.fill_null("").map_elements(
        lambda value: unicodedata.normalize("NFKC", value), return_dtype=pl.String
    )
    return folded.str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()


def exact(text: pl.Series) -> pl.Series:
    """Return, for each text, whether an earlier text is equal after `normalized`."""
    return ~normalized(text).is_first_distinct()


def mixed(values: Words64) -> Words64:
    """Hash 64-bit integers with the finalizer of SplitMix64 (Steele et al. 2014)."""
    out = values + _GOLDEN
    out = (out ^ (out >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    out = (out ^ (out >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return out ^ (out >> np.uint64(31))


def shingles(texts: Sequence[str], salt: int = 0) -> tuple[Words64, Ints]:
    """Return 64-bit hashes of the runs of `WIDTH` characters of each text.

    A shorter text is one shingle; an empty text has none. Shingles of a text may repeat. Two
    different shingles have equal hashes with probability 2^-64.

    Returns:
        The hashes of all texts, concatenated, and the position of each text's first hash (one
        more entry for the end).
    """
    padded = [
        text if len(text) >= WIDTH else text.ljust(WIDTH, "\0") if text else "" for text in texts
    ]
    sizes = np.array([len(text) for text in padded], dtype=np.int64)
    buffer = "".join(padded).encode("utf-32-le", "surrogatepass")
    points = np.frombuffer(buffer, dtype=np.uint32).astype(np.uint64)
    counts = np.where(sizes > 0, sizes - WIDTH + 1, 0)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    if starts[-1] == 0:
        return np.empty(0, dtype=np.uint64), starts
    # 5 characters of 21 bits exceed 64 bits: pack the first three and the last two separately.
    head = points[:-4] | (points[1:-3] << np.uint64(21)) | (points[2:-2] << np.uint64(42))
    tail = points[3:-1] | (points[4:] << np.uint64(21)) | (np.uint64(salt + 1) << np.uint64(42))
    codes = mixed(mixed(head) ^ tail)
    ends = np.cumsum(sizes)
    inside = np.ones(points.size, dtype=bool)
    for back in range(1, WIDTH):
        inside[ends[sizes > 0] - back] = False
    return codes[inside[: codes.size]], starts


@dataclass(frozen=True)
class Pairs:
    """Row numbers of near duplicates, `first` < `second`, with their Jaccard similarity."""

    first: Ints
    second: Ints
    similarity: npt.NDArray[np.float64]


def near_pairs(
    fields: Sequence[pl.Series], threshold: float = THRESHOLD, floor: float = FLOOR
) -> Pairs:
    """Find pairs of near duplicates by MinHash with banding.

    Two rows are near duplicates if the Jaccard similarity |A & B| / |A | B| of their sets of
    5-character shingles, tagged with the field, is at least `threshold`, and that of each field
    at least `floor`. Texts are `normalized` first; of equal rows, only the first is compared.
    Source: Broder 1997; Leskovec et al., Mining of Massive Datasets, ch. 3. Candidates are
    verified on their shingle sets, so no returned pair is false. A pair at 0.8 is missed with
    probability 0.008, a pair at 0.9 with 6e-6, and more often if dozens of rows are nearly equal;
    almost every such row is still in some pair. Copies and small edits are found;
    paraphrases are not.
    """
    frame = pl.DataFrame([normalized(column).alias(str(i)) for i, column in enumerate(fields)])
    distinct = frame.select(pl.struct(pl.all()).is_first_distinct()).to_series()
    texts = [column.to_list() for column in frame.filter(distinct)]
    height = int(distinct.sum())
    keys = np.empty((height, BANDS), dtype=np.uint64)
    marks = np.zeros((height, BANDS * WIDTH_OF_BAND), dtype=np.uint8)
    filled = np.zeros(height, dtype=bool)
    for begin, end in _chunks(texts):
        _sign(texts, begin, end, keys, marks, filled)
    first, second = _likely(marks, *candidates(keys, filled), threshold)
    pairs = _verified(texts, first, second, threshold, floor)
    rows = distinct.arg_true().to_numpy().astype(np.int64)
    return Pairs(rows[pairs.first], rows[pairs.second], pairs.similarity)


def _chunks(texts: Sequence[Sequence[str]]) -> Iterator[tuple[int, int]]:
    """Split the rows into ranges of about `CHUNK` characters."""
    sizes = _characters(texts)
    groups = np.cumsum(sizes) // CHUNK
    borders = np.flatnonzero(np.diff(groups)) + 1
    edges = [0, *borders.tolist(), sizes.size]
    yield from ((a, b) for a, b in pairwise(edges) if b > a)


def _characters(texts: Sequence[Sequence[str]]) -> Ints:
    sizes = np.zeros(len(texts[0]) if texts else 0, dtype=np.int64)
    for column in texts:
        sizes += np.array([len(text) for text in column], dtype=np.int64)
    return sizes


def _tagged(texts: Sequence[Sequence[str]], rows: Sequence[int] | range) -> tuple[Words64, Ints]:
    """Return the shingles of all fields of `rows`, and the index in `rows` of each."""
    codes, owners = [], []
    for salt, column in enumerate(texts):
        hashes, starts = shingles([column[row] for row in rows], salt)
        codes.append(hashes)
        owners.append(np.repeat(np.arange(len(rows)), np.diff(starts)))
    return np.concatenate(codes), np.concatenate(owners)


def _sign(
    texts: Sequence[Sequence[str]],
    begin: int,
    end: int,
    keys: Words64,
    marks: npt.NDArray[np.uint8],
    filled: npt.NDArray[Any],
) -> None:
    """Write the band keys of rows begin..end and a byte of each hash; mark rows with shingles."""
    codes, owners = _tagged(texts, range(begin, end))
    if codes.size == 0:
        return
    order = np.argsort(owners, kind="stable")
    codes, owners = codes[order], owners[order]
    starts = np.flatnonzero(np.concatenate([[True], owners[1:] != owners[:-1]]))
    rows = owners[starts] + begin
    filled[rows] = True
    random = hashing.rng("minhash")
    small = (codes >> np.uint64(32)).astype(np.uint32)
    scratch = np.empty_like(small)
    for band in range(BANDS):
        key = np.zeros(rows.size, dtype=np.uint64)
        for place in range(WIDTH_OF_BAND):
            flip, factor = random.getrandbits(32), random.getrandbits(32) | 1
            np.bitwise_xor(small, np.uint32(flip), out=scratch)
            np.multiply(scratch, np.uint32(factor), out=scratch)
            # The low bits of a product are weak hashes, so fold in the high bits before comparing.
            np.bitwise_xor(scratch, scratch >> np.uint32(15), out=scratch)
            np.multiply(scratch, np.uint32(0x2C1B3C6D), out=scratch)
            key = mixed(key ^ (least := np.minimum.reduceat(scratch, starts)).astype(np.uint64))
            marks[rows, band * WIDTH_OF_BAND + place] = mixed(least.astype(np.uint64)) >> np.uint64(
                56
            )
        keys[rows, band] = key


def candidates(keys: Words64, filled: npt.NDArray[Any]) -> tuple[Ints, Ints]:
    """Return the distinct pairs of rows with an equal key in some band."""
    rows = np.flatnonzero(filled)
    height = keys.shape[0]
    found: list[Ints] = []
    for band in range(keys.shape[1]):
        values = keys[rows, band]
        order = np.argsort(values, kind="stable")
        ordered = rows[order]
        edges = np.flatnonzero(np.concatenate([[True], np.diff(values[order]) != 0, [True]]))
        sizes = np.diff(edges)
        ranks = np.arange(ordered.size) - np.repeat(edges[:-1], sizes)
        crowd = np.repeat(np.where(sizes > CROWD, CHAIN + 1, sizes), sizes)
        for back in range(1, int(crowd.max(initial=1))):
            take = np.flatnonzero((ranks >= back) & (back < crowd))
            if take.size == 0:
                break
            found.append(ordered[take - back] * height + ordered[take])
        if sum(one.size for one in found[1:]) > CHUNK:
            found = [unique(np.concatenate(found))]
    pairs = unique(np.concatenate(found)) if found else np.empty(0, dtype=np.int64)
    return pairs // max(height, 1), pairs % max(height, 1)


def _likely(
    marks: npt.NDArray[np.uint8], first: Ints, second: Ints, threshold: float
) -> tuple[Ints, Ints]:
    """Drop the pairs whose hashes show that they are far from the threshold."""
    least = UNLIKELY / THRESHOLD * threshold * marks.shape[1]
    kept = np.zeros(first.size, dtype=bool)
    for begin in range(0, first.size, CHUNK // 16):
        part = slice(begin, begin + CHUNK // 16)
        kept[part] = (marks[first[part]] == marks[second[part]]).sum(axis=1) >= least
    return first[kept], second[kept]


def _verified(
    texts: Sequence[Sequence[str]], first: Ints, second: Ints, threshold: float, floor: float
) -> Pairs:
    """Return the pairs that reach the threshold and, in each field, the floor."""
    if not first.size:
        return Pairs(first, second, np.zeros(0))
    rows = unique(np.concatenate([first, second]))
    if first.size > 1 and sum(len(column[row]) for column in texts for row in rows) > HELD:
        half = first.size // 2
        parts = [
            _verified(texts, first[part], second[part], threshold, floor)
            for part in (slice(None, half), slice(half, None))
        ]
        return Pairs(
            np.concatenate([one.first for one in parts]),
            np.concatenate([one.second for one in parts]),
            np.concatenate([one.similarity for one in parts]),
        )
    shared, union = np.zeros(first.size), np.zeros(first.size)
    left = np.arange(first.size)
    # Short fields come first: most pairs that differ in one are not compared in the long ones.
    for column in sorted(texts, key=lambda one: sum(map(len, one))):
        sets = _sets([column[row] for row in rows])
        pair = (np.searchsorted(rows, first[left]), np.searchsorted(rows, second[left]))
        both = _shared(sets, *pair)
        sizes = np.diff(sets.indptr)
        either = sizes[pair[0]] + sizes[pair[1]] - both
        shared[left] += both
        union[left] += either
        left = left[both >= floor * either]
    similarity = shared / np.maximum(union, 1)
    left = left[shared[left] >= threshold * union[left]]
    return Pairs(first[left], second[left], similarity[left])


def _sets(texts: Sequence[str]) -> "csr_matrix":
    """Return the set of shingles of each text as a sparse row, (texts, 2^44), with ones.

    Two different shingles are in the same column with probability 2^-44.
    """
    from scipy.sparse import csr_matrix  # noqa: PLC0415 - slow to import

    columns, sizes = [], []
    for begin, end in _chunks([texts]):
        for start in range(begin, end, 1 << _OWNER_BITS):
            part = texts[start : min(end, start + (1 << _OWNER_BITS))]
            hashes, starts = shingles(part)
            owners = np.repeat(np.arange(len(part), dtype=np.uint64), np.diff(starts))
            # One number per shingle, with the text in its upper bits, is the fastest to sort.
            keys = unique((owners << np.uint64(64 - _OWNER_BITS)) | (hashes >> _OWNER_BITS))
            columns.append((keys & np.uint64((1 << (64 - _OWNER_BITS)) - 1)).astype(np.int64))
            owners = (keys >> np.uint64(64 - _OWNER_BITS)).astype(np.int64)
            sizes.append(np.bincount(owners, minlength=len(part)))
    indices = np.concatenate(columns)
    ends = np.cumsum(np.concatenate([[0], *sizes])).astype(np.int64)
    shape = (len(texts), 1 << (64 - _OWNER_BITS))
    return csr_matrix((np.ones(indices.size, dtype=np.int8), indices, ends), shape=shape)


def _shared(sets: "csr_matrix", first: Ints, second: Ints) -> Ints:
    """Return the number of columns that both rows of each pair have."""
    counts = np.zeros(first.size, dtype=np.int64)
    sizes = np.diff(sets.indptr)
    load = np.cumsum(sizes[first] + sizes[second])
    begin = 0
    while begin < first.size:
        limit = (load[begin - 1] if begin else 0) + CHUNK
        end = max(begin + 1, int(np.searchsorted(load, limit)))
        common = sets[first[begin:end]].multiply(sets[second[begin:end]])
        counts[begin:end] = np.diff(common.indptr)
        begin = end
    return counts


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add the shares of exact and near duplicates, with examples for the page."""
    rows, fields = inputs.rows, inputs.text_fields
    if not fields:
        collector.skip("exact_duplicates", "the task has no text field")
        return
    repeated = exact(joined(rows, list(inputs.fields))).to_numpy()
    collector.add(proportion("exact_duplicates", "all", int(repeated.sum()), rows.height))
    collector.mark("exact_duplicates", repeated)
    pairs = near_pairs([joined(rows, [name]) for name in fields])
    keep = ~repeated[pairs.first] & ~repeated[pairs.second]
    if inputs.pair_field is not None:
        pair = rows[inputs.pair_field].to_numpy()
        keep &= pair[pairs.first] != pair[pairs.second]
    first, second, similarity = pairs.first[keep], pairs.second[keep], pairs.similarity[keep]
    near = np.zeros(rows.height, dtype=bool)
    near[second] = True
    collector.shared["near pairs"] = [(first, second)]
    collector.add(proportion("near_duplicates", "all", int(near.sum()), rows.height))
    collector.mark("near_duplicates", near)
    collector.details["near_duplicates"] = [
        {
            "similarity": round(float(similarity[i]), 4),
            "first": rows.row(int(first[i]), named=True),
            "second": rows.row(int(second[i]), named=True),
        }
        for i in np.argsort(-similarity, kind="stable")[:EXAMPLES]
    ]
