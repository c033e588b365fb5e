"""Cells of the plan with too few rows: labels, their ways, and attribute values."""

from collections import Counter
from typing import Any, Final

import polars as pl

from targen.quality.coverage import attributes_of, used
from targen.quality.intervals import wilson
from targen.steps import CONTEXTS
from targen.targeting.gaps import Gap, View, harm

THIN: Final = 0.5
"""Share of its fair number of rows below which a cell is thin."""
FULL: Final = 0.9
"""The same for a cell that an earlier round began to fill."""
CHANCE: Final = 0.05
"""Probability of so few rows below which a cell is thin. It is not divided by the number of cells:
a plan is more even than chance."""
SHORT: Final = 0.05
"""Share of its rows that a label may lack."""
VALUES: Final = 12
"""Attributes with more values are not looked at: their cells have too few rows."""


def label_short(view: View) -> list[Gap]:
    """Return the labels with fewer rows than an even share after correction."""
    if len(view.names) < 2:
        return []
    share = view.spec.wanted_rows // len(view.names)
    counts = Counter(view.labels)
    kept = set(view.rows["instance_id"])
    made = view.instances.select("instance_id", label="intended_label")
    found = []
    for label in view.names:
        missing = share - counts[label]
        if missing <= max(1, SHORT * share):
            continue
        own = made.filter(pl.col("label") == label)["instance_id"].to_list()
        # Seeds of rows that were lost come first: no row of the set has them.
        ids = [one for one in own if one not in kept] + [one for one in own if one in kept]
        value = counts[label] / max(1, view.rows.height)
        low, high = wilson(counts[label], view.rows.height)
        found.append(
            Gap(
                "label_short",
                f"{label} has {counts[label]} rows after correction and should have {share}. "
                f"Write more {label} rows.",
                "label_share",
                label,
                value,
                1 / len(view.names),
                missing // view.spec.unit,
                (),
                harm(counts[label], (1 - SHORT) * share, 0),
                low,
                high,
                {"label": label},
                tuple(ids),
            )
        )
    return found


def thin_ways(view: View) -> list[Gap]:
    """Return the ways with fewer than half of their fair share of their label's rows."""
    if not view.spec.labels or "planned_way" not in view.rows.columns:
        return []
    found = []
    ways_of_rows = view.rows["planned_way"].to_list()
    for label, ways in view.inputs.ways.items():
        if label not in view.names:
            continue
        own = [row for row, one in enumerate(view.labels) if one == label]
        cells = [(ways_of_rows[row] if ways_of_rows[row] in ways else None, row) for row in own]
        counts = Counter(cell for cell, _ in cells)
        fair = len(own) / len(ways)
        # The ways with the most rows give theirs, and so do rows that came from another label.
        extra: dict[Any, float] = {way: counts[way] - fair for way in ways if counts[way] > fair}
        extra[None] = counts[None]
        donors = _donors(cells, extra)
        for way in ways:
            begun = any(
                (one.kind, one.label, one.way) == ("thin_cell", label, way)
                for part in view.spec.rounds
                for one in part.approved
            )
            if not _thin(counts[way], len(own), 1 / len(ways), begun):
                continue
            need = round(fair - counts[way])
            low, high = wilson(counts[way], len(own))
            found.append(
                Gap(
                    "thin_cell",
                    f"{counts[way]} of {len(own)} {label} rows were written in the way “{way}”, "
                    f"and {fair:.0f} should be. Write {label} rows in this way.",
                    "way_coverage",
                    f"{label}, {way}",
                    counts[way] / len(own),
                    1 / len(ways),
                    need,
                    donors,
                    harm(counts[way], (FULL if begun else THIN) * fair, 0),
                    low,
                    high,
                    {"label": label, "way": way},
                )
            )
    return found


def thin_attributes(view: View) -> list[Gap]:
    """Return the pairs of label and attribute value with fewer than half of their fair share."""
    contexts, sources = view.inputs.tables.get(CONTEXTS), used(view.inputs)
    # A drawn context belongs to one slot and to its label.
    if not view.names or contexts is None or sources is None or view.spec.per_slot:
        return []
    # Others are free texts, of which each context has its own.
    declared = [name for name, one in view.spec.contexts.attributes.items() if one.values]
    planned = attributes_of(contexts, "context_id").filter(pl.col("name").is_in(declared))
    of_context: dict[str, dict[str, str]] = {}
    for key, name, value in planned.select("context_id", "name", "value").iter_rows():
        of_context.setdefault(name, {})[key] = value
    context_of_row = sources["context_id"].to_list()
    found = []
    for name, values in sorted(of_context.items()):
        distinct = sorted(set(values.values()))
        if not 2 <= len(distinct) <= VALUES:
            continue
        of_rows = [values.get(key) for key in context_of_row]
        found += _thin_values(view, name, distinct, of_rows, values)
    return found


def _thin_values(
    view: View, name: str, distinct: list[str], of_rows: list[Any], values: dict[str, str]
) -> list[Gap]:
    rows, found = view.rows.height, []
    totals = Counter(of_rows)
    for label in view.names:
        own = [row for row, one in enumerate(view.labels) if one == label]
        counts = Counter(of_rows[row] for row in own)
        for value in distinct:
            # A value that no row has is measured against an even plan.
            share = totals[value] / rows if totals[value] else 1 / len(distinct)
            fair = len(own) * share
            if not _thin(counts[value], len(own), share):
                continue
            extra = {
                other: counts[other] - len(own) * totals[other] / rows
                for other in distinct
                if counts[other] > len(own) * totals[other] / rows
            }
            donors = _donors([(of_rows[row], row) for row in own], extra)
            ids = _with_value(view, values, value)
            low, high = wilson(counts[value], len(own))
            found.append(
                Gap(
                    "thin_cell",
                    f"{counts[value]} of {len(own)} {label} rows have {name} “{value}”, and "
                    f"{fair:.0f} should have it. Write {label} rows with it.",
                    "coverage",
                    f"{label}, {name}: {value}",
                    counts[value] / max(1, len(own)),
                    share,
                    round(fair - counts[value]),
                    donors,
                    harm(counts[value], THIN * fair, 0),
                    low,
                    high,
                    {"label": label, "attributes": {name: value}},
                    ids,
                )
            )
    return found


def _with_value(view: View, values: dict[str, str], value: str) -> tuple[str, ...]:
    """Return the ids of the rows whose context has an attribute value, unused rows first."""
    kept = set(view.rows["instance_id"])
    ids = [
        key
        for key, context in view.instances.select("instance_id", "context_id").iter_rows()
        if values.get(context) == value
    ]
    return tuple(sorted(ids, key=lambda one: one in kept))


def _thin(count: int, size: int, share: float, begun: bool = False) -> bool:
    """Return whether a cell has too few rows; a cell that was begun has to be full.

    Args:
        count: rows of the cell.
        size: rows of its label.
        share: fair share of the cell.
        begun: whether an earlier round was to fill it.
    """
    from scipy.stats import binom  # noqa: PLC0415  (slow to import)

    fair = size * share
    if begun:
        return count < FULL * fair
    return count < THIN * fair and bool(binom.cdf(count, size, share) < CHANCE)


def _donors(rows: list[tuple[Any, int]], extra: dict[Any, float]) -> list[int]:
    """Return rows of the cells with too many rows, those of the largest cell first."""
    left = {cell: round(number) for cell, number in extra.items()}
    ordered = []
    # The last rows go first, so that the first rows of a set change least.
    pools = {cell: [row for one, row in reversed(rows) if one == cell] for cell in left}
    while any(left[cell] > 0 and pools[cell] for cell in left):
        cell = max((c for c in left if pools[c]), key=lambda c: left[c])
        ordered.append(pools[cell].pop(0))
        left[cell] -= 1
    return ordered
