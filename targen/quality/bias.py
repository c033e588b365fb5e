"""Who and what is spoken of, and whether a swap of gender changes the label."""

import re
from collections.abc import Mapping

import polars as pl

from targen.quality.collector import Measure, MetricCollector
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import rate, wilson
from targen.quality.lexicons import LEXICONS
from targen.quality.text import joined
from targen.tasks.sections import ENGLISH, LANGUAGES

SHOWN = 12


def mentions(
    text: pl.Series, groups: Mapping[str, tuple[str, ...]], *, case: bool
) -> dict[str, pl.Series]:
    """Return group -> per text whether one of its forms stands there as whole words.

    Longer forms go first: Papua New Guinea is no mention of Guinea. Homonyms count as written.
    """
    owner = {form: group for group, forms in groups.items() for form in forms}
    ordered = sorted(owner, key=lambda form: (-len(form), form))
    pattern = r"\b(?:" + "|".join(re.escape(form) for form in ordered) + r")\b"
    lower = text if case else text.str.to_lowercase()
    found = lower.str.extract_all(pattern).list.eval(
        pl.element().replace_strict(owner, return_dtype=pl.String)
    )
    return {group: found.list.contains(group).fill_null(False) for group in groups}


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add the share of rows that mention each group, and agreement across gender-swapped twins.

    mention: rows with at least one form of the group over all rows, 0 to 1, by small English
    lexicons (`targen.quality.lexicons`). It counts words, not people, and says nothing of tone.
    """
    _mentions(inputs, collector)
    _twins(inputs, collector)


def _mentions(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add the share of rows that mention each group."""
    if not inputs.text_fields:
        collector.skip("mention", "the task has no text field")
        return
    if inputs.language != ENGLISH:
        language = LANGUAGES.get(inputs.language, inputs.language)
        collector.skip("mention", f"the word lists are English, the rows {language}")
        return
    text = joined(inputs.rows, inputs.text_fields).fill_null("")
    gold = None
    if inputs.reference is not None:
        gold = joined(inputs.reference, inputs.text_fields).fill_null("")
    kept: list[dict[str, object]] = []
    for kind, (groups, case) in LEXICONS.items():
        mine = mentions(text, groups, case=case)
        theirs = mentions(gold, groups, case=case) if gold is not None else {}
        counts = {group: int(flags.sum()) for group, flags in mine.items()}
        ranked = sorted((g for g in groups if counts[g]), key=lambda g: (-counts[g], g))
        for group in ranked[:SHOWN]:
            low, high = wilson(counts[group], text.len())
            other = float(theirs[group].mean() or 0) if gold is not None else None  # type: ignore[arg-type]
            share = counts[group] / text.len()
            collector.add(
                Measure("mention", share, text.len(), f"{kind}: {group}", low, high, other)
            )
            kept.append({"kind": kind, "group": group, "share": share, "reference": other})
    collector.details["mentions"] = kept


def _twins(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add the share of twin pairs whose annotated labels agree.

    Source: the gender parity score of Winogender (Rudinger et al. 2018), as SuperGLUE uses it.
    """
    if inputs.pair_field is None or "annotated_label" not in inputs.rows.columns:
        collector.skip("gender_parity", "rows do not come as gender-swapped twins")
        return
    pairs = (
        inputs.rows.drop_nulls("annotated_label")
        .group_by(inputs.pair_field)
        .agg(pl.len(), same=pl.col("annotated_label").n_unique() == 1)
        .filter(pl.col("len") == 2)
    )
    collector.add(rate("gender_parity", "all", pairs["same"]))
