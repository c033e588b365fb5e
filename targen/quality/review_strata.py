"""Strata of the rows for human review, and what the verdicts say about all rows."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from targen.lineage.ids import reviewed_content
from targen.quality.intervals import IntervalEstimate, percentiles
from targen.quality.text import generator
from targen.tables.reviews import SEPARATOR
from targen.tasks.answers import label_key
from targen.tasks.spec import TaskSpec

Row = Mapping[str, Any]
MOST_LABELS: Final = 10
"""Labels up to which each is a stratum of its own; a sample has too few rows for more strata."""
DRAWS: Final = 4000
STRATA: Final = {
    "stratum": pl.String,
    "unseen": pl.Int64,
    "left": pl.Int64,
    "fixed": pl.Int64,
    "seen": pl.Int64,
    "wrong": pl.Int64,
}
"""Columns of `in_force`, one row per stratum, in rows of the table: current rows without a verdict;
current rows that still have a label that a person found wrong; other current rows that a person
saw; verdicts, those on dropped rows included; verdicts that found the label wrong."""


def strata(spec: TaskSpec, rows: pl.DataFrame, labels: pl.DataFrame | None) -> list[str]:
    """Return the stratum of each row: whether its labels agree and, for a few classes, its label.

    Spans, label sets and many classes have too many values for strata.
    """
    return [_stratum(spec, row, _votes(labels)) for row in rows.iter_rows(named=True)]


def stratum_group(stratum: str) -> str:
    """Return `divided` or `agreed`."""
    return stratum.partition(",")[0]


def _votes(labels: pl.DataFrame | None) -> dict[str, Any]:
    return {} if labels is None else dict(labels.select("instance_id", "votes").iter_rows())


def _stratum(spec: TaskSpec, row: Row, votes: Mapping[str, Any]) -> str:
    kind = spec.answer.kind
    ballot = votes.get(row["instance_id"]) or [row.get("annotated_label")]
    given = [row.get("intended_label"), *ballot, row.get("corrected_label")]
    if kind == "multi":
        # The table of rejected items has the labels as one text.
        given = [one.split(", ") if isinstance(one, str) else one for one in given]
    texts = {label_key(kind, label) for label in given if label is not None}
    stratum = "divided" if len(texts) > 1 else "agreed"
    named = kind == "class" and len(spec.labels) <= MOST_LABELS
    return f"{stratum}, {row['label']}" if named else stratum


def in_force(
    spec: TaskSpec,
    rows: pl.DataFrame,
    rejected: pl.DataFrame | None,
    labels: pl.DataFrame | None,
    verdicts: pl.DataFrame,
) -> pl.DataFrame:
    """Return what the verdicts that still apply say about each stratum, as `STRATA`.

    A row's stratum is the one that it had when it was reviewed: that of the label that the person
    saw.
    """
    given = {(one["instance_id"], one["content"]): one for one in verdicts.iter_rows(named=True)}
    votes = _votes(labels)
    counts: dict[str, dict[str, int]] = {}

    def count(row: Row, *names: str) -> None:
        part = counts.setdefault(_stratum(spec, row, votes), dict.fromkeys(list(STRATA)[1:], 0))
        for name in names:
            part[name] += 1

    for row in rows.iter_rows(named=True):
        before = row.get("label_before_review")
        shown = row | {"label": row["label"] if before is None else before}
        one = given.get((row["instance_id"], reviewed_content(spec.content(row), shown["label"])))
        if one is None:
            # A row whose twin was reviewed has the label that the review gave to both.
            count(shown, "unseen" if before is None else "fixed")
        elif one["right"]:
            count(shown, "fixed", "seen")
        else:
            same = label_key(spec.answer.kind, row["label"]) == label_key(
                spec.answer.kind, shown["label"]
            )
            count(shown, "left" if same else "fixed", "seen", "wrong")
    for lost, verdict in _dropped(spec, rejected, given.values()):
        count(lost, "seen", *(["wrong"] if not verdict["right"] else []))
    found = [{"stratum": name, **part} for name, part in sorted(counts.items())]
    return pl.DataFrame(found, schema=STRATA)


def _dropped(
    spec: TaskSpec, rejected: pl.DataFrame | None, verdicts: Iterable[Row]
) -> Iterable[tuple[Row, Row]]:
    """Yield the rows that a review dropped, with the label that was seen, and their verdicts."""
    if rejected is None:
        return
    given: dict[str, list[Row]] = {}
    for one in verdicts:
        given.setdefault(one["instance_id"], []).append(one)
    for row in rejected.filter(pl.col("reason") == "human_review").iter_rows(named=True):
        fields = json.loads(row["text"])
        for one in given.get(row["item_id"], []):
            label = one["seen_label"]
            if label is not None and spec.answer.kind == "multi":
                label = label.split(SEPARATOR)
            if label is not None and reviewed_content(fields, label) == one["content"]:
                yield {**row, **fields, "instance_id": row["item_id"], "label": label}, one


def reviewable(
    spec: TaskSpec, rows: pl.DataFrame, rejected: pl.DataFrame | None, verdicts: pl.DataFrame | None
) -> dict[str, Row]:
    """Return instance_id -> the row with the label that a reviewer sees, or saw.

    Rows that a review dropped are among them, so that a person can change a verdict.
    """
    given = [] if verdicts is None else verdicts.to_dicts()
    found: dict[str, Row] = {row["instance_id"]: row for row, _ in _dropped(spec, rejected, given)}
    for row in rows.iter_rows(named=True):
        before = row.get("label_before_review")
        found[row["instance_id"]] = row if before is None else {**row, "label": before}
    return found


def share_wrong(reviewed: pl.DataFrame, *seed: Any) -> IntervalEstimate:
    """Return the estimated share of wrong labels among the current rows, from a human review.

    Rows that a person saw are right, unless their wrong label is still there (`left`). The other
    rows of a stratum are wrong as often as the verdicts in the stratum say (Hájek's estimator).

    Interval: the central 95% of draws from the posterior of the share in the divided and in the
    agreed rows (Jeffreys' prior; verdicts count by the effective sample size of Kish 1965, since
    labels are sampled at different rates), and of which rows are wrong. Rows of strata without a
    verdict may be all right or all wrong (Manski 2003), which widens the interval. The value is
    always inside it.
    """
    unseen = reviewed["unseen"].to_numpy().astype(float)
    seen = reviewed["seen"].to_numpy().astype(float)
    wrong = reviewed["wrong"].to_numpy().astype(float)
    left = float(reviewed["left"].sum())
    total = unseen.sum() + left + float(reviewed["fixed"].sum())
    if not total or not seen.sum():
        return IntervalEstimate(0.0, 0.0, 1.0 if total else 0.0)
    share = np.divide(wrong, seen, out=np.zeros_like(wrong), where=seen > 0)
    known = seen > 0
    groups = np.array([stratum_group(name) for name in reviewed["stratum"]])
    random = generator("reviewed", *seed)
    draws = np.full(DRAWS, left)
    value = left
    for group in np.unique(groups):
        part = (groups == group) & known & (unseen > 0)
        rows = unseen[part].sum()
        if not rows:
            continue
        mean = float((unseen[part] * share[part]).sum() / rows)
        size = float(rows**2 / (unseen[part] ** 2 / seen[part]).sum())
        value += rows * mean
        beta = random.beta(mean * size + 0.5, (1 - mean) * size + 0.5, size=DRAWS)
        draws += random.binomial(int(rows), beta)
    open_ = float(unseen[~known].sum())
    # For the value only: these rows as the others. The interval assumes nothing of them.
    value += open_ * float((value - left) / max(unseen[known].sum(), 1.0))
    low, high = percentiles(draws / total)
    least = left / total if not wrong.sum() else (low or 0.0)
    most = 1.0 if wrong.sum() == seen.sum() else (high or 0.0) + open_ / total
    mid = float(value / total)
    return IntervalEstimate(mid, min(float(least), mid), min(1.0, max(float(most), mid)))


def people_saw(reviewed: pl.DataFrame) -> dict[str, int]:
    """Return the numbers of rows that people saw, of those still there, and of wrong labels."""
    sums: Sequence[int] = reviewed.select("seen", "left", "fixed", "wrong").sum().row(0)
    seen, left, fixed, wrong = (int(one) for one in sums)
    return {"verdicts": seen, "rows": left + fixed, "wrong": wrong, "still_wrong": left}
