"""Gaps of a data set, and the targets that close them."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from targen.quality.balance import label_set
from targen.quality.difficulty import has_row_options, reason_no_labels
from targen.quality.inputs import ReportInputs
from targen.steps import INSTANCES
from targen.targeting import student as students
from targen.targeting.student import Exam, Student
from targen.tasks.answers import ONE_LABEL
from targen.tasks.spec import TaskSpec
from targen.tasks.targets import Target, with_id

ROUND_SHARE: Final = 1 / 4
"""Largest share of the rows that one round writes. The next report can correct what a round got
wrong, and three rounds cost at most about 0.4 times the tokens of a new set."""
EDITED: Final = 2 / 3
"""Cost of a row that code edits, as part of the cost of one that a model writes: both are labeled,
and labels cost about twice as much as texts."""
MILD: Final = 1 / 2
"""Part of the harm of the worst gap below which a gap waits for a later round."""
FEWEST: Final = 2
"""Rows that a target asks for at least."""


@dataclass(frozen=True)
class Gap:
    """Something that the rows lack or have too much of.

    Attributes:
        kind: as `targen.tasks.targets.Kind`.
        reason: what is wrong and what to do, in one sentence.
        metric, slice: the figure that shows it.
        value, bound: of the figure, and the value at which there is no gap.
        low, high: 95% interval of the figure.
        need: number of rows that have to change.
        rows: row numbers that show the gap, in the order in which they should be replaced.
        harm: for the order of gaps, see `harm`.
        asks: further attributes of the target.
        ids: ids of rows to take context and seed from, if not from `rows`.
        others_count: whether a row that is replaced for another gap closes this one as well,
            because it avoids the same things.
        unexplained: whether the gap has no cause that rows can be asked to avoid. It waits while
            there are others, which may be its cause.
    """

    kind: str
    reason: str
    metric: str
    slice: str
    value: float | None
    bound: float
    need: int
    rows: Sequence[int]
    harm: float
    low: float | None = None
    high: float | None = None
    asks: Mapping[str, Any] = field(default_factory=dict)
    ids: Sequence[str] = ()
    others_count: bool = False
    unexplained: bool = False

    @property
    def key(self) -> tuple[str, str, str]:
        """What identifies the gap in every round, as `Target.gap`."""
        return self.kind, self.metric, self.slice

    @property
    def price(self) -> float:
        """What a new row counts for in the limit of a round."""
        return EDITED if self.asks.get("edit") else 1.0


@dataclass(frozen=True)
class View:
    """What the search for gaps looks at."""

    spec: TaskSpec
    inputs: ReportInputs
    report: Mapping[str, Any]
    pool: pl.DataFrame | None = None

    @property
    def rows(self) -> pl.DataFrame:
        """The corrected set."""
        return self.inputs.rows

    @property
    def fields(self) -> list[str]:
        """The fields with one text."""
        return [name for name in self.inputs.text_fields if self.rows.schema[name] == pl.String]

    @cached_property
    def names(self) -> list[str]:
        """The labels of a task with one label per row; else empty."""
        return list(label_set(self.inputs)) if self.inputs.answer_kind in ONE_LABEL else []

    @cached_property
    def labels(self) -> npt.NDArray[Any]:
        """The final label of each row, as an array of objects."""
        empty = [None] * self.rows.height
        return np.array(self.rows["label"].to_list() if self.names else empty, dtype=object)

    @cached_property
    def firsts(self) -> npt.NDArray[np.bool_]:
        """Whether each row is the first of its unit; of twins, the first stands for both."""
        if self.spec.twin is None:
            return np.ones(self.rows.height, dtype=bool)
        return self.rows[self.spec.twin.id_field].is_first_distinct().to_numpy()

    @cached_property
    def unchanged(self) -> npt.NDArray[np.bool_]:
        """Whether each row is the first of its unit and has the label that it was written for.

        A row in the place of another one would be written for a label that that one lost.
        """
        if "verdict" not in self.rows.columns:
            return self.firsts
        return np.asarray(self.firsts & (self.rows["verdict"] != "relabelled").to_numpy())

    @cached_property
    def instances(self) -> pl.DataFrame:
        """The table of instances."""
        return self.inputs.tables[INSTANCES]

    @cached_property
    def student(self) -> Student | None:
        """A small classifier that learned from the set; None if there are no labels to learn."""
        one = self.inputs
        if not self.names or not self.fields or has_row_options(one) or reason_no_labels(one):
            return None
        return students.trained_on(
            self.rows, self.fields, self.names, one.language, self.spec.pair_field
        )

    @cached_property
    def exam(self) -> Exam | None:
        """What the student makes of gold rows; None without a student or without gold rows."""
        if self.student is None or self.inputs.reference is None:
            return None
        gold = students.usable(self.inputs.reference, self.names)
        if gold.height < students.FEWEST_GOLD or gold["label"].n_unique() < 2:
            return None
        return students.examined(self.student, gold, self.fields, self.inputs.language)

    def figure(self, metric: str, slice_: str = "all") -> Mapping[str, Any] | None:
        """Return a figure of the report that is known, or None."""
        for row in self.report["figures"]:
            if (row["metric"], row["slice"]) == (metric, slice_) and row["value"] is not None:
                found: Mapping[str, Any] = row
                return found
        return None

    def above(self, metric: str, slice_: str, bound: float) -> Mapping[str, Any] | None:
        """Return a figure that is at `bound` or above, and clearly above that of the reference."""
        found = self.figure(metric, slice_)
        if found is None or found["value"] < bound:
            return None
        gold = found["reference"]
        return None if gold is not None and found["value"] < 2 * gold else found

    def rewrites(self, name: str | None) -> bool:
        """Return whether a field is part of the seed, so that a new seed is needed."""
        return name is not None and name in self.spec.seed_fields


def harm(value: float, bound: float, worst: float = 1.0) -> float:
    """Return how far a figure is beyond its bound: 0 at the bound, 1 at the worst possible value.

    Args:
        value: of the figure.
        bound: the value from which there is a gap.
        worst: the worst possible value, on either side of the bound.
    """
    return min(1.0, max(0.0, (value - bound) / (worst - bound)))


def moved(before: float, after: float, bound: float, width: float) -> bool:
    """Return whether a value moved towards its bound by more than its standard error.

    `width` is that of the 95% interval, which is about four standard errors.
    """
    return (after - before) * (1.0 if bound > before else -1.0) > width / 4


def _in_vain(gap: Gap, need: int, spec: TaskSpec) -> bool:
    """Return whether an earlier round had targets for a gap, and its figure has hardly moved.

    Args:
        gap: the gap.
        need: number of rows that have to change, for all gaps with the same figure.
        spec: the task.
    """
    earlier = [
        (one.value, one.count)
        for part in spec.rounds
        for one in part.approved
        if one.gap == gap.key and one.value is not None
    ]
    # A round that asked for few of the rows says nothing.
    if sum(count for _, count in earlier) < need / 2:
        return False
    if not earlier or gap.value is None or gap.low is None or gap.high is None:
        return False
    return not moved(earlier[0][0], gap.value, gap.bound, gap.high - gap.low)


def _harm_before(gap: Gap, value: float | None) -> float:
    """Return the harm that a gap had when its figure had a value; the present one without value."""
    if value is None or gap.value is None or gap.value == gap.bound:
        return gap.harm
    return gap.harm * max(1.0, (value - gap.bound) / (gap.value - gap.bound))


def _of_this_round(gaps: Sequence[Gap], spec: TaskSpec) -> list[Gap]:
    """Return the gaps that a round works on.

    - A gap that an earlier round did not narrow is left: the model does not do what is demanded.
    - A gap with less than `MILD` of the harm of the worst one waits, unless a round has begun to
      close it: every set has some gaps that are just beyond their bounds, and they would take half
      of the rows. It waits until the worst one is closed, and not until it is as small.
    - Gaps without a known cause wait for those with one.
    """
    needs: Counter[tuple[str, str, str]] = Counter()
    for gap in gaps:
        needs[gap.key] += gap.need
    begun: dict[tuple[str, str, str], float | None] = {}
    for one in (one for part in spec.rounds for one in part.approved):
        begun.setdefault(one.gap, one.value)
    left = [gap for gap in gaps if not _in_vain(gap, needs[gap.key], spec)]
    worst = max((_harm_before(gap, begun.get(gap.key)) for gap in left), default=0.0)
    left = [gap for gap in left if gap.harm >= MILD * worst or gap.key in begun]
    return [gap for gap in left if not gap.unexplained and gap.need >= FEWEST] or left


def _in_order(gaps: Sequence[Gap]) -> list[Gap]:
    """Return the most harmful gaps first, but those that others close as well after these.

    If at least half of the rows that a gap has replaced show a gap that others close as well, one
    new row closes both.
    """
    order: list[Gap] = []
    for gap in sorted(gaps, key=lambda gap: (-gap.harm, gap.kind, gap.slice, gap.reason)):
        first = set() if gap.others_count else set(gap.rows[: gap.need])
        places = (
            place
            for place, other in enumerate(order)
            if other.others_count and 0 < len(first) <= 2 * len(first & set(other.rows))
        )
        order.insert(next(places, len(order)), gap)
    return order


def propose(view: View, detectors: Sequence[Callable[[View], list[Gap]]]) -> list[Target]:
    """Return the targets for the next round, the most harmful gaps first.

    A row is replaced for one target only, and a row that was written for a target only for the same
    gap, so that a round does not undo what an earlier one did. At most `ROUND_SHARE` of the rows
    are written.
    """
    spec, ids = view.spec, view.rows["instance_id"].to_list()
    number = len(spec.rounds) + 1
    gaps = _of_this_round([gap for detect in detectors for gap in detect(view)], spec)
    gaps = _in_order(gaps)
    left: float = max(FEWEST, math.floor(view.rows.height * ROUND_SHARE / spec.unit))
    written, taken = _written(view), set[int]()
    found: list[Target] = []
    quota = left // max(1, 2 * len(gaps))
    for index, gap in enumerate(gaps):
        # The worst gaps come first, but half of the round is kept for the others.
        others = sum(min(other.need, quota) * other.price for other in gaps[index + 1 :])
        room = math.floor(max(0, left - others) / gap.price)
        planned = "label" in gap.asks and "way" in gap.asks
        fitting = view.firsts if planned else view.unchanged
        free = [
            row
            for row in gap.rows
            if row not in taken and fitting[row] and written.get(row, gap.key) == gap.key
        ]
        done = sum(row in taken for row in gap.rows) if gap.others_count else 0
        count = min(gap.need - done, room, len(gap.ids or free))
        if gap.ids and gap.rows:
            count = min(count, len(free))
        if count < FEWEST:
            continue
        chosen = free[:count]
        taken.update(chosen)
        left -= count * gap.price
        content = {
            "kind": gap.kind,
            "reason": gap.reason,
            "count": count,
            "metric": gap.metric,
            "slice": gap.slice,
            "value": gap.value,
            "low": gap.low,
            "high": gap.high,
            "bound": gap.bound,
            "rows": " ".join(ids[row] for row in chosen),
            "sources": " ".join(gap.ids[:count]),
            **gap.asks,
        }
        found.append(with_id(spec.name, number, content))
    return found


def _written(view: View) -> dict[int, tuple[str, str, str]]:
    """Return the rows that were written for targets, with the gap of each."""
    gaps = {one.target_id: one.gap for part in view.spec.rounds for one in part.approved}
    if not gaps:
        return {}
    found = enumerate(view.rows["target_id"])
    return {row: gaps[one] for row, one in found if one in gaps}
