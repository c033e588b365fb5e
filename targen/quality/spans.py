"""Agreement on entities in a text (answers of kind `spans`)."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from targen.quality.collector import Measure, MetricCollector
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import percentiles
from targen.quality.text import generator
from targen.tasks.entities import located

NO_ENTITIES: Final = "the answers of this task are no entities"
SIDES: Final = (
    ("intended, annotated", "intended_label", "annotated_label"),
    ("intended, corrected", "intended_label", "corrected_label"),
    ("annotated, corrected", "annotated_label", "corrected_label"),
    ("intended, final", "intended_label", "label"),
)
"""Slice -> the two readings that it compares."""
_DRAWS: Final = 1000

Counts = npt.NDArray[np.float64]


def f1(counts: Counts) -> npt.NDArray[np.float64]:
    """Return the F1 of entities from (..., 3) counts: in both, in the first, in the second.

    F1 = 2 both / (first + second), which is symmetric; NaN if there is no entity. An entity counts
    as the same if offsets and type are equal. Source: Tjong Kim Sang and De Meulder, 2003.
    """
    total = counts[..., 1] + counts[..., 2]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(total > 0, 2 * counts[..., 0] / total, np.nan))


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add entity F1 between the readings, in total and by type, and how many entities there are."""
    if inputs.answer_kind != "spans":
        collector.skip("entity_f1", NO_ENTITIES)
        return
    types = list(inputs.labels)
    rows = inputs.rows.to_dicts()
    final = [_found(inputs, row, row["label"]) for row in rows]
    counts = Counter(kind for found in final for _, _, kind in found)
    total = counts.total()
    if rows:
        collector.add(Measure("entities_per_row", total / len(rows), len(rows)))
    collector.details["entities"] = [
        {
            "type": kind,
            "entities": counts[kind],
            "rows": sum(any(one[2] == kind for one in found) for found in final),
            "texts": len(
                {t.casefold() for row in rows for k, t in _texts(inputs, row) if k == kind}
            ),
            "f1": {},
        }
        for kind in types
    ]
    for kind in types:
        collector.add(Measure("entity_share", counts[kind] / max(total, 1), total, kind))
    for slice_, first, second in SIDES:
        pairs = [
            (_found(inputs, row, row[first]), _found(inputs, row, row[second]))
            for row in rows
            if row.get(first) is not None and row.get(second) is not None
        ]
        if not pairs:
            continue
        _add(collector, slice_, pairs)
        for number, kind in enumerate(types):
            own = [
                ({e for e in a if e[2] == kind}, {e for e in b if e[2] == kind}) for a, b in pairs
            ]
            value = _add(collector, f"{slice_}: {kind}", own)
            collector.details["entities"][number]["f1"][slice_] = value


def _texts(inputs: ReportInputs, row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    text = str(row.get(inputs.entity_field or "") or "")
    return ((one.type, one.text) for one in located(text, row["label"] or ())[0])


def _found(
    inputs: ReportInputs, row: dict[str, Any], label: list[str] | None
) -> set[tuple[int, int, str]]:
    text = str(row.get(inputs.entity_field or "") or "")
    return {(one.start, one.end, one.type) for one in located(text, label or ())[0]}


def _add(
    collector: MetricCollector,
    slice_: str,
    pairs: list[tuple[set[tuple[int, int, str]], set[tuple[int, int, str]]]],
) -> float | None:
    """Add the F1 of rows with two readings; its interval resamples rows (percentile bootstrap)."""
    counts = np.array([[len(a & b), len(a), len(b)] for a, b in pairs], dtype=np.float64)
    value = float(f1(counts.sum(axis=0)))
    if not np.isfinite(value):
        return None
    draws = generator("entity_f1", slice_, len(pairs)).multinomial(
        len(pairs), np.full(len(pairs), 1 / len(pairs)), size=_DRAWS
    )
    low, high = percentiles(f1(draws.astype(np.float64) @ counts))
    collector.add(Measure("entity_f1", value, len(pairs), slice_, low, high))
    return value
