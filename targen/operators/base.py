"""Parameters, input and result of operators."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, overload

import polars as pl
from pydantic import Field, field_validator, model_validator

from targen.llm.types import LLM, Sampling
from targen.prompts.render import Style
from targen.tasks.registry import Params
from targen.tasks.spec import TaskSpec

_OWN_PARAMETER: Final = {
    "model": "model",
    "temperature": "temperature",
    "top_p": "top_p",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "reasoning_effort": "reasoning_effort",
    "seed": "seed",
}
"""Endpoint parameter -> the `LLMParams` parameter that sets it."""

_ITEMS: Final = ("per_call", "page")
"""Parameters that set the number of items per call."""

_SET_BY_ENGINE: Final = ("messages", "response_format", "logprobs", "n", "stream", "stream_options")
"""Endpoint parameters that only the engine sets."""


class LLMParams(Params):
    """Parameters of every operator that calls a model."""

    endpoint: str | None = None
    """an endpoint defined in TARGEN_ENDPOINTS_FILE; None is the default endpoint."""
    model: str | None = None
    """overrides the endpoint's model."""
    temperature: float | None = Field(default=1.0, ge=0, le=2)
    """None uses the endpoint's default."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """None uses the endpoint's default."""
    max_output_tokens: int = Field(default=4096, ge=1)
    """limit for one answer."""
    reasoning_tokens: int = Field(default=0, ge=0)
    """added to the limit, for a thinking model to write before its answer."""
    reasoning_effort: str | None = None
    """passed through unchanged; None uses the endpoint's default."""
    seed: int = Field(default=0, ge=0)
    """first sample number. Sample numbers are sent as `seed`, so another seed gives other
    answers."""
    style: Style = "full"
    """`plain` is for small models: one item per call, shorter instructions, and the data before the
    instructions."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """further endpoint parameters, passed through unchanged; must not contain the parameters above
    or those that the engine sets."""

    @model_validator(mode="before")
    @classmethod
    def _one_item(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("style") == "plain":
            return {**values, **{name: 1 for name in _ITEMS if name in cls.model_fields}}
        return values

    @field_validator("extra")
    @classmethod
    def _no_duplicates(cls, extra: dict[str, Any]) -> dict[str, Any]:
        for name in extra:
            if name in _OWN_PARAMETER:
                raise ValueError(
                    f"use the parameter `{_OWN_PARAMETER[name]}` instead of `extra: {name}`"
                )
            if name in _SET_BY_ENGINE:
                raise ValueError(f"the engine sets `{name}`; remove it from `extra`")
        return extra

    def sampling(self) -> Sampling:
        """Return the sampling parameters for the engine."""
        effort = {"reasoning_effort": self.reasoning_effort} if self.reasoning_effort else {}
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            max_output_tokens=self.max_output_tokens,
            extra=self.extra | effort,
            reasoning_tokens=self.reasoning_tokens,
        )


@dataclass(frozen=True)
class StepInput:
    """Input of an operator: the task, its upstream tables and a model.

    Attributes:
        spec: the task.
        tables: step -> table, for the upstream steps.
        llm: None for steps that call no model.
        readers: endpoint -> the model there, for the readers of a panel.
        reviews: verdicts of human reviewers, for the corrected set; None without a review.
    """

    spec: TaskSpec
    tables: Mapping[str, pl.DataFrame]
    llm: LLM | None = None
    readers: Mapping[str, LLM] = field(default_factory=dict)
    reviews: pl.DataFrame | None = None

    @property
    def model(self) -> LLM:
        """The model; raises RuntimeError if the step has none."""
        if self.llm is None:
            raise RuntimeError("this operator needs a model, but the step has none")
        return self.llm


class FrameRows(Sequence[dict[str, Any]]):
    """The rows of a frame as a sequence of dictionaries, which are made when they are used."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> "FrameRows": ...
    def __getitem__(self, index: int | slice) -> "dict[str, Any] | FrameRows":
        """Return a row, or some of the rows."""
        if isinstance(index, slice):
            return FrameRows(self._frame[index])
        return self._frame.row(index, named=True)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Return the rows in order."""
        return self._frame.iter_rows(named=True)

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._frame.height


@dataclass
class StepResult:
    """Output of an operator.

    Attributes:
        rows: rows of the step's table, column -> value.
        rejected: rows of the `rejected` table; `step` and `item_id` are filled in by the runner.
        asked: number of items requested.
            `len(rows) + len(rejected) == asked` if the step has one row per item.
        warnings: sentences for the log and the metadata.
        planted: rows of the `planted` table; None if no errors were planted.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    asked: int = 0
    warnings: list[str] = field(default_factory=list)
    planted: list[dict[str, Any]] | None = None
