"""Calls, tokens, cost and rejected items. Costs are the prices first paid."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from targen.quality.collector import Measure, MetricCollector
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import wilson
from targen.steps import CORRECTED_SET, INSTANCES, REASONS, STEPS

OTHER = "other"


def step_of_requests(
    tables: Mapping[str, pl.DataFrame],
    rejected: Mapping[str, pl.DataFrame],
    planted: pl.DataFrame | None = None,
) -> dict[str, str]:
    """Return request_id -> the first step whose rows, rejected items or planted errors it made.

    Later steps name the requests of earlier ones too, so the first to name one made it.
    """
    owner: dict[str, str] = {}
    for step in STEPS:
        for frame in (tables.get(step), rejected.get(step)):
            if frame is None:
                continue
            for column in ("request_id", "request_ids"):
                if column in frame.columns:
                    ids = frame[column]
                    flat = ids.explode() if ids.dtype == pl.List(pl.String) else ids
                    for request_id in flat.drop_nulls().unique(maintain_order=True):
                        owner.setdefault(request_id, step)
    if planted is not None and "request_id" in planted.columns:
        for request_id in planted["request_id"].drop_nulls():
            owner.setdefault(request_id, CORRECTED_SET)
    return owner


def spent(completions: pl.DataFrame, owner: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return calls, tokens and cost per step, in step order; `cost_usd` is None if unknown."""
    steps = [*STEPS, OTHER]
    named = completions.with_columns(
        step=pl.col("request_id").replace_strict(dict(owner), default=OTHER, return_dtype=pl.String)
    )
    found = []
    for step in steps:
        part = named.filter(pl.col("step") == step)
        if part.height:
            known = part["cost_usd"].null_count() == 0
            found.append(
                {
                    "step": step,
                    "calls": part.height,
                    "prompt_tokens": int(part["prompt_tokens"].sum()),
                    "completion_tokens": int(part["completion_tokens"].sum()),
                    "cost_usd": float(part["cost_usd"].sum()) if known else None,
                    "unpriced_calls": part["cost_usd"].null_count(),
                }
            )
    return found


def measure(inputs: ReportInputs, sheet: MetricCollector) -> None:
    """Add rows, acceptance and rejections per step, calls, tokens and cost per accepted row."""
    rows = inputs.rows.height
    sheet.add(Measure("rows", rows, rows))
    if inputs.rows_asked is None:
        sheet.skip("rows_asked", "no number of rows was requested")
    else:
        sheet.add(Measure("rows_asked", inputs.rows_asked, inputs.rows_asked))
    _rejections(inputs, sheet)
    if inputs.completions is None:
        for name in ("accepted_per_call", "tokens_per_row", "cost_usd"):
            sheet.skip(name, "the completions behind the rows are unknown")
        return
    owner = step_of_requests(inputs.tables, inputs.rejected, inputs.planted_errors)
    by_step = spent(inputs.completions.unique("request_id", maintain_order=True), owner)
    sheet.details["spent"] = by_step
    _spending(by_step, rows, inputs, sheet)


def _rejections(inputs: ReportInputs, sheet: MetricCollector) -> None:
    """Count rejected items by step and reason; surplus rows are not failures."""
    listed: list[dict[str, Any]] = []
    for step in STEPS:
        frame = inputs.rejected.get(step)
        made = inputs.tables.get(step)
        if frame is None or made is None or made.height + frame.height == 0:
            continue
        # Instances are rejected by slot, and a slot of a pair has two rows.
        twins = step == INSTANCES and inputs.pair_field is not None
        accepted = made.height // 2 if twins else made.height
        tally = dict(frame.group_by("reason").len().iter_rows())
        reasons = [*REASONS, *sorted(set(tally) - set(REASONS))]
        for reason in reasons:
            if reason in tally:
                n = accepted + frame.height
                sheet.add(Measure("rejected", tally[reason], n, f"{step}, {reason}"))
                listed.append({"step": step, "reason": reason, "count": tally[reason]})
        # Neither is a failure.
        surplus = tally.get("surplus", 0) + tally.get("outranked", 0)
        judged = accepted + frame.height - surplus
        low, high = wilson(accepted, judged)
        share = accepted / judged if judged else None
        sheet.add(Measure("acceptance", share, judged, step, low, high))
    sheet.details["rejected"] = listed


def _spending(
    by_step: list[dict[str, Any]], rows: int, inputs: ReportInputs, sheet: MetricCollector
) -> None:
    """Add calls, tokens and cost per step and per accepted row."""
    for part in by_step:
        step, calls = part["step"], part["calls"]
        sheet.add(
            Measure("calls", calls, calls, step),
            Measure("prompt_tokens", part["prompt_tokens"], calls, step),
            Measure("completion_tokens", part["completion_tokens"], calls, step),
            Measure("cost_usd", part["cost_usd"], calls, step),
        )
        if step in inputs.tables:
            sheet.add(Measure("accepted_per_call", inputs.tables[step].height / calls, calls, step))
    calls = sum(part["calls"] for part in by_step)
    prompt = sum(part["prompt_tokens"] for part in by_step)
    completion = sum(part["completion_tokens"] for part in by_step)
    unpriced = sum(part["unpriced_calls"] for part in by_step)
    cost = None if unpriced else sum(part["cost_usd"] for part in by_step)
    sheet.details["totals"] = {
        "calls": calls,
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "unpriced_calls": unpriced,
    }
    sheet.add(
        Measure("calls", calls, calls),
        Measure("prompt_tokens", prompt, calls),
        Measure("completion_tokens", completion, calls),
        Measure("cost_usd", cost, calls),
    )
    if calls:
        sheet.add(Measure("accepted_per_call", rows / calls, calls))
    else:
        sheet.skip("accepted_per_call", "no call was made")
    if rows:
        per_row = None if cost is None else cost / rows
        sheet.add(
            Measure("tokens_per_row", (prompt + completion) / rows, rows),
            Measure("cost_per_row_usd", per_row, rows),
        )
