"""Named entities, found by a spaCy pipeline of the user's choice."""

from collections import Counter
from typing import Any

import polars as pl

from targen.errors import TargenError
from targen.quality.collector import MetricCollector
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import proportion
from targen.quality.text import joined, sample

ROWS = 2000
"""Maximum number of rows to read; larger sets are sampled."""
SHOWN = 3
LONGEST = 20_000
"""Characters read per row; pipelines reject very long texts."""


def pipeline(name: str) -> Any:
    """Load a spaCy pipeline by name or path.

    Raises:
        TargenError: spaCy or the pipeline is not installed.
    """
    try:
        import spacy  # noqa: PLC0415  (an optional extra, slow to import)
    except ImportError as error:
        raise TargenError(
            "Finding entities needs spaCy, which is not installed. Run: pip install spacy"
        ) from error
    try:
        return spacy.load(name)
    except OSError as error:
        raise TargenError(
            f"spaCy cannot load the pipeline {name!r}. Install it with python -m spacy download "
            f"{name}, or give the path of a pipeline."
        ) from error


def named(texts: pl.Series, model: Any) -> list[list[tuple[str, str]]]:
    """Return the entities of each text, as (type, text)."""
    docs = model.pipe(text[:LONGEST] for text in texts.fill_null(""))
    return [[(entity.label_, entity.text) for entity in doc.ents] for doc in docs]


def shares(found: list[list[tuple[str, str]]]) -> dict[str, float]:
    """Return type -> share of the texts that contain an entity of this type."""
    counts = Counter(kind for entities in found for kind in {kind for kind, _ in entities})
    return {kind: number / len(found) for kind, number in counts.items()}


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add the share of rows that name an entity, per type, and the most frequent entities.

    Shares are from 0 to 1 and include the pipeline's errors.

    Raises:
        TargenError: spaCy or the requested pipeline is not installed.
    """
    if inputs.entity_model is None or not inputs.rows.height:
        collector.skip("entity", "no spaCy pipeline was given; word lists find groups only")
        return
    model, fields, gold = pipeline(inputs.entity_model), inputs.text_fields, inputs.reference
    found = named(joined(sample(inputs.rows, ROWS), fields), model)
    reference: dict[str, float] | None = None
    if gold is not None and gold.height:
        reference = shares(named(joined(sample(gold, ROWS), fields), model))
    own, n = shares(found), len(found)
    for kind in sorted(own, key=lambda kind: (-own[kind], kind)):
        other = None if reference is None else reference.get(kind, 0.0)
        collector.add(proportion("entity", kind, round(own[kind] * n), n, other))
    commonest: dict[str, list[str]] = {}
    for kind in own:
        texts = Counter(text for entities in found for k, text in entities if k == kind)
        commonest[kind] = sorted(texts, key=lambda text: (-texts[text], text))[:SHOWN]
    collector.details["entities"] = commonest
