"""What all routes of the embedded model share: how answers and errors look on the wire.

What a route does belongs to `app` and `batches`.
"""

import json
from typing import Any, Final

from starlette.responses import Response

CREATED: Final = 1_767_225_600
"""The time that every object bears, 2026-01-01: the same request gets the same bytes."""


class ApiError(Exception):
    """A request that cannot be served, with what OpenAI's error object says of it."""

    def __init__(
        self, message: str, *, status: int = 400, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.content: dict[str, Any] = {
            "error": {
                "message": message,
                "type": "invalid_request_error",
                "param": param,
                "code": code,
            }
        }


def render(content: dict[str, Any], status: int = 200) -> Response:
    """Return a JSON response."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return Response(text.encode("utf-8", "replace"), status, media_type="application/json")


def error_response(error: ApiError) -> Response:
    """Return the response of an error."""
    return render(error.content, error.status)
