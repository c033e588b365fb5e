"""A minimal HTTP server for chat completions: fast, and in a separate process.

It counts requests and can enforce limits, so that a benchmark's figures are measured independently.
`python -m bench.llm_server '{"delay": 0.05}'` prints its port; the options are the fields of
`Behavior`. `GET /stats` returns the counts as JSON.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from targen.hashing import rng

ANSWER = json.dumps({"items": [{"text": "An answer of some length, as a model would give it."}]})
BODY = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "bench",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": ANSWER},
            }
        ],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
    }
).encode()
REFUSAL = b'{"error": {"message": "Rate limit reached", "type": "requests", "code": "rate"}}'


@dataclass
class Behavior:
    """Behavior of the server.

    Attributes:
        delay: seconds until an answer.
        limit: kind of limit: none, bucket, window (one-second windows) or chance (random refusals,
            independent of the rate).
        share: share of refusals for `chance`.
        rates: [seconds since the first call, calls per second], in order.
        burst: size of the bucket.
        late: seconds until a refusal.
        headers: send x-ratelimit headers.
        retry_after: seconds in Retry-After.
        marks: keep the content of every answered question for `/stats`.
    """

    delay: float = 0.05
    limit: str = "none"
    rates: list[list[float]] = field(default_factory=lambda: [[0, 100]])
    burst: float = 100
    share: float = 0.3
    late: float = 0.0
    headers: bool = False
    retry_after: str = "1"
    marks: bool = False


class Server:
    """The counts and the limit."""

    def __init__(self, behavior: Behavior) -> None:
        self.behavior = behavior
        self.answered = self.refused = 0
        self.answered_at: list[float] = []
        self.refused_at: list[float] = []
        self.marks: list[str] = []
        self.marked_at: list[float] = []
        self.started: float | None = None
        self._random = rng("server", behavior.share)
        self._level, self._at, self._second = behavior.burst, 0.0, -1

    def rate(self, moment: float) -> float:
        """Return the limit `moment` seconds after the first call."""
        return [rate for start, rate in self.behavior.rates if start <= moment][-1]

    def take(self) -> bool:
        """Take one call from the limit; return whether there was one left."""
        self.started = self.started or time.monotonic()
        moment = time.monotonic() - self.started
        if self.behavior.limit == "bucket":
            refill = (moment - self._at) * self.rate(moment)
            self._level = min(self.behavior.burst, self._level + refill)
        elif self.behavior.limit == "window":
            if int(moment) != self._second:
                self._second, self._level = int(moment), self.rate(moment)
        else:
            refused = (
                self.behavior.limit == "chance" and self._random.random() < self.behavior.share
            )
            self._level = 0 if refused else 1
        self._at = moment
        allowed = self._level >= 1
        self._level -= allowed
        (self.answered_at if allowed else self.refused_at).append(round(moment, 3))
        return allowed

    def extra(self) -> str:
        """Return the x-ratelimit headers."""
        if not self.behavior.headers:
            return ""
        rate = self.rate(self._at)
        reset = (self.behavior.burst - self._level) / rate
        return (
            f"x-ratelimit-limit-requests: {int(self.behavior.burst)}\r\n"
            f"x-ratelimit-remaining-requests: {int(self._level)}\r\n"
            f"x-ratelimit-reset-requests: {reset:.3f}s\r\n"
        )


class Connection(asyncio.Protocol):
    """One HTTP/1.1 connection with one request at a time."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._data = b""

    def connection_made(self, transport: Any) -> None:
        """Keep the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer once a request is whole."""
        self._data += data
        head, found, rest = self._data.partition(b"\r\n\r\n")
        if not found:
            return
        if head.startswith(b"GET"):
            self._data = b""
            stats = {name: value for name, value in vars(self._server).items() if name[0] != "_"}
            stats.pop("behavior")
            self._send(200, json.dumps(stats).encode())
            return
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        if len(rest) < length:
            return
        self._data = rest[length:]
        behavior = self._server.behavior
        allowed = self._server.take()
        headers = self._server.extra()
        if not allowed:
            headers += f"retry-after: {behavior.retry_after}\r\n"
        mark = json.loads(rest[:length])["messages"][0]["content"] if behavior.marks else ""
        asyncio.get_running_loop().call_later(
            behavior.delay if allowed else behavior.late or 0.002,
            self._answer,
            allowed,
            headers,
            mark,
        )

    def _answer(self, allowed: bool, headers: str, mark: str) -> None:
        if self._transport.is_closing():
            return
        if allowed:
            self._server.answered += 1
            if self._server.behavior.marks:
                self._server.marks.append(mark)
                self._server.marked_at.append(time.monotonic())
            self._send(200, BODY, headers)
        else:
            self._server.refused += 1
            self._send(429, REFUSAL, headers)

    def _send(self, status: int, body: bytes, headers: str = "") -> None:
        head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{headers}"
        self._transport.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)


@contextlib.contextmanager
def serving(**behavior: Any) -> Iterator[str]:
    """Run the server in a process of its own; yields its base URL."""
    process = subprocess.Popen(  # noqa: S603 (our own module)
        [sys.executable, "-m", "bench.llm_server", json.dumps(behavior)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def stats(url: str) -> dict[str, Any]:
    """Return the counts of a server."""
    with urllib.request.urlopen(url + "/stats") as reply:  # noqa: S310 (loopback)
        return dict(json.load(reply))


async def _main(behavior: Behavior) -> None:
    server = Server(behavior)
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: Connection(server), "127.0.0.1", 0, backlog=512)
    sys.stdout.write(f"{listening.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(Behavior(**json.loads(sys.argv[1]))))
