"""Words and n-grams of a frame's text fields, as arrays shared by the text metrics."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from targen import hashing

Ints = npt.NDArray[np.int64]

_NO_SPACES = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_JOINERS = "\u200c\u200d"
WORD = (
    rf"[{_NO_SPACES}]|[\w--[{_NO_SPACES}{_JOINERS}]][\w--[{_NO_SPACES}]]*"
    rf"(?:['’][\w--[{_NO_SPACES}]]+)*"
)
"""A word: a run of letters, marks and digits with inner apostrophes; in scripts without spaces
between words, each character is one. A joiner between two emoji does not start a word."""


BATCH = 1 << 15
"""Texts split into words at a time; bounds the memory."""


def words(text: pl.Series) -> pl.Series:
    """Return per text its list of lowercase words (`WORD`), without punctuation."""
    return text.fill_null("").str.to_lowercase().str.extract_all(WORD)


def generator(*content: Any) -> np.random.Generator:
    """Return a NumPy generator seeded by the sha256 of `content`."""
    return np.random.default_rng(hashing.rng(*content).getrandbits(128))


def sample(frame: pl.DataFrame, size: int) -> pl.DataFrame:
    """Return at most `size` rows, drawn without replacement with a fixed seed, in row order."""
    if frame.height <= size:
        return frame
    chosen = generator("sample", frame.height).permutation(frame.height)[:size]
    return frame[np.sort(chosen)]


def segments(frame: pl.DataFrame, fields: Sequence[str]) -> pl.DataFrame:
    """Return one row per text: `row` (number in `frame`), `rank` (of the field), `text`.

    A list field gives one text per element; nulls are excluded.
    """
    parts = [pl.DataFrame(schema={"row": pl.Int64, "rank": pl.Int64, "text": pl.String})]
    numbers = pl.int_range(frame.height, dtype=pl.Int64, eager=True).alias("row")
    for rank, name in enumerate(fields):
        part = pl.DataFrame([numbers, frame[name].alias("text")])
        if part["text"].dtype == pl.List(pl.String):
            part = part.explode("text", empty_as_null=True)
        rank_column = pl.lit(rank, dtype=pl.Int64).alias("rank")
        parts.append(part.drop_nulls("text").select("row", rank_column, "text"))
    return pl.concat(parts).sort("row", "rank", maintain_order=True)


def joined(frame: pl.DataFrame, fields: Sequence[str]) -> pl.Series:
    """Return the texts of `fields` per row, one per line."""
    columns = [
        pl.col(name).list.join("\n", ignore_nulls=True)
        if frame.schema[name] == pl.List(pl.String)
        else pl.col(name).cast(pl.String)
        for name in fields
    ]
    if not columns:
        return pl.Series("text", [""] * frame.height, dtype=pl.String)
    return frame.select(pl.concat_str(columns, separator="\n", ignore_nulls=True)).to_series()


def unique(values: Ints) -> Ints:
    """Return the distinct values in ascending order, shape (n,).

    `numpy.unique` hashes them first, which takes thirty times as long for millions of values.
    """
    ordered = np.sort(values)
    fresh = np.ones(ordered.size, dtype=bool)
    fresh[1:] = ordered[1:] != ordered[:-1]
    return ordered[fresh]


def spans(starts: Ints, lengths: Ints) -> Ints:
    """Return the positions that runs with these starts and lengths cover, run after run."""
    before = np.cumsum(lengths) - lengths
    inside = np.arange(int(lengths.sum()), dtype=np.int64)
    return np.asarray(inside + np.repeat(starts - before, lengths), dtype=np.int64)


@dataclass(frozen=True)
class Tokens:
    """The words of a frame's text fields, in row order.

    Attributes:
        ids: index in `vocabulary` per word.
        rows: row number per word.
        texts: text number per word; n-grams do not cross texts.
        vocabulary: the distinct words, sorted.
        height: number of rows, including rows without a word.
    """

    ids: Ints
    rows: Ints
    texts: Ints
    vocabulary: list[str]
    height: int

    @cached_property
    def starts(self) -> Ints:
        """Position of each row's first word, and the end as the last entry."""
        return np.searchsorted(self.rows, np.arange(self.height + 1)).astype(np.int64)

    @property
    def lengths(self) -> Ints:
        """Words per row."""
        return np.diff(self.starts)

    def all_grams(self, longest: int) -> Iterator[Ints]:
        """Yield the result of `grams(n)` for n = 1 to `longest`."""
        codes = self.ids
        yield codes
        for step in range(1, longest):
            tail = self.ids[step:]
            size = tail.size
            together = (codes[:size] >= 0) & (self.texts[:size] == self.texts[step:])
            keys = codes[:size][together] * max(len(self.vocabulary), 1) + tail[together]
            grown = np.full(self.ids.size, -1, dtype=np.int64)
            grown[:size][together] = np.unique(keys, return_inverse=True)[1]
            codes = grown
            yield codes

    def grams(self, n: int) -> Ints:
        """Return the code of the n-gram that starts at each word, -1 if none does.

        Equal codes mean equal n-grams; no hashing is involved.
        """
        return deque(self.all_grams(n), maxlen=1)[0]

    def take(self, order: Iterable[int] | Ints, budget: int) -> Ints:
        """Return the positions of the first `budget` words with the rows in `order`."""
        chosen = np.asarray(order, dtype=np.int64)
        lengths = self.lengths[chosen]
        chosen = chosen[: int(np.searchsorted(np.cumsum(lengths), budget)) + 1]
        lengths = lengths[: chosen.size]
        return spans(self.starts[chosen], lengths)[:budget]


def tokens(frame: pl.DataFrame, fields: Sequence[str]) -> Tokens:
    """Split the text fields of `frame` into words."""
    parts = segments(frame, fields)
    counts, known, found = [], [], []
    # In batches, because a word takes several times the memory of its number.
    for part in parts["text"].to_frame().iter_slices(BATCH):
        of_text = words(part["text"])
        word = of_text.explode(empty_as_null=False)
        vocabulary = word.unique().sort()
        counts.append(of_text.list.len())
        known.append(vocabulary)
        found.append(_positions(word, vocabulary))
    vocabulary = pl.concat(known).unique().sort() if known else pl.Series(dtype=pl.String)
    lengths = pl.concat(counts).to_numpy() if counts else np.zeros(0, dtype=np.int64)
    ids = [_positions(mine, vocabulary)[at] for mine, at in zip(known, found, strict=True)]
    return Tokens(
        ids=np.concatenate(ids) if ids else np.zeros(0, dtype=np.int64),
        rows=np.repeat(parts["row"].to_numpy(), lengths),
        texts=np.repeat(np.arange(parts.height, dtype=np.int64), lengths),
        vocabulary=vocabulary.to_list(),
        height=frame.height,
    )


def _positions(values: pl.Series, ordered: pl.Series) -> Ints:
    """Return the position of each value in a sorted series that has all of them."""
    numbers = pl.DataFrame(
        {"value": ordered, "at": pl.int_range(ordered.len(), dtype=pl.Int64, eager=True)}
    )
    found = pl.DataFrame({"value": values}).join(
        numbers, on="value", how="left", maintain_order="left"
    )
    return found["at"].to_numpy().astype(np.int64)
