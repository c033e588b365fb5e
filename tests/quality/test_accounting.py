import polars as pl
import pytest

from targen.quality import accounting
from targen.quality.collector import MetricCollector
from tests.support.report_inputs import inputs


def measured(given):
    sheet = MetricCollector()
    accounting.measure(given, sheet)
    return sheet


def test_each_request_belongs_to_the_first_step_that_names_it():
    sheet = measured(inputs(40))
    spent = {part["step"]: part["calls"] for part in sheet.details["spent"]}
    # 50 instances, five a page, and one vote call each; corrected_set names both again.
    assert spent == {"instances": 10, "labels": 50}
    assert sheet.get("calls").value == 60
    assert sheet.get("accepted_per_call").value == pytest.approx(40 / 60)
    assert sheet.get("accepted_per_call", "instances").value == 5


def test_an_unknown_price_is_unknown_not_zero():
    given = inputs(40)
    prices = pl.when(pl.int_range(pl.len()) == 0).then(None).otherwise(0.5)
    sheet = measured(inputs(40, completions=given.completions.with_columns(cost_usd=prices)))
    assert sheet.get("cost_usd").value is None
    assert sheet.get("cost_usd", "labels").value == 25
    assert sheet.details["totals"]["unpriced_calls"] == 1


def test_a_completion_listed_twice_counts_once():
    given = inputs(40)
    twice = pl.concat([given.completions, given.completions])
    assert measured(inputs(40, completions=twice)).get("calls").value == 60


def test_rejections_by_reason_and_acceptance_without_surplus():
    sheet = measured(inputs(40))
    assert sheet.get("rejected", "instances, malformed").value == 2
    acceptance = sheet.get("acceptance", "instances")
    assert (acceptance.value, acceptance.n) == (50 / 55, 55)
    kept = sheet.get("acceptance", "corrected_set")
    dropped = sheet.get("rejected", "corrected_set, dropped").value
    assert kept.value == pytest.approx(40 / (40 + dropped))


def test_no_completions_is_skipped_with_a_reason():
    sheet = measured(inputs(40, completions=None, rows_asked=None))
    assert set(sheet.skipped) == {"rows_asked", "accepted_per_call", "cost_usd"}
