"""The registries of built-in operators and metrics, which tasks and recipes name."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, TypeVar, get_args

from pydantic import BaseModel, ConfigDict

from targen.steps import RECIPE_STEP
from targen.tasks.recipe import READERS, StepChoice
from targen.tasks.yamlfile import nearest


class Params(BaseModel):
    """Base class of operator parameters; rejects unknown parameters."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


Run = Callable[[Any, Any], Awaitable[Any]]
"""Takes a `StepInput` and the operator's parameters, returns a `StepResult`."""
AnyRun = TypeVar("AnyRun", bound=Run)


@dataclass(frozen=True)
class Operator:
    """A registered operator.

    Attributes:
        step: a key of `targen.steps.RECIPE_STEP`.
        name: unique in its step.
        params: the model of its parameters.
        run: the function.
        prompt: its template in `targen/prompts`; None if it makes no model calls.
        needs_labels: whether it requires a task with labels.
        reads: task keys or `TaskSpec` properties that it reads besides those of its step; part of
            the step digest.
        per_slot: for contexts: whether row i belongs to slot i only.
        contrast: for instances: whether each slot is a set with one row per label.
        code: the plug-in that it comes from (`plugin_kinds.Code`); None for a built-in operator.
    """

    step: str
    name: str
    params: type[Params]
    run: Run
    prompt: str | None
    needs_labels: bool
    reads: tuple[str, ...] = ()
    per_slot: bool = False
    contrast: bool = False
    code: Any = None

    @property
    def reader_fields(self) -> Mapping[str, Any]:
        """The parameters of each entry of its parameter `readers`; empty if it has none."""
        field = self.params.model_fields.get(READERS)
        (entry,) = get_args(field.annotation) if field else (Params,)
        return dict(entry.model_fields)


_OPERATORS: dict[str, dict[str, Operator]] = {step: {} for step in RECIPE_STEP}


def operator(
    step: str,
    name: str,
    params: type[Params] = Params,
    prompt: str | None = None,
    needs_labels: bool = False,
    reads: tuple[str, ...] = (),
    per_slot: bool = False,
    contrast: bool = False,
) -> Callable[[AnyRun], AnyRun]:
    """Register a function as the operator `name` of a step."""

    def register(run: AnyRun) -> AnyRun:
        _OPERATORS[step][name] = Operator(
            step, name, params, run, prompt, needs_labels, reads, per_slot, contrast
        )
        return run

    return register


_BUILT_IN: Final = ("targen.operators", "targen.quality.metrics")
"""Modules that register the built-in operators and metrics. They import this package, so they are
imported by name on first use."""

_METRICS: dict[str, Any] = {}


def register_metrics(metrics: Mapping[str, Any]) -> None:
    """Add metrics by name, for gates to refer to."""
    _METRICS.update(metrics)


def _load_built_in() -> None:
    for name in _BUILT_IN:
        import_module(name)


def operators(step: str) -> dict[str, Operator]:
    """Return the operators of a step by name."""
    _load_built_in()
    return _OPERATORS[step]


def metrics() -> Mapping[str, Any]:
    """Return the metrics by name."""
    _load_built_in()
    return _METRICS


def operator_of(choice: StepChoice, step: str, more: Iterable[str] = ()) -> Operator:
    """Return the operator of a choice.

    Args:
        choice: the choice; with the operator of a plug-in, if it names one.
        step: the step.
        more: names of further operators of the step, for suggestions.

    Raises:
        LookupError: the operator is unknown; the message suggests a name.
    """
    if choice.plugin is not None:
        plugin: Operator = choice.plugin
        return plugin
    known = operators(step)
    if choice.operator not in known:
        hint = nearest(choice.operator, {*known, *more})
        raise LookupError(f"unknown operator '{choice.operator}'; {hint}")
    return known[choice.operator]


def resolve(choice: StepChoice, step: str) -> tuple[Operator, BaseModel]:
    """Return the operator of a choice and its validated parameters.

    Raises:
        LookupError: the operator is unknown; the message suggests a name.
        pydantic.ValidationError: a parameter is invalid.
    """
    operator = operator_of(choice, step)
    return operator, operator.params.model_validate(choice.params)
