"""What operators share: the parameters of those that ask a model, their input and their result."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl
from pydantic import Field, field_validator

from targen.llm.types import LLM, Sampling
from targen.tasks.registry import Params
from targen.tasks.spec import TaskSpec

_BESIDE: Final = {
    "model": "model",
    "temperature": "temperature",
    "top_p": "top_p",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "reasoning_effort": "reasoning_effort",
    "seed": "seed",
}
"""Parameter of an endpoint -> the parameter of `LLMParams` that sets it."""

_ENGINE: Final = ("messages", "response_format", "logprobs", "n", "stream", "stream_options")
"""What the engine alone decides: how it asks, and the form in which it reads answers."""


class LLMParams(Params):
    """Parameters of every operator that asks a model.

    Attributes:
        endpoint: one of the endpoints that TARGEN_ENDPOINTS_FILE defines; None is the default one.
        model: another model than the endpoint's own.
        temperature: None leaves it to the endpoint.
        top_p: None leaves it to the endpoint.
        max_output_tokens: the most that one answer may hold.
        reasoning_effort: passed on as it is; None leaves it to the endpoint.
        seed: what sample numbers count from; they go out as `seed`, so that another seed is
            another draw.
        extra: further parameters of the endpoint, passed on as they are; none that has a name
            here, and none that the engine sets.
    """

    endpoint: str | None = None
    model: str | None = None
    temperature: float | None = Field(default=1.0, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_output_tokens: int = Field(default=4096, ge=1)
    reasoning_effort: str | None = None
    seed: int = Field(default=0, ge=0)
    extra: dict[str, Any] = Field(default_factory=dict)

    @field_validator("extra")
    @classmethod
    def _nothing_twice(cls, extra: dict[str, Any]) -> dict[str, Any]:
        for name in extra:
            if name in _BESIDE:
                raise ValueError(f"write `{_BESIDE[name]}` beside `extra`, not `{name}` in it")
            if name in _ENGINE:
                raise ValueError(f"`{name}` is set by the engine: leave it out of `extra`")
        return extra

    def sampling(self) -> Sampling:
        """Return these as the engine takes them."""
        effort = {"reasoning_effort": self.reasoning_effort} if self.reasoning_effort else {}
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            max_output_tokens=self.max_output_tokens,
            extra=self.extra | effort,
        )


@dataclass(frozen=True)
class StepInput:
    """What an operator works from: the task, the tables before it, and a model.

    Attributes:
        spec: the task.
        tables: step -> its table, for the steps in the operator's upstream.
        llm: None for steps that ask no model.
    """

    spec: TaskSpec
    tables: Mapping[str, pl.DataFrame]
    llm: LLM | None = None

    @property
    def model(self) -> LLM:
        """The model; an operator that asks for it where there is none is a mistake of ours."""
        if self.llm is None:
            raise RuntimeError("this operator needs a model and was given none")
        return self.llm


@dataclass
class StepResult:
    """What an operator made.

    Attributes:
        rows: rows of the step's table, column -> value.
        rejected: rows of the `rejected` table; `step` and `item_id` are filled in by the runner.
        asked: how many items were asked for; None where the step asks for none.
            `len(rows) + len(rejected) == asked` where the step has one row an item.
        warnings: sentences for the log and the metadata.
        planted: rows of `tables.PLANTED`; None where no errors were planted.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    asked: int = 0
    warnings: list[str] = field(default_factory=list)
    planted: list[dict[str, Any]] | None = None
