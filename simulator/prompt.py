"""Reads a request: the data block, the answer's schema, and a hash of both."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from random import Random
from typing import Any, Final

from targen.hashing import rng

_DECODER: Final = json.JSONDecoder()
_FENCE: Final = re.compile(r"```(?:json)?\s*(?=\{)")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request as the simulator sees it.

    Attributes:
        block: the prompt's data block; empty if it has none.
        schema: the JSON schema of the answer, from the request or the prompt's text; may be empty.
        text: all messages, joined.
        key: hash of messages, schema and seed; the seed of everything random in the answer.
    """

    block: Mapping[str, Any]
    schema: Mapping[str, Any]
    text: str
    key: bytes

    def random(self, purpose: str) -> Random:
        """Return this request's random numbers for one purpose."""
        return rng(self.key.hex(), purpose)


def read(
    messages: Sequence[Mapping[str, Any]], response_format: Mapping[str, Any] | None, seed: int
) -> Prompt:
    """Read a request; any text is accepted."""
    text = "\n\n".join(_content(message.get("content")) for message in messages)
    schema = ((response_format or {}).get("json_schema") or {}).get("schema")
    key = sha256(text.encode("utf-8", "surrogatepass"))
    key.update(json.dumps(schema, sort_keys=True).encode() + b"\x1d%d" % seed)
    block, end = _block(text)
    if not isinstance(schema, dict):
        schema = _written_schema(text, end)
    return Prompt(block, schema, text, key.digest())


def _content(content: object) -> str:
    """Return the text of a message, which is a string or a list of typed parts."""
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _block(text: str) -> tuple[dict[str, Any], int]:
    """Return the first fenced object with a task or examples, and where it ends."""
    for fence in _FENCE.finditer(text):
        try:
            found, end = _DECODER.raw_decode(text, fence.end())
        except ValueError:
            continue
        if isinstance(found, dict):
            found = _with_task(found)
            if isinstance(found.get("task"), dict):
                return found, end
    return {}, 0


def _with_task(block: dict[str, Any]) -> dict[str, Any]:
    """Return a block without a task with the fields of its first example as the task's."""
    examples = block.get("examples")
    first = examples[0] if isinstance(examples, list) and examples else None
    if "task" in block or not isinstance(first, dict):
        return block
    made = {**block, "task": {"fields": {n: "" for n in first if n not in ("label", "answer")}}}
    if isinstance(block.get("labels"), list):
        made["labels"] = {str(name): "" for name in block["labels"]}
    return made


def _written_schema(text: str, start: int) -> dict[str, Any]:
    """Return the first object schema in the text after the data block."""
    while (start := text.find("{", start)) >= 0:
        try:
            found, end = _DECODER.raw_decode(text, start)
        except ValueError:
            start += 1
            continue
        if isinstance(found, dict) and isinstance(found.get("properties"), dict):
            return found
        start = end
    return {}
