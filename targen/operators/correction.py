"""Operators of the corrected set: self-correction, the label policy, and row selection."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from targen.errors import StepError
from targen.hashing import rng
from targen.llm.types import Request
from targen.operators.base import LLMParams, StepInput, StepResult
from targen.operators.labels import label_in, label_schema, row_block
from targen.operators.requests import answers, make_request, rejection
from targen.prompts.render import messages, object_schema
from targen.steps import CORRECTED_SET, INSTANCES, LABELS
from targen.tasks.answers import Kind, Label, label_key, majority
from targen.tasks.registry import Params, operator
from targen.tasks.spec import TaskSpec

PROMPT = "corrected_set/self_correct.md"
Policy = Literal["majority", "relabel", "drop", "keep"]
Row = dict[str, Any]


def _unanimous(kind: Kind, votes: list[Label | None]) -> bool:
    return len({label_key(kind, vote) for vote in votes if vote is not None}) == 1


def decide(
    policy: Policy,
    kind: Kind,
    intended: list[Label | None],
    annotated: list[Label | None],
    corrected: list[Label | None],
) -> Label | None:
    """Return the final label of a unit of one or two rows, None if the policy drops it.

    Args:
        policy: `majority` of all votes; `relabel`: the corrector's label; `drop`: only if all
            agree; `keep`: the intended label, or the annotator's if there is none.
        kind: kind of answer; decides when labels are equal.
        intended: one vote per row of the unit; None if missing.
        annotated: the annotator's votes, in the same form.
        corrected: the corrector's votes, in the same form.
    """
    if kind == "none":
        return None
    votes = [*intended, *annotated, *corrected]
    if policy == "keep":
        return next((vote for vote in votes if vote is not None), None)
    if policy == "drop":
        return majority(kind, votes) if _unanimous(kind, votes) else None
    if policy == "relabel":
        return majority(kind, corrected)
    winner = majority(kind, votes)
    if winner is None:
        return None
    cast = [vote for vote in votes if vote is not None]
    count = len(cast)
    if kind != "multi":
        count = sum(label_key(kind, vote) == label_key(kind, winner) for vote in cast)
    # A single vote is not a majority.
    return winner if count > 1 else None


def _units(step: StepInput) -> list[list[Row]]:
    """Return instances joined with their annotations, grouped into units in slot order."""
    labels = {row["instance_id"]: row for row in step.tables[LABELS].iter_rows(named=True)}
    units: dict[int, list[Row]] = {}
    for row in step.tables[INSTANCES].iter_rows(named=True):
        label = labels[row["instance_id"]]
        joined = {
            **row,
            "annotated_label": label["label"] if label["votes"] else None,
            "request_ids": [r for r in [row["request_id"], *label["request_ids"]] if r],
            "corrected_label": None,
            "reason": None,
        }
        units.setdefault(row["slot"], []).append(joined)
    return list(units.values())


class NoneParams(Params):
    """Parameters of `none`: the policy if intended and annotated labels differ."""

    policy: Policy = "keep"


@operator(CORRECTED_SET, "none", NoneParams)
async def none(step: StepInput, params: NoneParams) -> StepResult:
    """Skip correction; the policy still decides between intended and annotated labels."""
    return _select(step.spec, _units(step), params.policy)


class SelfCorrectParams(LLMParams):
    """Parameters of `self_correct`."""

    temperature: float | None = Field(default=0.0, ge=0, le=2)
    max_output_tokens: int = Field(default=1024, ge=1)
    shown: bool = False
    """show the corrector the intended label and its rationale, as in the paper. If False, the
    corrector judges without seeing them."""
    policy: Policy = "majority"
    """see `decide`."""
    planted: float = Field(default=0.0, ge=0, le=1)
    """share of rows to correct a second time with a wrong label shown, to measure how often the
    corrector notices. Does not change the corrected set. Kinds class and span only."""

    @model_validator(mode="after")
    def _planted_where_shown(self) -> "SelfCorrectParams":
        if self.planted and not self.shown:
            raise ValueError("planted errors need `shown: true`: a blind corrector sees no label")
        return self


@operator(CORRECTED_SET, "self_correct", SelfCorrectParams, PROMPT, needs_labels=True)
async def self_correct(step: StepInput, params: SelfCorrectParams) -> StepResult:
    """Request reasons and a label for every row, then apply the policy.

    Source: TarGEN (Gupta et al., 2024), section 3, step 4, self-correction.

    Raises:
        StepError: the corrector answered fewer than half of the rows, or fewer than half of the
            wanted rows remain.
    """
    spec = step.spec
    units = _units(step)
    rows = [row for unit in units for row in unit]
    requests = [_request(spec, params, row) for row in rows]
    planted = list(_planted(spec, rows, params.planted))
    # Without the rationale, which argues for the right label. These answers do not change labels.
    requests += [
        _request(spec, params, {**row, "intended_label": wrong, "rationale": None})
        for row, wrong in planted
    ]
    outcomes = await answers(step.model, requests)
    outcomes, of_planted = outcomes[: len(rows)], outcomes[len(rows) :]
    unanswered = [o for o in outcomes if label_in(o.value) is None]
    if len(unanswered) * 2 > len(rows):
        raise StepError(
            f"the corrector gave no label for {len(unanswered)} of {len(rows)} rows; "
            f"first: {unanswered[0].status}: {unanswered[0].error}"
        )
    for row, outcome in zip(rows, outcomes, strict=True):
        row["corrected_label"] = label_in(outcome.value)
        row["reason"] = (outcome.value or {}).get("reasons")
        row["request_ids"].append(outcome.request_id)
    result = _select(spec, units, params.policy)
    if params.planted:
        result.planted = [
            {
                "instance_id": row["instance_id"],
                "planted_label": wrong,
                "corrected_label": label_in(outcome.value),
                "request_id": outcome.request_id,
            }
            for (row, wrong), outcome in zip(planted, of_planted, strict=True)
        ]
    if unanswered:
        result.warnings.append(f"the corrector gave no label for {len(unanswered)} rows")
    return result


def _request(spec: TaskSpec, params: SelfCorrectParams, row: Row) -> Request:
    block = row_block(spec, row)
    if params.shown:
        block["proposed"] = {"label": row["intended_label"]}
        if row["rationale"]:
            block["proposed"]["rationale"] = row["rationale"]
    properties = {"reasons": {"type": "string"}, "label": label_schema(spec, row)}
    several = spec.answer.kind == "multi"
    prompt = messages(PROMPT, block, shown=params.shown, several=several)
    schema = object_schema(properties)
    return make_request(params, prompt, schema, "correction", edition=spec.edition)


def _planted(spec: TaskSpec, rows: list[Row], share: float) -> Iterator[tuple[Row, str]]:
    """Yield a share of the rows, each with a wrong label, both drawn from the row's id.

    "Wrong" means different from the intended label, which may itself be wrong.
    """
    if spec.answer.kind not in ("class", "span"):
        return
    for row in rows:
        draw = rng("planted", row["instance_id"])
        options = list(spec.labels) or list(row[spec.answer.choices or ""])
        others = [label for label in options if label != row["intended_label"]]
        if draw.random() < share and others and row["intended_label"] is not None:
            yield row, draw.choice(others)


def _unit_label(spec: TaskSpec, unit: list[Row], policy: Policy) -> Label | None:
    return decide(
        policy,
        spec.answer.kind,
        [row["intended_label"] for row in unit],
        [row["annotated_label"] for row in unit],
        [row["corrected_label"] for row in unit],
    )


def _select(spec: TaskSpec, units: list[list[Row]], policy: Policy) -> StepResult:
    """Apply the policy, then keep at most the wanted rows: balanced first, then in order."""
    result = StepResult(asked=sum(len(unit) for unit in units))
    decided: list[tuple[int, Label | None]] = []
    for index, unit in enumerate(units):
        label = _unit_label(spec, unit, policy)
        if label is None and spec.answer.kind != "none":
            result.rejected += [_rejected(spec, row, "dropped", policy) for row in unit]
        else:
            decided.append((index, label))
    wanted = spec.wanted_rows // spec.unit
    planned = any(row["intended_label"] is not None for unit in units for row in unit)
    chosen = _balanced(spec, decided, wanted, planned)
    for index, label in decided:
        if index not in chosen:
            result.rejected += [_rejected(spec, row, "surplus", policy) for row in units[index]]
            continue
        for row in units[index]:
            verdict = "relabelled" if _differs(spec, label, row["intended_label"]) else "kept"
            result.rows.append({**row, "label": label, "verdict": verdict})
    _shortfall(spec, result, wanted, planned)
    return result


def _differs(spec: TaskSpec, label: Label | None, intended: Label | None) -> bool:
    if label is None or intended is None:
        return False
    return label_key(spec.answer.kind, label) != label_key(spec.answer.kind, intended)


def _balanced(
    spec: TaskSpec, decided: list[tuple[int, Label | None]], wanted: int, planned: bool
) -> set[int]:
    """Return the units to keep: an equal share per label in slot order, then the rest in order.

    Rows without planned labels (the user's own) are kept in order, without balancing.
    """
    if spec.answer.kind != "class" or not planned:
        return {index for index, _ in decided[:wanted]}
    share, rest = divmod(wanted, len(spec.labels))
    counts = dict.fromkeys(spec.labels, 0)
    chosen: set[int] = set()
    for extra in (0, 1):
        for index, label in decided:
            room = rest if extra else 1
            if index not in chosen and counts[str(label)] < share + extra and room > 0:
                chosen.add(index)
                counts[str(label)] += 1
                rest -= extra
    for index, _ in decided:
        if len(chosen) < wanted:
            chosen.add(index)
    return chosen


def _rejected(spec: TaskSpec, row: Row, reason: str, policy: Policy) -> Row:
    detail = (
        f"the policy {policy} found no label"
        if reason == "dropped"
        else "not needed for the rows wanted, or its label has enough; growing takes it back"
    )
    return {
        **rejection(reason, detail, {name: row[name] for name in spec.fields}),
        **{name: row[name] for name in ("slot", "intended_label", "annotated_label")},
        "corrected_label": row["corrected_label"],
        "request_ids": row["request_ids"],
        "item_id": row["instance_id"],
    }


def _shortfall(spec: TaskSpec, result: StepResult, wanted: int, planned: bool) -> None:
    rows = len(result.rows)
    # The file limits how many own rows there are, and disputed ones are what a person wants to
    # see. The labels are paid for, so a smaller data set is kept as long as it has a row.
    least, of = (
        (1, result.asked) if spec.own_rows else (-(-spec.wanted_rows // 2), spec.wanted_rows)
    )
    if rows < least:
        raise StepError(
            f"only {rows} of {of} rows are left after correction; "
            "check the labels' constraints and the dropped rows",
            result.rejected,
        )
    if spec.wanted_rows != spec.rows:
        result.warnings.append(f"{spec.rows} rows is odd; pairs make {spec.wanted_rows}")
    if spec.answer.kind == "class" and planned:
        share = wanted // len(spec.labels)
        counts: Mapping[str, int] = {
            label: sum(row["label"] == label for row in result.rows) // spec.unit
            for label in spec.labels
        }
        short = [f"'{name}' has {n} of {share}" for name, n in counts.items() if n < share]
        if short:
            result.warnings.append(f"the corrected set has too few rows of: {', '.join(short)}")
    if rows < spec.wanted_rows:
        result.warnings.append(f"the corrected set holds {rows} of {spec.wanted_rows} rows")
