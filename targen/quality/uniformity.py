"""Rows that follow few patterns: templates, and one phrase, name or text in many rows."""

import re
from collections import Counter
from typing import Any, Final

import numpy as np
import polars as pl

from targen.quality.collector import MetricCollector
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import proportion
from targen.quality.text import Tokens, joined, sample, tokens, unique

ROWS: Final = 20_000
"""Maximum number of rows to look for templates and phrases in."""
COMMON: Final = 0.01
"""Share of rows from which a word belongs to a template rather than to what fills it."""
FIXED: Final = 4
"""Words that a template must have besides what fills it."""
LARGEST: Final = 10
"""Templates that are counted, the commonest first."""
MIN_ROWS: Final = 5
"""Rows that a template must have."""
PHRASE: Final = 4
"""Words of a phrase."""
SHOWN: Final = 5

_NAME: Final = re.compile(r"\b[A-Z][\w’'-]+(?: [A-Z][\w’'-]+)*")

_BEGINNING: Final = re.compile(r"(?:^|[.!?:;\n]|--)[\s\"'“”‘(\[]*$")


def skeletons(text: Tokens) -> list[str]:
    """Return each row's words with every run of rarer words replaced by one underscore.

    A word is rare if fewer than `COMMON` of the rows have it. Rows made from one template have one
    skeleton; free texts rarely share one.
    """
    size = len(text.vocabulary)
    if not size:
        return [""] * text.height
    pairs = unique(text.ids * text.height + text.rows)
    rows_with = np.bincount(pairs // text.height, minlength=size)
    common = rows_with >= max(MIN_ROWS, COMMON * text.height)
    out = []
    for i in range(text.height):
        parts: list[str] = []
        for word in text.ids[text.starts[i] : text.starts[i + 1]]:
            if common[word]:
                parts.append(text.vocabulary[word])
            elif not parts or parts[-1] != "_":
                parts.append("_")
        out.append(" ".join(parts))
    return out


def templates(text: Tokens) -> list[tuple[str, int]]:
    """Return the `LARGEST` commonest skeletons with at least `FIXED` words, with their rows."""
    counts = Counter(
        skeleton
        for skeleton in skeletons(text)
        if sum(part != "_" for part in skeleton.split()) >= FIXED
    )
    ranked = sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:LARGEST]
    return [(skeleton, count) for skeleton, count in ranked if count >= MIN_ROWS]


def commonest_phrase(text: Tokens, size: int = PHRASE) -> tuple[str, int] | None:
    """Return the run of `size` words that most rows contain, with the number of rows."""
    codes = text.grams(size)
    known = np.flatnonzero(codes >= 0)
    if not known.size:
        return None
    pairs, first = np.unique(codes[known] * text.height + text.rows[known], return_index=True)
    grams = pairs // text.height
    counts = np.bincount(grams)
    best = int(counts.argmax())
    at = int(known[first[int(np.searchsorted(grams, best))]])
    words = [text.vocabulary[i] for i in text.ids[at : at + size]]
    return " ".join(words), int(counts[best])


_CALENDAR: Final = frozenset(
    """
    Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March April May June
    July August September October November December
    """.split()  # noqa: SIM905 - readable as a list of words
)
"""Capitalized in English, but not names."""


def commonest_name(texts: pl.Series) -> tuple[str, int] | None:
    """Return the capitalized name that most texts contain, with the number of texts.

    A name is a run of capitalized words that do not occur in lower case. Days, months, and a single
    word at the beginning of a sentence do not count.
    """
    counts: Counter[str] = Counter()
    for value in texts.fill_null(""):
        counts.update(
            {
                match[0]
                for match in _NAME.finditer(value)
                if len(match[0]) > 2
                and (" " in match[0] or not _BEGINNING.search(value[: match.start()]))
            }
        )
    lower: Counter[str] = Counter()
    for words in texts.fill_null("").str.extract_all(r"\b[a-z][\w’'-]+"):
        lower.update(set(words))
    for name, count in counts.most_common(200):
        parts = name.split()
        if _CALENDAR.issuperset(parts):
            continue
        if all(lower[part.lower()] == 0 for part in parts) or (
            len(parts) > 1 and sum(lower[part.lower()] > 0 for part in parts) * 2 < len(parts)
        ):
            return name, count
    return None


def commonest_text(texts: pl.Series) -> tuple[str, int] | None:
    """Return the text that most rows share, with the number of rows; it has a word."""
    known = texts.drop_nulls().str.strip_chars()
    known = known.filter(known.str.contains(r"\w"))
    if not known.len():
        return None
    counts = known.value_counts().sort(["count", known.name], descending=[True, False])
    return counts[known.name][0], int(counts["count"][0])


def _share_with(texts: pl.Series, phrase: str) -> float:
    return int(texts.fill_null("").str.contains(phrase, literal=True).sum()) / max(texts.len(), 1)


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add the shares of rows in the commonest templates and with the commonest phrase and name."""
    if not inputs.text_fields or inputs.rows.height < 2 * MIN_ROWS:
        collector.skip("template_share", f"needs {2 * MIN_ROWS} rows with text")
        return
    rows = sample(inputs.rows, ROWS)
    gold = None if inputs.reference is None else sample(inputs.reference, ROWS)
    fields = [name for name in inputs.text_fields if rows.schema[name] == pl.String]
    details: dict[str, Any] = {}
    for name in fields:
        own = tokens(rows, [name])
        other = None if gold is None or not gold.height else tokens(gold, [name])
        details[name] = _field(name, own, other, collector)
    texts = joined(rows, fields)
    theirs = None if gold is None or not gold.height else joined(gold, fields)
    name_found = commonest_name(texts) if inputs.language != "de" else None
    if name_found is not None:
        name, count = name_found
        share = None if theirs is None else _share_with(theirs, name)
        collector.add(proportion("repeated_name", "all", count, rows.height, share))
        details["name"] = name
    if len(fields) > 1 and inputs.pair_field is None:
        for name in fields:
            found = commonest_text(rows[name])
            most = None if gold is None else commonest_text(gold[name])
            if found is not None:
                share = None if most is None or gold is None else most[1] / gold.height
                collector.add(proportion("repeated_field", name, found[1], rows.height, share))
    collector.details["uniformity"] = details


def _field(
    name: str, own: Tokens, other: Tokens | None, collector: MetricCollector
) -> dict[str, Any]:
    found = templates(own)
    share = None
    if other is not None:
        share = sum(count for _, count in templates(other)) / other.height
    covered = sum(count for _, count in found)
    collector.add(proportion("template_share", name, covered, own.height, share))
    details: dict[str, Any] = {"templates": found[:SHOWN]}
    phrase = commonest_phrase(own)
    if phrase is not None:
        share = None if other is None else _phrase_share(other, phrase[0])
        collector.add(proportion("repeated_phrase", name, phrase[1], own.height, share))
        details["phrase"] = phrase[0]
    return details


def _phrase_share(text: Tokens, phrase: str) -> float:
    words = phrase.split(" ")
    index = {word: i for i, word in enumerate(text.vocabulary)}
    if not all(word in index for word in words) or text.ids.size < len(words):
        return 0.0
    size = text.ids.size - len(words) + 1
    hit = np.ones(size, dtype=bool)
    for step, word in enumerate(words):
        hit &= text.ids[step : step + size] == index[word]
    return float(unique(text.rows[:size][hit]).size / text.height)
