"""Rows that repeat text of the reference data."""

import numpy as np
import numpy.typing as npt
import polars as pl

from targen.quality.collector import MetricCollector
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import proportion
from targen.quality.text import tokens, unique

WORDS = 8
"""Consecutive words that count as copied, as in the PaLM report (Chowdhery et al. 2022). GPT-3
(Brown et al. 2020) used 13, which is longer than many sentences."""


def shared(rows: pl.Series, reference: pl.Series, size: int = WORDS) -> npt.NDArray[np.bool_]:
    """Return, for each text, whether it shares `size` consecutive words with any reference text.

    A shorter text counts only if an entire reference text consists of the same words; a text
    without words never counts. Case and punctuation are ignored. Copies in which every few words
    are changed are not detected.
    """
    both = pl.concat([rows.rename("text"), reference.rename("text")]).to_frame()
    text = tokens(both, ["text"])
    is_reference = np.arange(both.height) >= rows.len()
    out = np.zeros(both.height, dtype=bool)
    for n, codes in enumerate(text.all_grams(size), start=1):
        at = np.flatnonzero(codes >= 0) if n == size else text.starts[:-1][text.lengths == n]
        grams, owners = codes[at], text.rows[at]
        known = unique(grams[is_reference[owners]])
        out[owners[np.isin(grams, known)]] = True
    return out[: rows.len()]


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add the share of rows that repeat reference text, per field and overall.

    Overall, a row counts if one of its texts of at least `WORDS` words is shared, or if all of
    its texts are.
    """
    rows, gold = inputs.rows, inputs.reference
    if gold is None:
        collector.skip("contamination", "there is no reference data to compare with")
        return
    hits, long_hit = [], np.zeros(rows.height, dtype=bool)
    for name in inputs.text_fields:
        own, other = (
            frame[name].list.join(" ") if frame.schema[name] == pl.List else frame[name]
            for frame in (rows, gold)
        )
        hit = shared(own, other)
        long_hit |= hit & (tokens(own.rename("text").to_frame(), ["text"]).lengths >= WORDS)
        hits.append(hit)
        collector.add(proportion("contamination", name, int(hit.sum()), rows.height))
    if hits:
        row = long_hit | np.logical_and.reduce(hits)
        collector.add(proportion("contamination", "all", int(row.sum()), rows.height))
        collector.mark("contamination", row)
