"""What a round of targets brought, and whether another one is worth its cost."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import numpy as np
import polars as pl

from targen.quality.coverage import attributes_of, used
from targen.quality.text import joined, words
from targen.steps import CONTEXTS
from targen.targeting import ease, errors, regions
from targen.targeting.gaps import View, moved
from targen.tasks.targets import Target, TargetsFile

MEASURED: Final[Mapping[str, Callable[[View, Target], float | None]]] = {
    "too_easy": ease.current,
    "student_error": errors.current,
    "missing_region": regions.current,
    "high_entropy": regions.current,
}
"""Kind -> what measures its figure, for kinds with figures that the report does not have."""


def current(view: View, target: Target) -> float | None:
    """Return the value that a target's figure has now; None if it is not measured any more."""
    if target.kind in MEASURED:
        return MEASURED[target.kind](view, target)
    own = view.labels == target.label if target.label is not None else None
    if target.kind == "label_word" and target.field and target.avoid.words and own is not None:
        has = words(view.rows[target.field]).list.contains(target.avoid.words[0]).to_numpy()
        return _mean(has[own])
    if target.kind == "name" and target.avoid.names:
        texts = joined(view.rows, view.fields).fill_null("")
        return _mean(texts.str.contains(target.avoid.names[0], literal=True).to_numpy())
    if target.kind == "label_short" and own is not None:
        return _mean(own)
    if target.kind == "thin_cell" and own is not None:
        return _mean(_cell(view, target)[own])
    figure = view.figure(target.metric, target.slice)
    return None if figure is None else float(figure["value"])


def _mean(flags: Any) -> float:
    return float(np.mean(flags)) if len(flags) else 0.0


def _cell(view: View, target: Target) -> Any:
    """Return whether each row has the way or the attribute value of a target."""
    if target.way is not None:
        return (view.rows["planned_way"] == target.way).fill_null(False).to_numpy()
    contexts, sources = view.inputs.tables.get(CONTEXTS), used(view.inputs)
    if contexts is None or sources is None:
        return np.zeros(view.rows.height, dtype=bool)
    values = attributes_of(contexts, "context_id")
    having = values.filter(
        pl.any_horizontal(
            (pl.col("name") == name) & (pl.col("value") == value)
            for name, value in target.attributes.items()
        )
    )["context_id"]
    return sources["context_id"].is_in(having.implode()).fill_null(False).to_numpy()


def brought_something(table: pl.DataFrame, number: int) -> bool:
    """Return whether a round moved a figure towards its bound by more than its standard error."""
    rows = table.filter((pl.col("round") == number) & (pl.col("status") == "approved"))
    return any(_moved(row) for row in rows.iter_rows(named=True))


def _moved(row: Mapping[str, Any]) -> bool:
    if row["after"] is None:
        # The figure is gone, so the gap that it showed is gone as well.
        return True
    if row["value"] is None or row["bound"] is None:
        return False
    width = 0.0 if None in (row["low"], row["high"]) else row["high"] - row["low"]
    return moved(row["value"], row["after"], row["bound"], width)


def _open(table: pl.DataFrame) -> Iterable[Mapping[str, Any]]:
    """Yield the targets of rounds whose figures are still beyond their bounds."""
    for row in table.filter(pl.col("made") & (pl.col("status") == "approved")).to_dicts():
        value, after, bound = row["value"], row["after"], row["bound"]
        if None not in (value, after, bound) and (after - bound) * (value - bound) > 0:
            yield row


def _untried(content: TargetsFile) -> bool:
    """Return whether a gap is proposed that no round has worked on."""
    assert content.proposed is not None
    tried = {one.gap for part in content.rounds for one in part.approved}
    return any(one.gap not in tried for one in content.proposed.approved)


def stop_reason(
    content: TargetsFile, table: pl.DataFrame, gates: Iterable[Mapping[str, Any]], rounds: int
) -> str | None:
    """Return why no further round should be made, None if one should.

    Args:
        content: the file of targets.
        table: the table of targets.
        gates: the gates of the current report.
        rounds: most rounds to make, counting those that were made.
    """
    made = len(content.rounds)
    proposed = content.proposed
    if proposed is None:
        still = sorted({f"{one['kind']} ({one['slice']})" for one in _open(table)})
        return "no gap is left" + (f" to try; still open: {', '.join(still)}" if still else "")
    if not proposed.approved:
        return f"all {len(proposed.targets)} targets are struck"
    judged = [gate["passed"] is True for gate in gates]
    if made and judged and all(judged) and content.rounds[0].failed_gates:
        return "all gates pass"
    if made and not brought_something(table, made) and not _untried(content):
        return f"round {made} moved no figure by more than its standard error"
    if made >= rounds:
        return f"{made} of {rounds} rounds are made"
    return None
