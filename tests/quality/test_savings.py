"""Readings and tokens saved by sequential judging."""

import polars as pl
import pytest

from targen.quality import savings
from targen.quality.collector import MetricCollector
from tests.support.report_inputs import inputs

ROWS = 40


def measured(given):
    sheet = MetricCollector()
    savings.measure(given, sheet)
    return sheet


def corrected(every, per_call=1, **changes):
    """Return inputs in which every `every`-th row was corrected, `per_call` rows a request."""
    given = inputs(ROWS)
    asked = pl.int_range(pl.len()) % every == 0
    call = (pl.int_range(pl.len()) // every // per_call).cast(pl.String)
    ids = pl.concat_list("request_ids", pl.lit("correction ") + call)
    rows = given.rows.with_columns(
        request_ids=pl.when(asked).then(ids).otherwise(pl.col("request_ids"))
    )
    calls = sorted({r for ids in rows["request_ids"] for r in ids if r.startswith("correction")})
    completions = pl.concat(
        [
            given.completions,
            given.completions.head(1)
            .select(pl.exclude("request_id", "prompt_tokens", "completion_tokens"))
            .join(pl.DataFrame({"request_id": calls}), how="cross")
            .with_columns(
                prompt_tokens=pl.lit(90, pl.Int64), completion_tokens=pl.lit(10, pl.Int64)
            )
            .select(given.completions.columns),
        ]
    )
    tables = {**given.tables, "corrected_set": rows}
    return inputs(ROWS, tables=tables, completions=completions, rejected={}, **changes)


def test_rows_that_were_not_corrected_and_their_tokens():
    sheet = measured(corrected(4))
    saved = sheet.get("readings_saved", "correction")
    assert (saved.value, saved.n) == (30, 40)
    assert sheet.get("tokens_saved", "correction").value == pytest.approx(30 * 100)


def test_tokens_of_a_call_are_divided_by_its_rows():
    sheet = measured(corrected(4, per_call=5))
    assert sheet.get("readings_saved", "correction").value == 30
    # Two calls of 100 tokens about five rows each: 20 tokens a row.
    assert sheet.get("tokens_saved", "correction").value == pytest.approx(30 * 20)


def test_votes_that_stopped_early():
    given = corrected(1, votes=5)
    sheet = measured(given)
    labels = given.tables["labels"]
    votes = int(labels["votes"].list.len().sum())
    saved = sheet.get("readings_saved", "annotation")
    assert (saved.value, saved.n) == (5 * labels.height - votes, 5 * labels.height)
    assert sheet.get("readings_saved", "correction").value == 0


def test_nothing_to_save_without_readers_or_completions():
    given = inputs(ROWS)
    bare = given.rows.with_columns(request_ids=pl.lit([], dtype=pl.List(pl.String)))
    tables = {"corrected_set": bare}
    sheet = measured(inputs(ROWS, tables=tables, rejected={}))
    assert sheet.measures == []
    assert set(sheet.skipped) == set(savings.METRICS)
    assert set(measured(inputs(ROWS, completions=None)).skipped) == set(savings.METRICS)
