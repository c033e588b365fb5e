"""The body of a chat completion request, adapted to what an endpoint takes."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from targen.llm.types import Request

TOKEN_NAMES = ("max_tokens", "max_completion_tokens")

Format = Literal["json_schema", "json_object", "text"]


@dataclass(frozen=True, slots=True)
class Profile:
    """What a model accepts, learned from its refusals.

    Attributes:
        format: kind of structured output.
        bounds: whether the schema may contain minItems and maxItems.
        strict: whether strict mode may be asked for.
        token_name: name of the parameter that bounds the output.
        seed: whether a seed may be sent.
        temperature: whether a temperature may be sent; reasoning models take their own only.
        top_p: whether top_p may be sent.
        logprobs: whether log-probabilities may be asked for.
        system: whether a system message may be sent; else it goes ahead of the user's.
        most_output: the highest output limit that may be sent, in tokens; None is no limit.
    """

    format: Format = "json_schema"
    bounds: bool = True
    strict: bool = True
    token_name: str = "max_tokens"  # noqa: S105 (no password)
    seed: bool = True
    temperature: bool = True
    top_p: bool = True
    logprobs: bool = True
    system: bool = True
    most_output: int | None = None


def first_profile(base_url: str) -> Profile:
    """Return what is assumed before the endpoint has refused anything.

    OpenAI and Azure name the bound `max_completion_tokens`; other servers know `max_tokens` and
    may silently ignore the new name, which would leave the output without a bound.
    """
    own = re.search(r"//[^/]*(openai\.com|azure\.com)", base_url)
    return Profile(token_name="max_completion_tokens" if own else "max_tokens")


def body(request: Request, model: str, profile: Profile) -> dict[str, Any]:
    """Return the JSON body of `request` for `model`."""
    sampling = request.sampling
    made: dict[str, Any] = {
        "model": request.model or model,
        "messages": request.messages,
        profile.token_name: output_limit(request, profile),
        # Some gateways stream unless they are asked not to.
        "stream": False,
    }
    if sampling.temperature is not None and profile.temperature:
        made["temperature"] = sampling.temperature
    if sampling.top_p is not None and profile.top_p:
        made["top_p"] = sampling.top_p
    if sampling.logprobs and profile.logprobs:
        made["logprobs"] = True
    if profile.seed:
        made["seed"] = request.sample
    if profile.format == "json_schema":
        made["response_format"] = _response_format(request, profile)
    else:
        made["messages"] = _told(request)
        if profile.format == "json_object":
            made["response_format"] = {"type": "json_object"}
    if not profile.system:
        made["messages"] = alternating(made["messages"])
    made.update(sampling.extra)
    return made


def output_limit(request: Request, profile: Profile) -> int:
    """Return the output limit that is sent with `request`, in tokens."""
    wanted = request.sampling.output_bound
    return wanted if profile.most_output is None else min(wanted, profile.most_output)


def _response_format(request: Request, profile: Profile) -> dict[str, Any]:
    # Thousands of requests share one schema object; the key holds it, so that its id stays its own.
    key = (id(request.schema), request.schema_name, profile.bounds, profile.strict)
    known = _FORMATS.get(key)
    if known is not None and known[0] is request.schema:
        return known[1]
    schema = request.schema if profile.bounds else without_bounds(request.schema)
    made = {
        "type": "json_schema",
        "json_schema": {
            "name": request.schema_name,
            "schema": schema,
            "strict": profile.strict and strict_fits(schema),
        },
    }
    if len(_FORMATS) >= 256:
        _FORMATS.clear()
    _FORMATS[key] = (request.schema, made)
    return made


_FORMATS: dict[tuple[int, str, bool, bool], tuple[Mapping[str, Any], dict[str, Any]]] = {}


def _told(request: Request) -> list[Mapping[str, str]]:
    """Return the messages with the schema described at the end of the last user message."""
    words = (
        "\n\nAnswer with one JSON object and nothing else. It must fit this JSON schema:\n"
        + json.dumps(request.schema, ensure_ascii=False)
    )
    messages = [dict(message) for message in request.messages]
    for message in reversed(messages):
        if message["role"] == "user":
            message["content"] += words
            return [*messages]
    return [*messages, {"role": "user", "content": words.strip()}]


def alternating(messages: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """Return messages of user and assistant in turn; what a system message says goes first."""
    made: list[dict[str, str]] = []
    for message in messages:
        role = "assistant" if message["role"] == "assistant" else "user"
        if made and made[-1]["role"] == role:
            made[-1]["content"] += f"\n\n{message['content']}"
        else:
            made.append({"role": role, "content": message["content"]})
    return [*made]


def strict_fits(schema: Any) -> bool:
    """Return whether strict mode accepts `schema`: every object closed, every property required."""
    if not isinstance(schema, Mapping):
        return True
    properties = schema.get("properties")
    if schema.get("type") == "object" or properties is not None:
        closed = schema.get("additionalProperties") is False
        if not closed or set(schema.get("required", ())) != set(properties or ()):
            return False
    nested = [*(properties or {}).values(), schema.get("items")]
    return all(strict_fits(part) for part in nested)


def without_bounds(schema: Any) -> Any:
    """Return `schema` without minItems and maxItems; our own validation still checks them."""
    if isinstance(schema, Mapping):
        return {
            name: {key: without_bounds(part) for key, part in value.items()}
            if name == "properties"
            else without_bounds(value)
            for name, value in schema.items()
            if name not in ("minItems", "maxItems")
        }
    return schema
