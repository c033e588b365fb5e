"""The registry of the seven steps, and the schema of every table.

For each step: its upstream steps, id column, references, columns, and what it reads of a task.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NamedTuple

import polars as pl

from targen.columns import ATTRIBUTES, FIELD_DTYPES, READINGS, Column, TaskType, label_dtype
from targen.memory import trim

SCHEMA_VERSION: Final = 3
"""Raised when a column is added or removed, or when its meaning changes."""

DAMAGED: Final = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)
"""Raised by Polars for a damaged Parquet file; its native `PanicException` is no `Exception`."""

VOCABULARIES: Final = "vocabularies"
CONTEXTS: Final = "contexts"
SEEDS: Final = "seeds"
INSTANCES: Final = "instances"
LABELS: Final = "labels"
CORRECTED_SET: Final = "corrected_set"
QUALITY_REPORT: Final = "quality_report"

COMPARISON: Final = "comparison"
"""One row per task, to compare recipes; not partitioned. `targen.quality.metrics` has its
columns."""

REJECTED: Final = "rejected"
"""Items of a step that did not become rows."""

TARGETS: Final = "targets"
"""Rows to write next, proposed from the quality report, and those that were written."""

PLANTED: Final = "planted"
"""Rows that went through correction a second time, under a label known to be wrong."""

REVIEWS: Final = "reviews"
"""Verdicts of human reviewers on rows of the corrected set."""

REASONS: Final = (
    "malformed",
    "refused",
    "filtered",
    "truncated",
    "missing",
    "invalid",
    "echo",
    "meta",
    "loop",
    "refusal",
    "language",
    "unfinished",
    "guard",
    "mismatched",
    "off_target",
    "flawed",
    "difficulty",
    "duplicate",
    "given_up",
    "misleading",
    "outranked",
    "dropped",
    "human_review",
    "surplus",
)
"""Values of `rejected.reason`: why a requested item did not become a row."""

Schema = dict[str, Any]


class Reference(NamedTuple):
    """A column that holds ids of rows of another table.

    Attributes:
        column: holds one id per row, or a list of ids.
        table: the other table.
        key: its id column.
    """

    column: str
    table: str
    key: str


@dataclass(frozen=True)
class Step:
    """One of the seven steps.

    Attributes:
        name: of the asset and its table.
        upstream: the steps whose tables it reads.
        columns: of its table, in order.
        id_column: the unique id of a row; None where rows have no id.
        references: columns that point to rows of upstream tables.
        recipe_key: its key in recipes and under a task's `steps`; None for the report.
        reads: keys of the task, or properties of `TaskSpec`, that it reads besides `READ_BY_ALL`.
            They are part of the step's digest. An operator may add more.
        answer: what it reads of the task's `answer`: the names of the labels, what a writer sees
            (constraints), or what an annotator sees (question and definitions).
    """

    name: str
    upstream: tuple[str, ...]
    columns: tuple[Column, ...]
    id_column: str | None = None
    references: tuple[Reference, ...] = ()
    recipe_key: str | None = None
    reads: tuple[str, ...] = ()
    answer: Literal["nothing", "names", "writing", "judging"] = "nothing"


READ_BY_ALL: Final = ("title", "description", "language", "fields", "edition")
"""The parts of a task that every step reads."""

FIELDS_NAME: Final = "*"
"""Name of the placeholder for the columns of the task's fields."""

_FIELDS: Final = Column(
    FIELDS_NAME, TaskType.FIELDS, "One column per field of the task, in the task's order."
)
_TERM_ID: Final = Column("term_id", pl.String, "Content hash of the term.")
_CONTEXT_ID: Final = Column("context_id", pl.String, "Content hash of the context.")
_SEED_ID: Final = Column("seed_id", pl.String, "Content hash of the seed.")
_INSTANCE_ID: Final = Column("instance_id", pl.String, "Content hash of the instance.")
_ATTRIBUTES: Final = Column("attributes", ATTRIBUTES, "Named values that were drawn for the row.")
_INTENDED: Final = Column(
    "intended_label", TaskType.LABEL, "The label that the text was written for."
)
_ANNOTATED: Final = Column("annotated_label", TaskType.LABEL, "The label that the annotator gave.")
_CORRECTED: Final = Column("corrected_label", TaskType.LABEL, "The label that the corrector gave.")
_WAY: Final = Column("planned_way", pl.String, "How the text was to get its label; null if open.")
_DIFFICULTY: Final = Column(
    "planned_difficulty", pl.String, "How hard the text was to be; null if not planned."
)
_READINGS: Final = Column(
    "readings",
    READINGS,
    "What each reader of a panel said, and the weight of its vote; null without a panel.",
)
_TARGET: Final = Column(
    "target_id", pl.String, "The target that asked for the row; null for rows of the plan."
)
_REQUEST_ID: Final = Column(
    "request_id", pl.String, "Id of the completion that the row came from; null without a model."
)
_REQUEST_IDS: Final = Column(
    "request_ids", pl.List(pl.String), "Ids of the completions that the row came from."
)

REGISTRY: Final[Mapping[str, Step]] = {
    step.name: step
    for step in (
        Step(
            VOCABULARIES,
            upstream=(),
            columns=(
                _TERM_ID,
                Column(
                    "category",
                    pl.String,
                    "The kind of term; (asked) for a call that returned no term.",
                ),
                Column("term", pl.String, "The term itself."),
                Column("label", pl.String, "The label that the term belongs to; null for all."),
                _REQUEST_ID,
            ),
            id_column="term_id",
            recipe_key="vocabularies",
            reads=("vocabularies", "guards", "validators"),
        ),
        Step(
            CONTEXTS,
            upstream=(VOCABULARIES,),
            columns=(
                _CONTEXT_ID,
                Column("text", pl.String, "The situation, domain or setting."),
                _ATTRIBUTES,
                Column("term_ids", pl.List(pl.String), "Terms that the context was made with."),
                _REQUEST_ID,
            ),
            id_column="context_id",
            references=(Reference("term_ids", VOCABULARIES, "term_id"),),
            recipe_key="contexts",
            reads=("contexts", "guards", "validators"),
        ),
        Step(
            SEEDS,
            upstream=(CONTEXTS,),
            columns=(
                _SEED_ID,
                _CONTEXT_ID,
                Column("kind", pl.String, "sentence, passage, word, tuple, example or none."),
                Column("fields", pl.String, "The seed's own fields, as JSON."),
                _ATTRIBUTES,
                _REQUEST_ID,
            ),
            id_column="seed_id",
            references=(Reference("context_id", CONTEXTS, "context_id"),),
            recipe_key="seeds",
            reads=("seeds", "validators", "guards", "rows", "slots_seeded"),
            answer="names",
        ),
        Step(
            INSTANCES,
            upstream=(CONTEXTS, SEEDS),
            columns=(
                _INSTANCE_ID,
                Column(
                    "slot",
                    pl.Int64,
                    "Place in the plan, from 0; from 1,000,000,000 for the rows of targets.",
                ),
                _SEED_ID,
                _CONTEXT_ID,
                Column("parent_ids", pl.List(pl.String), "Instances that this one grew from."),
                Column("depth", pl.Int64, "Steps of growth from a root; 0 for a root."),
                _INTENDED,
                _WAY,
                _DIFFICULTY,
                _TARGET,
                _FIELDS,
                Column("rationale", pl.String, "The writer's reason for the label."),
                _REQUEST_ID,
            ),
            id_column="instance_id",
            references=(
                Reference("context_id", CONTEXTS, "context_id"),
                Reference("seed_id", SEEDS, "seed_id"),
            ),
            recipe_key="instances",
            reads=(
                "seeds",
                "validators",
                "guards",
                "examples",
                "rows",
                "wanted_instances",
                "twin",
                "contrast",
            ),
            answer="writing",
        ),
        Step(
            LABELS,
            upstream=(INSTANCES,),
            columns=(
                _INSTANCE_ID,
                _INTENDED,
                Column("label", TaskType.LABEL, "The label that the annotator gave."),
                Column("votes", TaskType.LABELS, "Every vote of the annotator."),
                Column("agreement", pl.Float64, "Share of the votes that went to the label."),
                Column("flaws", pl.List(pl.String), "The flaw that each vote named, or none."),
                _REQUEST_IDS,
            ),
            id_column="instance_id",
            references=(Reference("instance_id", INSTANCES, "instance_id"),),
            recipe_key="labels",
            answer="judging",
        ),
        Step(
            CORRECTED_SET,
            upstream=(INSTANCES, LABELS),
            columns=(
                _INSTANCE_ID,
                _FIELDS,
                Column("label", TaskType.LABEL, "The final label."),
                _INTENDED,
                _ANNOTATED,
                _CORRECTED,
                Column(
                    "verdict",
                    pl.String,
                    "kept, or relabelled if the label is not the intended one.",
                ),
                Column("reason", pl.String, "The corrector's reason."),
                Column("flaw", pl.String, "The flaw that the corrector named, or none."),
                Column(
                    "correction_asked",
                    pl.String,
                    "Why the corrector was asked: disputed, audit or always; null if it was not.",
                ),
                _READINGS,
                Column(
                    "confidence",
                    pl.Float64,
                    "Probability of the label given the readings of a panel; null without a panel.",
                ),
                _WAY,
                _DIFFICULTY,
                Column(
                    "label_before_review",
                    TaskType.LABEL,
                    "The label that a person saw in the review; null if none saw the row.",
                ),
                Column("human_reviewer", pl.String, "Who reviewed the row; null without a review."),
                Column(
                    "human_reviewed_at",
                    pl.String,
                    "When the verdict was imported, UTC; null without a review.",
                ),
                _TARGET,
                _REQUEST_IDS,
            ),
            id_column="instance_id",
            references=(Reference("instance_id", INSTANCES, "instance_id"),),
            recipe_key="correction",
            reads=("rows", "twin", "contrast"),
            answer="judging",
        ),
        Step(
            QUALITY_REPORT,
            upstream=(VOCABULARIES, CONTEXTS, SEEDS, INSTANCES, LABELS, CORRECTED_SET),
            columns=(
                Column("metric", pl.String, "Name of the metric."),
                Column("slice", pl.String, "The part of the rows that it was measured on."),
                Column("value", pl.Float64, "The metric's value."),
                Column("low", pl.Float64, "Lower end of the 95% interval."),
                Column("high", pl.Float64, "Upper end of the 95% interval."),
                Column("n", pl.Int64, "Number of rows that it was computed from."),
                Column("reference", pl.Float64, "The same metric on gold data."),
                Column("passed", pl.Boolean, "Whether it passed its gate; null without a gate."),
            ),
        ),
    )
}

STEPS: Final = tuple(REGISTRY)
"""All steps, in the order in which they run."""

ROW_STEPS: Final = tuple(step.name for step in REGISTRY.values() if step.recipe_key)
"""The steps that make rows: all but the report."""

UPSTREAM: Final[Mapping[str, tuple[str, ...]]] = {
    name: REGISTRY[name].upstream for name in ROW_STEPS
}
"""Step -> the steps whose tables it reads; without the report."""

RECIPE_STEP: Final[Mapping[str, str]] = {
    step.name: step.recipe_key for step in REGISTRY.values() if step.recipe_key
}
"""Step -> its key in recipes and under a task's `steps`."""

IDS: Final[Mapping[str, str]] = {
    step.name: step.id_column for step in REGISTRY.values() if step.id_column
}
"""Step -> the id column of its table."""

REFERENCES: Final[Mapping[str, tuple[Reference, ...]]] = {
    step.name: step.references for step in REGISTRY.values() if step.references
}
"""Step -> the columns of its table that point to upstream rows."""

_OTHER_TABLES: Final[Mapping[str, tuple[Column, ...]]] = {
    REJECTED: (
        Column("item_id", pl.String, "Content hash of the item."),
        Column("step", pl.String, "The step that requested it."),
        Column("slot", pl.Int64, "Place in the plan; null for items without one."),
        Column("reason", pl.String, "Why it was rejected, in one word."),
        Column("detail", pl.String, "Why it was rejected, in one sentence."),
        Column("text", pl.String, "The model's answer, or the row as JSON."),
        replace(_INTENDED, dtype=pl.String),
        replace(_ANNOTATED, dtype=pl.String),
        replace(_CORRECTED, dtype=pl.String),
        _READINGS,
        _REQUEST_IDS,
    ),
    REVIEWS: (
        _INSTANCE_ID,
        Column("content", pl.String, "Hash of the fields and the label that the person saw."),
        Column("right", pl.Boolean, "Whether the person found the label right."),
        Column("label", pl.String, "The label that the person gave instead; null if none."),
        Column("comment", pl.String, "The person's comment."),
        Column("seen_label", pl.String, "The label that the person saw."),
        Column("reviewer", pl.String, "Who reviewed the row."),
        Column("reviewed_at", pl.String, "When the verdict was first imported, UTC."),
    ),
    TARGETS: (
        Column("target_id", pl.String, "Content hash of the target."),
        Column("round", pl.Int64, "The round that makes or made its rows, from 1."),
        Column("made", pl.Boolean, "Whether the round was started."),
        Column("status", pl.String, "approved, or struck by the user."),
        Column("kind", pl.String, "The kind of gap, such as label_word."),
        Column("reason", pl.String, "Why the rows are wanted, in one sentence."),
        Column("count", pl.Int64, "Number of rows to write."),
        Column("label", pl.String, "Their label; null keeps that of the replaced row."),
        Column("way", pl.String, "How they get their label; null keeps that of the replaced row."),
        Column("difficulty", pl.String, "How hard they are; null keeps that of the replaced row."),
        Column("attributes", ATTRIBUTES, "Attribute values of their contexts."),
        Column("context", pl.String, "What they are about; null keeps the row's context."),
        Column("demand", pl.String, "What they are like otherwise, as a sentence of the prompt."),
        Column("field", pl.String, "The field that has the fault; null for the whole row."),
        Column("least_words", pl.Int64, "Shortest length of the field in words."),
        Column("most_words", pl.Int64, "Greatest length of the field in words."),
        Column("avoid_words", pl.List(pl.String), "Words that they must not contain."),
        Column("avoid_templates", pl.List(pl.String), "Patterns that they must not follow."),
        Column("avoid_names", pl.List(pl.String), "Names that they must not contain."),
        Column("avoid_openings", pl.List(pl.String), "Words that they must not begin with."),
        Column("edit", pl.String, "rename if code makes the rows; null if a model writes them."),
        Column("rewrite_seed", pl.Boolean, "Whether the fields of the seed are written again."),
        Column("metric", pl.String, "The metric that shows the gap."),
        Column("slice", pl.String, "The part of the rows that it was measured on."),
        Column("value", pl.Float64, "The metric's value in the report."),
        Column("low", pl.Float64, "Lower end of its 95% interval."),
        Column("high", pl.Float64, "Upper end of its 95% interval."),
        Column("bound", pl.Float64, "The value at which there is no gap."),
        Column("after", pl.Float64, "The value in the current report, if the round was made."),
        Column("row_ids", pl.List(pl.String), "The rows that show the gap and are replaced."),
        Column("source_ids", pl.List(pl.String), "The rows whose context and seed are used."),
        Column("report", pl.String, "Data version of the report that asked for the rows."),
    ),
    PLANTED: (
        _INSTANCE_ID,
        Column("planted_label", pl.String, "The wrong label that the corrector was shown."),
        replace(_CORRECTED, dtype=pl.String),
        _REQUEST_ID,
    ),
}

TABLES: Final[Mapping[str, tuple[Column, ...]]] = {
    **{step.name: step.columns for step in REGISTRY.values()},
    **_OTHER_TABLES,
}
"""Table -> its columns, for every table but the comparison."""

RESERVED: Final = frozenset(
    column.name
    for table in (INSTANCES, LABELS, CORRECTED_SET)
    for column in TABLES[table]
    if column is not _FIELDS
) | {"row", "proposed"}
"""Names that a task's field must not take: of columns, and of what prompts add to a row."""


def schema(table: str, fields: Mapping[str, str], answer_kind: str = "class") -> Schema:
    """Return column -> dtype of `table`.

    Args:
        table: a key of `TABLES`.
        fields: the task's fields, name -> type, in the task's order.
        answer_kind: kind of answer.
    """
    label = label_dtype(answer_kind)
    found: Schema = {}
    for column in TABLES[table]:
        match column.dtype:
            case TaskType.FIELDS:
                found |= {name: FIELD_DTYPES[kind] for name, kind in fields.items()}
            case TaskType.LABEL:
                found[column.name] = label
            case TaskType.LABELS:
                found[column.name] = pl.List(label)
            case dtype:
                found[column.name] = dtype
    return found


_BATCH: Final = 1 << 10
"""Rows converted to a frame at a time. Lists of strings take four times the memory at 16,000."""

_TRIM_EVERY: Final = 32
"""Batches after which the memory of their rows is given back."""


def frame(rows: Sequence[Mapping[str, Any]], columns: Schema) -> pl.DataFrame:
    """Return `rows` as a frame with exactly these columns; a missing value is null."""
    return drained(list(rows), columns)


def drained(rows: list[Any], columns: Schema) -> pl.DataFrame:
    """Return `rows` as `frame` does and empty the list, so that memory does not hold them twice."""
    parts = [pl.DataFrame(schema=columns)]
    while rows:
        batch = rows[-_BATCH:]
        del rows[-_BATCH:]
        values = [
            pl.Series(name, [row.get(name) for row in batch], dtype=dtype, strict=True)
            for name, dtype in columns.items()
        ]
        parts.append(pl.DataFrame(values))
        if len(parts) % _TRIM_EVERY == 0:
            trim()
    # In one piece, so that the files do not depend on the batches.
    return pl.concat(reversed(parts), rechunk=True)


NONE_SEED_KIND: Final = "none"
"""`kind` of the only row of a recipe without seeds."""

LABEL: Final = "label"
"""The attribute of a drawn context that holds its slot's label; prompts show labels elsewhere."""

DOMAIN: Final = "domain"
"""The wide field that a context belongs to; an attribute of every context of two levels."""

CONFUSABLE: Final = "confusable"
"""The vocabulary category that lists, for each label, the labels it is easily confused with."""

ASKED: Final = "(asked)"
"""The vocabulary category of calls that decided on terms without returning one. Draws skip these
rows; they keep the calls in lineage and costs."""

DIMENSIONS: Final = "dimensions"
"""What `ASKED` rows say of the call that named the categories themselves."""


def asked_about(category: str, turn: int) -> str:
    """Return the term of an `ASKED` row: the `turn`-th call about a category's terms."""
    return f"about {category}, turn {turn}"


def about(row: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return the category and label that the call of an `ASKED` row was about."""
    return row["term"].removeprefix("about ").rsplit(", turn ", 1)[0], row["label"]
