"""Prompts: templates rendered in a sandbox, data in one fenced block, JSON schemas for answers."""

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, Final, Literal

from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from targen.hashing import digest, iso_date

_ENVIRONMENT = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
)


def prompt_for(name: str, answer_kind: str) -> str:
    """Return the template for a kind of answer: some prompts have another one for `spans`."""
    own = name.replace(".md", "_spans.md")
    return own if answer_kind == "spans" and own in _OF_SPANS else name


_OF_SPANS: Final = frozenset(
    {
        "instances/label_constrained_spans.md",
        "labels/annotate_spans.md",
        "corrected_set/self_correct_spans.md",
    }
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
    """Return a template's text; settings hold nothing that changes from call to call.

    The setting `plain` is false by default.
    """
    return str(_template(name).render(**{"plain": False, **settings})).strip()


def fenced(block: Mapping[str, Any]) -> str:
    """Return data as one fenced JSON block that nothing inside can close.

    A backtick is written as its JSON escape, so text from a model cannot end the fence; each
    top-level key begins a line, so that a person can read it.
    """
    lines = ",\n".join(
        f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False, default=iso_date)}"
        for key, value in block.items()
    )
    return "```json\n{" + lines.replace("`", "\\u0060") + "}\n```"


Style = Literal["full", "plain"]
Messages = tuple[Mapping[str, str], ...]


def messages(
    template: str, block: Mapping[str, Any], style: Style = "full", **settings: Any
) -> Messages:
    """Return the two messages of every prompt: instructions, then data.

    What stays the same from call to call comes first, so that endpoints can cache it. If the
    task is not in English, one more sentence asks for its language.

    Args:
        template: name of the template.
        block: the data.
        style: `plain` renders the template's shorter text for small models, if it has one. The
            template gets it as the setting `plain`.
        settings: further settings of the template.
    """
    text = render(template, plain=style == "plain", **settings)
    language = block.get("task", {}).get("language")
    if language:
        text += f"\nWrite every text of your answer in {language}; keys and label names stay as is."
    return (
        {"role": "system", "content": text},
        {"role": "user", "content": fenced(block)},
    )


def data_first(prompt: Messages) -> Messages:
    """Return a prompt whose user message has the data first and the instructions last.

    The system message keeps the first paragraph only. Small models follow what they read last.
    """
    system, user = (message["content"] for message in prompt)
    role, _, order = system.partition("\n\n")
    return (
        {"role": "system", "content": role},
        {"role": "user", "content": f"{user}\n\n{order}".strip()},
    )


def instructions(prompt: Messages) -> str:
    """Return the text of a prompt without its data block, in either order."""
    texts = [re.sub(r"```json\n.*?\n```", "", m["content"], flags=re.DOTALL) for m in prompt]
    return "\n\n".join(text.strip() for text in texts).strip()


def object_schema(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of an object with exactly these properties, in strict form."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def entities_schema(types: Sequence[str]) -> dict[str, Any]:
    """Return the schema of a list of entities."""
    one = {"text": {"type": "string"}, "type": {"type": "string", "enum": list(types)}}
    return {"type": "array", "items": object_schema(one)}


def items_schema(properties: Mapping[str, Any], count: int) -> dict[str, Any]:
    """Return the schema of `{"items": [...]}` with `count` objects."""
    items = {
        "type": "array",
        "items": object_schema(properties),
        "minItems": count,
        "maxItems": count,
    }
    return object_schema({"items": items})


NULLABLE: Final = frozenset({"float", "boolean", "date"})
"""Types of fields that are null if they are optional and empty."""

_TYPES: Final = {"integer": "integer", "float": "number", "boolean": "boolean"}


def field_schema(
    kind: str, values: Sequence[str] | None = None, *, optional: bool = False
) -> dict[str, Any]:
    """Return the schema of one field by its type.

    `optional` allows null for a number, a boolean or a date, which cannot be empty otherwise.

    Strings have no `maxLength`. In strict mode OpenAI answers 400 ("maxLength is not permitted").
    llama.cpp turns it into a repetition of characters and refuses larger ones with "failed to
    parse grammar", which does not name the keyword, so that the whole schema would be given up.
    Lengths are bounded by the limit of output tokens and checked in the answer instead. So are the
    bounds of numbers and dates: a value that breaks them costs its own item, not the whole answer.
    """
    if values:
        return {"type": "string", "enum": list(values)}
    if kind == "texts":
        return {"type": "array", "items": {"type": "string"}}
    named = _TYPES.get(kind, "string")
    schema: dict[str, Any] = {"type": [named, "null"] if optional and kind in NULLABLE else named}
    return {**schema, "format": "date"} if kind == "date" else schema
