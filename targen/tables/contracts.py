"""Checks of a finished table: its contract, and statistics that warn."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from targen import steps
from targen.steps import CORRECTED_SET, IDS, INSTANCES, LABELS, REFERENCES
from targen.tasks import entities
from targen.tasks.answers import ONE_LABEL
from targen.tasks.field_values import misfit
from targen.tasks.spec import TaskSpec
from targen.tasks.targets import FIRST_SLOT
from targen.tasks.validators import empty_field, first_violation, needed

SHOWN: Final = 3
"""Number of offending ids that a message names."""

YIELD_AT_LEAST: Final = 0.5
DUPLICATES_AT_MOST: Final = 0.1
IMBALANCE_AT_MOST: Final = 1


def violations(
    step: str,
    spec: TaskSpec,
    table: pl.DataFrame,
    rejected: pl.DataFrame,
    upstream: Mapping[str, pl.DataFrame],
    asked: int | None = None,
) -> list[str]:
    """Return one sentence for each way in which a table breaks its contract.

    Args:
        step: a key of `targen.steps.UPSTREAM`.
        spec: the task.
        table: the step's table.
        rejected: the step's rejected items.
        upstream: the tables it was made from.
        asked: number of requested items, if it was recorded.
    """
    expected = steps.schema(step, spec.field_types, spec.answer.kind)
    if dict(table.schema) != expected:
        return [f"the columns are {dict(table.schema)}, expected {expected}"]
    found = [*_ids(step, table), *lost_references(step, table, upstream)]
    if step in (INSTANCES, CORRECTED_SET):
        found += _rows_invalid(spec, table)
    if step == LABELS:
        found += _labels_unknown(spec, table, "label")
    if step == CORRECTED_SET and spec.answer.kind != "none":
        found += _labels_unknown(spec, table, "label")
        if table["label"].null_count():
            found.append(f"{table['label'].null_count()} rows have no label")
    return found + _accounting(step, spec, table, rejected, upstream, asked)


def _some(values: Iterable[Any]) -> str:
    shown = [str(value) for value in values]
    more = f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else ""
    return ", ".join(shown[:SHOWN]) + more


def _ids(step: str, table: pl.DataFrame) -> list[str]:
    ids = table[IDS[step]]
    if ids.null_count():
        return [f"{ids.null_count()} rows have no {ids.name}"]
    if ids.is_duplicated().any():
        return [
            f"{ids.name} is not unique: {_some(ids.filter(ids.is_duplicated()).unique().sort())}"
        ]
    return []


def lost_references(
    step: str, table: pl.DataFrame, upstream: Mapping[str, pl.DataFrame]
) -> list[str]:
    """Return one sentence per column that refers to a row missing from its upstream table."""
    found = []
    for column, other, key in REFERENCES.get(step, ()):
        if other not in upstream:
            continue
        values = table[column]
        if isinstance(values.dtype, pl.List):
            values = values.explode()
        known = upstream[other][key].implode()
        lost = values.drop_nulls().filter(~values.drop_nulls().is_in(known))
        if len(lost):
            found.append(f"{column} refers to missing rows of {other}: {_some(lost)}")
    return found


def _rows_invalid(spec: TaskSpec, table: pl.DataFrame) -> list[str]:
    found = []
    for row in table.iter_rows(named=True):
        fields = spec.content(row)
        checked = dict(fields)
        problem = (
            empty_field(needed(fields, spec))
            or misfit(checked, spec.fields)
            or first_violation(
                checked,
                spec.validators,
                language=spec.language,
                plugins=spec.plugin_set.validators,
            )
        )
        if problem is None and checked != fields:
            problem = "derived fields do not match their sources"
        if problem is not None:
            found.append(f"{row['instance_id']}: {problem}")
    return [f"invariants broken: {_some(found)}"] if found else []


def _labels_unknown(spec: TaskSpec, table: pl.DataFrame, column: str) -> list[str]:
    if spec.answer.kind in ONE_LABEL:
        known = list(spec.labels)
        lost = table.filter(~pl.col(column).is_in(known))[column].drop_nulls().unique()
        return [f"labels outside the task's: {_some(lost.sort())}"] if len(lost) else []
    if spec.answer.kind == "multi":
        named = table[column].explode().drop_nulls()
        lost = named.filter(~named.is_in(list(spec.labels))).unique().sort()
        return [f"labels outside the task's: {_some(lost)}"] if len(lost) else []
    if spec.answer.kind == "spans":
        return _entities_lost(spec, table, column)
    if spec.answer.kind == "span" and spec.answer.choices in table.columns:
        lost = table.filter(~pl.col(column).is_in(pl.col(spec.answer.choices)))["instance_id"]
        return [f"answers outside the row's choices: {_some(lost)}"] if len(lost) else []
    return []


def _entities_lost(spec: TaskSpec, table: pl.DataFrame, column: str) -> list[str]:
    """Return the rows with an entity of an unknown type, or one that is not in their text."""
    if spec.answer.text not in table.columns:
        return []
    lost = [
        name
        for name, text, label in table.select("instance_id", spec.answer.text, column).iter_rows()
        if entities.located(text or "", label or ())[1]
        or any(entities.parts(one)[0] not in spec.labels for one in label or ())
    ]
    return [f"entities outside the row's text: {_some(pl.Series(lost))}"] if lost else []


def _accounting(
    step: str,
    spec: TaskSpec,
    table: pl.DataFrame,
    rejected: pl.DataFrame,
    upstream: Mapping[str, pl.DataFrame],
    asked: int | None,
) -> list[str]:
    """Check that every requested item is a row or is rejected, exactly once."""
    found = []
    items = len(table) // spec.unit if step == INSTANCES else len(table)
    if asked is not None and items + len(rejected) != asked:
        found.append(
            f"{items} rows and {len(rejected)} rejected items do not add up to {asked} requested"
        )
    odd = rejected.filter(~pl.col("reason").is_in(list(steps.REASONS)))["reason"].unique()
    if len(odd):
        found.append(f"unknown reasons: {_some(odd.sort())}")
    if rejected["item_id"].is_duplicated().any():
        found.append("an item is rejected twice")
    if INSTANCES in upstream:
        wanted = upstream[INSTANCES]["instance_id"]
        gone = rejected["item_id"] if step == CORRECTED_SET else pl.Series([], dtype=pl.String)
        ended = pl.concat([table["instance_id"], gone])
        lost = wanted.filter(~wanted.is_in(ended.implode()))
        if len(lost):
            found.append(f"instances neither labeled nor rejected: {_some(lost)}")
        if len(ended) != len(wanted) and not len(lost):
            found.append(f"{len(wanted)} instances became {len(ended)} rows and rejected items")
    if step == INSTANCES:
        filled, lost_slots = set(table["slot"]), set(rejected["slot"])
        holes: list[int] = []
        # The slots of targets have a range of their own.
        for first, stop in ((0, FIRST_SLOT), (FIRST_SLOT, 2 * FIRST_SLOT)):
            last = max((slot for slot in filled if first <= slot < stop), default=first - 1)
            holes += sorted(set(range(first, last + 1)) - filled - lost_slots)
        if holes:
            found.append(f"slots neither filled nor rejected: {_some(holes)}")
    return found


@dataclass(frozen=True)
class Statistics:
    """Figures of a table for the UI, and warnings about them."""

    passed: bool
    metadata: dict[str, float | int]
    warnings: list[str]


def statistics(
    step: str, spec: TaskSpec, table: pl.DataFrame, rejected: pl.DataFrame
) -> Statistics:
    """Return yield, duplicates, label balance and shortfall of a table.

    It warns if less than half of the requested items were accepted, if more than a tenth were
    duplicates, or if label counts differ by more than one unit. These limits are rules of thumb.
    """
    warnings: list[str] = []
    # Not failures: valid items that were not needed.
    surplus = rejected.filter(pl.col("reason").is_in(["surplus", "outranked"]))
    lost = len(rejected) - len(surplus)
    accepted = len(table) // spec.unit if step == INSTANCES else len(table)
    total = accepted + lost
    share = accepted / total if total else 0.0
    doubles = rejected.filter(pl.col("reason") == "duplicate").height
    metadata: dict[str, float | int] = {
        "rows": len(table),
        "rejected": lost,
        "surplus": len(surplus),
        "yield": round(share, 4),
        "duplicates": doubles,
    }
    if share < YIELD_AT_LEAST:
        warnings.append(f"only {share:.0%} of the requested items were accepted")
    if total and doubles / total > DUPLICATES_AT_MOST:
        warnings.append(f"{doubles} of {total} were duplicates")
    label = {INSTANCES: "intended_label", CORRECTED_SET: "label"}.get(step)
    if label and spec.answer.kind in ONE_LABEL:
        counts = {name: int((table[label] == name).sum()) for name in spec.labels}
        metadata |= {f"label {name}": count for name, count in counts.items()}
        apart = max(counts.values()) - min(counts.values())
        planned = table["intended_label"].null_count() < len(table)
        if step == CORRECTED_SET and planned and apart > IMBALANCE_AT_MOST * spec.unit:
            warnings.append(f"label counts differ by {apart} rows: {counts}")
    if label and spec.answer.kind == "multi":
        named = table[label].explode().drop_nulls()
        metadata |= {f"label {name}": int((named == name).sum()) for name in spec.labels}
    if label and spec.answer.kind == "spans":
        types = [entities.parts(one)[0] for one in table[label].explode().drop_nulls()]
        metadata |= {f"entities {name}": types.count(name) for name in spec.labels}
    if step == CORRECTED_SET and len(table) < spec.wanted_rows:
        warnings.append(f"{len(table)} of {spec.wanted_rows} wanted rows")
    return Statistics(not warnings, metadata, warnings)
