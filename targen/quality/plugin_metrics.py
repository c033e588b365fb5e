"""Metrics of plug-ins in a report."""

import math
from numbers import Real
from typing import Any

from targen.errors import PluginError
from targen.quality import metrics
from targen.quality.collector import Measure, MetricCollector
from targen.quality.inputs import ReportInputs
from targen.tasks.plugin_kinds import PluginMetric


def measure(inputs: ReportInputs, collector: MetricCollector) -> list[dict[str, Any]]:
    """Add the figures of the plug-ins, and return the record of each plug-in.

    A plug-in that fails is skipped with the reason, so that it does not hide the other figures; a
    gate on its metric then fails as not measured.
    """
    for one in inputs.plugin_metrics:
        metrics.learn(_described(one))
        try:
            collector.add(*_checked(one, inputs))
        except PluginError as error:
            collector.skip(one.name, str(error))
    return [one.code.record() for one in inputs.plugin_metrics]


def _described(one: PluginMetric) -> metrics.Metric:
    return metrics.Metric(
        one.name,
        "plugin_metrics",
        "other",
        one.words,
        one.says,
        f"by the plug-in {one.code.source}",
        better=one.better,
        share=one.share,
    )


def _checked(one: PluginMetric, inputs: ReportInputs) -> list[Measure]:
    """Return the figures of a plug-in; each must be a `Measure` of its own metric and slice."""
    found = list(one.measure(inputs))
    slices: set[str] = set()
    start = f"{one.code.place}: the metric '{one.name}' returned"
    for figure in found:
        if not isinstance(figure, Measure):
            raise PluginError(f"{start} {type(figure).__name__}; return figures of type Measure.")
        if figure.metric != one.name:
            raise PluginError(f"{start} a figure of the metric '{figure.metric}'.")
        if figure.slice in slices:
            raise PluginError(f"{start} two figures of the slice '{figure.slice}'.")
        for value in (figure.value, figure.low, figure.high):
            if value is not None and not (isinstance(value, Real) and math.isfinite(value)):
                raise PluginError(f"{start} {value!r}; return a finite number or None.")
        if one.share and figure.value is not None and not 0 <= figure.value <= 1:
            raise PluginError(f"{start} {figure.value:g}, which is not a share from 0 to 1.")
        slices.add(figure.slice)
    return found
