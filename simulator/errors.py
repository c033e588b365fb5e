"""Error rates of the simulator, answers of broken form, and the wire format of errors."""

import json
from dataclasses import dataclass, fields
from random import Random
from typing import Any, Final

from starlette.responses import Response


@dataclass(frozen=True, slots=True)
class ErrorRates:
    """Shares in [0, 1]; the defaults are those of the demonstration.

    Attributes:
        wrong_label: instances whose text has another label than the one asked for.
        malformed: answers that are cut off, wrapped in chat, or of wrong types.
        near_duplicate: seeds that repeat another seed of the same call except for one word.
        annotator: labels that the blind annotator gets wrong.
        corrector: labels that the corrector gets wrong.
    """

    wrong_label: float = 0.10
    malformed: float = 0.02
    near_duplicate: float = 0.03
    annotator: float = 0.05
    corrector: float = 0.05

    def __post_init__(self) -> None:
        for rate in fields(self):
            if not 0 <= getattr(self, rate.name) <= 1:
                raise ValueError(f"{rate.name} must be between 0 and 1")


NONE = ErrorRates(0, 0, 0, 0, 0)
"""No errors."""


def spoil(answer: str, rng: Random) -> tuple[str, str]:
    """Return an answer of broken form and its finish reason (`stop` or `length`)."""
    how = rng.randrange(4)
    if how == 0:
        return answer[: rng.randint(len(answer) // 3, len(answer) * 9 // 10)], "length"
    if how == 1:
        opening = rng.choice(
            ("Sure! Here is the JSON you asked for:", "Here you go:", "Of course.")
        )
        closing = rng.choice(("Let me know if you need more.", "I hope this helps!"))
        return f"{opening}\n\n```json\n{answer}\n```\n\n{closing}", "stop"
    if how == 2:
        # A list where a string is expected.
        return answer.replace('":"', '":["', 1).replace('","', '"],"', 1), "stop"
    return f"[{answer}, ]", "stop"


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
