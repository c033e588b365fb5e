"""Coverage of the plan by the kept rows: attribute values, ways, difficulty, requirements."""

from collections import Counter
from typing import Any

import polars as pl

from targen.quality.collector import Measure, MetricCollector
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import rate
from targen.quality.text import joined, words
from targen.steps import CONTEXTS, INSTANCES, SEEDS
from targen.tasks.answers import ONE_LABEL

THINNEST = "thinnest"
"""The slice of `way_coverage` with the smallest share of all ways."""
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


def _adherence(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add the shares of rows with all required words, and with the required length.

    A word counts in any inflected form (equal lemma, by simplemma, English). From 0 to 1. It does
    not show whether the word is used well, and does not support terms of several words.
    """
    wanted = inputs.required
    if wanted is None or not wanted.height or "instance_id" not in inputs.rows.columns:
        collector.skip("adherence", "no words or lengths were required")
        return
    rows = inputs.rows.join(wanted, on="instance_id", how="inner", maintain_order="left")
    own = words(joined(rows, inputs.text_fields))
    required = rows["words"].to_list()
    lemmas_of = lemmas(own), lemmas(rows["words"].list.eval(pl.element().str.to_lowercase()))
    complete = [
        # The first half of `needed` is the words as written, the second their lemmas.
        all(
            {word, lemma} & set(available)
            for word, lemma in zip(needed[: len(some)], needed[len(some) :], strict=True)
        )
        for available, needed, some in zip(*lemmas_of, required, strict=True)
    ]
    flags = pl.Series(complete, dtype=pl.Boolean).filter(rows["words"].list.len() > 0)
    if flags.len():
        collector.add(rate("adherence", "required words", flags))
    size = own.list.len().cast(pl.Int64)
    inside = (size >= rows["least"].fill_null(0)) & (size <= rows["most"].fill_null(1 << 40))
    bounded = inside.filter(rows["least"].is_not_null() | rows["most"].is_not_null())
    if bounded.len():
        collector.add(rate("adherence", "length", bounded))


def _ways(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add the share of each label's rows that were planned in each of its ways.

    Rows whose label changed count for their final label, of which their way is none: the shares of
    a label add up to less than 1. From 0 to 1. It does not show whether a text follows its way.
    """
    if not inputs.ways or "planned_way" not in inputs.rows.columns:
        collector.skip("way_coverage", "the task has no ways")
        return
    by_label = inputs.answer_kind in ONE_LABEL
    rows = inputs.rows.select("planned_way", label=pl.col("label") if by_label else pl.lit(""))
    counts = Counter(rows.select("label", "planned_way").iter_rows())
    totals = Counter(rows["label"].to_list())
    found: list[dict[str, Any]] = []
    for label, way in ((label, way) for label, ways in inputs.ways.items() for way in ways):
        count, total = counts[label, way], totals[label]
        share = count / total if total else None
        collector.add(Measure("way_coverage", share, total, f"{label}, {way}" if label else way))
        found.append({"label": label, "way": way, "rows": count, "share": share})
    known = [line["share"] for line in found if line["share"] is not None]
    if known:
        collector.add(Measure("way_coverage", min(known), rows.height, THINNEST))
    collector.details["ways"] = found


def _difficulty(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add the share of rows of each planned difficulty, from 0 to 1."""
    name = "planned_difficulty"
    planned = inputs.rows[name].drop_nulls() if name in inputs.rows.columns else pl.Series([])
    if planned.is_empty():
        collector.skip(name, "no difficulty was planned")
        return
    for level, count in sorted(planned.value_counts().iter_rows()):
        collector.add(Measure(name, count / planned.len(), planned.len(), level))


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add adherence and, per attribute and pair, the share of its values that kept rows use.

    Distinct values among the kept rows divided by distinct values drawn for contexts (or seeds);
    for pairs of attributes, the same over combinations. From 0 to 1. It shows that a value was
    requested, not that the text has it.
    """
    _adherence(inputs, collector)
    _ways(inputs, collector)
    _difficulty(inputs, collector)
    rows = used(inputs)
    if rows is None:
        collector.skip("coverage", "the context of a row is unknown")
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
            collector.add(Measure("coverage", seen.len() / n, n, name))
        _pairs(planned, own, key, collector)
    if not found:
        collector.skip("coverage", "contexts and seeds have no attributes")


def _pairs(planned: pl.DataFrame, own: pl.DataFrame, key: str, collector: MetricCollector) -> None:
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
    collector.add(Measure("coverage", share, expected.height, f"{names[0]} with {names[1]}"))
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
    collector.details.setdefault(
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
