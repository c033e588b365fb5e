"""The rows with faults, as a table and as CSV."""

from typing import Final

import polars as pl

from targen.quality.collector import MetricCollector
from targen.quality.inputs import ReportInputs
from targen.tables.spreadsheet import separated

ROW, FAULTS, SUGGESTED = "row", "faults", "suggested_label"
_SEPARATOR: Final = "; "


def table(inputs: ReportInputs, collector: MetricCollector) -> pl.DataFrame:
    """Return the rows that have a fault, in their order.

    `row` is the row's number, from 1; `faults` lists the metrics that count the row;
    `suggested_label` is the classifier's label of a row with a suspect label. Then come the task's
    fields and the label.
    """
    metrics = list(collector.marks)
    faults: list[list[str]] = [[] for _ in range(inputs.rows.height)]
    for metric in metrics:
        for at in collector.marks[metric].nonzero()[0]:
            faults[int(at)].append(metric)
    suggested = {row: name for row, name, _ in collector.shared.get("suspects", [])}
    marked = [at for at, found in enumerate(faults) if found]
    head = pl.DataFrame(
        {
            ROW: [at + 1 for at in marked],
            FAULTS: [faults[at] for at in marked],
            SUGGESTED: [suggested.get(at) for at in marked],
        },
        schema={ROW: pl.Int64, FAULTS: pl.List(pl.String), SUGGESTED: pl.String},
    )
    own = [name for name in (*inputs.fields, "label") if name in inputs.rows.columns]
    taken = {name: f"field_{name}" for name in own if name in head.columns}
    return head.hstack(inputs.rows.select(own)[marked].rename(taken))


def sheet(marked: pl.DataFrame) -> str:
    """Return the table as CSV, safe to open in a spreadsheet."""
    rows = marked.with_columns(pl.col(FAULTS).list.join(_SEPARATOR)).iter_rows()
    return separated(marked.columns, rows)
