"""Calls, tokens, cost and rejected items. Costs are the prices first paid."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from targen.quality.collector import Measure, MetricCollector
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import proportion
from targen.steps import CORRECTED_SET, INSTANCES, REASONS, STEPS

OTHER = "other"
_STEP = pl.Enum([*STEPS, OTHER])


def step_of_requests(
    tables: Mapping[str, pl.DataFrame],
    rejected: Mapping[str, pl.DataFrame],
    planted: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Return `request_id` and `step`, the step that made the request; each request once.

    Later steps also refer to the requests of earlier ones, so the first step to refer to a
    request is the one that made it.
    """
    parts = [pl.DataFrame(schema={"request_id": pl.String, "step": _STEP})]
    for step in STEPS:
        for frame in (tables.get(step), rejected.get(step)):
            if frame is None:
                continue
            for column in ("request_id", "request_ids"):
                if column in frame.columns:
                    ids = frame[column]
                    flat = ids.explode() if ids.dtype == pl.List(pl.String) else ids
                    parts.append(_made_by(step, flat))
    if planted is not None and "request_id" in planted.columns:
        parts.append(_made_by(CORRECTED_SET, planted["request_id"]))
    return pl.concat(parts).unique("request_id", keep="first", maintain_order=True)


def _made_by(step: str, request_ids: pl.Series) -> pl.DataFrame:
    ids = request_ids.drop_nulls().unique(maintain_order=True).alias("request_id")
    return ids.to_frame().with_columns(step=pl.lit(step, dtype=_STEP))


def by_step(completions: pl.DataFrame, owner: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return step -> its completions, in step order; those of no known step last, as `OTHER`.

    Args:
        completions: one row per request.
        owner: as returned by `step_of_requests`.
    """
    owned = completions.join(owner, on="request_id", how="left", maintain_order="left")
    parts = owned.with_columns(pl.col("step").fill_null(OTHER)).partition_by("step", as_dict=True)
    return {name: part for name in (*STEPS, OTHER) if (part := parts.get((name,))) is not None}


def spent(completions: pl.DataFrame, owner: pl.DataFrame) -> list[dict[str, Any]]:
    """Return calls, tokens and cost per step, in step order; an unknown cost is None."""
    return [
        {
            "step": name,
            "calls": part.height,
            "prompt_tokens": int(part["prompt_tokens"].sum()),
            "completion_tokens": int(part["completion_tokens"].sum()),
            "cost_usd": None if part["cost_usd"].null_count() else float(part["cost_usd"].sum()),
            "unpriced_calls": part["cost_usd"].null_count(),
        }
        for name, part in by_step(completions, owner).items()
    ]


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add rows, acceptance and rejections per step, calls, tokens and cost."""
    rows = inputs.rows.height
    collector.add(Measure("rows", rows, rows))
    if inputs.rows_asked is None:
        collector.skip("rows_asked", "no number of rows was requested")
    else:
        collector.add(Measure("rows_asked", inputs.rows_asked, inputs.rows_asked))
    _rejections(inputs, collector)
    if inputs.completions is None:
        for name in ("accepted_per_call", "cost_usd"):
            collector.skip(name, "the completions behind the rows are unknown")
        return
    completions = inputs.completions.unique("request_id", maintain_order=True)
    owner = step_of_requests(inputs.tables, inputs.rejected, inputs.planted_errors)
    parts = spent(completions, owner)
    collector.details["spent"] = parts
    for part in parts:
        step, calls = part["step"], part["calls"]
        _add_spending(part, collector, step)
        if step in inputs.tables:
            accepted = inputs.tables[step].height / calls
            collector.add(Measure("accepted_per_call", accepted, calls, step))
    counts = ("calls", "prompt_tokens", "completion_tokens", "unpriced_calls")
    totals = {name: sum(part[name] for part in parts) for name in counts}
    cost = None if totals["unpriced_calls"] else sum(part["cost_usd"] for part in parts)
    calls = totals["calls"]
    collector.details["totals"] = totals
    _add_spending(totals | {"cost_usd": cost}, collector)
    if calls:
        collector.add(Measure("accepted_per_call", rows / calls, calls))
    else:
        collector.skip("accepted_per_call", "no call was made")


def _add_spending(part: Mapping[str, Any], collector: MetricCollector, slice_: str = "all") -> None:
    for name in ("calls", "prompt_tokens", "completion_tokens", "cost_usd"):
        collector.add(Measure(name, part[name], part["calls"], slice_))


def _rejections(inputs: ReportInputs, collector: MetricCollector) -> None:
    listed: list[dict[str, Any]] = []
    for step in STEPS:
        frame = inputs.rejected.get(step)
        table = inputs.tables.get(step)
        if frame is None or table is None or table.height + frame.height == 0:
            continue
        # Instances are rejected by slot, and the slot of a pair has two rows.
        paired = step == INSTANCES and inputs.pair_field is not None
        accepted = table.height // 2 if paired else table.height
        tally = dict(frame.group_by("reason").len().iter_rows())
        reasons = [*REASONS, *sorted(set(tally) - set(REASONS))]
        for reason in reasons:
            if reason in tally:
                n = accepted + frame.height
                collector.add(Measure("rejected", tally[reason], n, f"{step}, {reason}"))
                listed.append({"step": step, "reason": reason, "count": tally[reason]})
        # Surplus and outranked rows are not failures.
        surplus = tally.get("surplus", 0) + tally.get("outranked", 0)
        judged = accepted + frame.height - surplus
        collector.add(proportion("acceptance", step, accepted, judged))
    collector.details["rejected"] = listed
