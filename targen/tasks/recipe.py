"""Recipes: one operator and its parameters for each step of the method."""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, model_validator

NAME_PATTERN: Final = r"^[a-z0-9][a-z0-9_-]{0,62}$"
RECIPE_STEPS: Final = ("vocabularies", "contexts", "seeds", "instances", "labels", "correction")


class StepChoice(BaseModel):
    """The operator of one step and its parameters, as written; checked by `loading`."""

    model_config = ConfigDict(extra="allow", frozen=True)

    operator: str = "none"

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        return {"operator": value} if isinstance(value, str) else value

    @property
    def params(self) -> dict[str, Any]:
        """Everything but the operator's name."""
        return dict(self.model_extra or {})


class Steps(BaseModel):
    """The six choices that make a recipe."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    vocabularies: StepChoice = StepChoice()
    contexts: StepChoice = StepChoice()
    seeds: StepChoice = StepChoice()
    instances: StepChoice
    labels: StepChoice
    correction: StepChoice = StepChoice()


class Recipe(BaseModel):
    """A method: its name, where it was published, and its steps.

    Attributes:
        name: [a-z0-9][a-z0-9_-]{0,62}, unique among the recipes.
        title: for people.
        source: the paper and section that it follows.
        description: what it does and when to use it.
        steps: see `Steps`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=NAME_PATTERN)
    title: str
    source: str
    description: str = ""
    steps: Steps

    def choice(self, step: str) -> StepChoice:
        """Return the choice for one of `RECIPE_STEPS`."""
        chosen: StepChoice = getattr(self.steps, step)
        return chosen

    @property
    def endpoints(self) -> dict[str, str]:
        """Step of `RECIPE_STEPS` -> the endpoint that it names; without those that name none."""
        named = {step: self.choice(step).params.get("endpoint") for step in RECIPE_STEPS}
        return {step: str(name) for step, name in named.items() if name is not None}


class PartialSteps(BaseModel):
    """What a task says about steps: a parameter here, an operator there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    vocabularies: dict[str, Any] = Field(default_factory=dict)
    contexts: dict[str, Any] = Field(default_factory=dict)
    seeds: dict[str, Any] = Field(default_factory=dict)
    instances: dict[str, Any] = Field(default_factory=dict)
    labels: dict[str, Any] = Field(default_factory=dict)
    correction: dict[str, Any] = Field(default_factory=dict)


def with_overrides(recipe: Recipe, overrides: PartialSteps) -> Recipe:
    """Return the recipe with the task's own parameters laid over it.

    An override that names another operator starts from that operator's defaults.
    """
    steps = {}
    for step in RECIPE_STEPS:
        base, over = recipe.choice(step), dict(getattr(overrides, step))
        operator = over.pop("operator", base.operator)
        params = base.params if operator == base.operator else {}
        steps[step] = StepChoice(operator=operator, **(params | over))
    return recipe.model_copy(update={"steps": Steps(**steps)})
