"""The sections of a task file, one model each."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from targen.tasks.answers import Kind


class Part(BaseModel):
    """A section of a task: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class TaskField(Part):
    """One column of an instance.

    Attributes:
        description: what it holds; part of the prompts.
        type: text, choice (one of `values`), integer or texts (a list).
        values: the possible values of a choice.
        planned: a choice that the plan sets, evenly, instead of the model.
        derived: filled in by a validator, never asked of a model.
        max_words: longer texts are rejected.
        optional: an empty text is a value too (an instruction that needs no input).
    """

    description: str = ""
    type: Literal["text", "choice", "integer", "texts"] = "text"
    values: list[str] | None = None
    planned: bool = False
    derived: bool = False
    max_words: int | None = Field(default=None, ge=1)
    optional: bool = False


class Label(Part):
    """One label of a class task.

    Attributes:
        constraint: how to write an instance of this label; only `instances` reads it.
        definition: what the label means; annotators read it. Defaults to the constraint.
    """

    constraint: str = Field(min_length=1)
    definition: str = ""

    @model_validator(mode="before")
    @classmethod
    def _constraint_alone(cls, value: Any) -> Any:
        return {"constraint": value} if isinstance(value, str) else value


class Answer(Part):
    """What the label of a row is.

    Attributes:
        kind: class, span (a text from the row), multi (several labels) or none.
        question: what an annotator is asked.
        labels: label -> how to write it and what it means, for class and multi.
        at_least, at_most: for multi, how many labels a row is planned to have.
        choices: for span, the field that lists the texts to choose from.
        options: for class, the fields that hold the alternatives, one each, where the labels
            number them from 0 (copa); the report looks at where the answer stands.
        constraint: for span, how to write an instance with a given answer.
    """

    kind: Kind = "class"
    question: str = ""
    labels: dict[str, Label] = Field(default_factory=dict)
    at_least: int = Field(default=0, ge=0)
    at_most: int = Field(default=3, ge=1)
    choices: str | None = None
    options: list[str] = Field(default_factory=list)
    constraint: str = ""


class Attribute(Part):
    """A named property of a context, drawn or free."""

    description: str = ""
    values: list[str] | None = None


class Vocabulary(Part):
    """A list of terms that contexts draw from: given here, in a file, or asked of the model.

    Attributes:
        what: what counts as such a term, for the model that lists them.
        terms: the terms themselves.
        file: a file beside the task with a term a line; `#` begins a comment.
        count: how many terms are asked for (of each label where `per_label` is set).
        per_label: the operator `attribute_values` asks for other terms for each label.
        requirement: how a prompt words a drawn term as a requirement; `{}` is the term.
    """

    what: str = ""
    terms: list[str] = Field(default_factory=list)
    file: str | None = None
    count: int = Field(default=40, ge=1)
    per_label: bool = False
    requirement: str = ""


class Contexts(Part):
    """What a context is.

    Attributes:
        what: completes "a list of ...".
        attributes: properties that each context has besides its text.
    """

    what: str = "domains or topics in which instances can be set"
    attributes: dict[str, Attribute] = Field(default_factory=dict)


class SeedField(Part):
    """One part of a seed; a part named like a field of the task becomes that field."""

    description: str
    type: Literal["text", "texts"] = "text"


class Seeds(Part):
    """What an instance seed is.

    Attributes:
        kind: sentence, passage, word, tuple or example.
        what: what to write, for the prompt.
        fields: part -> description.
        types: attribute -> values; the items of a page take the values in turn.
        file: a file beside the task with the seeds, for the operator `file`: JSON lines, CSV, or
            text with an empty line between seeds of one field.
    """

    kind: Literal["sentence", "passage", "word", "tuple", "example"]
    what: str
    fields: dict[str, SeedField]
    types: dict[str, list[str]] = Field(default_factory=dict)
    file: str | None = None


class Example(Part):
    """One row made by people: a format to follow, or a seed task to grow from.

    Attributes:
        fields: field -> value, all but derived ones.
        label: as the task's answers are; None where they have none.
    """

    fields: dict[str, Any]
    label: str | list[str] | None = None


class Twin(Part):
    """A second row that code makes from the first: the unit of the task is the pair.

    Attributes:
        swap: how; `gender` is the only one.
        fields: the texts that are swapped.
        id_field: the derived integer field that holds the pair's number.
    """

    swap: Literal["gender"]
    fields: list[str]
    id_field: str


Split = Literal["train", "validation", "test"]


class Release(Part):
    """How the finished rows go out: in which parts, and under which licence.

    Attributes:
        license: as Hugging Face writes it (cc-by-4.0, apache-2.0, other); unknown until chosen.
        splits: split -> share of the rows; the shares add up to 1.
    """

    license: str = Field(default="unknown", pattern=r"^[a-z0-9][a-z0-9.+-]{0,63}$")
    splits: dict[Split, float] = {"train": 0.8, "validation": 0.1, "test": 0.1}

    @model_validator(mode="after")
    def _shares_add_up(self) -> "Release":
        shares = self.splits.values()
        if not all(0 < share <= 1 for share in shares) or abs(sum(shares) - 1) > 1e-9:
            raise ValueError("the shares must lie above 0 and add up to 1, as 0.8, 0.1 and 0.1 do")
        return self


class Gate(Part):
    """A bound that a metric of the quality report must keep.

    Attributes:
        metric: its name, as in the report's table.
        slice: what part of the data it is on, as in the table. Without it: the figure for all
            rows, else people's review, else every slice must keep the bounds.
        at_least, at_most: the bounds, both inclusive; one of them must be given. Shares go from
            0 to 1.
        severity: `error` blocks the release, `warn` only warns. A metric that could not be
            measured has not passed.
    """

    metric: str
    slice: str | None = None
    at_least: float | None = Field(default=None, allow_inf_nan=False)
    at_most: float | None = Field(default=None, allow_inf_nan=False)
    severity: Literal["error", "warn"] = "error"


class HubDataset(Part):
    """A data set of the Hugging Face hub; needs the extra `datasets`.

    Attributes:
        dataset: its name there (super_glue).
        config: its configuration, where it has several (rte).
        split: which part of it.
        revision: a commit or tag, so that it stays the same; the newest where unset.
    """

    dataset: str = Field(min_length=1)
    config: str | None = None
    split: str = "validation"
    revision: str | None = None


class ForeignRows(Part):
    """Rows that people made, to measure the task's own rows against.

    Attributes:
        file: a Parquet, JSON lines, CSV or TSV file beside the task.
        hf: a data set of the Hugging Face hub, instead of a file.
        columns: column of the file -> field of the task, or `label`; equal names need no entry.
        labels: label of the file -> label of the task.
    """

    file: str | None = None
    hf: HubDataset | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_source(self) -> "ForeignRows":
        if self.file is not None and self.hf is not None:
            raise ValueError("give `file` or `hf`, not both")
        return self


class Expectation(Part):
    """One expectation of Great Expectations on one table.

    Attributes:
        type: the name of an expectation that the library ships, `expect_...`.
        kwargs: its arguments, as the library has them.
        severity: `error` stops what is made from the table, `warn` only warns.
    """

    type: str
    kwargs: dict[str, Any] = Field(default_factory=dict)
    severity: Literal["error", "warn"] = "error"
