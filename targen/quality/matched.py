"""The set and the reference at equal numbers of rows, averaged over draws.

Some figures depend on the number of rows. Here, both sides have as many rows as the smaller one;
the larger one is drawn `DRAWS` times. The set's own figures do not depend on the reference.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
import polars as pl

from targen.quality import learner
from targen.quality.balance import label_set
from targen.quality.collector import Measure, MetricCollector
from targen.quality.difficulty import FEWEST, has_row_options, reason_no_labels
from targen.quality.inputs import Embedded, ReportInputs
from targen.quality.intervals import percentiles
from targen.quality.self_similarity import CLOSE, rouge_l_nearest, rows_per_gram, self_bleu
from targen.quality.semantic import unit, vendi_score
from targen.quality.shortcuts import accuracies, input_parts, part_features
from targen.quality.text import Ints, Tokens, generator, tokens

DRAWS: Final = 20
MOST: Final = 300
"""Maximum number of rows per draw."""
STRENGTH: Final = 1.0
"""Inverse regularization strength; choosing one in every draw would take ten times as long."""


def drawn(height: int, size: int, part: str) -> Iterator[Ints]:
    """Yield `DRAWS` seeded samples of row numbers, or all rows once if there are no more."""
    if height <= size:
        yield np.arange(height, dtype=np.int64)
        return
    for i in range(DRAWS):
        order = generator("matched", part, height, size, i).permutation(height)[:size]
        yield np.asarray(np.sort(order), dtype=np.int64)


def _spread(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    """Return the mean of a figure over the draws, and the middle 95% of the draws, if several."""
    known = np.array(values)[np.isfinite(values)]
    if not known.size:
        return float("nan"), None, None
    low, high = percentiles(known) if known.size > 1 else (None, None)
    return float(known.mean()), low, high


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add `at_reference_size`: figures of both sides at the number of rows of the smaller side."""
    gold = inputs.reference
    if gold is None or gold.height < FEWEST or inputs.rows.height < FEWEST:
        collector.skip("at_reference_size", f"needs {FEWEST} rows and as many reference rows")
        return
    if not inputs.text_fields:
        collector.skip("at_reference_size", "the task has no text field")
        return
    _wording(inputs, gold, collector)
    if reason_no_labels(inputs) is None and not has_row_options(inputs):
        _shortcuts(inputs, gold, collector)
    if inputs.embeddings is not None and inputs.reference_embeddings is not None:
        _vendi(inputs.embeddings, inputs.reference_embeddings, collector)


def _add(
    collector: MetricCollector,
    name: str,
    size: int,
    own: tuple[float, float | None, float | None],
    reference: float,
) -> None:
    value, low, high = own
    slice_ = f"{name}, {size} rows"
    collector.add(Measure("at_reference_size", value, size, slice_, low, high, reference))


def _wording(inputs: ReportInputs, gold: pl.DataFrame, collector: MetricCollector) -> None:
    size = min(MOST, gold.height, inputs.rows.height)

    kinds: dict[str, Callable[[Tokens], float]] = {
        "self_bleu": lambda text: float(np.nanmean(self_bleu(text))),
        "rouge_l_nearest": lambda text: float(np.nanmean(rouge_l_nearest(text))),
        "novel": lambda text: float((rouge_l_nearest(text) < CLOSE).mean()),
        "rows_per_3gram": rows_per_gram,
    }
    sides = []
    for frame in (inputs.rows, gold):
        texts = [
            tokens(frame[rows], inputs.text_fields) for rows in drawn(frame.height, size, "wording")
        ]
        sides.append({name: _spread([kind(t) for t in texts]) for name, kind in kinds.items()})
    for name in kinds:
        _add(collector, name, size, sides[0][name], sides[1][name][0])


def _shortcuts(inputs: ReportInputs, gold: pl.DataFrame, collector: MetricCollector) -> None:
    names = label_set(inputs)
    own, other = (frame.filter(pl.col("label").is_in(names)) for frame in (inputs.rows, gold))
    size = min(MOST, own.height, other.height)
    if size < FEWEST or other["label"].n_unique() < 2:
        return
    for part, fields in input_parts(inputs).items():
        found = []
        for frame in (own, other):
            chosen = list(drawn(frame.height, size, "shortcut"))
            # Only rows of some draw need features.
            used = np.unique(np.concatenate(chosen))
            features = part_features(frame[used], part, fields, inputs)
            codes = learner.label_codes(frame["label"], names)
            groups = learner.groups_of(frame, inputs.pair_field)
            gains = [
                gain(features[np.searchsorted(used, rows)], codes[rows], groups[rows], len(names))
                for rows in chosen
            ]
            found.append(_spread(gains))
        _add(collector, f"shortcut, {part}", size, found[0], found[1][0])


def gain(features: object, labels: Ints, groups: Ints, size: int) -> float:
    """Return the held-out accuracy gained over the commonest label, with one fixed strength."""
    scores = learner.cross_validated(features, labels, groups, size, STRENGTH)
    found = accuracies(scores, labels)
    return float((found.model - found.guess).mean())


def _vendi(own: Embedded, gold: Embedded, collector: MetricCollector) -> None:
    size = min(MOST, len(own.rows), len(gold.rows))
    if size < 2:
        return
    found = []
    for side in (own, gold):
        vectors = unit(side.vectors)
        rows = drawn(len(vectors), size, "vendi")
        found.append(_spread([vendi_score(vectors[chosen]) for chosen in rows]))
    _add(collector, "vendi_score", size, found[0], found[1][0])
