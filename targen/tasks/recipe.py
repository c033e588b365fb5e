"""Recipes: one operator with its parameters for each step."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from targen.steps import RECIPE_STEP

NAME_PATTERN: Final = r"^[a-z0-9][a-z0-9_-]{0,62}$"
NAME_RULE: Final = "a task needs a name of lower-case letters, digits, `-` and `_`"


READERS: Final = "readers"
"""The parameter of a panel that lists its readers."""


class StepChoice(BaseModel):
    """The operator of one step and its parameters, not yet validated."""

    model_config = ConfigDict(extra="allow", frozen=True)

    operator: str = "none"
    _plugin: Any = PrivateAttr(default=None)

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"operator": value} if isinstance(value, str) else value

    @property
    def params(self) -> dict[str, Any]:
        """Everything except the operator's name."""
        return dict(self.model_extra or {})

    @property
    def plugin(self) -> Any:
        """The operator (`registry.Operator`) of a plug-in; None for a built-in operator."""
        return self._plugin

    def with_params(self, params: Mapping[str, Any]) -> "StepChoice":
        """Return the choice of the same operator with other parameters."""
        return StepChoice(operator=self.operator, **params).with_plugin(self._plugin)

    def with_plugin(self, plugin: Any) -> "StepChoice":
        """Return the choice with the operator of a plug-in."""
        copied = self.model_copy()
        copied._plugin = plugin
        return copied


class Steps(BaseModel):
    """The choices for the six steps of a recipe."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    vocabularies: StepChoice = StepChoice()
    contexts: StepChoice = StepChoice()
    seeds: StepChoice = StepChoice()
    instances: StepChoice
    labels: StepChoice
    correction: StepChoice = StepChoice()


class Recipe(BaseModel):
    """A method: its name, its source, and an operator for each step."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: str = Field(pattern=NAME_PATTERN)
    """[a-z0-9][a-z0-9_-]{0,62}, unique among recipes."""
    title: str
    """A title for display."""
    source: str
    """The paper and section that it follows."""
    description: str = ""
    """What it does and when to use it."""
    steps: Steps

    def choice(self, step: str) -> StepChoice:
        """Return the choice for a step."""
        chosen: StepChoice = getattr(self.steps, RECIPE_STEP[step])
        return chosen

    @property
    def endpoints(self) -> dict[str, str]:
        """Step -> endpoint, for steps that name one."""
        named = {step: self.choice(step).params.get("endpoint") for step in RECIPE_STEP}
        return {step: str(name) for step, name in named.items() if name is not None}

    def reader_endpoints(self, step: str) -> list[str | None]:
        """Return the endpoint of each reader of a step's panel; None is the step's own."""
        readers = self.choice(step).params.get(READERS)
        found = readers if isinstance(readers, list) else []
        return [one.get("endpoint") if isinstance(one, dict) else None for one in found]

    @property
    def named_endpoints(self) -> set[str]:
        """All endpoints that steps and readers name."""
        of_readers = {name for step in RECIPE_STEP for name in self.reader_endpoints(step)}
        return {*self.endpoints.values(), *(str(name) for name in of_readers if name is not None)}


class PartialSteps(BaseModel):
    """A task's changes to its recipe: parameters or operators of steps."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    vocabularies: dict[str, Any] = Field(default_factory=dict)
    contexts: dict[str, Any] = Field(default_factory=dict)
    seeds: dict[str, Any] = Field(default_factory=dict)
    instances: dict[str, Any] = Field(default_factory=dict)
    labels: dict[str, Any] = Field(default_factory=dict)
    correction: dict[str, Any] = Field(default_factory=dict)


def with_overrides(recipe: Recipe, overrides: PartialSteps) -> Recipe:
    """Return the recipe with a task's overrides.

    An override that names another operator starts from the defaults of that operator.
    """
    chosen = {}
    for step, key in RECIPE_STEP.items():
        base, over = recipe.choice(step), dict(getattr(overrides, key))
        operator = over.pop("operator", base.operator)
        params = base.params if operator == base.operator else {}
        chosen[key] = StepChoice(operator=operator, **(params | over))
    return recipe.model_copy(update={"steps": Steps(**chosen)})


def with_plugins(recipe: Recipe, operators: Mapping[tuple[str, str], Any]) -> Recipe:
    """Return the recipe with the operators of plug-ins that it names."""
    if not operators:
        return recipe
    chosen = {}
    for step, key in RECIPE_STEP.items():
        choice = recipe.choice(step)
        plugin = operators.get((step, choice.operator))
        chosen[key] = choice if plugin is None else choice.with_plugin(plugin)
    return recipe.model_copy(update={"steps": Steps(**chosen)})
