"""Methods side by side: the reports of tasks that extend one base, one line per task."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from targen import hashing, steps
from targen.quality.collector import rounded
from targen.quality.intervals import wilson
from targen.quality.report import BANNER

Figure = dict[str, Any]
MADE_FROM = ("instances", "labels", "corrected_set")
"""Steps whose rejected items count against the yield: those that items of the plan go through."""
RATIO = 1.5
"""How many times the least the most must be, to be told apart where there are no intervals."""


@dataclass(frozen=True)
class Metric:
    """One figure that methods are compared by.

    Attributes:
        name: its column in the table `comparison`.
        title: its name on the page.
        unit: how it is written: a share, a plain number or US dollars.
        better: which end one would rather have; None where neither.
        says: what it means, in one or two sentences.
        source: the report's metric that it is taken from.
        zero: the axis starts at 0, so that lengths compare.
    """

    name: str
    title: str
    unit: Literal["share", "number", "usd"]
    better: Literal["lower", "higher"] | None
    says: str
    source: str
    zero: bool = False


METRICS = (
    Metric(
        "yield", "Yield", "share", "higher", "Kept, of the rows that were written and judged; "
        "surplus rows do not count.", "rejected", zero=True,
    ),
    Metric(
        "calls_per_row", "Calls a row", "number", "lower", "Model calls of all steps for each row "
        "kept.", "calls", zero=True,
    ),
    Metric(
        "tokens_per_row", "Tokens a row", "number", "lower", "Tokens in and out for each row kept.",
        "tokens_per_row", zero=True,
    ),
    Metric(
        "cost_per_row_usd", "Cost a row", "usd", "lower", "US dollars for each row kept, at the "
        "prices first paid.", "cost_per_row_usd", zero=True,
    ),
    Metric(
        "label_noise", "Labels still wrong", "share", "lower", "Estimated from blind readings of "
        "the same row, or from people's review.", "label_noise", zero=True,
    ),
    *(
        Metric(
            f"distinct_{n}", f"Distinct-{n}", "share", "higher", f"Different {what}, at equal word "
            "counts.", f"distinct_{n}",
        )
        for n, what in (
            (1, "words among all words"),
            (2, "word pairs among all pairs"),
            (3, "runs of three words among all"),
        )
    ),
    Metric(
        "self_bleu", "Self-BLEU", "number", "lower", "How much of a row's wording stands in other "
        "rows. It grows with the number of rows.", "self_bleu",
    ),
    Metric(
        "nearest_rouge_l", "Nearest row", "number", "lower", "ROUGE-L with the row most like it; 1 "
        "is a copy. It grows with the number of rows.", "rouge_l_nearest",
    ),
    Metric(
        "similarity", "Similarity of meaning", "number", "lower", "Mean cosine of embeddings over "
        "all pairs of rows.", "mean_similarity",
    ),
    Metric(
        "v_information", "V-information", "number", None, "Bits that a simple classifier learns of "
        "the label. Low: hard or noisy; high: easy.", "v_information",
    ),
    Metric(
        "shortcut", "Shortcut", "share", "lower", "Accuracy over guessing from the most telling "
        "part of the input alone.", "shortcut",
    ),
    Metric(
        "utility", "Accuracy on gold", "share", "higher", "A simple classifier trained on the set, "
        "tested on gold.", "utility",
    ),
)  # fmt: skip
"""In the order in which the page shows them."""


@dataclass(frozen=True)
class Method:
    """One task of a group, with its report where there is one.

    Attributes:
        task: its name.
        extends: the task that it is laid over, or None.
        title: the task's title.
        recipe, recipe_title: the method.
        report: the JSON of its quality report; None where it is not made yet, or not readable.
        stale: why the report cannot be trusted to speak of the task's rows as they are now, as
            the rest of a sentence that begins with the report; None where it can.
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
        table: one row per task, `targen.steps.schema("comparison", {})`.
        json: the same figures by group, and everything that the page shows; the groups with the
            most methods made come first, equals by name.
    """

    table: pl.DataFrame
    json: dict[str, Any]

    def json_text(self) -> str:
        """Return the JSON as stored: same reports, same bytes."""
        return hashing.canonical(self.json) + "\n"


def groups(extends: Mapping[str, str | None]) -> dict[str, list[str]]:
    """Return base -> its group, the base first: the tasks that extend it, directly or not.

    Tasks that stand alone are in no group: there is nothing to compare them with.

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
    """Lay the reports of each group side by side; depends on nothing but them.

    Distinct-n is taken at the largest word count that all made members have. Label noise is that
    of people's review where there is one. The shortcut is the largest over the parts of the
    input: it errs upwards, for all methods of a group alike.

    Args:
        methods: all tasks; those that belong to no group are left out.
    """
    by_name = {method.task: method for method in methods}
    wanted = groups({name: method.extends for name, method in by_name.items()})
    compared = [_group(base, [by_name[name] for name in names]) for base, names in wanted.items()]
    rows = [_row(group, line) for group in compared for line in group["methods"]]
    compared.sort(key=lambda group: -sum(line["made"] for line in group["methods"]))
    simulated = any(group["simulated"] for group in compared)
    content = {
        "banner": BANNER if simulated else None,
        "metrics": [vars(metric) for metric in METRICS],
        "groups": compared,
    }
    return Comparison(steps.frame(rows, steps.schema("comparison", {})), content)


def _group(base: str, members: Sequence[Method]) -> dict[str, Any]:
    made = [method for method in members if method.report is not None]
    words = _common_words(made)
    recipes = [method.recipe for method in members]
    lines = [
        _line(method, method.recipe if recipes.count(method.recipe) == 1 else method.task, words)
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
        "cautions": _cautions(lines),
        "differences": [text for metric in METRICS if (text := _difference(metric, lines))],
    }


def _line(method: Method, name: str, words: int | None) -> dict[str, Any]:
    report = method.report
    figures = {} if report is None else _figures(report, words)
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


def _figures(report: Mapping[str, Any], words: int | None) -> dict[str, Figure]:
    """Return metric -> value, interval, slice and number of rows; what is unknown is left out."""
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
        "label_noise": of("label_noise", "reviewed") or of("label_noise"),
        "shortcut": sorted(of("shortcut"), key=lambda figure: figure["value"], reverse=True),
        "utility": of("utility", "set to gold"),
    }
    for metric in METRICS:
        if metric.name.startswith("distinct_"):
            found[metric.name] = of(metric.name, f"{words} words")
        found.setdefault(metric.name, of(metric.source))
    kept = ("value", "low", "high", "n", "slice")
    return {
        name: {key: some[0][key] for key in kept}
        for name, some in found.items()
        if some and some[0]["value"] is not None
    }


def _plain(value: float, n: int) -> Figure:
    return {"value": rounded(value), "low": None, "high": None, "n": n, "slice": "all"}


def _yield(rows: int, rejected: Sequence[Figure]) -> list[Figure]:
    """Kept rows over kept and rejected ones, with Wilson's interval; surplus is no rejection."""
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
    """Return metric -> why it has no figure."""
    unknown = {"cost_per_row_usd": "the price of a call is not known"}
    return {
        metric.name: report["skipped"].get(metric.source)
        or unknown.get(metric.name, "not measured on these rows")
        for metric in METRICS
        if metric.name not in figures
    }


def _common_words(made: Sequence[Method]) -> int | None:
    """Return the largest word count at which every made member has its distinct-n."""
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
    """Return what else differs between the methods, and what is missing."""
    made = [line for line in lines if line["made"]]
    found = []
    counts = sorted({line["rows"] for line in made})
    if len(counts) > 1:
        found.append(
            f"The sets hold {counts[0]:,} to {counts[-1]:,} rows: self-BLEU and the nearest row "
            "grow with the number of rows and compare only between sets of one size."
        )
    if len({tuple(line["models"]) for line in made}) > 1:
        found.append("The sets were made by different models, so not only the methods differ.")
    if len({line["embedding_model"] for line in made if line["embedding_model"]}) > 1:
        found.append("Similarity of meaning was measured by different embedding models.")
    if len({line["reference"] for line in made if line["reference"]}) > 1:
        found.append("Accuracy was measured on different gold rows.")
    for line in lines:
        if line["stale"]:
            found.append(f"The report of {line['task']} {line['stale']}: make it again.")
    missing = [line["task"] for line in lines if not line["made"] and not line["stale"]]
    if missing:
        found.append(f"Not made yet: {', '.join(missing)}.")
    return found


def staleness(report: Mapping[str, Any], versions: Mapping[str, str | None]) -> str | None:
    """Return why a report does not speak of the tables as they are now, None where it does.

    Args:
        report: its JSON.
        versions: step -> data version of its table now, None where it is not there.
    """
    made_from = report.get("made_from")
    if made_from is None:
        return "was made by an older release"
    changed = [step for step, version in versions.items() if made_from.get(step) != version]
    return f"is older than its table {changed[0]}" if changed else None


def _difference(metric: Metric, lines: Sequence[Mapping[str, Any]]) -> Figure | None:
    """Return the two ends of a metric, where they can be told apart.

    With intervals they can where the two do not overlap (stricter than a test at 5%); without,
    where the larger is `RATIO` times the smaller.
    """
    known = [(line["figures"][metric.name], line["name"]) for line in lines
             if metric.name in line["figures"]]  # fmt: skip
    if len(known) < 2:
        return None
    least = min(known, key=lambda one: one[0]["value"])
    most = max(known, key=lambda one: one[0]["value"])
    low, high = most[0]["low"], least[0]["high"]
    apart = (
        low > high
        if low is not None and high is not None
        else most[0]["value"] > RATIO * least[0]["value"] > 0
    )
    if not apart:
        return None
    first, last = (most, least) if metric.better == "higher" else (least, most)
    return {
        "metric": metric.name,
        "first": {"name": first[1], "value": first[0]["value"]},
        "last": {"name": last[1], "value": last[0]["value"]},
        "intervals": low is not None and high is not None,
    }


def _row(group: Mapping[str, Any], line: Mapping[str, Any]) -> dict[str, Any]:
    """Return a line of the table."""
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
