"""The inputs of a report, and the digest of what it reads from a task."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from targen.errors import TargenError
from targen.hashing import digest
from targen.steps import CORRECTED_SET, INSTANCES, LABELS, QUALITY_REPORT, SCHEMA_VERSION
from targen.tasks.answers import Kind
from targen.tasks.guards import code_fields
from targen.tasks.plugin_kinds import PluginMetric
from targen.tasks.plugin_use import identity_of
from targen.tasks.registry import resolve
from targen.tasks.sections import Gate
from targen.tasks.spec import TaskSpec

TEXT_TYPES = ("text", "texts")
"""Field types with free text. Fields of other types, such as numbers, are not tokenized."""

MOST_ROWS = 3000
"""Rows that the classifiers of a report are cross-validated on; larger sets are sampled."""

COMPLETIONS = {
    "request_id": pl.String,
    "model": pl.String,
    "prompt_tokens": pl.Int64,
    "completion_tokens": pl.Int64,
    "cached_tokens": pl.Int64,
    "cost_usd": pl.Float64,
    "simulated": pl.Boolean,
}
"""Columns of `ReportInputs.completions`; an unknown cost is null, and so are cached tokens (part of
the prompt tokens) that the endpoint did not report."""


@dataclass(frozen=True)
class Embedded:
    """Vectors of some rows of a frame.

    Attributes:
        vectors: (number of embedded rows, dimensions), of any length.
        rows: their row numbers in the frame, ascending.
    """

    vectors: npt.NDArray[np.float64]
    rows: npt.NDArray[np.int64]


@dataclass(frozen=True)
class ReportInputs:
    """The inputs of a report; only the first six are required.

    Attributes:
        task_name: the task's name, `[a-z0-9][a-z0-9_-]*`.
        title: heading of the page.
        description: one or two sentences on what the rows are.
        fields: field -> type (a key of `targen.columns.FIELD_DTYPES`), in display order.
        answer_kind: class, span, multi or none.
        tables: step -> its table. `corrected_set` is required, with one column per field and,
            unless `answer_kind` is none, `label`. Metrics on missing tables or columns are
            skipped with a reason.
        labels: the label set; empty for span and none.
        language: ISO 639-1 code of the rows. The word lists are in English.
        rejected: step -> rejected items, as `targen.steps.REJECTED`.
        completions: the completions that the tables were made from, as `COMPLETIONS`; None if
            unknown.
        planned: field -> the values that the plan balances (such as `question` of copa).
        values: the fields with numbers, dates, booleans and choices that the model or a sampler
            sets; not those that a validator or the plan fills in.
        entity_field: for `spans`, the field with the entities.
        ways: label -> the ways in which a row can get it, as the plan assigns them; '' is the key
            of those that belong to no label.
        options: the fields that hold the answer options in order (`label` is then the index of
            the field), or the one `texts` field that lists them (`label` is then one of its
            texts).
        pair_field: rows with the same value in this field are similar on purpose (such as
            `pair_id` of axg) and do not count as duplicates of each other.
        contrast: whether these rows are contrast sets, one row per label.
        code_fields: the fields with program code.
        rows_asked: number of requested rows; None if no number was requested.
        models: names of the models used.
        simulated: the rows were made by the simulator.
        gates: bounds for metrics.
        plugin_metrics: the metrics of plug-ins, measured after the built-in ones.
        reference: gold rows with the same field and label columns, or None.
        reference_name: their name on the page.
        embeddings: vectors of all rows or of a sample, or None.
        reference_embeddings: the same for `reference`.
        embedding_model: name of the embedding model.
        no_embeddings: why there are no embeddings.
        corrector_blind: the corrector did not see the intended label. Otherwise the noise
            estimate, which assumes this, is skipped.
        votes: greatest number of the annotator's votes per row.
        reviewed: the results of a human review for each stratum of the rows, as
            `targen.quality.review_strata.STRATA`. It overrides the noise estimate.
        planted_errors: rows that were corrected a second time under a known wrong label:
            `planted_label` and `corrected_label`.
        required: requirements on single rows: `instance_id`, `words` (list), and `least` and
            `most` (words of all text fields; null if unbounded).
        elsewhere: name -> gold rows of another task with the same columns, to measure utility
            out of distribution.
        versions: step -> data version of its table, to detect reports older than the tables.
        entity_model: name or path of a spaCy pipeline for named entities, or None.
        most_rows: maximum number of rows that classifiers are cross-validated on; larger sets are
            sampled. The other metrics use all rows, up to the limits in their own modules.
        data_docs: path or address of the expectations page to link to, or None.
        recipe: the recipe that made the rows, or None.
        file: the file that the rows come from: `name`, `rows`, `separated_by` (in words, or None),
            `columns` (field -> column of the file) and `empty` (field -> number of empty cells);
            None if steps made the rows.
    """

    task_name: str
    title: str
    description: str
    fields: Mapping[str, str]
    answer_kind: Kind
    tables: Mapping[str, pl.DataFrame]
    labels: tuple[str, ...] = ()
    language: str = "en"
    rejected: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    completions: pl.DataFrame | None = None
    planned: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    values: tuple[str, ...] = ()
    entity_field: str | None = None
    ways: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    pair_field: str | None = None
    contrast: bool = False
    code_fields: tuple[str, ...] = ()
    rows_asked: int | None = None
    models: tuple[str, ...] = ()
    simulated: bool = False
    gates: tuple[Gate, ...] = ()
    plugin_metrics: tuple[PluginMetric, ...] = ()
    reference: pl.DataFrame | None = None
    reference_name: str = "reference"
    embeddings: Embedded | None = None
    reference_embeddings: Embedded | None = None
    embedding_model: str | None = None
    no_embeddings: str = "no embeddings were given"
    corrector_blind: bool = True
    votes: int = 1
    reviewed: pl.DataFrame | None = None
    planted_errors: pl.DataFrame | None = None
    required: pl.DataFrame | None = None
    elsewhere: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    entity_model: str | None = None
    most_rows: int = MOST_ROWS
    data_docs: str | None = None
    recipe: str | None = None
    file: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Check that the rows and the reference have the declared columns.

        Raises:
            TargenError: a column is missing.
        """
        if CORRECTED_SET not in self.tables:
            raise TargenError(f"The report of {self.task_name} needs the table corrected_set.")
        required = [*self.fields, *(["label"] if self.answer_kind != "none" else [])]
        for name, frame in (("rows", self.rows), (self.reference_name, self.reference)):
            missing = [] if frame is None else [c for c in required if c not in frame.columns]
            if frame is not None and missing:
                raise TargenError(
                    f"The {name} of {self.task_name} lack the column {missing[0]}. They have: "
                    f"{', '.join(frame.columns)}. Map your columns to the task's fields."
                )

    @property
    def rows(self) -> pl.DataFrame:
        """The rows that the report describes."""
        return self.tables[CORRECTED_SET]

    @property
    def own_texts(self) -> bool:
        """Whether the texts are the user's own: of a file, or of instances without a request."""
        made = self.tables.get(INSTANCES)
        if made is None or "request_id" not in made.columns:
            return self.file is not None
        return made["request_id"].null_count() == made.height > 0

    @property
    def text_fields(self) -> list[str]:
        """Names of the fields with free text, in order."""
        return [name for name, kind in self.fields.items() if kind in TEXT_TYPES]


def task_inputs(spec: TaskSpec) -> dict[str, Any]:
    """Return the arguments of `ReportInputs` that are read from the task."""
    answer = spec.answer
    _, params = resolve(spec.recipe.choice(CORRECTED_SET), CORRECTED_SET)
    _, annotation = resolve(spec.recipe.choice(LABELS), LABELS)
    values = tuple(
        name
        for name, one in spec.fields.items()
        if one.type not in TEXT_TYPES and not (one.derived or one.planned)
    )
    # Digests of tasks without such fields have no key for them.
    where = {"entity_field": answer.text} if answer.text else {}
    return (
        ({"values": values} if values else {})
        | where
        | {
            "task_name": spec.name,
            "title": spec.title,
            "description": spec.description,
            "fields": spec.field_types,
            "answer_kind": answer.kind,
            LABELS: tuple(spec.labels),
            "language": spec.language,
            "planned": {name: tuple(values) for name, values in spec.planned.items()},
            "ways": _ways(spec),
            "options": (answer.choices,) if answer.choices else tuple(answer.options),
            "pair_field": spec.pair_field,
            "contrast": spec.contrast,
            "code_fields": tuple(sorted(code_fields(spec))),
            "rows_asked": spec.wanted_rows,
            "votes": getattr(annotation, "votes", 1),
            "corrector_blind": not getattr(params, "shown", False),
            "gates": tuple(spec.gates),
            "plugin_metrics": spec.plugin_metrics,
        }
    )


def _ways(spec: TaskSpec) -> dict[str, tuple[str, ...]]:
    found = {name: tuple(label.ways) for name, label in spec.answer.labels.items() if label.ways}
    return {"": tuple(spec.answer.ways), **found} if spec.answer.ways else found


def for_task(spec: TaskSpec, tables: Mapping[str, pl.DataFrame], **others: Any) -> ReportInputs:
    """Return the inputs for a task's tables.

    Args:
        spec: the task.
        tables: step -> its table.
        others: other attributes of `ReportInputs`; they override `task_inputs`.

    Raises:
        TargenError: a column of the rows or of the reference is missing.
    """
    known = {"recipe": spec.recipe.name, **task_inputs(spec)}
    return ReportInputs(tables=tables, **(known | others))


def report_digest(spec: TaskSpec, verdicts: str | None = None) -> str:
    """Return the sha256 of everything that the report reads besides its tables.

    Args:
        spec: the task.
        verdicts: identity of the human verdicts; None without any.
    """
    from targen.tasks import references  # noqa: PLC0415 - not when loading

    read = task_inputs(spec)
    # Stored digests use these two names.
    read |= {"name": read.pop("task_name"), "rows": read.pop("rows_asked")}
    del read["plugin_metrics"]
    if plugins := identity_of(QUALITY_REPORT, spec):
        read["plugins"] = plugins
    read["gates"] = [gate.model_dump(mode="json") for gate in spec.gates]
    read["references"] = references.identity(spec)
    step = {"step": QUALITY_REPORT, "schema_version": SCHEMA_VERSION}
    return digest({**step, "verdicts": verdicts, **read})
