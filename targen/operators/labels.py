"""Operators of labels: intended labels and blind annotation of instances."""

from collections.abc import Sequence
from typing import Any

from pydantic import Field, field_validator

from targen.errors import StepError
from targen.operators.base import FrameRows, StepInput, StepResult
from targen.operators.judging import JudgeParams, Reader, Reading, judge
from targen.prompts.render import prompt_for
from targen.steps import INSTANCES, LABELS
from targen.tasks.answers import LISTS, Kind, Label, agreement, label_key, majority
from targen.tasks.registry import operator

PROMPT = "labels/annotate.md"


@operator(LABELS, "from_constraints", needs_labels=True)
async def from_constraints(step: StepInput, params: Any) -> StepResult:
    """Label each row with the labels whose constraints it was written for.

    Raises:
        StepError: rows were written without constraints.
    """
    if step.tables[INSTANCES]["intended_label"].null_count():
        raise StepError(
            "some rows were written without a label, so their constraints give none; "
            "choose the operator annotate"
        )
    return await intended(step, params)


@operator(LABELS, "intended")
async def intended(step: StepInput, params: Any) -> StepResult:
    """Use the intended label; no request is made."""
    rows = [
        {
            "instance_id": row["instance_id"],
            "intended_label": row["intended_label"],
            "label": row["intended_label"],
            "votes": [],
            "flaws": [],
            "agreement": None,
            "request_ids": [],
        }
        for row in step.tables[INSTANCES].iter_rows(named=True)
    ]
    return StepResult(rows=rows, asked=len(rows))


class AnnotateParams(JudgeParams):
    """Parameters of `annotate`."""

    votes: int = Field(default=1, ge=1)
    """greatest number of independent annotations per row; odd, so that two labels cannot tie. A
    row gets fewer if the first ones decide."""

    @field_validator("votes")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("votes must be odd")
        return value


def decided(kind: Kind, votes: Sequence[Label], planned: int) -> bool:
    """Return whether further votes, up to `planned`, cannot change the majority.

    This is so if a label has more than half of the planned votes. For `multi`, each label must be
    in, or missing from, more than half of them.
    """
    needed = planned // 2 + 1
    if kind not in LISTS:
        keys = [label_key(kind, vote) for vote in votes]
        return any(keys.count(key) >= needed for key in keys)
    if len(votes) < needed:
        return False
    with_it = [sum(name in vote for vote in votes) for name in {n for v in votes for n in v}]
    return all(max(count, len(votes) - count) >= needed for count in with_it)


@operator(LABELS, "annotate", AnnotateParams, PROMPT, needs_labels=True, reads=("examples",))
async def annotate(step: StepInput, params: AnnotateParams) -> StepResult:
    """Request a label for every row up to `votes` times, without showing the intended label.

    Each row first gets a majority's worth of votes (`votes // 2 + 1`), then one more at a time
    until they decide. Vote v starts the lists of labels and rows at entry v, so that no position
    is favored in all votes. A row whose annotation fails gets a null label.

    Raises:
        StepError: more than half of the rows could not be annotated, or the task has fewer
            examples than `shots`.
    """
    kind = step.spec.answer.kind
    instances = step.tables[INSTANCES]
    readings: list[list[Reading]] = [[] for _ in range(instances.height)]
    open_rows = list(range(instances.height))
    turns = range(params.votes // 2 + 1)
    while open_rows and turns:
        rows = FrameRows(instances[open_rows])
        asks = [(Reader(prompt_for(PROMPT, kind), "label", turn, turn), rows) for turn in turns]
        for vote in await judge(step, params, asks):
            for index, reading in zip(open_rows, vote, strict=True):
                readings[index].append(reading)
        open_rows = [i for i in open_rows if not decided(kind, _votes(readings[i]), params.votes)]
        turns = range(turns.stop, min(turns.stop + 1, params.votes))
    result = StepResult(asked=instances.height)
    for row, cast in zip(instances.iter_rows(named=True), readings, strict=True):
        votes = _votes(cast)
        label = majority(kind, votes, list(step.spec.labels))
        result.rows.append(
            {
                "instance_id": row["instance_id"],
                "intended_label": row["intended_label"],
                "label": label,
                "votes": votes,
                "flaws": [one.flaw for one in cast if one.label is not None],
                "agreement": agreement(kind, votes, label),
                "request_ids": [name for one in cast for name in one.request_ids],
            }
        )
    unlabeled = sum(row["label"] is None for row in result.rows)
    if unlabeled * 2 > instances.height:
        errors = [one.error for cast in readings for one in cast if one.error]
        first = errors[0] if errors else "the votes tie"
        raise StepError(f"{unlabeled} of {instances.height} rows got no label; first: {first}")
    if unlabeled:
        result.warnings.append(f"{unlabeled} rows got no label from the annotator")
    return result


def _votes(readings: Sequence[Reading]) -> list[Label]:
    return [one.label for one in readings if one.label is not None]
