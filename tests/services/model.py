"""The simulator on a port, counting what it is asked: `python -m tests.services.model PORT`.

GET /asked returns how many chat completions were answered, how many different ones, and how many
were refused. A second argument is a limit in calls a second, of which a bucket holds one second.
"""

import hashlib
import sys
import time
from collections import Counter
from typing import Any

import uvicorn
from starlette.responses import JSONResponse

from simulator.app import create_app


class Counting:
    """The application, with a count of the bodies that it answered."""

    def __init__(self, rate: float = float("inf")) -> None:
        self.app = create_app()
        self.bodies: Counter[str] = Counter()
        self.rate, self.room, self.filled_at = rate, rate, time.monotonic()
        self.refused = 0

    def _taken(self) -> bool:
        now = time.monotonic()
        self.room = min(self.rate, self.room + (now - self.filled_at) * self.rate)
        self.filled_at = now
        if self.room < 1:
            self.refused += 1
            return False
        self.room -= 1
        return True

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] == "/asked":
            counts = {"calls": sum(self.bodies.values()), "different": len(self.bodies)}
            await JSONResponse(counts | {"refused": self.refused})(scope, receive, send)
            return
        asked = scope["type"] == "http" and scope["path"].endswith("/chat/completions")
        if asked and self.rate < float("inf") and not self._taken():
            error = {"message": "Rate limit reached", "code": "rate_limit_exceeded"}
            await JSONResponse({"error": error}, 429)(scope, receive, send)
            return
        parts: list[bytes] = []

        async def listen() -> Any:
            message = await receive()
            if message["type"] == "http.request":
                parts.append(message.get("body", b""))
                if asked and not message.get("more_body"):
                    self.bodies[hashlib.sha256(b"".join(parts)).hexdigest()] += 1
            return message

        await self.app(scope, listen, send)


if __name__ == "__main__":
    limit = float(sys.argv[2]) if len(sys.argv) > 2 else float("inf")
    uvicorn.run(Counting(limit), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
