"""Reads a chat completion: the answer's text, why it ended, and what it cost."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from targen.llm.logprobs import mean_logprob
from targen.llm.sanitize import storable
from targen.redaction import redacted

_NAME_CHARACTERS = 200
_TOKENS_MOST = 10**9

INTERRUPTED = "interrupted"
"""The finish reason of an answer that the server itself broke off."""

_INTERRUPTIONS = re.compile(
    r"error|failed|abort(?:ed)?|cancell?ed|interrupted|network_error|time_?out"
    r"|insufficient_system_resource"
)
_CUT_OFF = re.compile(
    r"length|limit|incomplete|truncat(?:ed|ion)|(?:max|maximum)_.*|.*max_?(?:\w+_)?tokens?.*"
    r"|.*token_limit.*|model_length|.*context_(?:length|window).*|length_\w+|\w+_length"
)
_FILTERED = re.compile(
    r".*(?:content_?filter|safety|prohibited|recitation|block_?list|spii|invalid_prompt|guardrail"
    r"|moderation|sensitive|content_policy).*|refusal|blocked|filtered"
)
_STOPPED = re.compile(
    r"stop(?:_sequence|_token|_word|_reason|ped)?|end_?(?:_?of_?)?(?:turn|text|sequence|stream)?"
    r"|eos(?:_token)?|tool_?(?:calls?|use)|function_call|completed?|done|finish(?:ed)?|success"
    r"|normal|null|none"
)
_ANSWER_PARTS = ("text", "output_text", "input_text")
_OTHER_FIELDS = ("parsed", "reasoning_content", "reasoning")
"""Fields of a message that hold the answer where its content is empty."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A chat completion.

    Attributes:
        text: the answer, without reasoning that came in a separate field.
        finish: `stop`, `length` (cut off at its limit), `content_filter`, or another reason in the
            endpoint's own words, in lower case.
        refusal: why the model refused, in its words.
        prompt_tokens, completion_tokens: None if the endpoint did not count them credibly.
        cached_tokens: prompt tokens that the endpoint read from its prompt cache, part of
            `prompt_tokens`; None if it did not report them credibly.
        model, fingerprint, provider_id: what the endpoint calls them.
        logprob: mean log-probability of a token of the answer's texts; see `mean_logprob`.
    """

    text: str
    finish: str
    refusal: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    model: str = ""
    fingerprint: str | None = None
    provider_id: str | None = None
    logprob: float | None = None
    cached_tokens: int | None = None


def read_completion(data: Any, secret: bytes) -> Answer | None:
    """Return the answer in a reply's JSON, without the API key; None if it holds no completion."""
    choice = first_choice(data)
    if choice is None:
        return None
    finish = finish_of(choice)
    message = choice.get("message")
    if not isinstance(message, Mapping):
        message = choice.get("delta")
    if not isinstance(message, Mapping):
        if "text" not in choice and finish != "content_filter":
            return None
        message = {}
    text, refusal = _text_and_refusal(choice, message)
    usage = data.get("usage")
    prompt = count_of(usage, "prompt_tokens", "input_tokens")
    completion = count_of(usage, "completion_tokens", "output_tokens")
    if not completion and text:
        # A server that answers without a token has not counted.
        completion = None
        prompt = prompt or None
    return Answer(
        text=_safe(text, secret),
        finish=_safe(finish, secret),
        refusal=_safe(refusal, secret) if refusal else None,
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_tokens=_cached(data, prompt),
        model=_name(data.get("model"), secret) or "",
        fingerprint=_name(data.get("system_fingerprint"), secret),
        provider_id=_name(data.get("id"), secret),
        logprob=mean_logprob(choice.get("logprobs")),
    )


def first_choice(data: Any) -> Mapping[str, Any] | None:
    """Return the first choice of a completion, None if there is none."""
    choices = data.get("choices") if isinstance(data, Mapping) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, Mapping) else None


def finish_of(choice: Mapping[str, Any]) -> str:
    """Return why an answer ended, in the vocabulary of `Answer.finish` and `INTERRUPTED`."""
    reason = choice.get("finish_reason")
    if isinstance(reason, Mapping):
        reason = reason.get("type")
    if not isinstance(reason, str) or not reason.strip():
        return "stop"
    return _finish(reason[:100])


@lru_cache(maxsize=64)
def _finish(reason: str) -> str:
    # Enumerations come as "FinishReason.MAX_TOKENS" and "FINISH_REASON_MAX_TOKENS".
    word = re.sub(r"[\s-]+", "_", reason.strip().rpartition(".")[2])
    word = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", word).lower()
    word = word.removeprefix("finish_reason_").removeprefix("finish_reason:")
    if _INTERRUPTIONS.fullmatch(word):
        return INTERRUPTED
    if _FILTERED.fullmatch(word):
        return "content_filter"
    if _CUT_OFF.fullmatch(word):
        return "length"
    return "stop" if _STOPPED.fullmatch(word) else word[:32]


def text_of(content: Any) -> str:
    """Return the text of a message's `content`, without the parts that are reasoning.

    Content that is already parsed JSON becomes its JSON text.
    """
    if content is None or content == "":
        return ""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [content]
    listed = isinstance(content, list)
    if all(isinstance(part, str) or _is_part(part, listed) for part in parts):
        return "".join(part if isinstance(part, str) else _part_text(part) for part in parts)
    return json.dumps(content, ensure_ascii=False)


def _is_part(part: Any, listed: bool) -> bool:
    """Return whether a mapping is a part of a message rather than an answer already parsed."""
    if not isinstance(part, Mapping):
        return False
    kind = part.get("type")
    if kind is None:
        return listed and set(part) == {"text"} and isinstance(part["text"], str)
    if not isinstance(kind, str):
        return False
    known = kind in (*_ANSWER_PARTS, "json", "output_json", "refusal") or kind in part
    return (known or "think" in kind or "reason" in kind) and len(part) > 1


def _part_text(part: Mapping[str, Any]) -> str:
    kind = part.get("type", "text")
    if kind in _ANSWER_PARTS:
        text = part.get("text")
        text = text.get("value") if isinstance(text, Mapping) else text
        return text if isinstance(text, str) else ""
    if kind in ("json", "output_json"):
        value = part.get("json", part.get("content"))
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return ""


def _text_and_refusal(
    choice: Mapping[str, Any], message: Mapping[str, Any]
) -> tuple[str, str | None]:
    content = message.get("content")
    text = text_of(content)
    refusal = message.get("refusal")
    if not refusal and isinstance(content, list):
        said = [part.get("refusal") for part in content if isinstance(part, Mapping)]
        refusal = "".join(word for word in said if isinstance(word, str))
    if refusal and not isinstance(refusal, str):
        refusal = json.dumps(refusal, ensure_ascii=False)
    if not text.strip():
        text = _elsewhere(choice, message) or text
    return text, refusal or None


def _elsewhere(choice: Mapping[str, Any], message: Mapping[str, Any]) -> str | None:
    """Return the answer that came in another field than `content`."""
    legacy = choice.get("text")
    if isinstance(legacy, str) and legacy.strip():
        return legacy
    calls = message.get("tool_calls")
    call = calls[0] if isinstance(calls, list) and calls else None
    called = call.get("function") if isinstance(call, Mapping) else None
    for holder in (called, message.get("function_call")):
        if isinstance(holder, Mapping) and (found := _whole_object(holder.get("arguments"))):
            return found
    # Reasoning that was cut off is a draft, however whole it looks.
    names = ("parsed",) if finish_of(choice) == "length" else _OTHER_FIELDS
    for name in names:
        if found := _whole_object(message.get(name)):
            return found
    return None


def _whole_object(value: Any) -> str | None:
    """Return the JSON text of `value` if it is one object, as a mapping or as text."""
    if isinstance(value, Mapping):
        return json.dumps(value, ensure_ascii=False) if value else None
    if not isinstance(value, str) or not value.lstrip().startswith(("{", '"{')):
        return None
    try:
        found = json.loads(value, strict=False)
    except (ValueError, RecursionError):
        return None
    if isinstance(found, str):
        # Some gateways encode it twice.
        return _whole_object(found)
    return value if isinstance(found, dict) else None


def _safe(text: str, secret: bytes) -> str:
    return redacted(storable(text), secret)


def _name(value: Any, secret: bytes) -> str | None:
    if not isinstance(value, str) or not 0 < len(value) <= _NAME_CHARACTERS:
        return None
    return _safe(value, secret)


def count_of(usage: Any, *names: str) -> int | None:
    """Return a count of tokens, None if it is not given or cannot be one."""
    if not isinstance(usage, Mapping):
        return None
    for name in names:
        value = usage.get(name)
        if type(value) is int and 0 <= value <= _TOKENS_MOST:
            return value
    return None


def _cached(data: Mapping[str, Any], prompt: int | None) -> int | None:
    """Return the prompt tokens that were read from the endpoint's cache, None if unknown.

    OpenAI and most others report `usage.prompt_tokens_details.cached_tokens`, DeepSeek
    `prompt_cache_hit_tokens`, gateways to Anthropic's API `cache_read_input_tokens`, and
    llama.cpp's server `timings.cache_n`. A count above the prompt's is not one of its parts.
    """
    usage = data.get("usage")
    if prompt is None or not isinstance(usage, Mapping):
        return None
    found = (
        count_of(usage.get("prompt_tokens_details"), "cached_tokens"),
        count_of(usage.get("input_tokens_details"), "cached_tokens"),
        count_of(usage, "prompt_cache_hit_tokens"),
        count_of(usage, "cache_read_input_tokens"),
        count_of(data.get("timings"), "cache_n"),
    )
    return next((count for count in found if count is not None and count <= prompt), None)
