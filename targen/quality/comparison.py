"""The comparison: the reports of tasks that extend one base, side by side, one row per task."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from targen import hashing, steps
from targen.quality import metrics
from targen.quality.collector import rounded
from targen.quality.intervals import wilson
from targen.quality.noise import LATENT, REVIEWED
from targen.quality.report import BANNER
from targen.steps import CORRECTED_SET, INSTANCES, LABELS

Figure = dict[str, Any]
MADE_FROM = (INSTANCES, LABELS, CORRECTED_SET)
"""Steps whose rejected items count against the yield: those that planned items pass through."""
RATIO = 1.5
"""Without intervals, values differ if the largest exceeds the smallest by this factor."""


@dataclass(frozen=True)
class Method:
    """One task of a group, with its report if there is one.

    Attributes:
        task: its name.
        extends: the task that it extends, or None.
        title: the task's title.
        recipe, recipe_title: the method.
        report: the JSON of its quality report; None if it is missing or unreadable.
        stale: why the report does not describe the task's current rows, as the rest of a
            sentence that begins with the report; None if it does.
    """

    task: str
    extends: str | None
    title: str
    recipe: str
    recipe_title: str
    report: Mapping[str, Any] | None
    stale: str | None = None


@dataclass(frozen=True)
class Comparison:
    """All groups, compared.

    Attributes:
        table: one row per task, `metrics.comparison_columns()`.
        json: the same figures by group, and everything that the page shows; the groups with the
            most finished methods come first, then by name.
    """

    table: pl.DataFrame
    json: dict[str, Any]

    def json_text(self) -> str:
        """Return the JSON as stored: same reports, same bytes."""
        return hashing.canonical(self.json) + "\n"


def groups(extends: Mapping[str, str | None]) -> dict[str, list[str]]:
    """Return base -> its group, the base first: the tasks that extend it, directly or not.

    A task without relatives is in no group.

    Args:
        extends: task -> the task that it extends, or None.
    """
    found: dict[str, list[str]] = {}
    for task in sorted(extends):
        base = task
        while (parent := extends[base]) is not None:
            base = parent
        found.setdefault(base, []).append(task)
    return {
        base: sorted(members, key=lambda name: (name != base, name))
        for base, members in sorted(found.items())
        if len(members) > 1
    }


def compare(methods: Iterable[Method]) -> Comparison:
    """Compare the reports of each group.

    Distinct-n is taken at the largest word count that all reports share. Label noise is by one
    estimator for all: the human review if every set with an estimate has one, else the readings.
    The shortcut is the maximum over the parts of the input,
    which is biased upward for all methods of a group alike.

    Args:
        methods: all tasks; those in no group are ignored.
    """
    by_name = {method.task: method for method in methods}
    wanted = groups({name: method.extends for name, method in by_name.items()})
    compared = [_group(base, [by_name[name] for name in names]) for base, names in wanted.items()]
    rows = [_row(group, line) for group in compared for line in group["methods"]]
    compared.sort(key=lambda group: -sum(line["made"] for line in group["methods"]))
    simulated = any(group["simulated"] for group in compared)
    content = {
        "banner": BANNER if simulated else None,
        "metrics": [
            {
                "name": column.name,
                "title": column.title,
                "unit": column.unit,
                "better": column.better or metric.better,
                "says": column.says,
                "source": metric.name,
                "zero": column.zero,
            }
            for metric, column in metrics.compared()
        ],
        "groups": compared,
    }
    schema = {column.name: column.dtype for column in metrics.comparison_columns()}
    return Comparison(steps.frame(rows, schema), content)


def _group(base: str, members: Sequence[Method]) -> dict[str, Any]:
    made = [method for method in members if method.report is not None]
    words = _common_words(made)
    estimator = _estimator(made)
    recipes = [method.recipe for method in members]
    lines = [
        _line(
            method,
            method.recipe if recipes.count(method.recipe) == 1 else method.task,
            words,
            estimator,
        )
        for method in members
    ]
    reports = [method.report for method in made if method.report is not None]
    return {
        "base": base,
        "title": members[0].title,
        "words": words,
        "simulated": any(report["simulated"] for report in reports),
        "models": sorted({model for report in reports for model in report["models"]}),
        "methods": lines,
        "cautions": [*_cautions(lines), *_of_noise(made, estimator)],
        "differences": [
            difference
            for metric, column in metrics.compared()
            if (difference := _difference(column.name, column.better or metric.better, lines))
        ],
    }


def _estimators(method: Method) -> set[str]:
    """Return the slices of `label_noise` that a report has."""
    figures = () if method.report is None else method.report["figures"]
    return {
        figure["slice"]
        for figure in figures
        if figure["metric"] == "label_noise" and figure["value"] is not None
    }


def _estimator(made: Sequence[Method]) -> str:
    """Return the estimator of label noise by which a group is compared.

    A review sees the errors that readings share, so that an estimate of one kind says nothing about
    an estimate of the other.
    """
    known = [found for method in made if (found := _estimators(method))]
    return REVIEWED if known and all(REVIEWED in found for found in known) else LATENT


def _of_noise(made: Sequence[Method], estimator: str) -> list[str]:
    reviewed = [method.task for method in made if REVIEWED in _estimators(method)]
    if estimator == REVIEWED or not reviewed:
        return []
    return [
        "Label errors are compared by the readings, because people reviewed only "
        f"{', '.join(reviewed)}. The estimate from the readings is a lower bound."
    ]


def _line(method: Method, name: str, words: int | None, estimator: str) -> dict[str, Any]:
    report = method.report
    figures = {} if report is None else _figures(report, words, estimator)
    return {
        "task": method.task,
        "name": name,
        "recipe": method.recipe,
        "recipe_title": method.recipe_title,
        "made": report is not None,
        "stale": method.stale,
        "embedding_model": None if report is None else report.get("embedding_model"),
        "reference": None if report is None else report.get("reference_name"),
        "rows": None if report is None else int(report["rows"]),
        "rows_asked": None if report is None else report["rows_asked"],
        "models": [] if report is None else list(report["models"]),
        "figures": figures,
        "absent": {} if report is None else _absent(report, figures),
    }


def _figures(report: Mapping[str, Any], words: int | None, estimator: str) -> dict[str, Figure]:
    """Return metric -> value, interval, slice and number of rows, without unknown values."""
    rows, all_figures = int(report["rows"]), report["figures"]

    def of(name: str, slice_: str | None = None) -> list[Figure]:
        return [
            figure
            for figure in all_figures
            if figure["metric"] == name and slice_ in (None, figure["slice"])
        ]

    calls = sum(figure["value"] for figure in of("calls", "all"))
    found: dict[str, list[Figure]] = {
        "yield": _yield(rows, of("rejected")),
        "calls_per_row": [_plain(calls / rows, rows)] if rows and of("calls", "all") else [],
        "label_noise": of("label_noise", estimator),
        "shortcut": sorted(of("shortcut"), key=lambda figure: figure["value"], reverse=True),
        "utility": of("utility", "set to gold"),
    }
    for metric, column in metrics.compared():
        slice_ = f"{words} words" if column.name.startswith("distinct_") else None
        figures = of(metric.name, slice_)
        # Tokens and cost have a figure for each step, too.
        found.setdefault(column.name, [f for f in figures if f["slice"] == "all"] or figures)
    kept = ("value", "low", "high", "n", "slice")
    return {
        name: {key: some[0][key] for key in kept}
        for name, some in found.items()
        if some and some[0]["value"] is not None
    }


def _plain(value: float, n: int) -> Figure:
    return {"value": rounded(value), "low": None, "high": None, "n": n, "slice": "all"}


def _yield(rows: int, rejected: Sequence[Figure]) -> list[Figure]:
    """Kept / (kept + rejected) rows with a Wilson interval; surplus rows are not rejections."""
    lost = 0
    for figure in rejected:
        step, reason = figure["slice"].split(", ", 1)
        if step in MADE_FROM and reason != "surplus":
            lost += int(figure["value"])
    judged = rows + lost
    if not judged:
        return []
    low, high = wilson(rows, judged)
    return [_plain(rows / judged, judged) | {"low": rounded(low), "high": rounded(high)}]


def _absent(report: Mapping[str, Any], figures: Mapping[str, Figure]) -> dict[str, str]:
    """Return metric -> the reason it has no value."""
    unknown = {"cost_per_row_usd": "the price of a call is unknown"}
    return {
        column.name: report["skipped"].get(metric.name)
        or unknown.get(column.name, "not measured on these rows")
        for metric, column in metrics.compared()
        if column.name not in figures
    }


def _common_words(made: Sequence[Method]) -> int | None:
    """Return the largest word count at which every report has distinct-n."""
    shared: set[int] | None = None
    for method in made:
        own = {
            int(figure["slice"].split(" ")[0])
            for figure in (method.report or {})["figures"]
            if figure["metric"] == "distinct_2"
        }
        shared = own if shared is None else shared & own
    return max(shared, default=None) if shared else None


def _cautions(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return other differences between the methods, and what is missing."""
    made = [line for line in lines if line["made"]]
    found = []
    counts = sorted({line["rows"] for line in made})
    if len(counts) > 1:
        found.append(
            f"The sets have {counts[0]:,} to {counts[-1]:,} rows. Self-BLEU and the nearest row "
            "grow with the number of rows, so they are comparable only at equal sizes."
        )
    if len({tuple(line["models"]) for line in made}) > 1:
        found.append("The sets were generated by different models, not only by different methods.")
    if len({line["embedding_model"] for line in made if line["embedding_model"]}) > 1:
        found.append("Similarity of meaning was measured by different embedding models.")
    if len({line["reference"] for line in made if line["reference"]}) > 1:
        found.append("Accuracy was measured on different gold rows.")
    for line in lines:
        if line["stale"]:
            found.append(f"The report of {line['task']} {line['stale']}: materialize it again.")
    missing = [line["task"] for line in lines if not line["made"] and not line["stale"]]
    if missing:
        found.append(f"Not materialized yet: {', '.join(missing)}.")
    return found


def staleness(report: Mapping[str, Any], versions: Mapping[str, str | None]) -> str | None:
    """Return why a report does not describe the current tables, or None if it does.

    Args:
        report: its JSON.
        versions: step -> current data version of its table, None if it is missing.
    """
    made_from = report.get("made_from")
    if made_from is None:
        return "was made by an older release"
    changed = [step for step, version in versions.items() if made_from.get(step) != version]
    return f"is older than its table {changed[0]}" if changed else None


def _difference(
    metric: str, better: str | None, lines: Sequence[Mapping[str, Any]]
) -> Figure | None:
    """Return the two extremes of a metric if they differ.

    With intervals, they differ if the intervals do not overlap (stricter than a test at 5%);
    without, if the larger is more than `RATIO` times the smaller.
    """
    known = [(line["figures"][metric], line["name"]) for line in lines if metric in line["figures"]]
    if len(known) < 2:
        return None
    least = min(known, key=lambda one: one[0]["value"])
    most = max(known, key=lambda one: one[0]["value"])
    low, high = most[0]["low"], least[0]["high"]
    intervals = low is not None and high is not None
    ratio = most[0]["value"] > RATIO * least[0]["value"] > 0
    if not (low > high if intervals else ratio):
        return None
    ends = (most, least) if better == "higher" else (least, most)
    first, last = ({"name": name, "value": figure["value"]} for figure, name in ends)
    return {"metric": metric, "first": first, "last": last, "intervals": intervals}


def _row(group: Mapping[str, Any], line: Mapping[str, Any]) -> dict[str, Any]:
    figures = line["figures"]
    row = {
        "base": group["base"],
        **{name: line[name] for name in ("task", "recipe", "made", "rows")},
    }
    row["words"] = group["words"] if "distinct_2" in figures else None
    row["compared_rows"] = figures.get("self_bleu", {}).get("n")
    row["shortcut_part"] = figures.get("shortcut", {}).get("slice")
    for name, figure in figures.items():
        row |= {name: figure["value"], f"{name}_low": figure["low"], f"{name}_high": figure["high"]}
    return row
