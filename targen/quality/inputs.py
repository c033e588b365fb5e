"""What a report is computed from."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from targen.errors import TargenError
from targen.tasks.answers import Kind
from targen.tasks.sections import Gate

TEXT_TYPES = ("text", "texts")
"""Field types that hold free text; the others (choice, integer) are compared, never tokenised."""

COMPLETIONS = {
    "request_id": pl.String,
    "model": pl.String,
    "prompt_tokens": pl.Int64,
    "completion_tokens": pl.Int64,
    "cost_usd": pl.Float64,
    "simulated": pl.Boolean,
}
"""Columns of `ReportInputs.completions`; a null cost is an unknown one."""


@dataclass(frozen=True)
class Embedded:
    """Vectors of some rows of a frame.

    Attributes:
        vectors: (number of rows chosen, dimensions), of any length.
        rows: their numbers in the frame, ascending.
    """

    vectors: npt.NDArray[np.float64]
    rows: npt.NDArray[np.int64]


@dataclass(frozen=True)
class ReportInputs:
    """Everything a report needs; only the first six must be given.

    Attributes:
        task_name: the task's name, `[a-z0-9][a-z0-9_-]*`.
        title: heading of the page.
        description: one or two sentences on what the rows are.
        fields: field -> type (text, texts, choice, integer), in the order to show them.
        answer_kind: class, span, multi or none.
        language: of the rows, as ISO 639-1 has it; word lists are English.
        tables: step -> its table. `corrected_set` must be there with one column per field and,
            unless `answer_kind` is none, `label`; the columns and tables that are missing
            make the metrics on them skipped, with a reason.
        labels: the label set; empty for span and none.
        rejected: step -> rejected items, as `targen.steps.REJECTED`.
        completions: the completions that the tables descend from, one row each, as
            `COMPLETIONS`; None where nothing is known of them.
        planned: field -> the values that the plan spreads evenly (say, `question` of copa).
        options: where the answer is one of several options: the fields that hold them in order
            (`label` is then the number of the field, from 0), or the one `texts` field that
            lists them (`label` is then one of its texts).
        pair_field: field whose equal values tie rows together that are alike on purpose (say,
            `pair_id` of axg); such rows are no duplicates of each other.
        rows_asked: how many rows were asked for; None where nobody asked.
        models: names of the models used, for the head of the page.
        simulated: the rows were made by the embedded demonstration model.
        gates: bounds that metrics must keep.
        reference: gold rows with the same field and label columns, or None.
        reference_name: how the page calls them.
        embeddings: vectors of rows, all of them or a sample; None where there are none.
        reference_embeddings: the same for `reference`.
        embedding_model: who made the vectors.
        no_embeddings: why there are none.
        corrector_blind: the corrector did not see the intended label; a noise estimate that
            leans on this is skipped where it did.
        reviewed: rows that people looked at: `instance_id`, `right` (bool) and `weight` (how
            many rows the row stands for); overrides the noise estimate.
        planted_errors: rows that went through correction a second time under a label known to
            be wrong: `planted_label` and `corrected_label`.
        required: what single rows were asked to hold: `instance_id`, `words` (list), and
            `least` and `most` (number of words of all text fields, null where unbounded).
        elsewhere: name -> gold rows of another task with the same columns, to measure utility
            out of distribution.
        versions: step -> data version of its table, so that it can be told later whether the
            report is older than the tables.
        entity_model: name or path of a spaCy pipeline that finds named entities; None without.
        data_docs: local path or address of the expectations' page, linked when given.
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
    options: tuple[str, ...] = ()
    pair_field: str | None = None
    rows_asked: int | None = None
    models: tuple[str, ...] = ()
    simulated: bool = False
    gates: tuple[Gate, ...] = ()
    reference: pl.DataFrame | None = None
    reference_name: str = "reference"
    embeddings: Embedded | None = None
    reference_embeddings: Embedded | None = None
    embedding_model: str | None = None
    no_embeddings: str = "no embeddings were given"
    corrector_blind: bool = True
    reviewed: pl.DataFrame | None = None
    planted_errors: pl.DataFrame | None = None
    required: pl.DataFrame | None = None
    elsewhere: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    entity_model: str | None = None
    data_docs: str | None = None

    def __post_init__(self) -> None:
        """Refuse rows that lack a declared column.

        Raises:
            TargenError: a field or the label is no column of the rows or the reference.
        """
        if "corrected_set" not in self.tables:
            raise TargenError(f"The report of {self.task_name} needs the table corrected_set.")
        wanted = [*self.fields, *(["label"] if self.answer_kind != "none" else [])]
        for name, frame in (("rows", self.rows), (self.reference_name, self.reference)):
            missing = [] if frame is None else [c for c in wanted if c not in frame.columns]
            if frame is not None and missing:
                raise TargenError(
                    f"The {name} of {self.task_name} lack the column {missing[0]}; there are: "
                    f"{', '.join(frame.columns)}. Map your columns to the task's fields."
                )

    @property
    def rows(self) -> pl.DataFrame:
        """The rows that the report is on."""
        return self.tables["corrected_set"]

    @property
    def text_fields(self) -> list[str]:
        """Names of the fields that hold free text, in order."""
        return [name for name, kind in self.fields.items() if kind in TEXT_TYPES]
