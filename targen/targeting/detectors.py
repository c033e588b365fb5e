"""The searches for gaps, in one list."""

from collections.abc import Callable
from typing import Final

from targen.targeting import associations, cells, repetition
from targen.targeting.gaps import Gap, View, propose
from targen.tasks.targets import Target

DETECTORS: Final[tuple[Callable[[View], list[Gap]], ...]] = (
    cells.label_short,
    cells.thin_ways,
    cells.thin_attributes,
    associations.label_words,
    associations.shortcut,
    associations.length_label,
    repetition.templates,
    repetition.near_duplicates,
    repetition.names,
)


def targets(view: View) -> list[Target]:
    """Return the targets that the next round needs, the most harmful gaps first."""
    if not view.rows.height:
        return []
    return propose(view, DETECTORS)
