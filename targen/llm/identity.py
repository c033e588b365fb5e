"""The identity of a request: what decides whether a stored completion answers it.

Here belong the one definition of `request_id` and the checksum of a stored completion. The id is
taken from what the caller asked, before anything is adapted to an endpoint, so that an endpoint's
quirks never split or merge completions.
"""

from collections.abc import Mapping
from typing import Any

from targen.hashing import canonical, sha256_of
from targen.llm.schema import COMPLETIONS
from targen.llm.types import Request

SCHEME = 1
"""Raised when the identity is made up otherwise; every older completion is then asked anew."""


def content(request: Request, model: str, endpoint: str) -> dict[str, Any]:
    """Return what the identity of `request` consists of, as JSON-like content."""
    sampling = request.sampling
    return {
        "scheme": SCHEME,
        "endpoint": endpoint,
        "model": request.model or model,
        "messages": [dict(message) for message in request.messages],
        "schema": request.schema,
        "schema_name": request.schema_name,
        "sampling": {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_output_tokens": sampling.max_output_tokens,
            "logprobs": sampling.logprobs,
            "extra": dict(sampling.extra),
        },
        "sample": request.sample,
        "edition": request.edition,
    }


def identify(request: Request, model: str, endpoint: str) -> tuple[str, bytes]:
    """Return the request's id (sha256, 64 hex digits) and the canonical bytes it is taken from."""
    text = canonical(content(request, model, endpoint)).encode("utf-8", "surrogatepass")
    return sha256_of(text), text


def checksum(row: Mapping[str, Any]) -> str:
    """Return the sha256 of a stored completion: of every column but the checksum itself.

    A value counts as the database gives it back, so that the same row has the same checksum
    before it is stored and after, in SQLite and in PostgreSQL.
    """
    parts = []
    for name, kind in _STORED:
        value = row[name]
        if value is None:
            parts.append(f"{name}:-")
        elif kind is bytes:
            parts.append(f"{name}:{sha256_of(value)}")
        else:
            parts.append(f"{name}:{kind(value)!a}")
    return sha256_of("\n".join(parts).encode())


_STORED = [(c.name, c.type.python_type) for c in COMPLETIONS.columns if c.name != "checksum"]
