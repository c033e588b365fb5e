"""A small OpenAI-compatible endpoint on the loopback whose behaviour a test decides."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from targen.llm.engine import Engine, EngineSettings
from targen.llm.types import Outcome, Request, Sampling

SCHEMA = {
    "type": "object",
    "properties": {
        "items": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"text": {"type": "string"}},
                "required": ["text"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["items"],
    "additionalProperties": False,
}
GOOD = json.dumps({"items": [{"text": "a"}]})


def request(n: int, **more: Any) -> Request:
    """The n-th of many different requests."""
    more.setdefault("sampling", Sampling(max_output_tokens=64))
    return Request(({"role": "user", "content": f"Question {n}"},), SCHEMA, **more)


def requests(count: int, **more: Any) -> list[Request]:
    return [request(n, **more) for n in range(count)]


def number(body: dict[str, Any]) -> int:
    """Which request of `requests` a body came from."""
    return int(body["messages"][0]["content"].split()[1])


def completion(text: str | None, finish: str = "stop", **message: Any) -> web.Response:
    """A chat completion with 7 prompt tokens and 5 of output."""
    return web.json_response(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "served-1",
            "system_fingerprint": "fp",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": finish,
                    "message": {"role": "assistant", "content": text, **message},
                }
            ],
            "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12},
        }
    )


def failure(
    status: int, message: str = "no", headers: dict[str, str] | None = None, **more: Any
) -> web.Response:
    return web.json_response(
        {"error": {"message": message, **more}}, status=status, headers=headers
    )


async def ask(settings: EngineSettings, asked: Any) -> tuple[list[Outcome], Engine]:
    """Run an engine over `asked`; return all outcomes and the engine."""
    engine = Engine(settings)
    async with engine as llm:
        return [outcome async for outcome in llm.run(asked)], engine


Answer = Callable[[dict[str, Any], "Endpoint"], web.StreamResponse | Awaitable[web.StreamResponse]]


class Endpoint:
    """Serves `answer(body, endpoint)`, cuts the line on ConnectionResetError; keeps all bodies."""

    def __init__(self, answer: Answer | None = None, delay: float = 0.0, port: int = 0) -> None:
        self.answer = answer or (lambda body, endpoint: completion(GOOD))
        self.delay, self._port = delay, port
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[Any] = []
        self.now = 0
        self.most = 0

    async def _chat(self, incoming: web.Request) -> web.StreamResponse:
        body = await incoming.json()
        self.bodies.append(body)
        self.headers.append(incoming.headers)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            if self.delay:
                await asyncio.sleep(self.delay)
            made = self.answer(body, self)
            return await made if asyncio.iscoroutine(made) else made
        except ConnectionResetError:
            assert incoming.transport is not None
            incoming.transport.close()
            return web.Response()
        finally:
            self.now -= 1

    async def __aenter__(self) -> "Endpoint":
        app = web.Application(client_max_size=1 << 28)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/embeddings", self._chat)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/v1"
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._runner.cleanup()
