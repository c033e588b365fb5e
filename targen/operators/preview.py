"""Preview of a task: a few rows through all steps, with every prompt and answer, kept in memory."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import polars as pl

from targen.errors import StepError
from targen.lineage.completions import StoredCompletion, of_run, read, uses
from targen.lineage.graph import TaskTables, trace
from targen.operators import rejected_frame
from targen.operators.estimate import SettingsOf
from targen.operators.in_memory import live_settings, run_live
from targen.steps import CORRECTED_SET, INSTANCES, LABELS, REJECTED, ROW_STEPS, UPSTREAM
from targen.store.completions import Store
from targen.tasks.spec import TaskSpec

ROWS: Final = 3
"""Rows of a preview by default."""

SURPLUS: Final = "surplus"

_VERDICT: Final = ("label", "verdict", "reason", "flaw", "annotated_label", "corrected_label")


@dataclass(frozen=True)
class Call:
    """A completion of the preview.

    Attributes:
        step: the step that asked for it.
        request_id: its id.
        instructions, data: the prompt: its first message, and all others.
        answer: the text that the model returned; None if there is none.
        status, error: as stored; `ok` if the answer is valid.
        model, endpoint: which model answered, and where.
        prompt_tokens, completion_tokens: as counted by the endpoint.
        cost_usd: at the price first paid; None if the price is unknown.
        paid_now: whether this preview made the call. Otherwise the answer was in the store.
        rows: number of instances that descend from it.
    """

    step: str
    request_id: str
    instructions: str
    data: str
    answer: str | None
    status: str
    error: str | None
    model: str
    endpoint: str
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None
    simulated: bool
    paid_now: bool
    rows: int


@dataclass(frozen=True)
class PreviewRow:
    """An instance and what became of it.

    Attributes:
        instance_id: the same as in a run.
        fields: field -> value.
        intended_label: None if the row was written for no label.
        outcome: `kept`, `relabelled`, `unfinished` if a later step failed, or the reason why it
            was left out.
        detail: why it was left out.
        verdict: label, reason, flaw, the labels of annotator and corrector, and the readings of
            a panel; empty if unfinished.
        votes: the annotator's votes.
        request_ids: its calls and those of its sources, in order.
        tokens, cost_usd: its share of these calls: a call that serves several rows is divided by
            their number. The cost is None if a price is unknown.
    """

    instance_id: str
    fields: Mapping[str, Any]
    intended_label: Any
    outcome: str
    detail: str | None
    verdict: Mapping[str, Any]
    votes: list[Any]
    request_ids: list[str]
    tokens: int
    cost_usd: float | None

    @property
    def kept(self) -> bool:
        """Whether the row is in the corrected set."""
        return self.outcome in ("kept", "relabelled")


@dataclass
class Preview:
    """The result of a preview.

    Attributes:
        task, recipe: names.
        wanted: rows asked for.
        rows: the finished rows, then those that were left out.
        rejected: items of all steps that did not become rows, without surplus.
        calls: every completion, in the order of the steps.
        warnings: of the steps.
        problem: why a step failed; None if all finished.
    """

    task: str
    recipe: str
    wanted: int
    rows: list[PreviewRow] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    problem: str | None = None

    @property
    def kept(self) -> list[PreviewRow]:
        """The finished rows."""
        return [row for row in self.rows if row.kept]

    def costs(self) -> list[dict[str, Any]]:
        """Return calls, stored answers, tokens and cost of each step, then in all."""
        lines = []
        for step in (*ROW_STEPS, None):
            part = [call for call in self.calls if step in (None, call.step)]
            if not part and step is not None:
                continue
            prices = [call.cost_usd for call in part]
            lines.append(
                {
                    "step": step or "in all",
                    "model": ", ".join(dict.fromkeys(call.model for call in part if step)),
                    "calls": sum(call.paid_now for call in part),
                    "stored": sum(not call.paid_now for call in part),
                    "prompt_tokens": sum(call.prompt_tokens for call in part),
                    "completion_tokens": sum(call.completion_tokens for call in part),
                    "cost_usd": None if None in prices else sum(prices),  # type: ignore[arg-type]
                }
            )
        return lines

    def as_dict(self) -> dict[str, Any]:
        """Return the preview as JSON-like data."""
        return {**asdict(self), "costs": self.costs()}


def few_rows(spec: TaskSpec, rows: int = ROWS) -> TaskSpec:
    """Return the task with at most `rows` rows, rounded up to whole pairs or sets.

    A data set that grows keeps its rows, so the rows and most requests are those of the full run.
    """
    count = min(rows, spec.rows)
    count += -count % spec.unit
    headroom = None if spec.headroom is None else min(spec.headroom, count)
    return spec.model_copy(update={"rows": count, "headroom": headroom})


async def preview(spec: TaskSpec, settings: SettingsOf) -> Preview:
    """Run the steps of a task and keep their tables in memory.

    The answers are stored, so that a later run does not pay again for the same requests. A step
    that fails ends the preview, and its answers are shown.

    Args:
        spec: the task, with few rows; see `few_rows`.
        settings: (step, named endpoint) -> the settings of its engine. All must have one store and
            one run id.

    Raises:
        EndpointError: an endpoint cannot be used, or its key is not set.
        BudgetError, StoreError: raised by the engine.
    """
    found = Preview(spec.name, spec.recipe.name, spec.wanted_rows)
    frames: dict[str, pl.DataFrame] = {}
    live = live_settings(spec, settings)
    for step in UPSTREAM:
        try:
            output, _ = await run_live(step, spec, frames, live)
        except StepError as error:
            found.problem = f"{step}: {error}"
            frames[f"{REJECTED}/{step}"] = rejected_frame(step, spec, error.rejected)
            break
        frames[step], frames[f"{REJECTED}/{step}"] = output.table, output.rejected
        found.warnings += output.warnings
    last = live[CORRECTED_SET, spec.recipe.endpoints.get(CORRECTED_SET)]
    store = Store(last.store_url)
    try:
        _fill(found, spec, frames, store, last.run_id)
    finally:
        store.close()
    return found


def _fill(
    found: Preview, spec: TaskSpec, frames: dict[str, pl.DataFrame], store: Store, run_id: str
) -> None:
    owner = of_run(store, run_id)
    completions = read(store, owner)
    tables = TaskTables(None, spec.name, frames)
    instances = frames.get(INSTANCES)
    ids = [] if instances is None else instances["instance_id"].to_list()
    of_row = {name: _requests_of(tables, name, completions) for name in ids}
    paid = {
        name
        for name, used in uses(store, completions).items()
        if any(use["paid"] and use["run_id"] == run_id for use in used)
    }
    calls = [
        # Only a request that the run did not use, as the first of a chain, has no step.
        _call(
            one,
            owner.get(one.request_id, INSTANCES),
            paid,
            sum(one.request_id in requests for requests in of_row.values()),
        )
        for one in completions.values()
    ]
    order = {step: place for place, step in enumerate(ROW_STEPS)}
    when = {name: one.columns["created_at"] for name, one in completions.items()}
    found.calls = sorted(calls, key=lambda c: (order[c.step], when[c.request_id], c.request_id))
    by_id = {call.request_id: call for call in found.calls}
    rows = [_row(spec, tables, name, [by_id[r] for r in of_row[name]]) for name in ids]
    found.rows = sorted(rows, key=lambda row: not row.kept)
    for step in ROW_STEPS:
        rejected = frames.get(f"{REJECTED}/{step}")
        if rejected is not None:
            found.rejected += rejected.filter(pl.col("reason") != SURPLUS).to_dicts()


def _chain(request_id: str, completions: Mapping[str, StoredCompletion]) -> list[str]:
    """Return a request and those that it repeats, the first one first."""
    chain: list[str] = []
    at: str | None = request_id
    while at and at in completions and at not in chain:
        chain.insert(0, at)
        at = completions[at].parent
    return chain


def _requests_of(
    tables: TaskTables, instance_id: str, completions: Mapping[str, StoredCompletion]
) -> list[str]:
    """Return the calls of a row and its sources, in order, each once."""
    lineage = trace(tables, instance_id)
    items = lineage.items if lineage else []
    names = [name for item in items if item.role != "twin" for name in item.request_ids]
    return list(dict.fromkeys(one for name in names for one in _chain(name, completions)))


def _call(one: StoredCompletion, step: str, paid: set[str], rows: int) -> Call:
    kept = one.columns
    messages = [str(message.get("content", "")) for message in one.messages] or [""]
    return Call(
        step=step,
        request_id=one.request_id,
        instructions=messages[0],
        data="\n\n".join(messages[1:]),
        answer=one.raw,
        status=kept["status"],
        error=kept["error"],
        model=kept["model"],
        endpoint=kept["endpoint"],
        prompt_tokens=kept["prompt_tokens"] or 0,
        completion_tokens=kept["completion_tokens"] or 0,
        cost_usd=kept["cost_usd"],
        simulated=bool(kept["simulated"]),
        paid_now=one.request_id in paid,
        rows=rows,
    )


def _row(spec: TaskSpec, tables: TaskTables, instance_id: str, calls: list[Call]) -> PreviewRow:
    instance = tables.row(INSTANCES, instance_id) or {}
    votes = (tables.row(LABELS, instance_id) or {}).get("votes") or []
    finished = tables.row(CORRECTED_SET, instance_id)
    dropped = tables.row(f"{REJECTED}/{CORRECTED_SET}", instance_id)
    verdict: dict[str, Any] = {}
    outcome, detail = "unfinished", None
    if finished is not None:
        verdict = {name: finished[name] for name in _VERDICT}
        outcome = str(verdict.pop("verdict"))
    elif dropped is not None:
        verdict = {name: dropped[name] for name in ("annotated_label", "corrected_label")}
        outcome, detail = dropped["reason"], dropped["detail"]
    readings = (finished or dropped or {}).get("readings")
    if readings is not None:
        verdict["readings"] = readings
    prices = [call.cost_usd for call in calls]
    return PreviewRow(
        instance_id,
        {name: instance[name] for name in spec.fields},
        instance["intended_label"],
        outcome,
        detail,
        verdict,
        votes,
        [call.request_id for call in calls],
        round(sum((c.prompt_tokens + c.completion_tokens) / max(1, c.rows) for c in calls)),
        None if None in prices else sum((c.cost_usd or 0.0) / max(1, c.rows) for c in calls),
    )
