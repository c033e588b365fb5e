"""What an accepted row costs, step by step: calls, tokens and US dollars per row kept.

The figures are sums over the completions that the tables descend from, divided by the rows of the
corrected set. A request that wrote or judged several rows counts once.
"""

from typing import Any

import polars as pl

from targen.quality.accounting import by_step, step_of_requests
from targen.quality.collector import Measure, MetricCollector
from targen.quality.inputs import ReportInputs

WHOLE = "all"
_PER_ROW = {
    "calls": "calls_per_row",
    "prompt_tokens": "prompt_tokens_per_row",
    "cached_tokens": "cached_tokens_per_row",
    "completion_tokens": "output_tokens_per_row",
    "tokens": "tokens_per_row",
    "cost_usd": "cost_per_row_usd",
}
"""Sum -> the metric that is the sum per accepted row."""


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add calls, tokens and cost per accepted row, by step and in total."""
    rows = inputs.rows.height
    if inputs.completions is None or not inputs.completions.height or not rows:
        reason = "no row was kept" if not rows else "the completions behind the rows are unknown"
        for metric in ("calls_per_row", "tokens_per_row"):
            collector.skip(metric, reason)
        return
    completions = inputs.completions.unique("request_id", maintain_order=True)
    if "cached_tokens" not in completions.columns:
        completions = completions.with_columns(cached_tokens=pl.lit(None, dtype=pl.Int64))
    owner = step_of_requests(inputs.tables, inputs.rejected, inputs.planted_errors)
    found = []
    for name, part in {**by_step(completions, owner), WHOLE: completions}.items():
        line = _line(name, part, rows)
        found.append(line)
        for metric in _PER_ROW.values():
            if line[metric] is not None or metric == "cost_per_row_usd":
                collector.add(Measure(metric, line[metric], rows, name))
    collector.details["per_row"] = found


def _line(step: str, part: pl.DataFrame, rows: int) -> dict[str, Any]:
    """Return the figures of one step per accepted row.

    Cached tokens are None if the endpoint reported none, the cost if one price is unknown.
    """
    cached, cost = part["cached_tokens"], part["cost_usd"]
    prompt, output = int(part["prompt_tokens"].sum()), int(part["completion_tokens"].sum())
    sums: dict[str, float | None] = {
        "calls": part.height,
        "prompt_tokens": prompt,
        "cached_tokens": None if cached.null_count() == part.height else int(cached.sum()),
        "completion_tokens": output,
        "tokens": prompt + output,
        "cost_usd": None if cost.null_count() else float(cost.sum()),
    }
    return {"step": step} | {
        metric: None if (value := sums[name]) is None else value / rows
        for name, metric in _PER_ROW.items()
    }
