"""Contracts: a sound set of tables passes, and each kind of damage is named."""

import asyncio

import polars as pl
import pytest

from targen.steps import UPSTREAM, frame, schema
from targen.tables.contracts import statistics, violations
from tests.operators.test_generation import tables_of
from tests.support.models import random_model
from tests.support.specs import real_task


@pytest.fixture(scope="module")
def made():
    spec = real_task("rte", rows=40)
    return spec, asyncio.run(tables_of(spec, random_model()))


def checked(made, step, table=None, rejected=None, **upstream):
    spec, outputs = made
    output = outputs[step]
    above = {name: outputs[name].table for name in UPSTREAM[step]} | upstream
    table = output.table if table is None else table
    rejected = output.rejected if rejected is None else rejected
    return violations(step, spec, table, rejected, above, output.asked)


@pytest.mark.parametrize("step", list(UPSTREAM))
def test_sound_tables_pass(made, step):
    assert checked(made, step) == []


def test_a_column_of_another_type(made):
    table = made[1]["labels"].table.with_columns(pl.col("agreement").cast(pl.Float32))
    assert "the columns are" in checked(made, "labels", table)[0]


def test_an_id_that_comes_twice(made):
    table = made[1]["contexts"].table
    found = checked(made, "contexts", pl.concat([table, table.head(1)]))
    assert f"context_id is not unique: {table['context_id'][0]}" in found


def test_a_reference_to_nowhere(made):
    found = checked(made, "instances", seeds=made[1]["seeds"].table.head(0))
    assert any("seed_id refers to missing rows of seeds" in text for text in found)


def test_a_label_outside_the_task(made):
    table = made[1]["corrected_set"].table.with_columns(label=pl.lit("perhaps"))
    assert "labels outside the task's: perhaps" in checked(made, "corrected_set", table)


def test_a_row_with_an_empty_field(made):
    table = made[1]["instances"].table.with_columns(hypothesis=pl.lit(" "))
    assert any("not_empty: hypothesis is empty" in t for t in checked(made, "instances", table))


def test_derived_fields_must_agree_with_their_text():
    spec = real_task("wsc", rows=2)
    row = {"text": "Ann thanked Eva because she helped.", "span1_text": "Ann", "span2_text": "she"}
    fields = {**row, "span1_index": 3, "span2_index": 4}
    columns = {"instance_id": "a", "slot": 0, "intended_label": "true", **fields}
    table = frame([columns], schema("instances", spec.field_types))
    empty = frame([], schema("rejected", {}))
    found = violations("instances", spec, table, empty, {})
    assert any("derived fields do not match" in text for text in found)


def test_a_row_that_ended_nowhere(made):
    _, outputs = made
    lost = outputs["instances"].table["instance_id"][0]
    table = outputs["labels"].table.tail(-1)
    found = checked(made, "labels", table)
    assert f"instances neither labeled nor rejected: {lost}" in found
    assert any("do not add up to" in text for text in found)


def test_an_unknown_reason_and_a_double_rejection(made):
    rejected = made[1]["corrected_set"].rejected
    odd = rejected.with_columns(reason=pl.lit("lost"))
    assert any("unknown reasons: lost" in t for t in checked(made, "corrected_set", None, odd))
    double = pl.concat([rejected, rejected.head(1)])
    assert "an item is rejected twice" in checked(made, "corrected_set", None, double)


def test_a_hole_in_the_slots(made):
    output = made[1]["instances"]
    once = set(output.table["slot"]) - set(output.rejected["slot"])
    slot = min(once)
    table = output.table.filter(pl.col("slot") != slot)
    assert f"slots neither filled nor rejected: {slot}" in checked(made, "instances", table)


def test_the_yield_of_twins_counts_pairs():
    spec = real_task("axg", 8)
    table = pl.DataFrame({"intended_label": ["entailment"] * 8})
    lost = pl.DataFrame({"reason": ["invalid"] * 4})
    assert statistics("instances", spec, table, lost).metadata["yield"] == 0.5


def test_statistics_warn_of_imbalance_shortfall_and_yield(made):
    spec, outputs = made
    final = outputs["corrected_set"]
    assert statistics("corrected_set", spec, final.table, final.rejected).passed
    short = statistics("corrected_set", spec, final.table.head(0), final.rejected)
    assert not short.passed
    assert "0 of 40 wanted rows" in short.warnings
    one = final.table.with_columns(label=pl.lit("entailment"))
    assert any(
        "label counts differ" in w
        for w in statistics("corrected_set", spec, one, final.rejected).warnings
    )
