"""CPU that a call costs if its answer is streamed, compared with one that comes in one piece.

A server in a separate process writes each token as an event of its own, `PAUSE_S` apart, as a model
does. The client posts with the engine's connection and reads with the engine's code. The times are
those of the client's process.
"""

import asyncio
import json
import multiprocessing
import time
from multiprocessing.connection import Connection
from typing import Any

from aiohttp import web

from targen.llm import reply
from targen.llm.transport import ChatConnection

TOKENS = (20, 100, 400)
"""Lengths of the answers."""
PAUSE_S = 0.005
CONCURRENCY = 32


def _event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    data = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "bench"}
    return f"data: {json.dumps({**data, 'choices': [choice]})}\n\n".encode()


async def _answer(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    words = [" word"] * body["max_tokens"]
    if not body["stream"]:
        await asyncio.sleep(PAUSE_S * len(words))
        message = {"role": "assistant", "content": "".join(words)}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        return web.json_response({"id": "chatcmpl-1", "model": "bench", "choices": [choice]})
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for word in words:
        await response.write(_event({"content": word}))
        await asyncio.sleep(PAUSE_S)
    await response.write(_event({}, "stop") + b"data: [DONE]\n\n")
    return response


def _serve(pipe: Connection) -> None:
    async def start() -> None:
        application = web.Application()
        application.router.add_post("/v1/chat/completions", _answer)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        pipe.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(start())


async def _calls(port: int, tokens: int, stream: bool, calls: int) -> float:
    """Return the client's CPU milliseconds per call."""
    connection = ChatConnection(f"http://127.0.0.1:{port}/v1/chat/completions", {}, CONCURRENCY)
    body = json.dumps({"stream": stream, "max_tokens": tokens}).encode()
    turns = asyncio.Semaphore(CONCURRENCY)

    async def one() -> None:
        async with turns:
            code, headers, content = await connection.post(body, {}, 60.0)
        answer = reply.read(code, headers, content).answer
        assert answer is not None and len(answer.text) == 5 * tokens

    await one()
    started = time.process_time()
    await asyncio.gather(*(one() for _ in range(calls)))
    spent = time.process_time() - started
    await connection.close()
    return 1000 * spent / calls


def run(calls: int = 400) -> dict[str, Any]:
    """Return CPU milliseconds per call, by tokens of the answer, in one piece and streamed."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,))
    server.start()
    try:
        port = ours.recv()
        return {
            f"{tokens} tokens": {
                name: round(asyncio.run(_calls(port, tokens, stream, calls)), 3)
                for name, stream in (("in one piece", False), ("streamed", True))
            }
            for tokens in TOKENS
        }
    finally:
        server.terminate()
        server.join()
