"""Patterns in the errors of a student on gold rows, and rows that teach it better.

After S3 (Wang et al., EMNLP 2023): a small model learns from the set, is tested on a little gold,
and its errors say what to write next. Here, errors are described by traits of the rows, so that no
gold text gets into a prompt.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from targen.quality.intervals import wilson
from targen.quality.rules import percent
from targen.targeting.gaps import Gap, View
from targen.targeting.student import Exam
from targen.targeting.traits import FEWEST_ROWS, Trait, names_of, traits
from targen.tasks.targets import Target

METRIC: Final = "student_error"
LEVEL: Final = 0.05
LIFT: Final = 0.1
"""Difference of the error rates with and without a trait from which it is worth a target."""
PER_LABEL: Final = 3
"""Patterns of a label that are targeted at a time."""


@dataclass(frozen=True)
class Pattern:
    """A trait of gold rows of one label with which the student errs more often than without.

    Attributes:
        label: index of the gold label.
        trait: of the gold rows.
        wrong, rows: number of the student's errors with the trait and label, and of such rows.
        others: the student's error rate on the other rows of the label.
        taken_for: index of the label that the student mostly takes them for.
    """

    label: int
    trait: Trait
    wrong: int
    rows: int
    others: float
    taken_for: int

    @property
    def excess(self) -> float:
        """Number of errors beyond those that rows without the trait would have."""
        return self.wrong - self.rows * self.others


def holm(p: Sequence[float]) -> npt.NDArray[np.bool_]:
    """Return which hypotheses are rejected at `LEVEL` over all of them (Holm 1979)."""
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    passed = values[order] <= LEVEL / np.arange(values.size, 0, -1)
    count = values.size if passed.all() else int(np.argmin(passed))
    found = np.zeros(values.size, dtype=np.bool_)
    found[order[:count]] = True
    return found


def patterns(exam: Exam, found: Sequence[Trait], size: int) -> list[Pattern]:
    """Return the patterns that are sure, those with the most errors first.

    Whether errors are over-represented among the rows with a trait is tested within each label, by
    Fisher's exact test with Holm's correction over all labels and traits.
    """
    wrong = exam.guesses != exam.labels
    tested: list[tuple[float, int, Trait]] = []
    for label in range(size):
        own = exam.labels == label
        for trait in found:
            chance = _chance(wrong, trait.has, own)
            if chance is not None:
                tested.append((chance, label, trait))
    sure = holm([chance for chance, _, _ in tested])
    kept = [
        pattern
        for (_, label, trait), passed in zip(tested, sure, strict=True)
        if passed and (pattern := _pattern(exam, label, trait)) is not None
    ]
    return sorted(kept, key=lambda one: (-one.excess, one.label, one.trait.name))


def distinct(exam: Exam, found: Sequence[Pattern]) -> list[Pattern]:
    """Return the largest patterns of each label, without those that larger ones explain."""
    wrong = exam.guesses != exam.labels
    kept: list[Pattern] = []
    for one in found:
        larger = [other.trait.has for other in kept if other.label == one.label]
        rest = (exam.labels == one.label) & ~np.any([*larger, np.zeros_like(wrong)], axis=0)
        chance = _chance(wrong, one.trait.has, rest)
        if len(larger) < PER_LABEL and chance is not None and chance <= LEVEL:
            kept.append(one)
    return kept


def _chance(wrong: Any, has: Any, own: Any) -> float | None:
    """Return the probability of so many errors among the rows with a trait; None for few rows."""
    from scipy.stats import hypergeom  # noqa: PLC0415  (slow to import)

    rows = int((has & own).sum())
    if min(rows, int(own.sum()) - rows) < FEWEST_ROWS:
        return None
    hits = int((wrong & has & own).sum())
    return float(hypergeom.sf(hits - 1, int(own.sum()), int((wrong & own).sum()), rows))


def _pattern(exam: Exam, label: int, trait: Trait) -> Pattern | None:
    """Return the pattern of a trait and a label; None if it lifts the error rate by little."""
    own, wrong = exam.labels == label, exam.guesses != exam.labels
    inside, outside = own & trait.has, own & ~trait.has
    others = float(wrong[outside].mean())
    if wrong[inside].mean() - others < LIFT:
        return None
    taken = Counter(exam.guesses[inside & wrong].tolist())
    most = max(taken, key=lambda one: (taken[one], -one))
    return Pattern(label, trait, int(wrong[inside].sum()), int(inside.sum()), others, most)


def student_errors(view: View) -> list[Gap]:
    """Return the patterns of the student's errors, as rows of the gold label with that trait."""
    exam = view.exam
    if exam is None or not exam.judges:
        return []
    own = {one.name: one.has for one in _traits(view, exam, view.rows)}
    sure = patterns(exam, list(_traits(view, exam, exam.gold)), len(view.names))
    lacking = [one for one in sure if _need(view, exam, one, own[one.trait.name]) > 0]
    return [_gap(view, exam, one, own[one.trait.name]) for one in distinct(exam, lacking)]


def _traits(view: View, exam: Exam, rows: Any) -> Any:
    language = view.inputs.language
    names = names_of(exam.gold, view.fields, language)
    return traits(rows, view.fields, language, names)


def _gap(view: View, exam: Exam, one: Pattern, has: Any) -> Gap:
    label, trait = view.names[one.label], one.trait
    assert view.student is not None
    own = view.labels == label
    without = [row for row in view.student.easiest if own[row] and not has[row]]
    value = one.wrong / one.rows
    low, high = wilson(one.wrong, one.rows)
    asks = {
        "label": label,
        "field": trait.field,
        "demand": trait.demand,
        "least_words": trait.least,
        "most_words": trait.most,
        "rewrite_seed": view.rewrites(trait.field),
    }
    mostly = f", mostly as {view.names[one.taken_for]}" if len(view.names) > 2 else ""
    return Gap(
        "student_error",
        f"Where {trait.name}, a classifier trained on this set gets {one.wrong} of {one.rows} gold "
        f"{label} rows wrong{mostly} (elsewhere {percent(one.others)}). Such rows make up "
        f"{percent(_share(has, own))} of {label} in the set and "
        f"{percent(_share(trait.has, exam.labels == one.label))} in the gold data. Write more of "
        "them.",
        METRIC,
        f"{label}: {trait.name}",
        value,
        one.others,
        _need(view, exam, one, has),
        without,
        (value - one.others) / (1 - one.others),
        low,
        high,
        asks,
    )


def _share(has: Any, own: Any) -> float:
    return float(has[own].mean()) if own.any() else 0.0


def _need(view: View, exam: Exam, one: Pattern, has: Any) -> int:
    """Return how many rows are wanted; none where the set has as many as the gold data.

    As many as the gold rows of the label have, or as make the trait no more typical of other labels
    than it is among gold rows, whichever is more; but not more than the share of gold rows that the
    student gets wrong because of it.
    """
    own, gold, trait = view.labels == view.names[one.label], exam.labels == one.label, one.trait.has
    inside, outside, there = _share(trait, gold), _share(trait, ~gold), _share(has, own)
    if there >= inside:
        return 0
    wanted = max(inside, _share(has, ~own) * inside / outside if outside else inside)
    lacking = (min(1.0, wanted) - there) * int(own.sum())
    return round(min(lacking, one.wrong / exam.gold.height * view.rows.height))


def current(view: View, target: Target) -> float | None:
    """Return the student's present error rate on the gold rows of a target's pattern."""
    exam = view.exam
    if exam is None or target.label not in view.names:
        return None
    label = view.names.index(target.label)
    for trait in _traits(view, exam, exam.gold):
        if target.slice == f"{target.label}: {trait.name}":
            rows = trait.has & (exam.labels == label)
            return float((exam.guesses != exam.labels)[rows].mean()) if rows.any() else None
    return None


def note(view: View) -> str | None:
    """Return why no errors of a student are targeted, although there are gold rows."""
    if view.inputs.reference is None:
        return None
    exam = view.exam
    if exam is None:
        return (
            "Errors of a student on gold rows are not looked for: the set and the gold rows need "
            "one label per row out of a fixed set, and enough rows of each."
        )
    figure = (
        f"A student of this set gets {percent(exam.accuracy)} of {exam.gold.height} gold rows right"
    )
    if not exam.judges:
        return (
            f"{figure}, which is no better than chance, and it learns nothing from the gold rows "
            "either. Its errors say nothing about the set, so none is targeted."
        )
    return f"{figure}."
