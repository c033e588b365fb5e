"""What the run configuration of a run may change of a resource, and what only its settings can."""

import json
from collections.abc import Mapping
from typing import Any, Final

from dagster import Field, ResourceDefinition
from dagster._config.pythonic_config import ConfigurableResourceFactory

from resources.llm import LIMIT, LLMResource
from resources.tasks import TaskFolder
from targen.settings import description, parsed, variable

CHANGEABLE: Final[Mapping[type, Mapping[str, type]]] = {
    LLMResource: {
        "model": str,
        "mode": str,
        "concurrency": int,
        "requests_per_minute": int,
        "tokens_per_minute": int,
        "timeout_s": float,
        "patience_s": float,
        "limit_usd": float,
    },
    TaskFolder: {"rows": int, "sampling": str, "reasoning_tokens": int, "style": str},
}
"""Resource -> field -> type. Keys, addresses, budgets, prices, the store and folders are missing on
purpose: a user of the Launchpad, or a web page in that user's browser, must not change where
requests, keys and rows go, or what may be spent. `limit_usd` can only lower the budget."""


def restricted(resource: Any) -> Any:
    """Return a resource whose run configuration has the fields of `CHANGEABLE` and no others.

    A field that the run configuration leaves out keeps the resource's own value, which comes from
    the environment. The types are Dagster's plain ones, whose values cannot name a variable of the
    environment.

    Args:
        resource: a configured resource. Others, such as those of tests, are returned as they are.
    """
    if not isinstance(resource, ConfigurableResourceFactory):
        return resource
    whole: ResourceDefinition = resource.get_resource_definition()
    schema = whole.config_schema
    fixed = json.loads(schema.default_value_as_json_str) if schema.default_provided else {}
    fields = next((f for kind, f in CHANGEABLE.items() if isinstance(resource, kind)), {})

    def complete(given: Mapping[str, Any]) -> dict[str, Any]:
        return {**fixed, **{name: _checked(name, value) for name, value in given.items()}}

    shown = {name: _field(name, kind, fixed.get(name)) for name, kind in fields.items()}
    return whole.configured(complete, config_schema=shown, description=_about(resource))


def _field(name: str, kind: type, value: Any) -> Field:
    text = LIMIT if name == "limit_usd" else f"{description(name)} From {variable(name)}."
    default = {} if value is None else {"default_value": value}
    return Field(kind, is_required=False, description=text, **default)


def _checked(name: str, value: Any) -> Any:
    if name == "limit_usd":
        return parsed("budget_usd", str(value), name)
    return parsed(name, str(value), name)


def _about(resource: Any) -> str:
    text = (type(resource).__doc__ or "").strip()
    return f"{text} Its other settings come from the environment only; see docs/settings.md."
