"""The embedded model on a port, counting what it is asked: `python -m tests.services.model PORT`.

GET /asked returns how many chat completions were answered, and how many different ones.
"""

import hashlib
import sys
from collections import Counter
from typing import Any

import uvicorn
from starlette.responses import JSONResponse

from targen.offline.app import create_app


class Counting:
    """The application, with a count of the bodies that it answered."""

    def __init__(self) -> None:
        self.app = create_app()
        self.bodies: Counter[str] = Counter()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] == "/asked":
            counts = {"calls": sum(self.bodies.values()), "different": len(self.bodies)}
            await JSONResponse(counts)(scope, receive, send)
            return
        parts: list[bytes] = []

        async def listen() -> Any:
            message = await receive()
            if message["type"] == "http.request":
                parts.append(message.get("body", b""))
                if not message.get("more_body") and scope["path"].endswith("/chat/completions"):
                    self.bodies[hashlib.sha256(b"".join(parts)).hexdigest()] += 1
            return message

        await self.app(scope, listen, send)


if __name__ == "__main__":
    uvicorn.run(Counting(), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
