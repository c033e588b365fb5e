"""The quality report of one data set, as a table and as JSON; `page` renders the JSON."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import polars as pl

from targen import hashing
from targen.memory import trim
from targen.quality import gates, marked, metrics, plugin_metrics, verdict
from targen.quality.collector import MetricCollector, rounded
from targen.quality.inputs import ReportInputs
from targen.tasks.answers import ONE_LABEL

BANNER = "made by the simulator; not training data"
REVIEW_ROWS = 50
"""Rows to review in the JSON; the page shows fewer."""
SAMPLES = 3
LONGEST = 4000
"""Characters of one text in the JSON; the tables have the full text."""
__all__ = ["BANNER", "Report", "ReportInputs", "build"]


@dataclass(frozen=True)
class Report:
    """A computed report.

    Attributes:
        table: the long table, `targen.steps.schema("quality_report", {})`.
        json: the same figures and everything the page shows, ready for `json.dumps`.
        marked: the rows with faults, `targen.quality.marked.table`.
    """

    table: pl.DataFrame
    json: dict[str, Any]
    marked: pl.DataFrame

    def json_text(self) -> str:
        """Return the JSON as stored; deterministic."""
        return hashing.canonical(self.json) + "\n"

    def value(self, metric: str, slice_: str = "all") -> float | None:
        """Return one value, None if it is absent or unknown."""
        for figure in self.json["figures"]:
            if figure["metric"] == metric and figure["slice"] == slice_:
                value: float | None = figure["value"]
                return value
        return None


def build(inputs: ReportInputs) -> Report:
    """Compute every applicable metric; the JSON's `skipped` has the reasons for the others.

    The same inputs give the same bytes.
    """
    collector = MetricCollector()
    for module in metrics.modules():
        trim()
        import_module(f"targen.quality.{module}").measure(inputs, collector)
    plugins = plugin_metrics.measure(inputs, collector)
    judged = gates.judge(inputs.gates, collector)
    table = gates.with_passed(collector.table(), judged)
    found = verdict.findings(inputs, collector, judged)
    review = collector.details.pop("review", [])
    content: dict[str, Any] = {
        "task": inputs.task_name,
        "title": inputs.title,
        "description": inputs.description,
        "fields": dict(inputs.fields),
        "answer_kind": inputs.answer_kind,
        "language": inputs.language,
        "models": sorted(inputs.models),
        "simulated": inputs.simulated,
        "banner": BANNER if inputs.simulated else None,
        "reference_name": inputs.reference_name if inputs.reference is not None else None,
        "reference_rows": None if inputs.reference is None else inputs.reference.height,
        "recipe": inputs.recipe,
        "file": None if inputs.file is None else dict(inputs.file),
        "made_from": dict(inputs.versions),
        "data_docs": inputs.data_docs,
        "rows": inputs.rows.height,
        "rows_asked": inputs.rows_asked,
        "verdict": verdict.headline(judged, found),
        "findings": found,
        "gates": judged,
        "figures": table.to_dicts(),
        "skipped": collector.skipped,
        "samples": samples(inputs),
        "review": review[:REVIEW_ROWS],
        "review_rows": len(review),
        **collector.details,
        **({"plugins": plugins} if plugins else {}),
    }
    return Report(table=table, json=_clean(content), marked=marked.table(inputs, collector))


def samples(inputs: ReportInputs) -> list[dict[str, Any]]:
    """Return the first row of each of the first labels, then more of the first rows."""
    rows = inputs.rows
    if inputs.answer_kind in ONE_LABEL:
        firsts = rows.filter(pl.col("label").is_first_distinct())
        others = rows.filter(~pl.col("label").is_first_distinct())
        rows = pl.concat([firsts.head(SAMPLES), others.head(SAMPLES)])
    return rows.head(SAMPLES).to_dicts()


def _clean(content: Any) -> Any:
    """Return JSON-like content with floats rounded, NaN as null and long texts cut."""
    if isinstance(content, dict):
        return {str(key): _clean(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_clean(value) for value in content]
    if isinstance(content, float):
        return rounded(content)
    if isinstance(content, str) and len(content) > LONGEST:
        return content[:LONGEST] + "…"
    return content
