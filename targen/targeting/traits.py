"""Traits of rows that a person would name: lengths, negations, words that two fields share.

The lists of words are English. In other languages, only lengths, numbers and shared words count.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from targen.quality.text import words
from targen.quality.topics import stop_words
from targen.tasks.sections import ENGLISH

Flags = npt.NDArray[np.bool_]

STEM: Final = 5
"""Letters of a word that are compared, so that forms of one word count as equal."""
FEW: Final = 0.5
"""Share of content words in another field below which few are shared."""
QUARTILES: Final = (0.25, 0.75)
TERMS: Final = 60
"""Commonest content words of a field that are traits."""
FEWEST_ROWS: Final = 8
"""Rows that a word or an opening must be in to be a trait: it must not point to single texts."""
_LISTS: Final = {
    "has a negation": (
        "Use a negation",
        "no not never none nobody nothing neither nor without cannot",
    ),
    "speaks of all or none": (
        "Make a general claim (all, every, only, always, never)",
        "all every everyone everybody everything each only always never any",
    ),
    "says what can, may or must be": (
        "Say what can, may, must or should be",
        "can could may might must should",
    ),
    "compares": ("Compare two things", "more less most least fewer better worse than same"),
    "gives a reason or a result": (
        "Give a reason or a result",
        "because caused causes cause due led result results therefore so",
    ),
}
_NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)*")
_NAME: Final = re.compile(r"(?<=[\w,;] )[A-Z][\w'’-]*")
"""A capitalized word within a sentence."""


@dataclass(frozen=True)
class Trait:
    """A property that some rows have.

    Attributes:
        name: in words, such as "hypothesis has a negation".
        field: the field that has it.
        demand: a sentence that asks a writer for it; None if the lengths do.
        least, most: range of the field's length in words; None without one.
        has: whether each row has it.
    """

    name: str
    field: str
    demand: str | None
    has: Flags
    least: int | None = None
    most: int | None = None


@dataclass(frozen=True)
class Names:
    """What the traits of one data set are about, so that they mean the same in another one.

    Attributes:
        lengths: field -> quartiles of its length in words.
        terms: field -> common content words.
        openings: field -> common first words.
    """

    lengths: dict[str, tuple[float, float]]
    terms: dict[str, list[str]]
    openings: dict[str, list[str]]


def names_of(rows: pl.DataFrame, fields: Sequence[str], language: str) -> Names:
    """Return the lengths, terms and openings of some rows."""
    found, stop = Names({}, {}, {}), stop_words(language)
    for name in fields:
        said = words(rows[name]).to_list()
        low, high = np.quantile([len(one) for one in said], QUARTILES)
        found.lengths[name] = (float(low), float(high))
        found.terms[name] = _common(
            ({w for w in one if len(w) > 2 and w not in stop and not w.isdigit()} for one in said),
            rows.height,
        )
        found.openings[name] = _common(([one[0]] for one in said if one), rows.height)
    return found


def _common(listed: Any, height: int) -> list[str]:
    counts = Counter(word for one in listed for word in one)
    fitting = [w for w, n in counts.items() if FEWEST_ROWS <= n <= height / 2]
    return sorted(fitting, key=lambda w: (-counts[w], w))[:TERMS]


def relations(rows: pl.DataFrame, fields: Sequence[str], language: str) -> Iterator[Trait]:
    """Yield the traits that do not depend on the data set."""
    said = {name: words(rows[name]).to_list() for name in fields}
    texts = {name: rows[name].fill_null("").to_list() for name in fields}
    for name in fields:
        if language == ENGLISH:
            for what, (demand, listed) in _LISTS.items():
                wanted = set(listed.split())
                yield Trait(
                    f"{name} {what}",
                    name,
                    f"{demand} in `{name}`.",
                    _flags(
                        not wanted.isdisjoint(one)
                        or ("not" in wanted and any(w.endswith(("n't", "n’t")) for w in one))
                        for one in said[name]
                    ),
                )
        yield Trait(
            f"{name} has a number",
            name,
            f"State a number in `{name}`.",
            _flags(_NUMBER.search(text) is not None for text in texts[name]),
        )
    for at, second in enumerate(fields):
        for first in fields[:at]:
            yield from _between(first, second, said, texts, language)


def _between(
    first: str,
    second: str,
    said: dict[str, list[list[str]]],
    texts: dict[str, list[str]],
    language: str,
) -> Iterator[Trait]:
    shares = shared(said[first], said[second], language)
    yield Trait(
        f"{second} has all its content words from {first}",
        second,
        f"Use in `{second}` only content words of `{first}`.",
        shares == 1,
    )
    yield Trait(
        f"{second} has less than half of its content words from {first}",
        second,
        f"Use in `{second}` mostly words that are not in `{first}`.",
        shares < FEW,
    )
    yield Trait(
        f"{second} has a number that is not in {first}",
        second,
        f"State in `{second}` a number that is not in `{first}`.",
        _flags(
            not set(_NUMBER.findall(b)) <= set(_NUMBER.findall(a))
            for a, b in zip(texts[first], texts[second], strict=True)
        ),
    )
    if language == ENGLISH:
        yield Trait(
            f"{second} has a name that is not in {first}",
            second,
            f"Name in `{second}` someone or something that `{first}` does not name.",
            _flags(
                any(name.lower() not in a.lower() for name in _NAME.findall(b))
                for a, b in zip(texts[first], texts[second], strict=True)
            ),
        )


def shared(
    first: Sequence[Sequence[str]], second: Sequence[Sequence[str]], language: str
) -> npt.NDArray[np.float64]:
    """Return per row the share of the content words of `second` that `first` has as well."""
    stop = stop_words(language)
    found = []
    for a, b in zip(first, second, strict=True):
        stems = {word[:STEM] for word in a}
        content = [word[:STEM] for word in b if word not in stop]
        found.append(sum(one in stems for one in content) / len(content) if content else 1.0)
    return np.array(found, dtype=np.float64)


def traits(
    rows: pl.DataFrame, fields: Sequence[str], language: str, names: Names
) -> Iterator[Trait]:
    """Yield all traits of some rows, in the terms of the same or another data set."""
    yield from relations(rows, fields, language)
    for name in fields:
        said = words(rows[name]).to_list()
        sizes = np.array([len(one) for one in said])
        low, high = (round(edge) for edge in names.lengths[name])
        yield Trait(f"{name} has at most {low} words", name, None, sizes <= low, None, low)
        yield Trait(f"{name} has at least {high} words", name, None, sizes >= high, high, None)
        for word in names.terms[name]:
            yield Trait(
                f"{name} has the word “{word}”",
                name,
                f"Use the word “{word}” in `{name}`.",
                _flags(word in one for one in said),
            )
        for word in names.openings[name]:
            yield Trait(
                f"{name} begins with “{word}”",
                name,
                f"Begin `{name}` with “{word}”.",
                _flags(one[:1] == [word] for one in said),
            )


def _flags(values: Any) -> Flags:
    return np.fromiter(values, dtype=np.bool_)
