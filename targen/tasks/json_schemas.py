"""JSON Schemas of task and recipe files, for completion and hints in editors."""

import inspect
import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

from targen.steps import RECIPE_STEP
from targen.tasks import sections
from targen.tasks.plugin_packages import installed
from targen.tasks.recipe import Recipe
from targen.tasks.registry import Operator, operators
from targen.tasks.sections import LANGUAGES
from targen.tasks.spec import TaskSpec
from targen.tasks.validators import VALIDATORS

Schema = dict[str, Any]
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def _description(model: type[BaseModel], name: str) -> str | None:
    """Return the text of a field; a field that is declared again keeps the text of its base."""
    for kind in model.__mro__:
        field = kind.model_fields.get(name) if issubclass(kind, BaseModel) else None
        if field is not None and field.description:
            return field.description
    return None


def _described(schema: Schema, model: type[BaseModel]) -> Schema:
    """Add descriptions of keys to a model's schema and remove generated titles."""
    by_key = {(f.alias or name): name for name, f in model.model_fields.items()}
    for key, part in schema.get("properties", {}).items():
        part.pop("title", None)
        text = part.pop("description", None) or _description(model, by_key.get(key, key))
        if text:
            part["description"] = " ".join(text.split())
    schema.pop("title", None)
    schema["description"] = inspect.cleandoc(model.__doc__ or "").splitlines()[0]
    return schema


def _model(model: type[BaseModel]) -> Schema:
    schema = model.model_json_schema(by_alias=True)
    parts = {
        kind.__name__: kind
        for kind in vars(sections).values()
        if inspect.isclass(kind) and issubclass(kind, BaseModel)
    }
    for name, part in schema.get("$defs", {}).items():
        if name in parts:
            _described(part, parts[name])
    return _described(schema, model)


def task_schema() -> Schema:
    """Return the JSON Schema of a file in the folder of tasks."""
    schema = _model(TaskSpec)
    required = schema.pop("required")
    for part in schema["$defs"].values():
        # A task that extends another may give only part of a section.
        part.pop("required", None)
    label = schema["$defs"]["Label"]
    schema["$defs"]["Label"] = {"anyOf": [{"type": "string"}, label]}
    sampler = schema["$defs"]["Sampler"]
    names = {"enum": sampler["properties"]["distribution"]["enum"]}
    schema["$defs"]["Sampler"] = {"anyOf": [names, sampler]}
    schema["$defs"]["Plugins"] = {"anyOf": [{"type": "string"}, schema["$defs"]["Plugins"]]}
    schema["$defs"]["PartialSteps"] = _object(
        {key: _any_operator(step) for step, key in RECIPE_STEP.items()}
    )
    schema["properties"]["language"]["enum"] = list(LANGUAGES)
    # Names of a folder of plug-ins are known to `targen validate` only.
    steps = schema["properties"]["steps"]
    named = {
        "validators": {"items": _validators()},
        "steps": {"$ref": steps.pop("$ref")},
    }
    steps["type"] = "object"
    own_code = {"required": ["plugins"]}
    return {
        "$schema": _DIALECT,
        "title": "A task of TarGEN on Dagster",
        **schema,
        "required": ["name"],
        "if": {"required": ["extends"]},
        "else": {"required": [key for key in required if key != "name"]},
        "allOf": [{"if": own_code, "else": {"properties": named}}],
    }


def _validators() -> Schema:
    """Return the schema of one entry of `validators`."""
    known = {**VALIDATORS, **installed().validators}
    return _object(
        {
            name: _object({role: {"type": "string"} for role in one.roles}, list(one.roles))
            for name, one in known.items()
        }
    )


def recipe_schema() -> Schema:
    """Return the JSON Schema of a file in the folder of recipes."""
    schema = _model(Recipe)
    schema.pop("$defs")
    steps = {key: _one_operator(step) for step, key in RECIPE_STEP.items()}
    schema["properties"]["steps"] = _object(steps, ["instances", "labels"])
    return {"$schema": _DIALECT, "title": "A recipe of TarGEN on Dagster", **schema}


def _operators(step: str) -> dict[str, Operator]:
    """Return the operators of a step by name, with those of installed packages."""
    found = {name: one for (of, name), one in installed().operators.items() if of == step}
    return {**operators(step), **found}


def _object(properties: Mapping[str, Any], required: list[str] | None = None) -> Schema:
    schema: Schema = {
        "type": "object",
        "properties": dict(properties),
        "additionalProperties": False,
    }
    return schema | ({"required": required} if required else {})


def _params(operator: Operator) -> Schema:
    """Return parameter -> schema of an operator."""
    schema = _described(operator.params.model_json_schema(), operator.params)
    properties: Schema = _inlined(schema.get("properties", {}), schema.get("$defs", {}))
    return properties


def _inlined(schema: Any, parts: Mapping[str, Any]) -> Any:
    """Return a schema with references to `parts` replaced by the parts, without their titles."""
    if isinstance(schema, list):
        return [_inlined(one, parts) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    if "$ref" in schema:
        part = parts[schema["$ref"].rsplit("/", 1)[-1]]
        return _inlined({name: value for name, value in part.items() if name != "title"}, parts)
    # A parameter may be named `title`.
    return {
        name: _inlined(value, parts)
        for name, value in schema.items()
        if name != "title" or not isinstance(value, str)
    }


def _summary(operator: Operator) -> str:
    return inspect.cleandoc(operator.run.__doc__ or "").splitlines()[0]


def _one_operator(step: str) -> Schema:
    """Return the schema of a recipe's step: an operator's name, alone or with parameters."""
    known = _operators(step).values()
    named = [{"const": operator.name, "description": _summary(operator)} for operator in known]
    with_params = [
        _object(
            {"operator": {"const": operator.name, "description": _summary(operator)}}
            | _params(operator),
            ["operator"],
        )
        for operator in known
    ]
    return {"anyOf": [*named, *with_params]}


def _any_operator(step: str) -> Schema:
    """Return the schema of a task's changes to a step; its operator may be in the recipe."""
    known_operators = _operators(step)
    properties: Schema = {"operator": {"enum": list(known_operators)}}
    for operator in known_operators.values():
        for name, part in _params(operator).items():
            bare = {key: value for key, value in part.items() if key != "default"}
            known = properties.setdefault(name, bare)
            if known != bare and bare not in known.get("anyOf", []):
                several = known["anyOf"] if set(known) == {"anyOf"} else [known]
                properties[name] = {"anyOf": [*several, bare]}
    return _object(properties)


def files() -> dict[str, str]:
    """Return file name -> text of both schemas."""
    schemas = {"task.schema.json": task_schema(), "recipe.schema.json": recipe_schema()}
    return {
        name: json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in schemas.items()
    }
