"""The identity of a request: what decides whether a stored completion answers it."""

from typing import Any

from targen.hashing import canonical, sha256_of
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
