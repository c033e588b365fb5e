"""Share of the planned attribute values that the kept rows use, and adherence to requirements."""

from collections import Counter

import polars as pl

from targen.quality.collector import Measure, MetricCollector
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import rate
from targen.quality.text import joined, words
from targen.steps import CONTEXTS, INSTANCES, SEEDS

SHOWN = 14
"""Values per side of the heat map."""


def attributes_of(frame: pl.DataFrame, key: str) -> pl.DataFrame:
    """Return one row per key and attribute: `key`, `name`, `value`."""
    if "attributes" not in frame.columns:
        return pl.DataFrame(schema={key: pl.String, "name": pl.String, "value": pl.String})
    return (
        frame.select(key, "attributes")
        .explode("attributes", empty_as_null=True)
        .drop_nulls("attributes")
        .unnest("attributes")
        .unique(maintain_order=True)
    )


def used(inputs: ReportInputs) -> pl.DataFrame | None:
    """Return the context and seed of each kept row; None if unknown."""
    instances = inputs.tables.get(INSTANCES)
    if instances is None or "instance_id" not in inputs.rows.columns:
        return None
    ids = instances.select("instance_id", "context_id", "seed_id")
    return inputs.rows.select("instance_id").join(ids, on="instance_id", how="left")


def lemmas(found: pl.Series) -> pl.Series:
    """Return lists of words with each word's English lemma beside it, lower case."""
    import simplemma  # noqa: PLC0415  (reads its dictionary)

    flat = found.explode(empty_as_null=True).drop_nulls().unique()
    known = {word: simplemma.lemmatize(word, lang="en").lower() for word in flat}
    return found.list.eval(
        pl.concat(
            [pl.element(), pl.element().replace_strict(known, default="", return_dtype=pl.String)]
        )
    )


def _adherence(inputs: ReportInputs, sheet: MetricCollector) -> None:
    """Add the shares of rows with all required words, and with the required length.

    A word counts in any inflected form (equal lemma, by simplemma, English). From 0 to 1. It
    does not say whether the word is used well, and knows no terms of several words.
    """
    wanted = inputs.required
    if wanted is None or not wanted.height or "instance_id" not in inputs.rows.columns:
        sheet.skip("adherence", "no words or lengths were required")
        return
    rows = inputs.rows.join(wanted, on="instance_id", how="inner", maintain_order="left")
    said = words(joined(rows, inputs.text_fields))
    have, need = lemmas(said), lemmas(rows["words"].list.eval(pl.element().str.to_lowercase()))
    pairs = zip(have.to_list(), need.to_list(), rows["words"].to_list(), strict=True)
    # The first half of each list is the words as written, the second their lemmas.
    held = [
        all(
            n & set(own)
            for n in ({a, b} for a, b in zip(both[: len(w)], both[len(w) :], strict=True))
        )
        for own, both, w in pairs
    ]
    some = pl.Series(held, dtype=pl.Boolean).filter(rows["words"].list.len() > 0)
    if some.len():
        sheet.add(rate("adherence", "required words", some))
    size = said.list.len().cast(pl.Int64)
    inside = (size >= rows["least"].fill_null(0)) & (size <= rows["most"].fill_null(1 << 40))
    bounded = inside.filter(rows["least"].is_not_null() | rows["most"].is_not_null())
    if bounded.len():
        sheet.add(rate("adherence", "length", bounded))


def measure(inputs: ReportInputs, sheet: MetricCollector) -> None:
    """Add adherence and, per attribute and pair, the share of its values that kept rows use.

    Used over expected: distinct values among the kept rows over distinct values drawn for
    contexts (or seeds); for pairs of attributes, combinations used over combinations drawn.
    Without unit, 0 to 1. It says that a value was asked for, not that the text shows it.
    """
    _adherence(inputs, sheet)
    rows = used(inputs)
    if rows is None:
        sheet.skip("coverage", "the context of a row is unknown")
        return
    found = False
    for table, key in ((CONTEXTS, "context_id"), (SEEDS, "seed_id")):
        frame = inputs.tables.get(table)
        if frame is None:
            continue
        planned = attributes_of(frame, key)
        if planned.is_empty():
            continue
        found = True
        own = rows.join(planned, on=key, how="inner")
        for name in planned["name"].unique(maintain_order=True):
            all_values = planned.filter(pl.col("name") == name)["value"].unique()
            seen = own.filter(pl.col("name") == name)["value"].unique()
            n = all_values.len()
            sheet.add(Measure("coverage", seen.len() / n, n, name))
        _pairs(planned, own, key, sheet)
    if not found:
        sheet.skip("coverage", "contexts and seeds have no attributes")


def _pairs(planned: pl.DataFrame, own: pl.DataFrame, key: str, sheet: MetricCollector) -> None:
    """Add coverage of the combinations of the first two attributes, and their heat map.

    A cell of the map is the number of kept rows, None if the combination was never drawn.
    The map is omitted if fewer than one cell per line would be filled.
    """
    names = planned["name"].unique(maintain_order=True).to_list()[:2]
    if len(names) < 2:
        return

    def combined(frame: pl.DataFrame, index: str) -> pl.DataFrame:
        sides = [
            frame.filter(pl.col("name") == name).select(index, pl.col("value").alias(side))
            for name, side in zip(names, "ab", strict=True)
        ]
        return sides[0].join(sides[1], on=index)

    expected = combined(planned, key).select("a", "b").unique()
    seen = combined(own, "instance_id")
    if expected.is_empty():
        return
    share = seen.select("a", "b").unique().height / expected.height
    sheet.add(Measure("coverage", share, expected.height, f"{names[0]} with {names[1]}"))
    # The most frequent values, so that the cut hides few rows.
    left, top = (_commonest(expected[side], seen[side]) for side in "ab")
    counts: list[list[int | None]] = [[None] * len(top) for _ in left]
    for a, b in expected.iter_rows():
        if a in left and b in top:
            counts[left.index(a)][top.index(b)] = 0
    for a, b, number in seen.group_by("a", "b").len().iter_rows():
        if a in left and b in top:
            counts[left.index(a)][top.index(b)] = number
    # If combinations hardly share a value, the map is mostly empty.
    if sum(cell is not None for line in counts for cell in line) < max(len(left), len(top)):
        return
    sheet.details.setdefault(
        "coverage",
        {
            "names": names,
            "rows": left,
            "columns": top,
            "counts": counts,
            "values": [expected[side].n_unique() for side in "ab"],
        },
    )


def _commonest(drawn: pl.Series, used: pl.Series) -> list[str]:
    """Return the `SHOWN` values drawn that are used most, in alphabetical order."""
    numbers = Counter(used.to_list())
    ranked = sorted(set(drawn.to_list()), key=lambda value: (-numbers[value], value))
    return sorted(ranked[:SHOWN])
