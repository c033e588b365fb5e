"""Similarity of meaning between rows, from embeddings that the caller provides."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from targen.errors import NoEmbeddingsError
from targen.quality.balance import label_set
from targen.quality.collector import Measure, MetricCollector
from targen.quality.inputs import Embedded, ReportInputs
from targen.quality.intervals import Z95, Floats, IntervalEstimate
from targen.quality.text import Ints, generator, joined
from targen.steps import INSTANCES
from targen.tasks.answers import ONE_LABEL

ROWS = 10_000
"""Maximum number of rows to embed: more rows cost money and hardly narrow the interval."""
VENDI_ROWS = 1000
"""Maximum number of rows per Vendi score, which is also its maximum value."""


class Embedder(Protocol):
    """A deterministic embedding model."""

    async def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return one vector per text, (texts, dimensions).

        Raises:
            NoEmbeddingsError: the endpoint returned none.
        """
        ...


async def with_embeddings(inputs: ReportInputs, embedder: Embedder, model: str) -> ReportInputs:
    """Return the inputs with vectors of their rows and of the reference, if available.

    The text of a row is that of all its text fields, one per line.

    Raises:
        EndpointError: the endpoint cannot be used at all.
        BudgetError: the budget is used up.
    """
    if not inputs.text_fields:
        return replace(inputs, no_embeddings="the task has no text field")
    frames = [frame for frame in (inputs.rows, inputs.reference) if frame is not None]
    chosen = [_rows_to_embed(frame) for frame in frames]
    texts = [
        text
        for frame, rows in zip(frames, chosen, strict=True)
        for text in joined(frame[rows], inputs.text_fields).fill_null("").to_list()
    ]
    try:
        vectors = await embedder.embed(texts)
    except NoEmbeddingsError as error:
        return replace(inputs, no_embeddings=str(error))
    own = Embedded(vectors[: chosen[0].size], chosen[0])
    gold = Embedded(vectors[chosen[0].size :], chosen[1]) if len(chosen) > 1 else None
    return replace(inputs, embeddings=own, reference_embeddings=gold, embedding_model=model)


def _rows_to_embed(frame: pl.DataFrame) -> Ints:
    if frame.height <= ROWS:
        return np.arange(frame.height, dtype=np.int64)
    order = generator("embedded rows", frame.height).permutation(frame.height)
    return np.asarray(np.sort(order[:ROWS]), dtype=np.int64)


def unit(vectors: npt.NDArray[np.floating]) -> Floats:
    """Return the vectors scaled to length 1; zero vectors are unchanged."""
    numbers = np.asarray(vectors, dtype=np.float64)
    lengths = np.linalg.norm(numbers, axis=1, keepdims=True)
    return np.asarray(numbers / np.where(lengths > 0, lengths, 1), dtype=np.float64)


def mean_similarity(vectors: Floats) -> IntervalEstimate:
    """Mean cosine over all pairs of rows, in closed form.

    (|sum e|^2 - sum |e|^2) / (N (N - 1)) over unit vectors e, from -1/(N - 1) to 1 (all equal);
    NaN for fewer than two rows. High values mean little variety. As an average, it does not
    distinguish two tight groups from one loose group. It is comparable only under one embedding
    model.

    Returns:
        Value and 95% interval by the jackknife of a U-statistic (Efron and Stein 1981): twice the
        standard error of each row's mean over the other rows.
    """
    n = len(vectors)
    if n < 2:
        return IntervalEstimate(math.nan, None, None)
    total = vectors.sum(axis=0)
    own = np.einsum("ij,ij->i", vectors, vectors)
    per_row = (vectors @ total - own) / (n - 1)
    value = float(per_row.mean())
    half = Z95 * 2 * float(per_row.std(ddof=1)) / math.sqrt(n)
    return IntervalEstimate(value, value - half, value + half)


def between(first: Floats, second: Floats) -> float:
    """Mean cosine over all pairs of a row of `first` and one of `second`; NaN without a pair."""
    if not len(first) or not len(second):
        return math.nan
    return float(first.sum(axis=0) @ second.sum(axis=0)) / (len(first) * len(second))


def vendi_score(vectors: Floats) -> float:
    """Vendi score: the effective number of different rows.

    exp of the Shannon entropy of the eigenvalues of K / N, where K is the cosine matrix. From 1
    (all equal) to N (all orthogonal); NaN without rows. If the d x d matrix E'E / N is smaller,
    it is used instead: its non-zero eigenvalues are the same. Source: Friedman and Dieng 2023
    (TMLR). It grows with N, so compare only at equal numbers of rows.
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
    """Return mean cosines within (diagonal) and between labels; NaN without a pair."""
    groups = [vectors[(labels == name).fill_null(False).to_numpy()] for name in names]
    return [
        [mean_similarity(a).value if i == j else between(a, b) for j, b in enumerate(groups)]
        for i, a in enumerate(groups)
    ]


def similarity_across(own: Floats, reference: Floats) -> IntervalEstimate:
    """Mean cosine over all pairs of a row and a reference row, without copies.

    From -1 to 1; NaN without a pair. If the set and the reference are about the same things, it
    is close to the mean similarity within the reference. Lower values mean that the set is about
    something else, higher values that it covers only what is central in the reference. Pairs of
    equal vectors are excluded, as the pair of a row with itself is within a set.

    Returns:
        Value and 95% interval of a two-sample U-statistic: the standard errors of each row's mean
        over the other side, added in quadrature.
    """
    copies, counts = 0, Counter(row.tobytes() for row in reference)
    for row in own:
        copies += counts[row.tobytes()]
    pairs = len(own) * len(reference) - copies
    if pairs <= 0:
        return IntervalEstimate(math.nan, None, None)
    value = (float(own.sum(axis=0) @ reference.sum(axis=0)) - copies) / pairs
    if len(own) < 2 or len(reference) < 2:
        return IntervalEstimate(value, None, None)
    variance = 0.0
    for one, other in ((own, reference), (reference, own)):
        variance += float((one @ other.mean(axis=0)).var(ddof=1)) / len(one)
    half = Z95 * math.sqrt(variance)
    return IntervalEstimate(value, value - half, value + half)


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add mean similarity (also to the reference and by label), Vendi score, and drift by depth."""
    embedded, gold = inputs.embeddings, inputs.reference_embeddings
    if embedded is None or len(embedded.rows) < 2:
        reason = inputs.no_embeddings if embedded is None else "needs two rows"
        for name in ("mean_similarity", "similarity", "vendi_score", "drift"):
            collector.skip(name, reason)
        return
    collector.details["embedding_model"] = inputs.embedding_model
    own = unit(embedded.vectors)
    reference = None if gold is None or not len(gold.rows) else unit(gold.vectors)
    value, low, high = mean_similarity(own)
    other = mean_similarity(reference).value if reference is not None else None
    collector.add(Measure("mean_similarity", value, len(own), "all", low, high, other))
    size = min(VENDI_ROWS, len(own))
    if reference is None:
        collector.skip("reference_similarity", "there is no reference data to compare with")
    else:
        value, low, high = similarity_across(own, reference)
        collector.add(Measure("reference_similarity", value, len(own), "all", low, high, other))
    other = None
    if reference is not None and len(reference) >= size:
        other = vendi_score(_draw(reference, size))
    score = vendi_score(_draw(own, size))
    collector.add(Measure("vendi_score", score, size, f"{size} rows", reference=other))
    if inputs.answer_kind in ONE_LABEL:
        _by_label(inputs, embedded, own, reference, collector)
    else:
        collector.skip("similarity", f"answers of kind {inputs.answer_kind} do not group the rows")
    _drift(inputs, embedded, own, collector)


def _by_label(
    inputs: ReportInputs,
    embedded: Embedded,
    own: Floats,
    reference: Floats | None,
    collector: MetricCollector,
) -> None:
    names = label_set(inputs)
    table = similarity_by_label(own, inputs.rows["label"][embedded.rows], names)
    gold = None
    if reference is not None and inputs.reference is not None and inputs.reference_embeddings:
        labels = inputs.reference["label"][inputs.reference_embeddings.rows]
        gold = similarity_by_label(reference, labels, names)
    collector.details["similarity"] = {"names": names, "values": table}
    for i, first in enumerate(names):
        for j in range(i, len(names)):
            pair = first if i == j else f"{first} and {names[j]}"
            other = None if gold is None else gold[i][j]
            collector.add(Measure("similarity", table[i][j], len(own), pair, reference=other))


def _draw(vectors: Floats, size: int) -> Floats:
    return vectors[generator("vendi", len(vectors)).permutation(len(vectors))[:size]]


def roots(instances: pl.DataFrame) -> dict[str, str]:
    """Return instance_id -> the root of its chain of first parents, for evolved rows."""
    parent = {
        row_id: parents[0]
        for row_id, parents in instances.select("instance_id", "parent_ids").iter_rows()
        if parents
    }
    found = {}
    for row_id in parent:
        at, steps = row_id, 0
        # A chain longer than the number of rows is a cycle, which has no root.
        while at in parent and steps <= len(parent):
            at, steps = parent[at], steps + 1
        if at not in parent:
            found[row_id] = at
    return found


def _drift(
    inputs: ReportInputs, embedded: Embedded, vectors: Floats, collector: MetricCollector
) -> None:
    instances = inputs.tables.get(INSTANCES)
    if instances is None or not instances["parent_ids"].list.len().fill_null(0).sum():
        collector.skip("drift", "no row evolved from another")
        return
    index = {row_id: i for i, row_id in enumerate(inputs.rows["instance_id"][embedded.rows])}
    depth = dict(instances.select("instance_id", "depth").iter_rows())
    by_depth: dict[int, list[float]] = {}
    for row_id, root in roots(instances).items():
        if row_id in index and root in index:
            cosine = float(vectors[index[row_id]] @ vectors[index[root]])
            by_depth.setdefault(depth[row_id], []).append(cosine)
    if not by_depth:
        collector.skip("drift", "no evolved row was kept together with its root")
    for level in sorted(by_depth):
        values = np.array(by_depth[level])
        mean, low, high = float(values.mean()), None, None
        if values.size > 1:
            half = Z95 * float(values.std(ddof=1)) / math.sqrt(values.size)
            low, high = mean - half, mean + half
        collector.add(Measure("drift", mean, values.size, f"depth {level}", low, high))
