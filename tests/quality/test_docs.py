"""The docs, the table and the gates read the registry of metrics."""

import sys
from importlib import import_module
from types import SimpleNamespace

from assets.dictionary import metric_tables, with_metrics
from targen.quality import metrics, report
from targen.quality.collector import Measure, MetricCollector
from targen.quality.metrics import (
    METRICS,
    Metric,
    compared,
    comparison_columns,
)
from targen.quality.page import SECTIONS, render
from targen.tasks.sections import Gate
from tests.support.report_inputs import inputs
from tests.support.specs import ROOT

DOC = (ROOT / "docs" / "quality.md").read_text(encoding="utf-8")


def test_the_docs_have_the_tables_of_the_registry():
    assert with_metrics(DOC) == DOC, "run make dictionary"
    named = [line.split("`")[1] for line in metric_tables() if line.startswith("| `")]
    # The docs group them by section.
    assert sorted(named) == sorted(METRICS)


def test_every_metric_has_a_section_and_a_definition():
    for metric in METRICS.values():
        assert metric.section in SECTIONS
        assert metric.words and metric.says and metric.computed


def test_every_module_emits_only_the_metrics_registered_for_it():
    given = inputs(60, reference=inputs(40).rows)
    for module in metrics.modules():
        collector = MetricCollector()
        import_module(f"targen.quality.{module}").measure(given, collector)
        emitted = {measure.metric for measure in collector.measures}
        assert emitted <= {name for name in METRICS if METRICS[name].module == module}, module


def test_compared_metrics_have_a_column_in_the_table():
    names = [column.name for column in comparison_columns()]
    assert len(set(names)) == len(names)
    for _, column in compared():
        ends = {f"{column.name}_low", f"{column.name}_high"}
        assert column.name in names
        assert ends <= set(names) if column.interval else not ends & set(names)


def test_a_new_metric_needs_its_module_and_the_registry_only(monkeypatch):
    dummy = Metric("dummy", "dummy", "other", "dummy score", "a dummy score", "always 3")
    monkeypatch.setitem(METRICS, "dummy", dummy)

    def measure(_, collector):
        collector.add(Measure("dummy", 3.0, 20))

    module = SimpleNamespace(measure=measure)
    monkeypatch.setitem(sys.modules, "targen.quality.dummy", module)
    made = report.build(inputs(20, gates=(Gate(metric="dummy", at_least=4),)))
    assert made.value("dummy") == 3.0
    assert made.table.filter(metric="dummy")["passed"].to_list() == [False]
    assert made.json["gates"][0]["text"] == "Dummy score: 3; required: at least 4."
    assert '<section id="other">' in render(made) and "Dummy score" in render(made)
    assert "| `dummy` | a dummy score | always 3 |" in with_metrics(DOC)
