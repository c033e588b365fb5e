import polars as pl
import pytest

from targen.quality import metrics, page, report, spending
from targen.quality.collector import MetricCollector
from tests.support.report_inputs import inputs


def measured(given):
    sheet = MetricCollector()
    spending.measure(given, sheet)
    return sheet


def test_each_steps_calls_and_tokens_per_accepted_row():
    sheet = measured(inputs(40))
    # Ten calls wrote five rows each, and fifty read one each; 40 rows were kept.
    assert sheet.get("calls_per_row", "instances").value == 10 / 40
    assert sheet.get("calls_per_row", "labels").value == 50 / 40
    assert sheet.get("calls_per_row").value == 60 / 40
    assert sheet.get("prompt_tokens_per_row", "labels").value == 50 * 410 / 40
    assert sheet.get("output_tokens_per_row", "labels").value == 50 * 96 / 40
    assert sheet.get("tokens_per_row", "instances").value == 10 * 506 / 40
    assert sheet.get("tokens_per_row").value == pytest.approx(60 * (410 + 96) / 40)
    assert [line["step"] for line in sheet.details["per_row"]] == ["instances", "labels", "all"]


def test_the_steps_add_up_to_the_total():
    given = inputs(40)
    prices = pl.int_range(pl.len()) / 1000
    given = inputs(40, completions=given.completions.with_columns(cost_usd=prices), simulated=False)
    sheet = measured(given)
    lines = sheet.details["per_row"]
    for metric in spending._PER_ROW.values():
        if metric == "cached_tokens_per_row":
            continue
        total = sum(line[metric] for line in lines[:-1])
        assert total == pytest.approx(lines[-1][metric])
        assert sheet.get(metric).value == lines[-1][metric]


def test_cached_tokens_where_they_are_reported():
    given = inputs(40)
    cached = pl.when(pl.int_range(pl.len()) < 20).then(300).otherwise(None).cast(pl.Int64)
    sheet = measured(inputs(40, completions=given.completions.with_columns(cached_tokens=cached)))
    assert sheet.get("cached_tokens_per_row").value == 20 * 300 / 40
    assert measured(given).get("cached_tokens_per_row") is None
    old = measured(inputs(40, completions=given.completions.drop("cached_tokens")))
    assert old.get("calls_per_row").value == 60 / 40


def test_an_unknown_price_is_unknown_not_zero():
    given = inputs(40)
    prices = pl.when(pl.int_range(pl.len()) == 0).then(None).otherwise(0.5)
    sheet = measured(inputs(40, completions=given.completions.with_columns(cost_usd=prices)))
    unknown = [
        line["step"] for line in sheet.details["per_row"] if line["cost_per_row_usd"] is None
    ]
    assert unknown == ["instances", "all"]
    assert sheet.get("cost_per_row_usd", "labels").value == 25 / 40


def test_what_is_unknown_is_skipped():
    given = inputs(40)
    for changes in ({"completions": None}, {"completions": given.completions.clear()}):
        assert "calls_per_row" in measured(inputs(40, **changes)).skipped


def test_the_report_and_its_page_show_them():
    assert {"spending"} <= set(metrics.modules())
    given = inputs(40)
    prices = given.completions.with_columns(cost_usd=0.01, cached_tokens=100)
    made = report.build(inputs(40, completions=prices, simulated=False))
    figure = made.value("cost_per_row_usd", "labels")
    assert figure == pytest.approx(50 * 0.01 / 40)
    html = page.render(made)
    assert "Per accepted row" in html and 'data-name="of them cached">150<' in html
    assert set(made.table["metric"]) <= set(metrics.METRICS)
