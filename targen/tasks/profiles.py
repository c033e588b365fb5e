"""Endpoint profiles: what a model needs in every request of the steps that use its endpoint.

A profile replaces the defaults of operators. What a recipe or a task sets for a step takes
precedence. The values become parameters of the steps, so that they are part of the step digests, of
the record of each table, and of every request's identity.
"""

from collections.abc import Collection, Mapping
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from targen.errors import TargenError
from targen.settings import parsed_sampling, variable
from targen.tasks.yamlfile import nearest

Style = Literal["full", "plain"]


class SamplingProfile(BaseModel):
    """Sampling parameters; those that are None are left to the operators."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    min_p: float | None = Field(default=None, ge=0, le=1)
    top_k: int | None = Field(default=None, ge=1)


class Profile(BaseModel):
    """What a model needs.

    Attributes:
        sampling: sent instead of the operators' defaults.
        reasoning_tokens: tokens that a thinking model may write before its answer, added to the
            output limit of every request.
        style: `plain` for small models: shorter instructions and one item a call.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sampling: SamplingProfile = SamplingProfile()
    reasoning_tokens: int | None = Field(default=None, ge=0)
    style: Style | None = None

    def added(self, own: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
        """Return the parameters of a step together with this profile's.

        Args:
            own: parameters that the recipe or the task sets; they take precedence.
            known: parameters that the operator has; others of the profile are left out.
        """
        # By name: an endpoint is a profile, and has parameters of its own, such as `model`.
        named = {"reasoning_tokens", "style"}
        mine: dict[str, Any] = self.model_dump(exclude_none=True, include=named)
        sampling = self.sampling.model_dump(exclude_none=True)
        if "extra" in known:
            extra = {name: sampling.pop(name) for name in ("min_p", "top_k") if name in sampling}
            if extra:
                mine["extra"] = extra | dict(own.get("extra") or {})
                own = {name: value for name, value in own.items() if name != "extra"}
        mine |= sampling
        return {**{name: value for name, value in mine.items() if name in known}, **own}


def of_settings(sampling: str | None, reasoning_tokens: int | None, style: str | None) -> Profile:
    """Return the profile of the default endpoint.

    Raises:
        TargenError: a name is unknown or a value is out of range.
    """
    name = variable("sampling")
    values = parsed_sampling(name, sampling or "")
    for one in values:
        if one not in SamplingProfile.model_fields:
            known = SamplingProfile.model_fields
            raise TargenError(f"{name}: unknown parameter {one!r}; {nearest(one, known)}.")
    if style is not None and style not in get_args(Style):
        raise TargenError(f"{variable('style')} must be full or plain, not {style!r}.")
    try:
        return Profile.model_validate(
            {"sampling": values, "reasoning_tokens": reasoning_tokens, "style": style}
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = name if first["loc"][0] == "sampling" else variable("reasoning_tokens")
        raise TargenError(
            f"{where}: {first['loc'][-1]}: {first['msg'].lower()}, not {first['input']!r}."
        ) from None
