"""HTTP clients for the SDK, with bounds on the time and the size of a reply."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import getproxies

import aiohttp
import httpx2
import openai

MOST_BYTES = 16 * 1024 * 1024
"""The longest reply to a POST that is read, before and after decompression."""

_ENCODINGS = "gzip, deflate"
_PLAIN = "targen_plain_headers"


class ReplyTooLongError(httpx2.ReadError):
    """A reply was longer than `MOST_BYTES`; the connection is closed."""


def make_client(connections: int) -> httpx2.AsyncClient:
    """Return the client to give to the SDK; with a proxy in the environment, the slower one."""
    limits = httpx2.Limits(max_connections=connections, keepalive_expiry=30.0)
    if any(scheme in getproxies() for scheme in ("http", "https", "all")):
        return BoundedClient(limits=limits)
    return LeanClient(limits)


class BoundedClient(openai.DefaultAioHttpClient):
    """Bounds the replies to POSTs.

    The read timeout of a request is a deadline for its whole reply, except for an upload. No
    redirect of a POST is followed: the request would go to a host that the user did not name.
    """

    def __init__(self, limits: httpx2.Limits) -> None:
        super().__init__(limits=limits)
        self.headers["Accept-Encoding"] = _ENCODINGS

    async def send(self, request: httpx2.Request, **more: Any) -> httpx2.Response:
        """Send a request and read its reply.

        Raises:
            httpx2.HTTPError: what httpx raises, and `ReplyTooLongError`.
        """
        if request.method != "POST":
            return await super().send(request, **more)
        more["follow_redirects"] = False
        if more.pop("stream", False):
            return await super().send(request, stream=True, **more)
        multipart = request.headers.get("Content-Type", "").startswith("multipart/")
        seconds = None if multipart else request.extensions.get("timeout", {}).get("read")
        try:
            async with asyncio.timeout(seconds):
                response = await super().send(request, stream=True, **more)
                try:
                    encoding = response.headers.get("Content-Encoding", "")
                    content = await _read(response.aiter_raw(), encoding)
                finally:
                    await response.aclose()
        except TimeoutError:
            raise httpx2.ReadTimeout("no complete reply in time", request=request) from None
        return _whole(response.status_code, response.headers.raw, content, request)


class LeanClient(BoundedClient):
    """Sends plain POSTs straight through one aiohttp session, which costs less for each call."""

    def __init__(self, limits: httpx2.Limits) -> None:
        super().__init__(limits=limits)
        self._limits = limits
        self._session: aiohttp.ClientSession | None = None
        self._urls: dict[tuple[str, str | None], httpx2.URL] = {}

    def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=self._limits.max_connections or 0,
            keepalive_timeout=self._limits.keepalive_expiry,
            ssl=httpx2.create_ssl_context(),
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": _ENCODINGS},
            auto_decompress=False,
        )

    def build_request(self, method: str, url: Any, **more: Any) -> httpx2.Request:
        """Build a request; a plain one without parsing its URL and copying its headers again."""
        content, params = more.get("content"), more.get("params")
        unusual = more.get("files") or more.get("data")
        if method.upper() != "POST" or unusual or not isinstance(content, bytes):
            return super().build_request(method, url, **more)
        parsed = self._urls.get((url, params))
        if parsed is None:
            parsed = httpx2.URL(f"{url}?{params}" if params else url)
            self._urls[url, params] = parsed
        timeout = httpx2.Timeout(more.get("timeout", self.timeout))
        return httpx2.Request(
            "POST",
            parsed,
            stream=httpx2.ByteStream(content),
            extensions={"timeout": timeout.as_dict(), _PLAIN: (more["headers"], content)},
        )

    async def send(self, request: httpx2.Request, **more: Any) -> httpx2.Response:
        """Send a request and read its reply; see `BoundedClient`."""
        plain = request.extensions.get(_PLAIN)
        if plain is None:
            return await super().send(request, **more)
        headers, body = plain
        if more.get("stream") or more.get("auth"):
            return await super().send(self._usual(request, headers), **more)
        if self._session is None:
            self._session = self._open()
        timeout = request.extensions["timeout"]
        with _translated():
            async with self._session.post(
                str(request.url),
                data=body,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    total=timeout["read"], sock_connect=timeout["connect"]
                ),
            ) as reply:
                content = await _read(
                    reply.content.iter_any(), reply.headers.get("Content-Encoding", "")
                )
        return _whole(reply.status, reply.raw_headers, content, request)

    def _usual(self, request: httpx2.Request, headers: Any) -> httpx2.Request:
        timeout = httpx2.Timeout(**request.extensions["timeout"])
        return super().build_request(
            "POST", request.url, content=request.read(), headers=headers, timeout=timeout
        )

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
        await super().aclose()


async def _read(chunks: AsyncIterator[bytes], encoding: str) -> bytes:
    """Read and decompress a body, never holding more than the bound.

    Raises:
        ReplyTooLongError: it is longer.
        httpx2.DecodingError: it cannot be decompressed.
    """
    decompress = _decompressor(encoding)
    parts = []
    received = size = 0
    async for chunk in chunks:
        received += len(chunk)
        piece = decompress(chunk, MOST_BYTES + 1 - size)
        size += len(piece)
        if max(received, size) > MOST_BYTES:
            raise ReplyTooLongError(f"more than {MOST_BYTES} bytes")
        parts.append(piece)
    return b"".join(parts)


def _decompressor(encoding: str) -> Callable[[bytes, int], bytes]:
    """Return a function (chunk, most) -> at most `most` bytes of the body."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return lambda chunk, most: chunk
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise httpx2.DecodingError("the reply is compressed in a way that was not asked for")
    opened: Any = None

    def decompress(chunk: bytes, most: int) -> bytes:
        nonlocal opened
        if opened is None:
            # `deflate` comes with a zlib header or without. 47 finds gzip and zlib by themselves.
            bare = encoding == "deflate" and chunk[:1] and chunk[0] & 0x0F != zlib.DEFLATED
            opened = zlib.decompressobj(-zlib.MAX_WBITS if bare else 47)
        try:
            made: bytes = opened.decompress(chunk, most)
        except zlib.error:
            raise httpx2.DecodingError("the reply cannot be decompressed") from None
        return made

    return decompress


class _Whole(httpx2.Response):
    """A response whose body is already there: httpx's own way of reading it is slow."""

    def __init__(
        self,
        status: int,
        headers: list[tuple[bytes, bytes]],
        content: bytes,
        request: httpx2.Request,
    ) -> None:
        super().__init__(
            status, headers=headers, stream=httpx2.ByteStream(content), request=request
        )
        self._whole = content

    @property
    def content(self) -> bytes:
        """The body."""
        return self._whole


_UNDONE = (b"content-encoding", b"transfer-encoding", b"content-length")
"""Headers that no longer hold for a body that has been read and decompressed."""


def _whole(status: int, headers: Any, content: bytes, request: httpx2.Request) -> httpx2.Response:
    kept = [pair for pair in headers if pair[0].lower() not in _UNDONE]
    return _Whole(status, kept, content, request)


@contextmanager
def _translated() -> Iterator[None]:
    """Turn aiohttp's errors into those that the SDK knows."""
    try:
        yield
    except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as error:
        raise httpx2.ConnectError(str(error)) from error
    except TimeoutError as error:
        raise httpx2.ReadTimeout(str(error)) from error
    except (aiohttp.ClientError, ConnectionError) as error:
        raise httpx2.ReadError(str(error)) from error
