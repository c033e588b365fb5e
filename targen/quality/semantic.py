"""How alike rows are in meaning, over embeddings that the caller brings."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from targen.quality.balance import label_set
from targen.quality.collector import Measure, MetricCollector
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import Z95
from targen.quality.text import generator
from targen.steps import INSTANCES

Floats = npt.NDArray[np.float64]

VENDI_ROWS = 1000
"""Rows per Vendi score: its top value is the number of rows."""


def unit(vectors: npt.NDArray[np.floating]) -> Floats:
    """Return the vectors at length 1; a zero vector stays zero."""
    numbers = np.asarray(vectors, dtype=np.float64)
    lengths = np.linalg.norm(numbers, axis=1, keepdims=True)
    return np.asarray(numbers / np.where(lengths > 0, lengths, 1), dtype=np.float64)


def mean_similarity(vectors: Floats) -> tuple[float, float | None, float | None]:
    """Mean cosine over all pairs of rows, with its interval, without making the pairs.

    (|sum e|^2 - sum |e|^2) / (N (N - 1)) over unit vectors e. Without unit, from -1/(N - 1) to
    1 (all the same); high means narrow. NaN for fewer than two rows. It is an average: two
    tight groups far apart look like one loose group. What counts as near is the embedding
    model's idea, so compare only under one model.

    Returns:
        Value and 95% interval by the jackknife of a U-statistic (Efron and Stein 1981): twice
        the standard error of the rows' own means over the other rows.
    """
    n = len(vectors)
    if n < 2:
        return math.nan, None, None
    total = vectors.sum(axis=0)
    own = np.einsum("ij,ij->i", vectors, vectors)
    per_row = (vectors @ total - own) / (n - 1)
    value = float(per_row.mean())
    half = Z95 * 2 * float(per_row.std(ddof=1)) / math.sqrt(n)
    return value, value - half, value + half


def between(first: Floats, second: Floats) -> float:
    """Mean cosine over all pairs of a row of `first` and one of `second`; NaN without a pair."""
    if not len(first) or not len(second):
        return math.nan
    return float(first.sum(axis=0) @ second.sum(axis=0)) / (len(first) * len(second))


def vendi_score(vectors: Floats) -> float:
    """Vendi score: how many different rows the set is worth.

    exp of the Shannon entropy of the eigenvalues of K / N, K the cosine matrix. Unit: rows; 1
    (all the same) to N (all orthogonal); NaN without a row. Computed on the d x d matrix
    E'E / N where that is smaller: its non-zero eigenvalues are the same. Source: Friedman and
    Dieng 2023 (TMLR). It grows with N, so compare only at equal numbers of rows.
    """
    if not len(vectors):
        return math.nan
    tall = len(vectors) > vectors.shape[1]
    square = vectors.T @ vectors if tall else vectors @ vectors.T
    values = np.linalg.eigvalsh(square / len(vectors))
    values = values[values > 1e-12]
    return math.exp(-float((values * np.log(values)).sum()))


def similarity_by_label(
    vectors: Floats, labels: pl.Series, names: Sequence[str]
) -> list[list[float]]:
    """Return mean cosines within (diagonal) and between labels, NaN where there is no pair."""
    groups = [vectors[(labels == name).fill_null(False).to_numpy()] for name in names]
    return [
        [mean_similarity(a)[0] if i == j else between(a, b) for j, b in enumerate(groups)]
        for i, a in enumerate(groups)
    ]


def similarity_across(mine: Floats, theirs: Floats) -> tuple[float, float | None, float | None]:
    """Mean cosine over all pairs of a row and a reference row, copies left out, with its interval.

    Without unit, -1 to 1. Where the set means what the reference means, it is about the mean
    similarity within the reference; lower says that the set is about something else, higher that
    it keeps to what is central there. Pairs of equal vectors are left out, as a row's pair with
    itself is within a set. NaN without a pair.

    Returns:
        Value and 95% interval of a two-sample U-statistic: the standard errors of the means that
        single rows have over the other side, added in quadrature.
    """
    copies, counts = 0, Counter(row.tobytes() for row in theirs)
    for row in mine:
        copies += counts[row.tobytes()]
    pairs = len(mine) * len(theirs) - copies
    if pairs <= 0:
        return math.nan, None, None
    value = (float(mine.sum(axis=0) @ theirs.sum(axis=0)) - copies) / pairs
    if len(mine) < 2 or len(theirs) < 2:
        return value, None, None
    own, gold = mine @ theirs.mean(axis=0), theirs @ mine.mean(axis=0)
    variance = float(own.var(ddof=1)) / len(mine) + float(gold.var(ddof=1)) / len(theirs)
    half = Z95 * math.sqrt(variance)
    return value, value - half, value + half


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add mean similarity, also to the reference and by label, Vendi score, and drift by depth."""
    made, gold = inputs.embeddings, inputs.reference_embeddings
    why = inputs.no_embeddings if made is None else "needs two rows" if len(made.rows) < 2 else None
    if made is None or why is not None:
        for name in ("mean_similarity", "similarity", "vendi_score", "drift"):
            collector.skip(name, why or "")
        return
    collector.details["embedding_model"] = inputs.embedding_model
    mine = unit(made.vectors)
    theirs = None if gold is None or not len(gold.rows) else unit(gold.vectors)
    value, low, high = mean_similarity(mine)
    other = mean_similarity(theirs)[0] if theirs is not None else None
    collector.add(Measure("mean_similarity", value, len(mine), "all", low, high, other))
    if theirs is not None:
        value, low, high = similarity_across(mine, theirs)
        collector.add(Measure("reference_similarity", value, len(mine), "all", low, high, other))
    else:
        collector.skip("reference_similarity", "there is no reference data to compare with")
    size = min(VENDI_ROWS, len(mine), len(theirs) if theirs is not None else VENDI_ROWS)
    scores = [vendi_score(_some(group, size)) for group in (mine, theirs) if group is not None]
    gold_score = scores[1] if theirs is not None else None
    collector.add(Measure("vendi_score", scores[0], size, f"{size} rows", reference=gold_score))
    if inputs.answer_kind == "class":
        _by_label(inputs, mine, theirs, collector)
    else:
        collector.skip("similarity", f"answers of kind {inputs.answer_kind} make no groups of rows")
    _drift(inputs, mine, collector)


def _by_label(
    inputs: ReportInputs, mine: Floats, theirs: Floats | None, collector: MetricCollector
) -> None:
    """Add the mean cosine within each label and between each two."""
    assert inputs.embeddings is not None
    names = label_set(inputs)
    table = similarity_by_label(mine, inputs.rows["label"][inputs.embeddings.rows], names)
    gold = None
    if theirs is not None and inputs.reference is not None and inputs.reference_embeddings:
        labels = inputs.reference["label"][inputs.reference_embeddings.rows]
        gold = similarity_by_label(theirs, labels, names)
    collector.details["similarity"] = {"names": names, "values": table}
    for i, first in enumerate(names):
        for j in range(i, len(names)):
            pair = first if i == j else f"{first} and {names[j]}"
            other = None if gold is None else gold[i][j]
            collector.add(Measure("similarity", table[i][j], len(mine), pair, reference=other))


def _some(vectors: Floats, size: int) -> Floats:
    """Return `size` rows drawn by a fixed seed."""
    return vectors[generator("vendi", len(vectors)).permutation(len(vectors))[:size]]


def roots(instances: pl.DataFrame) -> dict[str, str]:
    """Return instance_id -> the id at the far end of its first parents, for grown rows."""
    parent = {
        row_id: parents[0]
        for row_id, parents in instances.select("instance_id", "parent_ids").iter_rows()
        if parents
    }
    found = {}
    for row_id in parent:
        at, steps = row_id, 0
        # A chain longer than there are rows is a circle: nobody's root.
        while at in parent and steps <= len(parent):
            at, steps = parent[at], steps + 1
        if at not in parent:
            found[row_id] = at
    return found


def _drift(inputs: ReportInputs, vectors: Floats, collector: MetricCollector) -> None:
    """Add the mean cosine of grown rows to the row they grew from, by depth."""
    instances = inputs.tables.get(INSTANCES)
    if instances is None or not instances["parent_ids"].list.len().fill_null(0).sum():
        collector.skip("drift", "no row was grown from another")
        return
    assert inputs.embeddings is not None
    ids = inputs.rows["instance_id"][inputs.embeddings.rows]
    place = {row_id: i for i, row_id in enumerate(ids)}
    depth = dict(instances.select("instance_id", "depth").iter_rows())
    by_depth: dict[int, list[float]] = {}
    for row_id, root in roots(instances).items():
        if row_id in place and root in place:
            cosine = float(vectors[place[row_id]] @ vectors[place[root]])
            by_depth.setdefault(depth[row_id], []).append(cosine)
    if not by_depth:
        collector.skip("drift", "no grown row is kept together with the row it grew from")
    for level in sorted(by_depth):
        values = np.array(by_depth[level])
        half = Z95 * float(values.std(ddof=1)) / math.sqrt(values.size) if values.size > 1 else None
        mean = float(values.mean())
        low, high = (None, None) if half is None else (mean - half, mean + half)
        collector.add(Measure("drift", mean, values.size, f"depth {level}", low, high))
