"""The wire format of the API: JSON request bodies, responses and error objects."""

import json
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

CREATED: Final = 1_767_225_600
"""Creation time of every object, 2026-01-01, so that equal requests get equal bytes."""


class ApiError(Exception):
    """A request that the API rejects; `content` is OpenAI's error object."""

    def __init__(
        self, message: str, *, status: int = 400, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        kind = "invalid_request_error"
        error = {"message": message, "type": kind, "param": param, "code": code}
        self.content: dict[str, Any] = {"error": error}


async def body_of(request: Request) -> dict[str, Any]:
    """Return the JSON object in a request's body.

    Raises:
        ApiError: the body is not a JSON object.
    """
    try:
        body = json.loads(await request.body())
    except ValueError as error:
        raise ApiError(f"The body is not valid JSON: {error}") from error
    if not isinstance(body, dict):
        raise ApiError("The body must be a JSON object.")
    return body


def render(content: dict[str, Any], status: int = 200) -> Response:
    """Return a JSON response."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return Response(text.encode("utf-8", "replace"), status, media_type="application/json")
