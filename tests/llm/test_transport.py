"""The wire: a deadline for a whole reply, a bound on its size, no redirects, queries kept."""

import asyncio
import gzip
import json
import time
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from typing import Any

import openai
import pytest
from aiohttp import web

from targen.errors import EndpointError
from targen.llm import transport
from targen.llm.client import Client
from targen.llm.embeddings import NoEmbeddingsError
from targen.llm.engine import EmbeddingEngine
from targen.llm.reply import Reply
from targen.llm.settings import EngineSettings, timeout_of
from targen.llm.types import Sampling
from targen.store.budgets import spent_usd
from targen.store.completions import Store
from tests.support.batch_endpoint import BatchEndpoint
from tests.support.endpoint import GOOD, Endpoint, ask, completion, failure, request, requests

Write = Callable[[asyncio.StreamWriter], Awaitable[None]]
BODY = json.dumps({"choices": [{"message": {"content": "fine"}, "finish_reason": "stop"}]}).encode()


@pytest.fixture(params=["lean", "proxied"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both clients: with a proxy in the environment, which is not used for the loopback."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    if request.param == "proxied":
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return str(request.param)


class Raw:
    """A server that writes what a test wants; knows when its connection is closed."""

    def __init__(self, write: Write) -> None:
        self.write = write
        self.closed = asyncio.Event()
        self.calls = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
            self.calls += 1
            await self.write(writer)
            await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.closed.set()
            writer.close()


@asynccontextmanager
async def served(write: Write) -> AsyncIterator[tuple[Raw, str]]:
    raw = Raw(write)
    server = await asyncio.start_server(raw.handle, "127.0.0.1", 0)
    try:
        yield raw, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        server.close()


async def call(settings: EngineSettings, timeout_s: float = 5.0) -> Reply:
    client = Client(settings)
    try:
        body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
        reply, _ = await client.chat(body, "key", timeout_s)
        return reply
    finally:
        await client.close()


def head(*more: bytes) -> bytes:
    lines = [b"HTTP/1.1 200 OK", b"Content-Type: application/json", *more]
    return b"\r\n".join(lines) + b"\r\n\r\n"


async def test_a_reply_in_drops_is_given_up_at_the_deadline(settings: Any) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(head(b"Content-Length: 1000"))
        for _ in range(100):
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with served(drip) as (raw, url):
        started = time.monotonic()
        reply = await call(settings(url), 0.6)
        assert 0.5 < time.monotonic() - started < 2
        assert (reply.kind, reply.ambiguous) == ("transient", True)
        assert "no complete answer" in reply.words and url in reply.words
        await asyncio.wait_for(raw.closed.wait(), 2)


def _bomb(size: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(1 << 20)
    return b"".join(packer.compress(zeros) for _ in range(size >> 20)) + packer.flush()


async def test_what_inflates_without_end_is_not_inflated(settings: Any) -> None:
    bomb = _bomb(200 << 20)
    assert len(bomb) < 1 << 20

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(head(b"Content-Encoding: gzip", b"Content-Length: %d" % len(bomb)) + bomb)
        await writer.drain()

    async with served(send) as (raw, url):
        tracemalloc.start()
        reply = await call(settings(url))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 80 << 20
        assert (reply.kind, reply.ambiguous) == ("failed", True)
        assert "longer than 16 MB" in reply.words
        await asyncio.wait_for(raw.closed.wait(), 2)


async def test_a_reply_without_end_is_cut_off(settings: Any) -> None:
    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(head(b"Transfer-Encoding: chunked"))
        piece = b"%x\r\n" % (1 << 18) + b" " * (1 << 18) + b"\r\n"
        while True:
            writer.write(piece)
            await writer.drain()

    async with served(send) as (raw, url):
        reply = await call(settings(url), 30)
        assert reply.kind == "failed" and "longer than 16 MB" in reply.words
        await asyncio.wait_for(raw.closed.wait(), 2)


async def test_the_bound_itself_is_read(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(head(b"Content-Length: %d" % len(BODY)) + BODY)
        await writer.drain()

    for most, kind in ((len(BODY), "answer"), (len(BODY) - 1, "failed")):
        monkeypatch.setattr(transport, "MOST_BYTES", most)
        async with served(send) as (_, url):
            assert (await call(settings(url))).kind == kind


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        (b"gzip", gzip.compress),
        (b"deflate", zlib.compress),
        (b"deflate", lambda body: zlib.compress(body)[2:-4]),
        (b"identity", bytes),
    ],
)
async def test_compressed_replies_are_read(
    settings: Any, encoding: bytes, pack: Callable[[bytes], bytes]
) -> None:
    packed = pack(BODY)

    async def send(writer: asyncio.StreamWriter) -> None:
        size = b"Content-Length: %d" % len(packed)
        writer.write(head(b"Content-Encoding: " + encoding, size) + packed)
        await writer.drain()

    async with served(send) as (_, url):
        reply = await call(settings(url))
        assert reply.answer is not None and reply.answer.text == "fine"


@pytest.mark.parametrize("encoding", [b"gzip", b"br", b"deflate"])
async def test_what_cannot_be_decompressed_is_named(settings: Any, encoding: bytes) -> None:
    async def send(writer: asyncio.StreamWriter) -> None:
        size = b"Content-Length: %d" % len(BODY)
        writer.write(head(b"Content-Encoding: " + encoding, size) + BODY)
        await writer.drain()

    async with served(send) as (_, url):
        reply = await call(settings(url))
        assert reply.kind == "transient" and "cannot be decompressed" in reply.words


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_prompt_follows_a_redirect(settings: Any, status: int) -> None:
    async with Endpoint() as elsewhere:
        target = elsewhere.url.replace("http://", "http://me:hunter2@")

        async def answer(body: dict[str, Any], endpoint: Endpoint) -> web.StreamResponse:
            location = f"{target}/chat/completions?token=hunter2"
            return web.Response(status=status, headers={"Location": location})

        async with Endpoint(answer) as endpoint:
            made = settings(endpoint)
            with pytest.raises(EndpointError, match="redirect to ") as told:
                await ask(made, requests(20))
            host = elsewhere.url.removesuffix("/v1")
            assert host in str(told.value) and "hunter2" not in str(told.value)
            assert f"answered {status}" in str(told.value)
            with pytest.raises(EndpointError, match="redirect to ") as told:
                async with EmbeddingEngine(settings(endpoint, embedding_model="e")) as engine:
                    await engine.embed(["a"])
            assert "hunter2" not in str(told.value)
            assert not isinstance(told.value, NoEmbeddingsError)
        assert elsewhere.bodies == []


async def test_no_batch_follows_a_redirect(settings: Any) -> None:
    arrived = []

    async def elsewhere(incoming: web.Request) -> web.Response:
        arrived.append(await incoming.read())
        return web.json_response({"id": "file-1", "object": "file"})

    async def redirect(incoming: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": f"{target}/v1/files"})

    async with _app(elsewhere) as target, _app(redirect) as url:
        with pytest.raises(EndpointError, match="redirect to "):
            await ask(settings(f"{url}/v1", mode="batch"), requests(2))
    assert arrived == []


@asynccontextmanager
async def _app(handler: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    await runner.cleanup()


async def test_a_query_of_the_base_url_stays_behind_every_path(settings: Any) -> None:
    seen = []

    async def answer(incoming: web.Request) -> web.Response:
        seen.append(incoming.path_qs)
        await incoming.read()
        if incoming.path.endswith("/embeddings"):
            data = [{"embedding": [1.0, 0.0]}]
            return web.json_response({"data": data, "usage": {"prompt_tokens": 1}})
        if incoming.path.endswith("/completions"):
            return completion(GOOD)
        return web.json_response({"error": {"message": "no"}}, status=404)

    query = "api-version=2024-10-21&x=a%20b"
    async with _app(answer) as url:
        made = settings(f"{url}/v1?{query}", embedding_model="e")
        outcomes, _ = await ask(made, requests(2))
        assert {outcome.status for outcome in outcomes} == {"ok"}
        async with EmbeddingEngine(made) as engine:
            await engine.embed(["a"])
        with pytest.raises(EndpointError, match="has no batch API") as told:
            await ask(settings(f"{url}/v1?{query}", mode="batch"), requests(2, edition=1))
        assert "api-version" not in str(told.value)
    paths = {path.split("?")[0] for path in seen}
    assert paths == {"/v1/chat/completions", "/v1/embeddings", "/v1/files"}
    for path in seen:
        assert path.split("?")[1].replace("+", "%20") == query


async def test_a_batch_is_still_fetched(settings: Any) -> None:
    async with BatchEndpoint() as endpoint:
        made = settings(endpoint.url, mode="batch")
        outcomes, _ = await ask(made, requests(3))
        assert {outcome.status for outcome in outcomes} == {"ok"}


async def test_the_state_of_a_batch_has_bounds_too(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = gzip.compress(b'{"id": "b", "x": "' + bytes(40 << 20))

    async def answer(incoming: web.Request) -> web.Response:
        await incoming.read()
        return web.Response(body=bomb, headers={"Content-Encoding": "gzip"})

    async with _app(answer) as url:
        client = Client(settings(f"{url}/v1"))
        with pytest.raises(openai.APIConnectionError) as raised:
            await client.sdk.batches.retrieve("b")
        await client.close()
    assert isinstance(raised.value.__cause__, transport.ReplyTooLongError)


async def test_a_prompt_that_is_no_text_fails_alone(settings: Any) -> None:
    broken = request(1)
    broken = type(broken)(({"role": "user", "content": "half \ud83d"},), broken.schema)
    async with Endpoint() as endpoint:
        outcomes, _ = await ask(settings(endpoint), [*requests(3), broken])
        assert sorted(outcome.status for outcome in outcomes) == ["failed", "ok", "ok", "ok"]


async def test_a_proxy_that_refuses_is_named_and_nothing_counts_as_spent(
    settings: Any, prices: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    proxy = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:canarysecret@{proxy}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    given = settings("https://127.0.0.2/v1", budget_usd=1.0)
    async with server:
        with pytest.raises(EndpointError, match=rf"http://{proxy} does not .*407.*password"):
            await ask(given, requests(3))
    with closing(Store(given.store_url)) as store:
        assert spent_usd(store) == 0


async def test_a_proxy_that_is_away_is_named(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As curl takes it.
    monkeypatch.setenv("HTTP_PROXY", "user:canarysecret@127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(EndpointError, match=r"through the proxy http://127\.0\.0\.1:9: no server"):
        await ask(settings("http://127.0.0.2:8/v1"), requests(1))


async def test_a_plain_proxy_that_wants_a_password_ends_the_run(settings: Any) -> None:
    async with Endpoint(lambda body, _: failure(407, "")) as endpoint:
        with pytest.raises(EndpointError, match="check the proxy's user name and password"):
            await ask(settings(endpoint), requests(3))


def test_the_timeout_follows_from_the_output_limit() -> None:
    def seconds(tokens: int, **more: Any) -> float:
        asked = request(1, sampling=Sampling(max_output_tokens=tokens))
        return timeout_of(asked, EngineSettings(**more))

    assert [seconds(n) for n in (16, 300, 2048, 100_000)] == [120, 120, 469.6, 1800]
    assert seconds(100_000, timeout_s=7.5) == 7.5
