"""Correction by a panel: readers of several models, whose votes have weights."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

import numpy as np
from pydantic import Field, model_validator

from targen.errors import StepError
from targen.operators.base import StepInput, StepResult
from targen.operators.correction import (
    Decision,
    Row,
    decide,
    flaw_detail,
    flawed,
    labels_of,
    select,
    units_of,
)
from targen.operators.judging import NO_FLAW, JudgeParams, Reader, Reading, judge, options_of
from targen.operators.weights import MISSING, best, block_of, by_block, weight
from targen.steps import CORRECTED_SET
from targen.tasks.answers import LISTS, Kind, Label, label_key, majority
from targen.tasks.registry import Params, operator
from targen.tasks.spec import TaskSpec

PROMPT: Final = "corrected_set/panel.md"

WRITER: Final = "(writer)"
ANNOTATOR: Final = "(annotator)"
"""Entries of `readings` for the intended label and the annotated one, which vote as well."""

_LEAST_NAMED: Final = 2
"""Readers that must agree before their scores cost a row."""


class PanelReader(JudgeParams):
    """One reader of a panel: a model at an endpoint, with its own parameters."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
    """its name in tables and reports."""
    asks: Literal["all", "label"] = "all"
    """`label` asks for the label only, for a classifier behind the same API."""


class Difficulty(Params):
    """A filter by difficulty: rows that one reader gets right and another one wrong."""

    right: str
    """name of a reader whose label must be the final label."""
    wrong: str
    """name of a reader whose label must not be the final label; for pairs and contrast sets, of at
    least one row."""


class PanelParams(Params):
    """Parameters of `panel`."""

    readers: list[PanelReader] = Field(min_length=2)
    """the readers, each with `name`, and `endpoint`, `model` or other parameters of a model."""
    policy: Literal["weighted", "majority", "drop"] = "weighted"
    """`weighted`: the label with the greatest sum of weights, see `confidence_at_least`;
    `majority`: the label with most votes; `drop`: only if all votes agree."""
    confidence_at_least: float = Field(default=0.7, ge=0, le=1)
    """for `weighted`: the least probability of the label; other rows are rejected."""
    drop_flawed: bool = True
    """reject a row, with its set, if at least two readers read it and all name the same flaw."""
    drop_unmet: bool = False
    """reject a row, with its set, if at least two readers scored its constraint and all say that
    the row does not meet it."""
    naturalness_at_least: float = Field(default=1.0, ge=1, le=5)
    """reject a row, with its set, if the mean of at least two scores is below this."""
    difficulty: Difficulty | None = None
    """keep only rows that one reader gets right and another one wrong."""

    @model_validator(mode="after")
    def _names(self) -> "PanelParams":
        names = [reader.name for reader in self.readers]
        twice = sorted(name for name, count in Counter(names).items() if count > 1)
        if twice:
            raise ValueError(f"two readers are named '{twice[0]}'; give each a name of its own")
        for name in (self.difficulty.right, self.difficulty.wrong) if self.difficulty else ():
            if name not in names:
                raise ValueError(
                    f"`difficulty` names '{name}', which is not a reader; "
                    f"readers: {', '.join(names)}"
                )
        return self


@operator(
    CORRECTED_SET, "panel", PanelParams, PROMPT, needs_labels=True, reads=("examples", "answer")
)
async def panel(step: StepInput, params: PanelParams) -> StepResult:
    """Ask every reader about every row, then decide by their votes.

    No reader sees the intended label. The intended label and the annotated one, if there is one,
    vote with the readers. Weights are estimated from earlier slots only (`weights.block_of`), so a
    data set that grows keeps its labels.

    Source: Dawid and Skene, 1979; see `weights`.

    Raises:
        StepError: a reader answered fewer than half of the rows, fewer than half of the wanted rows
            remain, or the task has rows with several labels.
    """
    spec = step.spec
    if spec.answer.kind in LISTS:
        raise StepError(
            "panel does not support rows with several labels (`kind: multi` or `spans`); use "
            "self_correct"
        )
    units = units_of(step)
    rows = [row for unit in units for row in unit]
    found = await asyncio.gather(
        *(_read(step, reader, turn, rows) for turn, reader in enumerate(params.readers))
    )
    result = StepResult()
    for reader, readings in zip(params.readers, found, strict=True):
        errors = [reading.error for reading in readings if reading.label is None]
        if len(errors) * 2 > len(rows):
            raise StepError(
                f"the reader {reader.name} gave no label for {len(errors)} of {len(rows)} rows; "
                f"first: {errors[0]}"
            )
        if errors:
            result.warnings.append(f"{reader.name} gave no label for {len(errors)} rows")
    names = [reader.name for reader in params.readers]
    for row, said in zip(rows, zip(*found, strict=True), strict=True):
        row["readings"] = _entries(row, names, said)
        row["request_ids"] += [r for reading in said for r in reading.request_ids]
        row["correction_asked"] = "always"
    _weigh(spec, rows)
    for row in rows:
        row["flaw"] = common_flaw(row["readings"])
        row["corrected_label"] = of_readers(spec.answer.kind, row, options_count(spec, row))
    decision = _by_panel(spec, params)
    chosen = select(step, units, decision)
    chosen.warnings = result.warnings + chosen.warnings
    return chosen


async def _read(
    step: StepInput, reader: PanelReader, turn: int, rows: Sequence[Row]
) -> list[Reading]:
    model = step.model if reader.endpoint is None else step.readers[reader.endpoint]
    alone = reader.asks == "label"
    asked = Reader(PROMPT, "panel", turn, flaws=not alone, scores=not alone)
    (readings,) = await judge(replace(step, llm=model), reader, [(asked, rows)])
    return readings


def _entries(row: Row, names: Sequence[str], readings: Iterable[Reading]) -> list[dict[str, Any]]:
    """Return the votes on a row, still without weights."""
    given = {WRITER: row["intended_label"], ANNOTATOR: row["annotated_label"]}
    entries = [{"reader": n, "label": label} for n, label in given.items() if label is not None]
    for name, reading in zip(names, readings, strict=True):
        entries.append(
            {
                "reader": name,
                "label": reading.label,
                "flaw": reading.flaw,
                "naturalness": reading.naturalness,
                "constraint_met": reading.constraint_met,
                "request_id": reading.request_ids[-1],
            }
        )
    return entries


def options_count(spec: TaskSpec, row: Mapping[str, Any]) -> int:
    """Return the number of different labels that a row can have."""
    kind = spec.answer.kind
    return len({label_key(kind, option) for option in options_of(spec, row)})


def _weigh(spec: TaskSpec, rows: Sequence[Row]) -> None:
    kind = spec.answer.kind
    voters = list(dict.fromkeys(one["reader"] for row in rows for one in row["readings"]))
    counts = [options_count(spec, row) for row in rows]
    votes = np.full((len(rows), len(voters)), MISSING, dtype=np.int64)
    for index, row in enumerate(rows):
        keys = list(dict.fromkeys(label_key(kind, option) for option in options_of(spec, row)))
        for one in row["readings"]:
            key = None if one["label"] is None else label_key(kind, one["label"])
            if key in keys:
                votes[index, voters.index(one["reader"])] = keys.index(key)
    found = by_block([row["slot"] for row in rows], votes, counts)
    for row, count in zip(rows, counts, strict=True):
        accuracy = dict(zip(voters, found[block_of(row["slot"])], strict=True))
        for one in row["readings"]:
            one["weight"] = weight(accuracy[one["reader"]], count)


def weighted(
    kind: Kind, rows: Iterable[Mapping[str, Any]], options: int
) -> tuple[Label | None, float]:
    """Return the label with the greatest sum of weights over all votes on the rows of a unit."""
    votes = [one for row in rows for one in row["readings"] if one["label"] is not None]
    keyed = [(label_key(kind, one["label"]), float(one["weight"])) for one in votes]
    winner, confidence = best(keyed, options)
    label = next(
        (v["label"] for v, (key, _) in zip(votes, keyed, strict=True) if key == winner), None
    )
    return label, confidence


def of_readers(kind: Kind, row: Mapping[str, Any], options: int) -> Label | None:
    """Return the panel's own label of a row: without the writer's and the annotator's votes."""
    own = [one for one in row["readings"] if one["reader"] not in (WRITER, ANNOTATOR)]
    return weighted(kind, [{"readings": own}], options)[0]


def common_flaw(readings: Iterable[Mapping[str, Any]]) -> str | None:
    """Return the flaw that more than half of the readers name, else `none`; None without any."""
    named = [one["flaw"] for one in readings if one.get("flaw") is not None]
    if not named:
        return None
    flaw, count = Counter(named).most_common(1)[0]
    return flaw if 2 * count > len(named) else NO_FLAW


def settled(
    params: Mapping[str, Any],
    kind: Kind,
    rows: Sequence[Mapping[str, Any]],
    options: int,
    order: Sequence[str] = (),
) -> tuple[Label | None, float]:
    """Return label and confidence of rows that share a label; the label is None if it is open.

    Args:
        params: `policy` and `confidence_at_least`.
        kind: kind of answer.
        rows: rows with `readings`.
        options: number of possible labels.
        order: for `ordinal`, the task's labels in order.
    """
    label, confidence = weighted(kind, rows, options)
    if params["policy"] == "weighted":
        return label if confidence >= params["confidence_at_least"] else None, confidence
    votes = [one["label"] for row in rows for one in row["readings"]]
    if params["policy"] == "majority":
        return majority(kind, votes, order), confidence
    return decide("drop", kind, votes, [], []), confidence


def _by_panel(spec: TaskSpec, params: PanelParams) -> Any:
    """Return the decision about units that have all readings."""
    kind, dumped = spec.answer.kind, params.model_dump()
    without = (
        f"no label has a probability of {params.confidence_at_least:g}"
        if params.policy == "weighted"
        else f"the policy {params.policy} found no label"
    )

    def label(rows: list[Row]) -> Label | None:
        found, confidence = settled(
            dumped, kind, rows, options_count(spec, rows[0]), list(spec.labels)
        )
        for row in rows:
            row["confidence"] = confidence
        return found

    def by_panel(unit: list[Row]) -> Decision:
        made = labels_of(spec, unit, label, without)
        problem = _scored_down(unit, params)
        if problem is not None:
            return Decision([], "flawed", problem)
        if made.reason is None and params.difficulty is not None:
            problem = _too_easy_or_hard(kind, unit, made.labels, params.difficulty)
            if problem is not None:
                return Decision([], "difficulty", problem)
        return made

    return by_panel


def _scored_down(unit: Sequence[Row], params: PanelParams) -> str | None:
    """Return why the readers' scores cost a unit, None if they do not."""
    for row in unit:
        own = [one for one in row["readings"] if one["reader"] not in (WRITER, ANNOTATOR)]
        flaws = [*row["flaws"], *(one["flaw"] for one in own)]
        if params.drop_flawed and flawed(flaws):
            return flaw_detail(", ".join(flaw for flaw in flaws if flaw is not None), len(unit))
        met = [one["constraint_met"] for one in own if one["constraint_met"] is not None]
        if params.drop_unmet and len(met) >= _LEAST_NAMED and not any(met):
            return f"all {len(met)} readers say that it does not meet the constraint"
        scores = [one["naturalness"] for one in own if one["naturalness"] is not None]
        mean = sum(scores) / max(1, len(scores))
        if len(scores) >= _LEAST_NAMED and mean < params.naturalness_at_least:
            return f"its naturalness is {mean:.1f} of 5"
    return None


def _too_easy_or_hard(
    kind: Kind, unit: Sequence[Row], labels: Sequence[Label | None], wanted: Difficulty
) -> str | None:
    """Return how a unit misses the wanted difficulty, None if it does not."""

    def right(name: str) -> list[bool]:
        given = [
            next(one["label"] for one in row["readings"] if one["reader"] == name) for row in unit
        ]
        return [
            one is not None and label is not None and label_key(kind, one) == label_key(kind, label)
            for one, label in zip(given, labels, strict=True)
        ]

    if not all(right(wanted.right)):
        return f"too hard: {wanted.right} does not give the final label"
    if all(right(wanted.wrong)):
        return f"too easy: {wanted.wrong} gives the final label as well"
    return None
