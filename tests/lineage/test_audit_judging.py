"""Audits of labels and corrections: several rows a call, early stops, rows that were not corrected.

The simulator spoils three in ten of its answers, so that many rows are asked about again, alone.
"""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from simulator.app import create_app
from simulator.errors import ErrorRates
from targen.lineage.audit import Auditor
from tests.lineage.test_audit import all_of
from tests.support.audited import make
from tests.support.specs import TASKS, spec_of

Opened = Callable[[Path], Auditor]

STEPS = """
steps:
  labels: {votes: 3, per_call: 3}
  correction: {per_call: 3, audit: 0.3, audit_at_least: 0}
"""
MADE = {"rte": 24, "copa": 24, "record": 16, "axg": 24}
MALFORMED = ErrorRates(malformed=0.3, annotator=0.15)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tables of these tasks; never changed."""
    folder = tmp_path_factory.mktemp("judged")
    for name, rows in MADE.items():
        text = (TASKS / f"{name}.yaml").read_text(encoding="utf-8")
        if "\nsteps:" in text:
            text = text.replace("\nsteps:", STEPS.rstrip())
        else:
            text += STEPS
        spec = spec_of(tmp_path_factory.mktemp(name), text, rows)
        application = partial(create_app, MALFORMED)
        asyncio.run(make(folder, name, rows, spec, application))
    return folder


def rows_of(folder: Path, task: str, table: str) -> pl.DataFrame:
    return pl.read_parquet(folder / table / f"{task}.parquet")


@pytest.mark.parametrize("task", MADE)
def test_every_row_is_verified(judged: Path, opened: Opened, task: str) -> None:
    auditor = opened(judged)
    audits, findings = all_of(auditor, task)
    assert len(audits) == MADE[task]
    assert findings == ""
    assert {one.verdict for one in audits} == {"verified"}
    rejected = auditor.tables(task).file("rejected/corrected_set").frame
    assert rejected is not None
    for one in auditor.audit(task, rejected["item_id"].to_list()):
        assert [str(f) for f in one.findings if f.level != "note"] == []


def test_the_cases_that_audits_must_get_right_occur(judged: Path) -> None:
    labels = pl.concat([rows_of(judged, t, "labels").select("votes", "request_ids") for t in MADE])
    corrected = [rows_of(judged, task, "corrected_set") for task in MADE]
    votes, requests = labels["votes"].list.len(), labels["request_ids"].list.len()
    assert set(votes) >= {2, 3}
    assert (requests > votes).sum() > 3
    assert labels["request_ids"].explode().is_duplicated().sum() > 20
    asked = [why for table in corrected for why in table["correction_asked"]]
    assert {"disputed", "audit", None} <= set(asked)


@pytest.mark.parametrize(
    ("table", "column", "change"),
    [
        ("labels", "votes", pl.col("votes").list.head(1)),
        ("labels", "flaws", pl.col("flaws").list.eval(pl.lit("ambiguous"))),
        ("labels", "request_ids", pl.col("request_ids").list.reverse()),
        ("corrected_set", "flaw", pl.lit("ambiguous")),
        ("corrected_set", "reason", pl.lit("because")),
        ("corrected_set", "corrected_label", pl.lit("other")),
        ("corrected_set", "correction_asked", pl.lit("always")),
        ("corrected_set", "correction_asked", pl.lit(None, dtype=pl.String)),
    ],
)
def test_a_changed_cell_is_found_without_the_record_of_the_file(
    judged: Path, tmp_path: Path, opened: Opened, table: str, column: str, change: pl.Expr
) -> None:
    data = Path(shutil.copytree(judged, tmp_path / "data"))
    path = data / table / "copa.parquet"
    frame, metadata = pl.read_parquet(path), pl.read_parquet_metadata(path)
    metadata.pop("ARROW:schema", None)
    finished = rows_of(judged, "copa", "corrected_set")
    asked = finished.filter(pl.col("correction_asked") == "disputed")["instance_id"]
    split = rows_of(judged, "copa", "labels").filter(pl.col("votes").list.n_unique() > 1)
    name = next(one for one in asked if one in set(split["instance_id"]))
    changed = pl.when(pl.col("instance_id") == name).then(change).otherwise(pl.col(column))
    frame.with_columns(changed.alias(column)).write_parquet(path, metadata=metadata)
    with sqlite3.connect(data / "completions.db") as raw:
        raw.execute("UPDATE table_digests SET sha256 = 'x', cells = NULL")
    raw.close()
    (audit,) = opened(data).audit("copa", [name])
    found = [str(f) for f in audit.findings if f.level == "wrong"]
    # Reversed requests may fit the votes just as well; the corrected row names them in order.
    assert any(f", row {name}, column" in line for line in found), found
