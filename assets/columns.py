"""What the columns of each table mean, and which columns they are made from.

Here belong descriptions and lineage for the UI. Names and types belong to `targen.steps`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from dagster import AssetKey, TableColumn, TableColumnDep, TableColumnLineage, TableSchema

from targen import steps
from targen.quality.metrics import compared

_LABEL: Final = {
    "label": "The label that counts.",
    "intended_label": "The label that the text was written for.",
    "annotated_label": "The label that the annotator gave.",
    "corrected_label": "The label that the corrector gave.",
}
_COMPARED: Final = {to.name: to.says for _, to in compared()}
_COMPARISON: Final = {
    "base": "The task that the group extends.",
    "task": "The task, which is a partition.",
    "recipe": "The method that made the rows.",
    "made": "Whether its report is there; all figures are null where it is not.",
    "rows": "Rows of the corrected set.",
    "words": "The word count at which distinct-n is taken, the same for the whole group.",
    "compared_rows": "How many rows self-BLEU compares.",
    "shortcut_part": "The part of the input that tells most of the label.",
    **_COMPARED,
    **{f"{name}_low": f"Lower end of the 95% interval of {name}." for name in _COMPARED},
    **{f"{name}_high": f"Upper end of the 95% interval of {name}." for name in _COMPARED},
}
_ANY: Final = {
    "request_id": "Identity of the completion that made the row; null where no model was asked.",
    "request_ids": "Identities of the completions that the row descends from.",
    "term_id": "Content hash of the term.",
    "context_id": "Content hash of the context.",
    "seed_id": "Content hash of the seed.",
    "instance_id": "Content hash of the instance.",
    "attributes": "Named values that were drawn for the row.",
}
DESCRIPTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "vocabularies": {
        "category": "What kind of term it is; (asked) for a call that gave no term.",
        "term": "The term itself.",
        "label": "The label that the term belongs to; null where it is for all.",
    },
    "contexts": {
        "text": "The situation, domain or setting.",
        "term_ids": "Terms that the context was made with.",
    },
    "seeds": {
        "kind": "sentence, passage, word, tuple, example or none.",
        "fields": "The seed's own fields, as JSON.",
    },
    "instances": {
        "slot": "Place in the plan, from 0.",
        "parent_ids": "Instances that this one grew from.",
        "depth": "Steps of growth from a root; 0 for a root.",
        "intended_label": _LABEL["intended_label"],
        "rationale": "Why the writer thinks that the label holds.",
    },
    "labels": {
        "intended_label": _LABEL["intended_label"],
        "label": _LABEL["annotated_label"],
        "votes": "Every vote of the annotator.",
        "agreement": "Share of the votes that went to the label.",
    },
    "corrected_set": {
        **_LABEL,
        "verdict": "kept, or relabelled where the label is not the intended one.",
        "reason": "The corrector's reason.",
    },
    "quality_report": {
        "metric": "Name of the metric.",
        "slice": "What part of the rows it is on.",
        "value": "The metric's value.",
        "low": "Lower end of the 95% interval.",
        "high": "Upper end of the 95% interval.",
        "n": "How many rows it rests on.",
        "reference": "The same on gold data.",
        "passed": "Whether it keeps its gate; null without a gate.",
    },
    "comparison": _COMPARISON,
    "planted": {
        "planted_label": "The wrong label that the corrector was shown.",
        "corrected_label": _LABEL["corrected_label"],
    },
    "rejected": {
        **_LABEL,
        "item_id": "Content hash of the item.",
        "step": "The step that asked for it.",
        "slot": "Place in the plan, where it had one.",
        "reason": "Why it is no row, in one word.",
        "detail": "Why it is no row, in a sentence.",
        "text": "What there is of the item: the model's answer, or the row as JSON.",
    },
}

_FIELDS: Final = "*"
_SOURCES: Final[Mapping[str, Mapping[str, tuple[tuple[str, str], ...]]]] = {
    "contexts": {
        "text": (("vocabularies", "term"),),
        "attributes": (("vocabularies", "term"), ("vocabularies", "category")),
        "term_ids": (("vocabularies", "term_id"),),
    },
    "seeds": {
        "context_id": (("contexts", "context_id"),),
        "fields": (("contexts", "text"),),
        "attributes": (("contexts", "attributes"),),
    },
    "instances": {
        "seed_id": (("seeds", "seed_id"),),
        "context_id": (("contexts", "context_id"),),
        _FIELDS: (("contexts", "text"), ("seeds", "fields")),
    },
    "labels": {
        "instance_id": (("instances", "instance_id"),),
        "intended_label": (("instances", "intended_label"),),
        "label": (("instances", _FIELDS),),
        "votes": (("instances", _FIELDS),),
    },
    "corrected_set": {
        "instance_id": (("instances", "instance_id"),),
        _FIELDS: (("instances", _FIELDS),),
        "intended_label": (("instances", "intended_label"),),
        "annotated_label": (("labels", "label"),),
        "corrected_label": (("instances", _FIELDS),),
        "label": (
            ("instances", _FIELDS),
            ("instances", "intended_label"),
            ("labels", "label"),
        ),
        "request_ids": (("instances", "request_id"), ("labels", "request_ids")),
    },
    "quality_report": {
        "value": (("corrected_set", _FIELDS), ("corrected_set", "label"), ("labels", "label")),
    },
}
"""Table -> column -> the columns it is made from; `*` stands for each field of the task.

A field that is made from fields is made from the field of its own name.
"""


def meaning(table: str, column: str) -> str | None:
    """Return what a column of a table holds; None for a field of the task."""
    return DESCRIPTIONS[table].get(column) or _ANY.get(column)


def table_schema(
    step: str, columns: Mapping[str, Any], fields: Mapping[str, str] | None = None
) -> TableSchema:
    """Return the columns of a table with types and meanings, as Dagster shows them.

    Args:
        step: the asset's name.
        columns: column -> Polars type; the task's own fields may be among them.
        fields: field of the task -> what it holds.
    """
    own = fields or {}
    return TableSchema(
        columns=[
            TableColumn(name, type=str(dtype), description=meaning(step, name) or own.get(name))
            for name, dtype in columns.items()
        ]
    )


def fixed_schema(step: str) -> TableSchema:
    """Return the columns that a table has for every task."""
    return table_schema(step, steps.schema(step, {}))


def lineage(step: str, fields: Iterable[str]) -> TableColumnLineage:
    """Return from which columns above each column of a table is made.

    Args:
        step: the asset's name.
        fields: names of the task's fields.
    """
    own = list(fields)
    deps: dict[str, list[TableColumnDep]] = {}
    for column, sources in _SOURCES.get(step, {}).items():
        for name in own if column == _FIELDS else [column]:
            pairs = [
                (table, above)
                for table, source in sources
                for above in _named(source, own, name if column == _FIELDS else None)
            ]
            deps[name] = [TableColumnDep(AssetKey(table), above) for table, above in pairs]
    return TableColumnLineage(deps_by_column=deps)


def _named(source: str, fields: list[str], same: str | None) -> list[str]:
    if source != _FIELDS:
        return [source]
    return fields if same is None else [same]
