"""Operators of the corrected set: self-correction, the label policy, and row selection."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import Field, model_validator

from targen.errors import StepError
from targen.hashing import rng
from targen.operators.base import StepInput, StepResult
from targen.operators.human_review import Reviews
from targen.operators.judging import NO_FLAW, JudgeParams, Reader, judge, options_of
from targen.operators.requests import rejection
from targen.operators.retiring import swap
from targen.prompts.render import prompt_for
from targen.steps import CORRECTED_SET, INSTANCES, LABELS
from targen.tasks.answers import LISTS, ONE_LABEL, Kind, Label, label_key, majority
from targen.tasks.registry import Params, operator
from targen.tasks.spec import TaskSpec

PROMPT = "corrected_set/self_correct.md"
Policy = Literal["majority", "relabel", "drop", "keep"]
Row = dict[str, Any]
TURN: Final = -1
"""The corrector reads labels and rows from the last one on, and sees alternatives swapped."""


def _unanimous(kind: Kind, votes: list[Label | None]) -> bool:
    return len({label_key(kind, vote) for vote in votes if vote is not None}) == 1


def decide(
    policy: Policy,
    kind: Kind,
    intended: list[Label | None],
    annotated: list[Label | None],
    corrected: list[Label | None],
    *,
    order: Sequence[str] = (),
) -> Label | None:
    """Return the final label of a unit of one or two rows, None if the policy drops it.

    Args:
        policy: `majority` of all votes; `relabel`: the corrector's label; `drop`: only if all
            agree; `keep`: the intended label, or the annotator's if there is none.
        kind: kind of answer; decides when labels are equal.
        intended: one vote per row of the unit; None if missing.
        annotated: the annotator's votes, in the same form.
        corrected: the corrector's votes, in the same form.
        order: for `ordinal`, the task's labels in order.
    """
    if kind == "none":
        return None
    votes = [*intended, *annotated, *corrected]
    if policy == "keep":
        return next((vote for vote in votes if vote is not None), None)
    if policy == "drop":
        return majority(kind, votes) if _unanimous(kind, votes) else None
    if policy == "relabel":
        return majority(kind, corrected, order)
    winner = majority(kind, votes, order)
    if winner is None:
        return None
    cast = [vote for vote in votes if vote is not None]
    count = len(cast)
    if kind not in (*LISTS, "ordinal"):
        count = sum(label_key(kind, vote) == label_key(kind, winner) for vote in cast)
    # A single vote is not a majority.
    return winner if count > 1 else None


@dataclass(frozen=True)
class Decision:
    """What becomes of a unit.

    Attributes:
        labels: the final label of each of its rows; None for tasks without labels.
        reason: why it is rejected, one of `steps.REASONS`; None if it may be kept.
        detail: the same in a sentence.
    """

    labels: Sequence[Label | None]
    reason: str | None = None
    detail: str = ""


Decide = Callable[[list[Row]], Decision]


def units_of(step: StepInput) -> list[list[Row]]:
    """Return instances joined with their annotations, grouped into units in slot order."""
    instances, labels = step.tables[INSTANCES], step.tables[LABELS]
    at = {name: number for number, name in enumerate(labels["instance_id"])}
    annotated = labels.select("label", "votes", "flaws", "request_ids")[
        [at[name] for name in instances["instance_id"]]
    ]
    units: dict[int, list[Row]] = {}
    for row, (label, votes, flaws, asked) in zip(
        instances.iter_rows(named=True), annotated.iter_rows(), strict=True
    ):
        joined = {
            **row,
            "annotated_label": label if votes else None,
            "votes": votes or [],
            "flaws": flaws or [],
            "request_ids": [r for r in [row["request_id"], *asked] if r],
            "corrected_label": None,
            "reason": None,
            "flaw": None,
            "correction_asked": None,
            "readings": None,
            "confidence": None,
            "label_before_review": None,
            "human_reviewer": None,
            "human_reviewed_at": None,
        }
        units.setdefault(row["slot"], []).append(joined)
    return list(units.values())


class NoneParams(Params):
    """Parameters of `none`: the policy if intended and annotated labels differ."""

    policy: Policy = "keep"


@operator(CORRECTED_SET, "none", NoneParams)
async def none(step: StepInput, params: NoneParams) -> StepResult:
    """Skip correction; the policy still decides between intended and annotated labels."""
    return select(step, units_of(step), _by_policy(step.spec, params.policy, False))


class SelfCorrectParams(JudgeParams):
    """Parameters of `self_correct`."""

    shown: bool = False
    """show the corrector the intended label and its rationale, as in the paper. If False, the
    corrector judges without seeing them."""
    policy: Policy = "majority"
    """see `decide`."""
    ask: Literal["disputed", "always"] = "disputed"
    """`disputed`: ask only about rows whose label the answer can change (see `disputed`), and about
    the audit share. It takes effect with the policy `majority` and annotated labels; otherwise
    every row is asked about, as with `always`."""
    audit: float = Field(default=0.2, ge=0, le=1)
    """share of the undisputed rows to correct anyway, for the noise estimate. Never changes a
    label."""
    audit_at_least: int = Field(default=50, ge=0)
    """approximate number of undisputed rows to audit, if the share gives fewer."""
    drop_flawed: bool = False
    """reject a row, with its set, if at least two readers read it and all name the same flaw."""
    planted: float = Field(default=0.0, ge=0, le=1)
    """share of rows to correct a second time with a wrong label shown, to measure how often the
    corrector notices. Does not change the corrected set. Kinds class and span only."""

    @model_validator(mode="after")
    def _possible(self) -> "SelfCorrectParams":
        if self.planted and not self.shown:
            raise ValueError("planted errors need `shown: true`: a blind corrector sees no label")
        if self.insists and self.policy != "majority":
            raise ValueError(
                f"`ask: disputed` needs `policy: majority`; with {self.policy}, every answer of "
                "the corrector can change a label, so use `ask: always`"
            )
        return self

    @property
    def insists(self) -> bool:
        """Whether `ask: disputed` was set rather than left at its default."""
        return self.ask == "disputed" and "ask" in self.model_fields_set


def disputed(kind: Kind, unit: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether a corrector can change what becomes of a unit under the policy `majority`.

    A unit is undisputed if each of its rows has an intended label and an annotated label, these
    are all equal, the annotator's votes are unanimous, and none names a flaw. Such a unit of n
    rows has 2n votes for its label, and the corrector casts at most n of the 3n votes, so the
    label has a majority whatever the corrector says; for `multi`, this is true of each label. The
    unit is not dropped as flawed either, since the annotator read it and named no flaw. A released
    label thus never depends on whether its row was in the audit share.

    Args:
        kind: kind of answer.
        unit: rows with intended_label, annotated_label, votes and flaws.
    """
    labels = [row[name] for row in unit for name in ("intended_label", "annotated_label")]
    labels += [vote for row in unit for vote in row["votes"]]
    if any(label is None for label in labels):
        return True
    if len({label_key(kind, label) for label in labels}) > 1:
        return True
    return any(flaw != NO_FLAW for row in unit for flaw in row["flaws"])


def flawed(flaws: Sequence[str | None]) -> bool:
    """Return whether at least two readers read a row and all of them name the same flaw.

    Small models name flaws nearly at random, so one reader or two different flaws are no reason.
    """
    named = [flaw for flaw in flaws if flaw is not None]
    return len(named) > 1 and len(set(named)) == 1 and NO_FLAW not in named


def audit_draw(instance_id: str) -> float:
    """Return the number in [0, 1) that decides whether a unit is audited, by its first row."""
    return rng("audit correction", instance_id).random()


def _why_asked(kind: Kind, units: list[list[Row]], params: SelfCorrectParams) -> list[str | None]:
    """Return why each unit is corrected: always, disputed, audit; None if it is not."""
    if params.ask == "always" or params.policy != "majority":
        return ["always"] * len(units)
    open_units = [disputed(kind, unit) for unit in units]
    agreeing = sum(len(unit) for unit, no in zip(units, open_units, strict=True) if not no)
    least = min(1.0, params.audit_at_least / max(1, agreeing))
    share = max(params.audit, least)
    return [
        "disputed" if no else "audit" if audit_draw(unit[0]["instance_id"]) < share else None
        for unit, no in zip(units, open_units, strict=True)
    ]


@operator(
    CORRECTED_SET,
    "self_correct",
    SelfCorrectParams,
    PROMPT,
    needs_labels=True,
    reads=("examples",),
)
async def self_correct(step: StepInput, params: SelfCorrectParams) -> StepResult:
    """Request reasons and a label where they can change the result, then apply the policy.

    Disputed and undisputed rows are never in the same call, so that the answers about disputed
    rows do not depend on which other rows are audited.

    Source: TarGEN (Gupta et al., 2024), section 3, step 4, self-correction. Asking only about
    disputed rows is this project's addition.

    Raises:
        StepError: the corrector answered fewer than half of its rows, fewer than half of the
            wanted rows remain, the task has fewer examples than `shots`, or `ask: disputed` was
            set without annotated labels.
    """
    spec, kind = step.spec, step.spec.answer.kind
    units = units_of(step)
    rows = [row for unit in units for row in unit]
    if params.insists and not any(row["votes"] for row in rows):
        raise StepError(
            "`ask: disputed` needs annotated labels; use `labels: annotate` or `ask: always`"
        )
    for unit, why in zip(units, _why_asked(kind, units, params), strict=True):
        for row in unit:
            row["correction_asked"] = why
    asked: tuple[list[Row], list[Row]] = ([], [])
    for unit in units:
        if unit[0]["correction_asked"]:
            asked[not disputed(kind, unit)].extend(unit)
    reader = Reader(prompt_for(PROMPT, kind), "correction", TURN, reasons=True, shown=params.shown)
    planted = list(_planted(spec, rows, params.planted))
    # Without the rationale, which argues for the right label. These answers do not change labels.
    wrong = [{**row, "intended_label": label, "rationale": None} for row, label in planted]
    *found, of_planted = await judge(
        step, params, [(reader, asked[0]), (reader, asked[1]), (reader, wrong)]
    )
    unanswered = []
    for row, reading in zip([*asked[0], *asked[1]], [*found[0], *found[1]], strict=True):
        row["corrected_label"] = reading.label
        row["reason"], row["flaw"] = reading.reasons, reading.flaw
        row["request_ids"] += reading.request_ids
        unanswered += [reading.error] if reading.label is None else []
    corrected = len(asked[0]) + len(asked[1])
    if len(unanswered) * 2 > corrected:
        raise StepError(
            f"the corrector gave no label for {len(unanswered)} of {corrected} rows; "
            f"first: {unanswered[0]}"
        )
    result = select(step, units, _by_policy(spec, params.policy, params.drop_flawed))
    if params.planted:
        result.planted = [
            {
                "instance_id": row["instance_id"],
                "planted_label": label,
                "corrected_label": reading.label,
                "request_id": reading.request_ids[-1],
            }
            for (row, label), reading in zip(planted, of_planted, strict=True)
        ]
    if unanswered:
        result.warnings.append(f"the corrector gave no label for {len(unanswered)} rows")
    return result


def _planted(spec: TaskSpec, rows: list[Row], share: float) -> Iterator[tuple[Row, str]]:
    """Yield a share of the rows, each with a wrong label, both drawn from the row's id.

    "Wrong" means different from the intended label, which may itself be wrong.
    """
    if spec.answer.kind not in (*ONE_LABEL, "span"):
        return
    for row in rows:
        draw = rng("planted", row["instance_id"])
        others = [label for label in options_of(spec, row) if label != row["intended_label"]]
        if draw.random() < share and others and row["intended_label"] is not None:
            yield row, draw.choice(others)


def _by_policy(spec: TaskSpec, policy: Policy, drop_flawed: bool) -> Decide:
    """Return the decision of a policy about units whose readers have answered."""
    kind, order = spec.answer.kind, list(spec.labels)
    names = ("intended_label", "annotated_label", "corrected_label")

    def decided(rows: list[Row]) -> Label | None:
        return decide(policy, kind, *([row[name] for row in rows] for name in names), order=order)

    def by_policy(unit: list[Row]) -> Decision:
        flaws = [[*row["flaws"], row["flaw"]] for row in unit]
        if drop_flawed and any(flawed(named) for named in flaws):
            named = ", ".join(flaw for row in flaws for flaw in row if flaw is not None)
            return Decision([], "flawed", flaw_detail(named, len(unit)))
        return labels_of(spec, unit, decided, f"the policy {policy} found no label")

    return by_policy


def flaw_detail(flaws: str, rows: int) -> str:
    """Return why a unit is rejected as flawed."""
    several = "; every reader of a row of this set named one" if rows > 1 else ""
    return f"flaws named by its readers: {flaws}{several}"


def labels_of(
    spec: TaskSpec, unit: list[Row], decided: Callable[[list[Row]], Label | None], without: str
) -> Decision:
    """Return the decision about a unit, given how its rows get a label.

    The rows of a pair share a label. Each row of a contrast set has its own, and the set is kept
    only if every row has the label that it was written for.
    """
    if not spec.contrast:
        label = decided(unit)
        dropped = label is None and spec.answer.kind != "none"
        return Decision([label] * len(unit), "dropped" if dropped else None, without)
    labels = [decided([row]) for row in unit]
    wrong = [
        f"{row['intended_label']}: {label or 'no label'}"
        for row, label in zip(unit, labels, strict=True)
        if label != row["intended_label"]
    ]
    detail = f"not every row of the set has its intended label ({', '.join(wrong)})"
    return Decision(labels, "dropped" if wrong else None, detail)


def select(step: StepInput, units: list[list[Row]], decision: Decide) -> StepResult:
    """Decide on every unit and apply the human verdicts, then keep at most the wanted rows.

    They are balanced first, then in order.
    """
    spec, reviews = step.spec, Reviews(step.spec, step.reviews)
    result = StepResult(asked=sum(len(unit) for unit in units))
    decided: list[tuple[int, Label | None]] = []
    labels: dict[int, Sequence[Label | None]] = {}
    for index, unit in enumerate(units):
        made = decision(unit)
        if made.reason is None:
            settled, why = reviews.settle(unit, made.labels)
            made = Decision(settled, "human_review" if why else None, why)
        if made.reason is not None:
            result.rejected += [_rejected(spec, row, made.reason, made.detail) for row in unit]
        else:
            decided.append((index, made.labels[0]))
            labels[index] = made.labels
    result.warnings += reviews.warnings()
    wanted = spec.wanted_rows // spec.unit
    planned = any(row["intended_label"] is not None for unit in units for row in unit)
    of_plan = [(index, label) for index, label in decided if units[index][0]["target_id"] is None]
    chosen = _balanced(spec, of_plan, wanted, planned)
    retired = swap(spec, units, dict(decided), chosen, wanted)
    for index, _ in decided:
        if index not in chosen:
            detail = _surplus(units[index][0], retired.get(index))
            result.rejected += [_rejected(spec, row, "surplus", detail) for row in units[index]]
            continue
        for row, label in zip(units[index], labels[index], strict=True):
            verdict = "relabelled" if _differs(spec, label, row["intended_label"]) else "kept"
            # Not copied: with a million rows, that would take a gigabyte.
            row |= {"label": label, "verdict": verdict}
            result.rows.append(row)
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

    Rows without planned labels (the user's own) are kept in order, without balancing. So are
    contrast sets, which have every label.
    """
    if spec.answer.kind not in ONE_LABEL or not planned or spec.contrast:
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


def _surplus(row: Row, retired_by: str | None) -> str:
    """Return why a row of a unit that could be kept is not in the set."""
    if retired_by is not None:
        return f"replaced by a row of the target {retired_by}"
    if row["target_id"] is not None:
        return f"it cannot replace a row that the target {row['target_id']} names"
    return "not needed for the rows wanted, or its label has enough; growing takes it back"


def _rejected(spec: TaskSpec, row: Row, reason: str, detail: str) -> Row:
    return {
        **rejection(reason, detail, spec.content(row)),
        **{name: row[name] for name in ("slot", "intended_label", "annotated_label")},
        "corrected_label": row["corrected_label"],
        "readings": row["readings"],
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
        result.warnings.append(
            f"{spec.rows} rows are not a multiple of {spec.unit}; sets of {spec.unit} make "
            f"{spec.wanted_rows}"
        )
    if spec.answer.kind in ONE_LABEL and planned:
        share = wanted if spec.contrast else wanted // len(spec.labels) * spec.unit
        counts: Mapping[str, int] = {
            label: sum(row["label"] == label for row in result.rows) for label in spec.labels
        }
        short = [f"'{name}' has {n} of {share}" for name, n in counts.items() if n < share]
        if short:
            result.warnings.append(f"the corrected set has too few rows of: {', '.join(short)}")
    if rows < spec.wanted_rows:
        result.warnings.append(f"the corrected set has {rows} of {spec.wanted_rows} rows")
