"""Renders the dataset card (README.md) of a release, with a Hugging Face header."""

import html
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from typing import Any, Final

import polars as pl
from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

import targen
from targen.columns import FIELD_DTYPES
from targen.prompts.render import fenced, template_digest
from targen.quality.gates import shown
from targen.quality.metrics import find
from targen.release.inputs import ReleaseInputs
from targen.release.rows import (
    ENTITIES,
    ENTITIES_DTYPE,
    READINGS,
    label_counts,
    one_line,
    reviewed_rows,
)
from targen.steps import CORRECTED_SET, LABELS, RECIPE_STEP
from targen.tasks.answers import ONE_LABEL
from targen.tasks.registry import resolve
from targen.tasks.spec import TaskSpec
from targen.wording import plural

SIZES: Final = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"),
                (1_000_000, "100K<n<1M"), (10_000_000, "1M<n<10M"))  # fmt: skip
"""Upper bound (exclusive) -> size category as Hugging Face writes it."""
LARGEST: Final = "n>10M"
ACCOUNTS: Final = frozenset(
    ("rows", "rows_asked", "rejected", "calls", "prompt_tokens", "completion_tokens", "cost_usd",
     "accepted_per_call", "tokens_per_row", "cost_per_row_usd", "flips_annotated", "flips_final")
)  # fmt: skip
"""Metrics left out of the table of figures: counts, and figures shown in other tables."""
_MARKS: Final = re.compile(r"([\\`*_\[\]#|~$])")
_LABEL_MEANINGS: Final = {
    "label": "the final label",
    "intended_label": "the label that the text was written for",
    "annotated_label": "the label that the annotator gave",
    "corrected_label": "the label that the corrector gave",
    "verdict": "kept, or relabelled if the final label is not the intended one",
}


def render(inputs: ReleaseInputs, parts: Mapping[str, pl.DataFrame], superglue: bool) -> str:
    """Return the card as Markdown; the same inputs give the same text."""
    spec, report = inputs.spec, inputs.report
    first = next(iter(parts.values()))
    text: str = _template().render(
        header=header(inputs, parts),
        title=plain(spec.title),
        banner=plain(report["banner"]) if report.get("banner") else None,
        simulated=bool(report.get("simulated")),
        description=plain(spec.description),
        rows=f"{sum(part.height for part in parts.values()):,}",
        recipe={
            "title": plain(spec.recipe.title),
            "source": plain(spec.recipe.source),
            "description": plain(spec.recipe.description),
        },
        project_version=targen.__version__,
        labels=[plain(label) for label in spec.labels],
        splits=[
            {"name": name, "rows": f"{part.height:,}",
             "counts": [f"{count:,}" for count in label_counts(spec, part).values()]}
            for name, part in parts.items()
        ],
        superglue=superglue,
        columns=_columns(spec, first),
        example=fenced(first.row(0, named=True)),
        steps=_steps(spec),
        models=_models(inputs.served),
        labeling=_labeling(inputs),
        costs=_costs(report),
        gates=_gates(report),
        reference=plain(report.get("reference_name") or ""),
        figures=_figures(report),
        targets=_targets(inputs),
        limits=_limits(inputs, parts),
    )  # fmt: skip
    return text


def header(inputs: ReleaseInputs, parts: Mapping[str, pl.DataFrame]) -> str:
    """Return the YAML header, with texts quoted as in JSON, which is valid YAML."""
    spec = inputs.spec
    rows = sum(part.height for part in parts.values())
    size = next((name for bound, name in SIZES if rows < bound), LARGEST)
    tags = ["synthetic", "targen", *({spec.recipe.name} - {"targen"})]
    if inputs.report.get("simulated"):
        tags.append("simulated")
    lines = [
        f"license: {json.dumps(spec.release.license)}",
        f"language: [{json.dumps(spec.language)}]",
        f"pretty_name: {_quoted(spec.title)}",
        "annotations_creators: [machine-generated]",
        f"task_categories: [{task_category(spec)}]",
        f'size_categories: ["{size}"]',
        f"tags: {json.dumps(tags)}",
        "configs:",
        "  - config_name: default",
        "    data_files:",
    ]
    for name in parts:
        lines += [f"      - split: {name}", f"        path: data/{name}.parquet"]
    return "\n".join([*lines, *features(spec, next(iter(parts.values())))])


_FEATURES: Final[Mapping[Any, str]] = {
    pl.String: "string",
    pl.Int64: "int64",
    pl.Float64: "float64",
    pl.Boolean: "bool",
    pl.Date: "date32",
}
"""Type of a column -> its type in `datasets`."""


def features(spec: TaskSpec, rows: pl.DataFrame) -> list[str]:
    """Return the lines of the header that give the columns' types to `load_dataset`.

    Labels are stored as names. With these lines, `datasets` reads them as `ClassLabel`, which has
    names and ids. Ids follow the order of the labels in the task.
    """
    lines = ["dataset_info:", "  features:"]
    for name, dtype in rows.schema.items():
        lines.append(f"    - name: {json.dumps(name)}")
        if name in READINGS and spec.labels and spec.answer.kind != "spans":
            several = dtype == pl.List(pl.String)
            indent = "        " if several else "      "
            lines += ["      list:"] if several else []
            lines += [f"{indent}dtype:", f"{indent}  class_label:", f"{indent}    names:"]
            lines += [
                f'{indent}      "{number}": {_quoted(label)}'
                for number, label in enumerate(spec.labels)
            ]
        elif dtype == pl.List(pl.String):
            lines.append("      list: string")
        elif isinstance(dtype, pl.List) and isinstance(dtype.inner, pl.Struct):
            lines.append("      list:")
            for part in dtype.inner.fields:
                lines += [
                    f"        - name: {part.name}",
                    f"          dtype: {_FEATURES[part.dtype]}",
                ]
        else:
            lines.append(f"      dtype: {_FEATURES[dtype]}")
    return lines


def task_category(spec: TaskSpec) -> str:
    """Return the task category on the Hugging Face hub."""
    if spec.answer.options:
        return "multiple-choice"
    kinds = dict.fromkeys((*ONE_LABEL, "multi"), "text-classification")
    kinds["spans"] = "token-classification"
    return kinds.get(spec.answer.kind) or (
        "question-answering" if spec.answer.kind == "span" else "text-generation"
    )


def plain(text: str) -> str:
    """Return a text as one line of Markdown without markup."""
    return _MARKS.sub(r"\\\1", html.escape(one_line(text), quote=False))


def _quoted(text: str) -> str:
    """Return a text in quotes that are valid in both JSON and YAML."""
    return json.dumps(one_line(text), ensure_ascii=False)


@cache
def _template() -> Any:
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
        # Every text is already escaped for Markdown.
        autoescape=False,
    )  # fmt: skip
    text = (resources.files("targen") / "release" / "card.md.jinja").read_text(encoding="utf-8")
    return environment.from_string(text)


def _columns(spec: TaskSpec, rows: pl.DataFrame) -> list[dict[str, str]]:
    names = {str(dtype): kind for kind, dtype in FIELD_DTYPES.items()} | {
        "String": "text",
        str(ENTITIES_DTYPE): "entities",
    }
    meanings = {
        "instance_id": "content hash of the row",
        **{name: field.description for name, field in spec.fields.items()},
        **_LABEL_MEANINGS,
        ENTITIES: "entities of the final label: offsets in characters (end exclusive), type, text",
    }
    return [
        {"name": name, "type": names[str(dtype)], "meaning": plain(meanings[name])}
        for name, dtype in rows.schema.items()
    ]


def _steps(spec: TaskSpec) -> list[dict[str, str]]:
    found = []
    for step, key in RECIPE_STEP.items():
        operator, params = resolve(spec.recipe.choice(step), step)
        changed = params.model_dump(mode="json", exclude_none=True)
        shown_params = ", ".join(
            f"{name} {value}" for name, value in changed.items() if value != {}
        )
        prompt = f"`{template_digest(operator.prompt)}`" if operator.prompt else ""
        found.append(
            {"name": key, "operator": f"`{operator.name}`", "params": plain(shown_params),
             "prompt": prompt}
        )  # fmt: skip
    return found


def _targets(inputs: ReleaseInputs) -> list[dict[str, str]]:
    """Return the targets that brought rows of the set, with their numbers of rows."""
    counts = Counter(inputs.rows["target_id"].drop_nulls())
    return [
        {"id": one.target_id, "round": str(number), "reason": plain(one.reason),
         "asked": f"{one.count:,}", "rows": f"{counts[one.target_id]:,}",
         "made": "edited by code" if one.edit else "written"}
        for number, part in enumerate(inputs.spec.rounds, 1)
        for one in part.approved
        if counts[one.target_id]
    ]  # fmt: skip


def _models(served: pl.DataFrame) -> list[dict[str, str]]:
    order = {step: number for number, step in enumerate(RECIPE_STEP)}
    keys = ["step", "model", "served_model", "endpoint"]
    counts = served.group_by(keys).len().sort(keys, nulls_last=True).to_dicts()
    counts.sort(key=lambda row: order.get(row["step"], len(order)))
    return [
        {"step": row["step"] or "asked again", "model": plain(row["model"]),
         "served": plain(row["served_model"] or "unknown"), "endpoint": plain(row["endpoint"]),
         "calls": f"{row['len']:,}"}
        for row in counts
    ]  # fmt: skip


def _labeling(inputs: ReleaseInputs) -> str:
    """Describe who assigned and checked the labels, and what changed."""
    spec, rows = inputs.spec, inputs.rows
    if spec.answer.kind == "none":
        return "The rows have no labels."
    labels, params = resolve(spec.recipe.choice(LABELS), LABELS)
    written = {
        "intended": "Each text was written for a label, which is its final label.",
        "from_constraints": "Each text was written under constraints, which are its labels.",
    }.get(labels.name)
    if written is None:
        votes = getattr(params, "votes", 1)
        often = "once" if votes == 1 else f"up to {votes} times"
        written = (
            f"An annotating model was asked {often} for the label of each row. It did not see the "
            "label that the text was written for."
        )
    correction, how = resolve(spec.recipe.choice(CORRECTED_SET), CORRECTED_SET)
    policy = getattr(how, "policy", "keep")
    decided = {
        "majority": "the label is the majority of the intended, the annotated and the corrected "
        "label, and rows without a majority were dropped",
        "relabel": "the corrector's label is used",
        "drop": "the row was dropped",
        "keep": "the first label is used",
    }[policy]
    if correction.name == "none":
        checked = f"No model corrected it; {decided}."
    else:
        sight = "was shown" if getattr(how, "shown", False) else "was not shown"
        some = policy == "majority" and getattr(how, "ask", "always") == "disputed"
        about = "each row"
        if some and labels.name == "annotate":
            about = "each row whose label was in doubt, and of a random share of the others"
        checked = (
            f"A correcting model then gave a reason and a label of {about}; it {sight} the "
            "intended label. "
            f"If the labels differ, {decided}."
        )
    changed = int((rows["verdict"] == "relabelled").sum())
    counts = f"{changed:,} of {rows.height:,} rows have another label than intended."
    return f"{written} {checked} {counts} {_review(inputs)}"


def _review(inputs: ReleaseInputs) -> str:
    """Describe what people saw and changed."""
    rows, saw = inputs.rows, reviewed_rows(inputs.rows)
    lost = inputs.tables[CORRECTED_SET].rejected
    dropped = 0 if lost is None else int((lost["reason"] == "human_review").sum())
    if not saw and not dropped:
        return "No person reviewed the rows."
    by = pl.col("label") != pl.col("label_before_review")
    replaced = rows.filter(pl.col("label_before_review").is_not_null(), by).height
    return (
        f"People reviewed {saw:,} of the {plural(rows.height, 'row')}; {plural(replaced, 'row')} "
        f"got another label by this review, and {plural(dropped, 'more row')} "
        f"{'was' if dropped == 1 else 'were'} dropped."
    )


def _costs(report: Mapping[str, Any]) -> list[dict[str, str]]:
    found = []
    spent = report.get("spent", [])
    known = [row["cost_usd"] for row in spent]
    total = {
        "step": "all",
        "calls": sum(row["calls"] for row in spent),
        "prompt_tokens": sum(row["prompt_tokens"] for row in spent),
        "completion_tokens": sum(row["completion_tokens"] for row in spent),
        "cost_usd": None if None in known else sum(known),
    }
    for row in [*spent, total]:
        usd = "unknown" if row["cost_usd"] is None else f"{row['cost_usd']:.4f}"
        found.append(
            {"step": plain(row["step"]), "calls": f"{row['calls']:,}", "usd": usd,
             "tokens_in": f"{row['prompt_tokens']:,}",
             "tokens_out": f"{row['completion_tokens']:,}"}
        )  # fmt: skip
    return found


def _gates(report: Mapping[str, Any]) -> list[dict[str, str]]:
    marks = {True: "Passed:", False: "Not passed:", None: "Not measured:"}
    return [
        {
            "mark": "Not decided:" if gate.get("undecided") else marks[gate["passed"]],
            "text": plain(gate["text"]),
        }
        for gate in report["gates"]
    ]


def _figures(report: Mapping[str, Any]) -> list[dict[str, str]]:
    found = []
    for figure in report["figures"]:
        name = figure["metric"]
        if name in ACCOUNTS or figure["value"] is None:
            continue
        known = find(name)
        words = name if known is None else known.words
        ends = [figure["low"], figure["high"]]
        interval = "" if None in ends else f"{shown(name, ends[0])} to {shown(name, ends[1])}"
        gold = figure["reference"]
        found.append(
            {"metric": plain(words), "slice": plain(figure["slice"]),
             "value": shown(name, figure["value"]), "interval": interval,
             "n": f"{figure['n']:,}", "reference": "" if gold is None else shown(name, gold)}
        )  # fmt: skip
    return found


def _limits(inputs: ReleaseInputs, parts: Mapping[str, pl.DataFrame]) -> Iterable[str]:
    spec, report = inputs.spec, inputs.report
    if report.get("banner"):
        yield plain(f"{report['banner']}.")
    if reviewed_rows(inputs.rows) < inputs.rows.height:
        yield (
            "No person has read every row, so the rows have the errors of the models that made "
            "them."
        )
    if spec.release.license == "unknown":
        yield "The license of the rows is unknown."
    empty = [name for name in spec.release.splits if name not in parts]
    if empty:
        yield f"There are too few rows for the split {' and '.join(empty)}."
    yield "Near duplicates are found by their characters; paraphrases may be in different splits."
    for finding in report["findings"]:
        if finding["level"] != "good":
            yield plain(("Failure: " if finding["level"] == "bad" else "") + finding["text"])
    if report.get("noise_assumption"):
        yield plain(report["noise_assumption"])
    for metric, why in sorted(report["skipped"].items()):
        yield plain(f"Not measured: {metric} ({why}).")
