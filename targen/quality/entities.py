"""Named entities by a spaCy pipeline of the user's choice."""

from collections import Counter
from typing import Any

import polars as pl

from targen.errors import TargenError
from targen.quality.collector import Measure, MetricCollector
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import wilson
from targen.quality.self_similarity import sample
from targen.quality.text import joined

ROWS = 2000
"""Rows that are read at most; a seeded sample beyond that."""
SHOWN = 3
LONGEST = 20_000
"""Characters of a row that are read: pipelines refuse texts without end."""


def pipeline(name: str) -> Any:
    """Return the spaCy pipeline of that name or at that path.

    Raises:
        TargenError: spaCy or the pipeline is not installed.
    """
    try:
        import spacy  # noqa: PLC0415  (an optional extra, slow to import)
    except ImportError as error:
        raise TargenError(
            "Entities are found by spaCy, which is not installed: pip install "
            "'targen-dagster[spacy]'."
        ) from error
    try:
        return spacy.load(name)
    except OSError as error:
        raise TargenError(
            f"spaCy has no pipeline {name!r}: install it with python -m spacy download {name}, "
            "or give the path of one."
        ) from error


def named(texts: pl.Series, model: Any) -> list[list[tuple[str, str]]]:
    """Return per text its entities: type and text, as the pipeline names them."""
    found = model.pipe(text[:LONGEST] for text in texts.fill_null(""))
    return [[(entity.label_, entity.text) for entity in one.ents] for one in found]


def shares(found: list[list[tuple[str, str]]]) -> dict[str, float]:
    """Return type -> share of the texts that name at least one entity of it."""
    counts = Counter(kind for one in found for kind in {kind for kind, _ in one})
    return {kind: number / len(found) for kind, number in counts.items()}


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add the share of rows that name an entity, by type, and the commonest of each type.

    Without unit, 0 to 1; what an entity is, is the pipeline's idea, and its mistakes count.

    Raises:
        TargenError: the pipeline that was named is not there.
    """
    if inputs.entity_model is None or not inputs.rows.height:
        collector.skip("entity", "no spaCy pipeline was named; groups are found by word lists")
        return
    model, fields = pipeline(inputs.entity_model), inputs.text_fields
    mine = named(joined(sample(inputs.rows, ROWS), fields), model)
    gold = inputs.reference
    theirs: dict[str, float] | None = None
    if gold is not None and gold.height:
        theirs = shares(named(joined(sample(gold, ROWS), fields), model))
    own, n = shares(mine), len(mine)
    for kind in sorted(own, key=lambda kind: (-own[kind], kind)):
        low, high = wilson(round(own[kind] * n), n)
        other = None if theirs is None else theirs.get(kind, 0.0)
        collector.add(Measure("entity", own[kind], n, kind, low, high, other))
    commonest: dict[str, list[str]] = {}
    for kind in own:
        texts = Counter(text for one in mine for k, text in one if k == kind)
        ranked = sorted(texts, key=lambda text: (-texts[text], text))
        commonest[kind] = ranked[:SHOWN]
    collector.details["entities"] = commonest
