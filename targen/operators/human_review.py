"""Applies the verdicts of human reviewers to the labels of the corrected set."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from targen.lineage.ids import reviewed_content
from targen.tables.reviews import SEPARATOR
from targen.tasks.answers import LISTS, ONE_LABEL, Kind, Label, label_key
from targen.tasks.spec import TaskSpec

Verdict = Mapping[str, Any]
"""A row of `targen.tables.reviews`."""
UNKNOWN = "unknown"
"""The reviewer of verdicts that an older release imported."""


def label_given(kind: Kind, verdict: Verdict) -> Label | None:
    """Return the label that a reviewer gave instead of the one shown; None if none."""
    said: str | None = verdict["label"]
    if said is None or kind not in LISTS:
        return said
    return sorted(part for part in said.split(SEPARATOR) if part)


def outcomes(
    kind: Kind, verdicts: Sequence[Verdict | None], labels: Sequence[Label], *, contrast: bool
) -> list[Label] | None:
    """Return the label of each row of a unit after its review; None if the unit is dropped.

    It is dropped if a reviewer found a label wrong and gave no other; if the verdicts on the rows
    of a pair, which share one label, differ; and if a row of a contrast set, which is kept only as
    a whole, gets another label.

    Args:
        kind: kind of answer.
        verdicts: the verdict on each of the unit's rows, None if it has none.
        labels: the labels that the reviewers saw.
        contrast: whether each row has a label of its own.
    """
    given = [
        label if one is None or one["right"] else label_given(kind, one)
        for one, label in zip(verdicts, labels, strict=True)
    ]
    known = [one for one in given if one is not None]
    if len(known) < len(given):
        return None
    if contrast:
        pairs = zip(known, labels, strict=True)
        same = all(label_key(kind, new) == label_key(kind, old) for new, old in pairs)
        return known if same else None
    said = [label for label, one in zip(known, verdicts, strict=True) if one is not None]
    if len({label_key(kind, label) for label in said}) > 1:
        return None
    return [said[0] if said else label for label in labels]


class Reviews:
    """The verdicts on the rows of a task, and which of them were applied."""

    def __init__(self, spec: TaskSpec, verdicts: pl.DataFrame | None) -> None:
        self._spec = spec
        rows = [] if verdicts is None else verdicts.to_dicts()
        self._verdicts = {(row["instance_id"], row["content"]): row for row in rows}
        self._rows = {row["instance_id"] for row in rows}
        self._applied: set[str] = set()

    def settle(
        self, unit: Sequence[dict[str, Any]], labels: Sequence[Label | None]
    ) -> tuple[Sequence[Label | None], str]:
        """Return the labels of a unit after its review, and why it is dropped, if it is.

        A verdict applies to a row as the reviewer saw it: with the same fields and label. Fills in
        the columns about the review.

        Args:
            unit: one row, the two rows of a pair, or the rows of a contrast set.
            labels: their labels before the review; None for tasks without labels.
        """
        known = [label for label in labels if label is not None]
        if not self._verdicts or len(known) < len(labels):
            return labels, ""
        verdicts = [self._of(row, label) for row, label in zip(unit, known, strict=True)]
        if not any(verdicts):
            return labels, ""
        contrast = bool(self._spec.contrast)
        for row, label, verdict in zip(unit, known, verdicts, strict=True):
            if verdict is not None or not contrast:
                row["label_before_review"] = label
        final = outcomes(self._spec.answer.kind, verdicts, known, contrast=contrast)
        if final is None:
            return labels, _why([one for one in verdicts if one is not None])
        gone = [one for one in map(str, final) if one not in self._spec.labels]
        if self._spec.answer.kind in ONE_LABEL and gone:
            return labels, f"a reviewer gave the label {gone[0]!r}, which the task no longer has"
        return final, ""

    def _of(self, row: dict[str, Any], label: Label) -> Verdict | None:
        seen = reviewed_content(self._spec.content(row), label)
        verdict = self._verdicts.get((row["instance_id"], seen))
        if verdict is not None:
            row["human_reviewer"] = verdict["reviewer"] or UNKNOWN
            row["human_reviewed_at"] = verdict["reviewed_at"]
            self._applied.add(row["instance_id"])
        return verdict

    def warnings(self) -> list[str]:
        """Return a warning if verdicts do not apply to the rows of this run."""
        lapsed = len(self._rows - self._applied)
        if not lapsed:
            return []
        return [f"{lapsed} human verdicts do not apply: their rows have changed or are gone"]


def _why(verdicts: Sequence[Verdict]) -> str:
    wrong = [one for one in verdicts if not one["right"] and one["label"] is None]
    if not wrong:
        return "the verdicts give the rows of this set labels that do not belong together"
    first = wrong[0]
    comment = f": {first['comment']}" if first["comment"] else ""
    return f"{first['reviewer'] or UNKNOWN} found the label wrong{comment}"
