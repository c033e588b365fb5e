"""Applies the verdicts of human reviewers to the labels of the corrected set."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from targen.lineage.ids import reviewed_content
from targen.tables.reviews import SEPARATOR
from targen.tasks.answers import Kind, Label, label_key
from targen.tasks.spec import TaskSpec

Verdict = Mapping[str, Any]
"""A row of `targen.tables.reviews`."""
UNKNOWN = "unknown"
"""The reviewer of verdicts that an older release imported."""


def label_given(kind: Kind, verdict: Verdict) -> Label | None:
    """Return the label that a reviewer gave instead of the one shown; None if none."""
    said: str | None = verdict["label"]
    if said is None or kind != "multi":
        return said
    return sorted(part for part in said.split(SEPARATOR) if part)


def outcome(kind: Kind, verdicts: Sequence[Verdict], label: Label) -> Label | None:
    """Return the label of a unit of one or two rows after its review; None if it is dropped.

    It is dropped if a reviewer found the label wrong and gave no other, or if the verdicts on the
    two rows of a pair, which share one label, differ.

    Args:
        kind: kind of answer.
        verdicts: the verdicts on the unit's rows, at least one.
        label: the label that the reviewers saw.
    """
    given = [label if one["right"] else label_given(kind, one) for one in verdicts]
    first = given[0]
    if first is None or any(one is None for one in given):
        return None
    same = {label_key(kind, one) for one in given if one is not None}
    return first if len(same) == 1 else None


class Reviews:
    """The verdicts on the rows of a task, and which of them were applied.

    Args:
        spec: the task.
        verdicts: as `targen.tables.reviews.COLUMNS`; None without a review.
    """

    def __init__(self, spec: TaskSpec, verdicts: pl.DataFrame | None) -> None:
        self._spec = spec
        rows = [] if verdicts is None else verdicts.to_dicts()
        self._verdicts = {(row["instance_id"], row["content"]): row for row in rows}
        self._rows = {row["instance_id"] for row in rows}
        self._applied: set[str] = set()

    def settle(self, unit: Sequence[dict[str, Any]], label: Label) -> tuple[Label | None, str]:
        """Return the label of a unit after its review, or None and why it is dropped.

        A verdict applies to a row as the reviewer saw it: with the same fields and label. Fills in
        the columns about the review.

        Args:
            unit: one row, or the two rows of a pair.
            label: its label before the review.
        """
        verdicts = []
        for row in unit:
            fields = {name: row[name] for name in self._spec.fields}
            key = (row["instance_id"], reviewed_content(fields, label))
            if (verdict := self._verdicts.get(key)) is not None:
                row["human_reviewer"] = verdict["reviewer"] or UNKNOWN
                row["human_reviewed_at"] = verdict["reviewed_at"]
                verdicts.append(verdict)
                self._applied.add(row["instance_id"])
        if not verdicts:
            return label, ""
        for row in unit:
            row["label_before_review"] = label
        final = outcome(self._spec.answer.kind, verdicts, label)
        if final is None:
            return None, _why(verdicts)
        if self._spec.answer.kind == "class" and final not in self._spec.labels:
            return None, f"a reviewer gave the label {final!r}, which the task no longer has"
        return final, ""

    def warnings(self) -> list[str]:
        """Return a warning if verdicts do not apply to the rows of this run."""
        lapsed = len(self._rows - self._applied)
        if not lapsed:
            return []
        return [f"{lapsed} human verdicts do not apply: their rows have changed or are gone"]


def _why(verdicts: Sequence[Verdict]) -> str:
    wrong = [one for one in verdicts if not one["right"] and one["label"] is None]
    if not wrong:
        return "the verdicts on the two rows of the pair differ"
    first = wrong[0]
    comment = f": {first['comment']}" if first["comment"] else ""
    return f"{first['reviewer'] or UNKNOWN} found the label wrong{comment}"
