"""The sections of a task file, and the languages of tasks."""

from datetime import date
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
    model_serializer,
    model_validator,
)

from targen.tasks.answers import Kind

ENGLISH: Final = "en"

LANGUAGES: Final = {
    ENGLISH: "English",
    "ar": "Arabic",
    "bg": "Bulgarian",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "es": "Spanish",
    "et": "Estonian",
    "fi": "Finnish",
    "fr": "French",
    "ga": "Irish",
    "hi": "Hindi",
    "hr": "Croatian",
    "hu": "Hungarian",
    "id": "Indonesian",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "lt": "Lithuanian",
    "lv": "Latvian",
    "mt": "Maltese",
    "nb": "Norwegian Bokmål",
    "nl": "Dutch",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sk": "Slovak",
    "sl": "Slovenian",
    "sv": "Swedish",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "vi": "Vietnamese",
    "zh": "Chinese",
}
"""ISO 639-1 code -> English name, as prompts write it."""


class Part(BaseModel):
    """Base class of task sections; rejects unknown keys."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )


Bound = Annotated[
    Any, WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "format": "date"}]})
]


class Sampler(Part):
    """How code draws the value of a field for each row."""

    distribution: Literal["uniform", "normal"] = "uniform"
    """uniform, or normal with `mean` and `sd`. Both stay within the bounds of the field; a normal
    value beyond a bound is set to the bound."""
    mean: float | None = Field(default=None, allow_inf_nan=False)
    """For normal: the mean."""
    sd: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """For normal: the standard deviation."""
    decimals: int = Field(default=2, ge=0, le=9)
    """For a float: number of decimals."""
    weights: dict[str, float] | None = None
    """For a choice or a boolean: value -> its weight; the values without one are not drawn."""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"distribution": value} if isinstance(value, str) else value


class TaskField(Part):
    """One column of an instance."""

    description: str = ""
    """What the field contains; part of the prompts."""
    type: Literal["text", "choice", "integer", "float", "boolean", "date", "texts"] = "text"
    """text, choice (one of `values`), integer, float, boolean (true or false), date (YYYY-MM-DD),
    or texts (a list)."""
    values: list[str] | None = None
    """The possible values of a choice."""
    planned: bool = False
    """For a choice: the plan assigns the values evenly, instead of the model."""
    derived: bool = False
    """Filled in by a validator instead of the model."""
    max_words: int | None = Field(default=None, ge=1)
    """Longer texts are rejected."""
    optional: bool = False
    """Allow an empty text (an instruction that needs no input)."""
    repeats: bool = False
    """Allow a text that equals another text of the row."""
    at_least: Bound = None
    """The lowest number, the first date, or the least number of texts."""
    at_most: Bound = None
    """The highest number, the last date, or the greatest number of texts."""
    sampler: Sampler | None = None
    """Draws the value by code, for each row, instead of asking the model for it."""

    @field_validator("at_least", "at_most", mode="before")
    @classmethod
    def _bound(cls, value: Any) -> Any:
        if isinstance(value, date):
            return value.isoformat()
        if value is None or (isinstance(value, int | float | str) and not isinstance(value, bool)):
            return value
        raise ValueError(f"expected a number or a date, found {value!r}")

    @model_serializer(mode="wrap")
    def _without_unset(self, handler: Any) -> dict[str, Any]:
        # Keys that came later are in no digest of a task that does not use them.
        later = ("at_least", "at_most", "sampler")
        dumped: dict[str, Any] = handler(self)
        return {k: value for k, value in dumped.items() if k not in later or value is not None}


class Label(Part):
    """One label of a class task."""

    constraint: str = Field(min_length=1)
    """How to write an instance of this label; only `instances` reads it."""
    definition: str = ""
    """What the label means, for annotators. Defaults to the constraint."""
    ways: list[str] = Field(default_factory=list)
    """Different ways in which an instance can get this label; the plan assigns them evenly."""
    absent: str = ""
    """For multi: how to write an instance that does not have this label."""

    @model_validator(mode="before")
    @classmethod
    def _from_constraint(cls, value: Any) -> Any:
        return {"constraint": value} if isinstance(value, str) else value


class Answer(Part):
    """The kind of answer and the labels."""

    kind: Kind = "class"
    """class, ordinal (labels in order, from the lowest), span (a text from the row), spans
    (entities in a text), multi (several labels) or none."""
    question: str = ""
    """The question that an annotator answers."""
    labels: dict[str, Label] = Field(default_factory=dict)
    """For class, ordinal, multi and spans: label -> how to write it and what it means."""
    at_least: int = Field(default=0, ge=0)
    """For multi and spans: the minimum number of labels that the plan assigns to a row."""
    at_most: int = Field(default=3, ge=1)
    """For multi and spans: the maximum number of labels that the plan assigns to a row."""
    choices: str | None = None
    """For span: the field that lists the texts to choose from."""
    options: list[str] = Field(default_factory=list)
    """For class: the fields that hold the alternatives, one each, if the labels number them from 0
    (copa). The report checks the position of the answer."""
    constraint: str = ""
    """For span: how to write an instance with a given answer."""
    text: str | None = None
    """For spans: the field with the text in which the entities are. The labels are their types."""
    ways: list[str] = Field(default_factory=list)
    """For span: different ways to write an instance; the plan assigns them evenly."""

    @model_serializer(mode="wrap")
    def _without_unset(self, handler: Any) -> dict[str, Any]:
        # A key that came later is in no digest of a task that does not use it.
        dumped: dict[str, Any] = handler(self)
        return {k: value for k, value in dumped.items() if k != "text" or value is not None}


OFF: Final = "off"

Switch = Literal["on", "off"]


class Guards(Part):
    """Checks of the content of generated texts; each can be set to `off`."""

    echo_words: int | Literal["off"] = 7
    """At least 4. A text with this many words in a row from the prompt is rejected (`echo`)."""
    echo_similarity: float | Literal["off"] = 0.7
    """From 0 to 1. A sentence with a higher similarity (ROUGE-L F) to a sentence of the prompt, or
    a text with a higher similarity to a text of a shown example, is rejected (`echo`)."""
    meta: Switch = "on"
    """Reject texts that talk about the task, name the label, or contain placeholders or markup."""
    loop: float | Literal["off"] = 0.3
    """From 0 to 1. A text in which more than this share of the runs of four words are repeats is
    rejected, as is a sentence that comes twice."""
    refusal: Switch = "on"
    """Reject texts that begin with a refusal of the model."""
    language: Switch = "on"
    """Reject texts in another language than the task's."""
    unfinished: Switch = "on"
    """Reject texts that stop in the middle of a sentence."""

    @field_validator("echo_words")
    @classmethod
    def _enough_words(cls, value: int | str) -> int | str:
        if isinstance(value, int) and value < 4:
            raise ValueError("give at least 4, or off")
        return value

    @field_validator("echo_similarity", "loop")
    @classmethod
    def _is_share(cls, value: float | str) -> float | str:
        if not isinstance(value, str) and not 0 < value <= 1:
            raise ValueError("give a share above 0 and up to 1, or off")
        return value


class Attribute(Part):
    """A named property of a context: one of `values`, or free text."""

    description: str = ""
    values: list[str] | None = None


class Vocabulary(Part):
    """A list of terms for contexts: given here, read from a file, or requested from the model."""

    what: str = ""
    """What the terms are, for the prompt."""
    terms: list[str] = Field(default_factory=list)
    """The terms themselves."""
    file: str | None = None
    """A file beside the task with one term per line; `#` begins a comment."""
    count: int = Field(default=40, ge=1)
    """Number of terms to request (per label if `per_label` is set)."""
    per_label: bool = False
    """Whether the operator `attribute_values` requests separate terms for each label."""
    requirement: str = ""
    """How a prompt words a drawn term as a requirement; `{}` is the term."""


class Contexts(Part):
    """What contexts are."""

    what: str = "domains or topics in which instances can be set"
    """Completes "a list of ..."."""
    attributes: dict[str, Attribute] = Field(default_factory=dict)
    """Properties that each context has besides its text."""


class SeedField(Part):
    """One part of a seed; a part with the name of a task's field becomes that field."""

    description: str
    type: Literal["text", "texts"] = "text"


class Seeds(Part):
    """What seeds are."""

    kind: Literal["sentence", "passage", "word", "tuple", "example"]
    """sentence, passage, word, tuple or example."""
    what: str
    """What to write, for the prompt."""
    fields: dict[str, SeedField]
    """Part -> description."""
    types: dict[str, list[str]] = Field(default_factory=dict)
    """Attribute -> values; the items of a page take the values in turn."""
    file: str | None = None
    """A file beside the task with the seeds, for the operator `file`: Parquet, JSON lines, CSV,
    TSV, or text with an empty line between seeds of one field."""


class Example(Part):
    """A human-made row: a format to follow, or a seed to grow from."""

    fields: dict[str, Any]
    """Field -> value; all fields except derived ones."""
    label: str | list[str] | None = None
    """The row's answer; none if the task has no labels."""


class Twin(Part):
    """Derives a second row from each row, by code; the task then consists of pairs."""

    swap: Literal["gender"]
    """How the second row is made; `gender` is the only way."""
    fields: list[str]
    """The texts that are swapped."""
    id_field: str
    """The derived integer field that holds the pair's number."""


Split = Literal["train", "validation", "test"]


class Plugins(Part):
    """Plug-ins that the task uses, besides those that other keys name."""

    folder: str | None = None
    """A folder beside the task with Python code; TARGEN_PLUGINS must allow it."""
    guards: list[str] = Field(default_factory=list)
    """Guards of plug-ins that check every generated text."""
    metrics: list[str] = Field(default_factory=list)
    """Metrics of plug-ins for the quality report; those of `gates` need no entry."""

    @model_validator(mode="before")
    @classmethod
    def _from_folder(cls, value: Any) -> Any:
        return {"folder": value} if isinstance(value, str) else value


class Release(Part):
    """How the finished rows are published: splits and license."""

    license: str = Field(default="unknown", pattern=r"^[a-z0-9][a-z0-9.+-]{0,63}$")
    """As Hugging Face writes it (cc-by-4.0, apache-2.0, other); unknown until chosen."""
    splits: dict[Split, float] = {"train": 0.8, "validation": 0.1, "test": 0.1}
    """Split -> share of the rows; the shares add up to 1."""

    @model_validator(mode="after")
    def _shares_add_up(self) -> "Release":
        shares = self.splits.values()
        if not all(0 < share <= 1 for share in shares) or abs(sum(shares) - 1) > 1e-9:
            raise ValueError(
                "the shares must be above 0 and add up to 1, for example 0.8, 0.1 and 0.1"
            )
        return self


class Gate(Part):
    """Bounds for a metric of the quality report."""

    metric: str
    """The metric's name, as in the report's table."""
    slice: str | None = None
    """The slice of the data, as in the table. By default: the value for all rows, else that of
    human review, else every slice."""
    at_least: float | None = Field(default=None, allow_inf_nan=False)
    """The lower bound, inclusive. Give it, `at_most` or both. Shares go from 0 to 1."""
    at_most: float | None = Field(default=None, allow_inf_nan=False)
    """The upper bound, inclusive. Give it, `at_least` or both. Shares go from 0 to 1."""
    severity: Literal["error", "warn"] = "error"
    """`error` blocks the release, `warn` only warns. A metric without a value fails."""


class HubDataset(Part):
    """A data set of the Hugging Face hub; needs the extra `datasets`."""

    dataset: str = Field(min_length=1)
    """Its name on the hub (super_glue)."""
    config: str | None = None
    """Its configuration, if it has several (rte)."""
    split: str = "validation"
    """The split to read."""
    revision: str | None = None
    """A commit or tag; the latest if unset."""


class ForeignRows(Part):
    """Human-made rows, for comparison with the task's rows."""

    file: str | None = None
    """A Parquet, JSON lines, CSV or TSV file beside the task."""
    hf: HubDataset | None = None
    """A data set of the Hugging Face hub, instead of a file."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Column of the file -> field of the task, or `label`; equal names need no entry."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Label of the file -> label of the task."""

    @model_validator(mode="after")
    def _one_source(self) -> "ForeignRows":
        if self.file is not None and self.hf is not None:
            raise ValueError("give `file` or `hf`, not both")
        return self


class Expectation(Part):
    """One expectation of Great Expectations on one table."""

    type: str
    """The name of the expectation, `expect_...`."""
    kwargs: dict[str, Any] = Field(default_factory=dict)
    """Its arguments, as in the library."""
    severity: Literal["error", "warn"] = "error"
    """`error` stops the steps downstream of the table, `warn` only warns."""
