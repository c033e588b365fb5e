"""Prompts: templates rendered in a sandbox, data in one fenced block, JSON schemas for answers."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from targen.hashing import digest

_ENVIRONMENT = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
)


@cache
def template_text(name: str) -> str:
    """Return the text of the template `name`, say `seeds/llm_per_context.md`."""
    return (resources.files("targen") / "prompts" / name).read_text(encoding="utf-8")


def template_digest(name: str) -> str:
    """Return the sha256 of a template: its version, for digests and audits."""
    return digest(template_text(name))


@cache
def _template(name: str) -> Any:
    return _ENVIRONMENT.from_string(template_text(name))


def render(name: str, **settings: Any) -> str:
    """Return a template's text; settings hold nothing that changes from call to call."""
    return str(_template(name).render(**settings)).strip()


def fenced(block: Mapping[str, Any]) -> str:
    """Return data as one fenced JSON block that nothing inside can close.

    A backtick is written as its JSON escape, so text from a model cannot end the fence; each
    top-level key begins a line, so that a person can read it.
    """
    lines = ",\n".join(
        f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}"
        for key, value in block.items()
    )
    return "```json\n{" + lines.replace("`", "\\u0060") + "}\n```"


def messages(
    template: str, block: Mapping[str, Any], **settings: Any
) -> tuple[Mapping[str, str], ...]:
    """Return the two messages of every prompt: instructions, then data.

    What stays the same from call to call comes first, so that endpoints can cache it. Where the
    task is not in English, one sentence more asks for its language.
    """
    text = render(template, **settings)
    language = block.get("task", {}).get("language")
    if language:
        text += f"\nWrite every text of your answer in {language}; keys and label names stay as is."
    return (
        {"role": "system", "content": text},
        {"role": "user", "content": f"The data:\n\n{fenced(block)}"},
    )


def object_schema(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of an object with exactly these properties, in strict form."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def items_schema(properties: Mapping[str, Any], count: int) -> dict[str, Any]:
    """Return the schema of `{"items": [...]}` with `count` objects."""
    items = {
        "type": "array",
        "items": object_schema(properties),
        "minItems": count,
        "maxItems": count,
    }
    return object_schema({"items": items})


def field_schema(kind: str, values: Sequence[str] | None = None) -> dict[str, Any]:
    """Return the schema of one field by its type."""
    if values:
        return {"type": "string", "enum": list(values)}
    if kind == "texts":
        return {"type": "array", "items": {"type": "string"}}
    return {"type": "integer" if kind == "integer" else "string"}
