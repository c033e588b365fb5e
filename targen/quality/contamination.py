"""Does the set repeat the reference data it may be tested on?"""

import numpy as np
import numpy.typing as npt
import polars as pl

from targen.quality.collector import Measure, MetricCollector
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import wilson
from targen.quality.text import tokens

WORDS = 8
"""Words in a row that count as copied: as in the PaLM report (Chowdhery et al. 2022), between
the 13 of GPT-3 (Brown et al. 2020), too long for one sentence, and chance phrases."""


def shared(rows: pl.Series, reference: pl.Series, size: int = WORDS) -> npt.NDArray[np.bool_]:
    """Tell per text whether it shares `size` words in a row with any reference text.

    A text with fewer words counts only where a whole reference text has exactly these words;
    one without a word never. Case and punctuation do not matter. Copies with a word changed
    every now and then are not seen.
    """
    both = pl.concat([rows.rename("text"), reference.rename("text")]).to_frame()
    text = tokens(both, ["text"])
    counts = text.starts[1:] - text.starts[:-1]
    known = np.arange(both.height) >= rows.len()
    out = np.zeros(both.height, dtype=bool)
    for n, codes in enumerate(text.all_grams(size), start=1):
        at = np.flatnonzero(codes >= 0) if n == size else text.starts[:-1][counts == n]
        grams, owners = codes[at], text.rows[at]
        theirs = np.unique(grams[known[owners]])
        out[owners[np.isin(grams, theirs)]] = True
    return out[: rows.len()]


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add the share of rows that repeat reference text, by field and over all.

    A row counts over all where a text of at least `WORDS` words is shared, or where every text
    of it is.
    """
    gold = inputs.reference
    if gold is None:
        collector.skip("contamination", "there is no reference data to compare with")
        return
    rows, hits, long_hit = inputs.rows, [], np.zeros(inputs.rows.height, dtype=bool)
    for name in inputs.text_fields:
        columns = [
            frame[name].list.join(" ") if frame.schema[name] == pl.List else frame[name]
            for frame in (rows, gold)
        ]
        hit = shared(columns[0], columns[1])
        text = tokens(columns[0].rename("text").to_frame(), ["text"])
        long_hit |= hit & (text.starts[1:] - text.starts[:-1] >= WORDS)
        hits.append(hit)
        low, high = wilson(int(hit.sum()), rows.height)
        share = float(hit.mean()) if rows.height else None
        collector.add(Measure("contamination", share, rows.height, name, low, high))
    if hits:
        row = long_hit | np.logical_and.reduce(hits)
        low, high = wilson(int(row.sum()), rows.height)
        share = float(row.mean()) if rows.height else None
        collector.add(Measure("contamination", share, rows.height, "all", low, high))
