"""Assembles the events of a streamed chat completion into one completion."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from targen.llm.completion import first_choice, text_of

_FIELDS = ("data:", "event:", "id:", "retry:", ":")
_TEXTS = ("refusal", "reasoning_content", "reasoning")


def is_stream(content: bytes) -> bool:
    """Return whether a body is a stream of server-sent events, whatever its content type says."""
    if content.startswith(b"{"):
        return False
    start = content[:200].removeprefix(b"\xef\xbb\xbf").lstrip()
    return start.startswith(tuple(field.encode() for field in _FIELDS))


def assembled(text: str) -> dict[str, Any] | None:
    """Return the completion that a stream of events amounts to; None if the stream was cut off.

    An event that reports an error ends the stream: it is returned as it is. A server that sends
    one whole completion, as an event or after comments, is understood as well.
    """
    completion = _Completion()
    for data in _events(text):
        if data is None:
            return completion.made()
        choice = first_choice(data) or {}
        if data.get("error") or choice.get("error") or _is_error(data):
            return data
        if isinstance(choice.get("message"), Mapping) and "delta" not in choice:
            return data
        completion.add(data, choice)
    return completion.made() if completion.finished else None


def _is_error(data: Mapping[str, Any]) -> bool:
    kinds = (data.get("object"), data.get("type"))
    return "error" in kinds or ("detail" in data and "choices" not in data)


def _events(text: str) -> Iterator[dict[str, Any] | None]:
    """Yield the JSON of each event, None for the end. Many servers put no empty line between."""
    waiting: list[str] = []
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    for line in [*text.split("\n"), ""]:
        if line.startswith("data:"):
            data = line[5:].strip()
            if data == "[DONE]":
                yield None
            elif found := _decoded(data):
                waiting.clear()
                yield found
            else:
                waiting.append(data)
        elif line.startswith(_FIELDS):
            continue
        elif line.strip():
            # A body in plain JSON behind comments that kept the connection alive.
            if found := _decoded(line):
                yield found
            else:
                waiting.append(line)
        elif waiting:
            if found := _decoded("\n".join(waiting)):
                yield found
            waiting.clear()


def _decoded(text: str) -> dict[str, Any] | None:
    # An incomplete line is told by its end: it is not decoded twice.
    if not (text.startswith("{") and text.endswith("}")):
        return None
    try:
        found = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


class _Completion:
    """What has come of a stream so far."""

    def __init__(self) -> None:
        self.finished = False
        self._begun = False
        self._top: dict[str, Any] = {}
        self._texts: dict[str, list[str]] = {}
        self._arguments: dict[Any, list[str]] = {}
        self._logprobs: list[Any] = []
        self._finish: Any = None

    def add(self, data: Mapping[str, Any], choice: Mapping[str, Any]) -> None:
        """Add one event and its first choice."""
        for name in ("id", "model", "system_fingerprint", "usage", "timings"):
            if data.get(name) is not None:
                self._top[name] = data[name]
        if not choice or choice.get("index") not in (0, None):
            return
        self._begun = True
        if choice.get("finish_reason"):
            self._finish = choice["finish_reason"]
            self.finished = True
        logprobs = choice.get("logprobs")
        if isinstance(logprobs, Mapping) and isinstance(logprobs.get("content"), list):
            self._logprobs += logprobs["content"]
        delta = choice.get("delta")
        if not isinstance(delta, Mapping):
            delta = {"content": choice.get("text")}
        self._add_text("content", text_of(delta.get("content")))
        for name in _TEXTS:
            self._add_text(name, delta.get(name))
        calls = delta.get("tool_calls")
        for place, call in enumerate(calls if isinstance(calls, list) else []):
            if isinstance(call, Mapping):
                index = call.get("index", place)
                self._add_call(index if isinstance(index, int) else place, call.get("function"))
        self._add_call("function_call", delta.get("function_call"))

    def _add_text(self, name: str, text: Any) -> None:
        if isinstance(text, str) and text:
            self._texts.setdefault(name, []).append(text)

    def _add_call(self, index: int | str, called: Any) -> None:
        arguments = called.get("arguments") if isinstance(called, Mapping) else None
        if isinstance(arguments, Mapping):
            arguments = json.dumps(arguments, ensure_ascii=False)
        if isinstance(arguments, str):
            self._arguments.setdefault(index, []).append(arguments)

    def made(self) -> dict[str, Any] | None:
        """Return the completion as if it had come in one piece, None if there is none."""
        if not self._begun:
            return None
        message: dict[str, Any] = {name: "".join(parts) for name, parts in self._texts.items()}
        arguments = {index: "".join(parts) for index, parts in self._arguments.items()}
        if "function_call" in arguments:
            message["function_call"] = {"arguments": arguments.pop("function_call")}
        if arguments:
            first = min(arguments)
            message["tool_calls"] = [{"function": {"arguments": arguments[first]}}]
        choice: dict[str, Any] = {"message": message, "finish_reason": self._finish}
        if self._logprobs:
            choice["logprobs"] = {"content": self._logprobs}
        return {**self._top, "choices": [choice]}
