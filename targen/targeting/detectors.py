"""The searches for gaps, in one list."""

from collections.abc import Callable
from typing import Final

from targen.targeting import associations, cells, ease, errors, lengths, regions, repetition
from targen.targeting.gaps import Gap, View, propose
from targen.tasks.targets import Target

DETECTORS: Final[tuple[Callable[[View], list[Gap]], ...]] = (
    cells.label_short,
    cells.thin_ways,
    cells.thin_attributes,
    associations.label_words,
    associations.shortcut,
    lengths.length_label,
    repetition.templates,
    repetition.near_duplicates,
    repetition.names,
    ease.too_easy,
    errors.student_errors,
    regions.missing_regions,
    regions.high_entropy,
)


def targets(view: View) -> list[Target]:
    """Return the targets that the next round needs, the most harmful gaps first."""
    if not view.rows.height:
        return []
    return propose(view, DETECTORS)


def notes(view: View) -> list[str]:
    """Return what a reader should know about searches that need gold rows or unlabeled texts."""
    if not view.rows.height:
        return []
    return [said for said in (errors.note(view), regions.note(view)) if said is not None]
