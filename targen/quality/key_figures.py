"""The key figures of a report: few numbers by which runs of a task are followed over time."""

from collections.abc import Mapping
from typing import Any, Final

from targen.quality.gates import WHOLE
from targen.quality.noise import REVIEWED

_FIRST_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "label_noise": (REVIEWED,),
    "flip_rate": ("intended to final",),
    "kappa": ("intended, annotated",),
}
"""Metric -> slices that take precedence over the others."""


def key_figures(report: Mapping[str, Any]) -> dict[str, float]:
    """Return name -> value of the key figures that the report has, the most important first.

    Shares go from 0 to 1. `changed_labels` is `flip_rate` from intended to final label.
    `strongest_shortcut` is the maximum of `shortcut` over the parts of the input. `self_bleu`
    replaces `vendi_score` in a report without embeddings.
    """
    gates = report.get("gates", ())
    found: dict[str, float | None] = {
        "rows": int(report["rows"]),
        "failed_gates": sum(gate["passed"] is not True for gate in gates),
        **_bounded(report, "label_noise"),
        "changed_labels": _value(report, "flip_rate"),
        "kappa": _value(report, "kappa"),
        "near_duplicates": _value(report, "near_duplicates"),
        "vendi_score": _value(report, "vendi_score"),
        "self_bleu": _value(report, "self_bleu"),
        "strongest_shortcut": max(_values(report, "shortcut"), default=None),
        "tokens_per_row": _value(report, "tokens_per_row", exact=True),
        "cost_per_row_usd": _value(report, "cost_per_row_usd", exact=True),
    }
    if found["vendi_score"] is not None:
        del found["self_bleu"]
    return {name: value for name, value in found.items() if value is not None}


def _figures(report: Mapping[str, Any], metric: str) -> list[Mapping[str, Any]]:
    return [
        figure
        for figure in report["figures"]
        if figure["metric"] == metric and figure["value"] is not None
    ]


def _values(report: Mapping[str, Any], metric: str) -> list[float]:
    return [figure["value"] for figure in _figures(report, metric)]


def _best(
    report: Mapping[str, Any], metric: str, *, exact: bool = False
) -> Mapping[str, Any] | None:
    """Return the figure for all rows, that of the preferred slice, or else the first slice's."""
    found = _figures(report, metric)
    for slice_ in (WHOLE, *_FIRST_OF.get(metric, ())):
        for figure in found:
            if figure["slice"] == slice_:
                return figure
    return None if exact or not found else found[0]


def _value(report: Mapping[str, Any], metric: str, *, exact: bool = False) -> float | None:
    best = _best(report, metric, exact=exact)
    return None if best is None else float(best["value"])


def _bounded(report: Mapping[str, Any], metric: str) -> dict[str, float | None]:
    best = _best(report, metric) or {}
    return {
        metric: best.get("value"),
        f"{metric}_low": best.get("low"),
        f"{metric}_high": best.get("high"),
    }
