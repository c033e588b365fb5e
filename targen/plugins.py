"""What plug-ins import: decorators, the types of their functions, and helpers for operators.

See docs/plugins.md.
"""

from collections.abc import Awaitable, Iterable, Mapping
from typing import Any, Protocol, TypeVar

from targen.hashing import rng, short_id
from targen.lineage import ids
from targen.llm.types import Request
from targen.operators.base import LLMParams, StepInput, StepResult
from targen.quality.collector import Measure
from targen.quality.inputs import ReportInputs
from targen.tasks.guards import Written
from targen.tasks.plugin_declaring import guard, metric, operator, validator
from targen.tasks.registry import Params

__all__ = [
    "GuardFunction",
    "LLMParams",
    "Measure",
    "MetricFunction",
    "OperatorFunction",
    "Params",
    "ReportInputs",
    "Request",
    "StepInput",
    "StepResult",
    "ValidatorFunction",
    "Written",
    "guard",
    "ids",
    "metric",
    "operator",
    "rng",
    "short_id",
    "validator",
]

Params_contra = TypeVar("Params_contra", bound=Params, contravariant=True)


class OperatorFunction(Protocol[Params_contra]):
    """The function of an operator: makes the rows of one step."""

    def __call__(self, step: StepInput, params: Params_contra, /) -> Awaitable[StepResult]:
        """Return the rows, and the items that did not become rows with their reasons."""


class ValidatorFunction(Protocol):
    """The function of a validator: checks one row."""

    def __call__(self, row: dict[str, Any], roles: Mapping[str, str], /) -> str | None:
        """Return the problem, or None; set the fields of the roles that the validator fills in.

        Args:
            row: field -> value, with what was planned for the row.
            roles: role -> name of the field or label; also `language` -> ISO 639-1 code.
        """


class GuardFunction(Protocol):
    """The function of a guard: checks one generated text."""

    def __call__(self, text: Written, /) -> str | None:
        """Return the problem, or None."""


class MetricFunction(Protocol):
    """The function of a metric: measures the finished rows."""

    def __call__(self, inputs: ReportInputs, /) -> Iterable[Measure]:
        """Return the figures, at most one per slice."""
