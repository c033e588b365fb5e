"""Connections to an endpoint, with bounds on the time and the size of a reply."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx2
import openai

from targen.llm.reply import MOST_BYTES

_ENCODINGS = "gzip, deflate"
_CONNECT_S = 10.0
_KEPT_OPEN_S = 30.0
_UPLOAD_S = 3600.0
_REDIRECTS_MOST = 10


class ReplyTooLongError(httpx2.ReadError):
    """A reply was longer than `MOST_BYTES`; the connection is closed."""


class ChatConnection:
    """Posts chat completions through one aiohttp session.

    It does what the SDK would do for a POST, in 0.4 times the CPU time (`make bench`, see
    docs/performance.md).
    """

    def __init__(self, url: str, headers: Mapping[str, str], connections: int) -> None:
        """Make it; nothing is opened before the first call.

        Raises:
            ValueError: the environment names a proxy that cannot be used.
        """
        self.proxy = _proxy_for(url)
        self._url, self._headers, self._connections = url, dict(headers), connections
        self._session: aiohttp.ClientSession | None = None

    async def post(
        self, body: bytes, headers: Mapping[str, str], timeout_s: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Return the status, the headers and the body of a reply.

        Raises:
            httpx2.HTTPError: as httpx raises it, and `ReplyTooLongError`.
        """
        if self._session is None:
            self._session = self._open()
        with _translated():
            async with self._session.post(
                self._url,
                data=body,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    total=timeout_s, sock_connect=min(_CONNECT_S, timeout_s)
                ),
            ) as reply:
                content = await _read(
                    reply.content.iter_any(), reply.headers.get("Content-Encoding", "")
                )
        return reply.status, reply.headers, content

    def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=self._connections,
            keepalive_timeout=_KEPT_OPEN_S,
            ssl=httpx2.create_ssl_context(),
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={**self._headers, "Accept-Encoding": _ENCODINGS},
            auto_decompress=False,
            proxy=self.proxy,
        )

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()


def _proxy_for(url: str) -> str | None:
    """Return the proxy that the environment names for a URL.

    Raises:
        ValueError: it is not an HTTP proxy. To another one, the key would be sent in HTTP.
    """
    parts = urlsplit(url)
    if parts.hostname is None or proxy_bypass(parts.hostname):
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy:
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    found = urlsplit(proxy)
    if found.scheme not in ("http", "https") or not found.hostname or found.port == 0:
        raise ValueError("not an HTTP proxy")
    return proxy


class BoundedClient(openai.DefaultAioHttpClient):
    """The SDK's client, for embeddings, files and batches, with bounds on the replies.

    The read timeout of a request is a deadline for its whole reply. An upload has an hour, which a
    slow connection may need. A caller that asks for a stream, as for the results of a batch, sets
    the bounds itself, but errors and redirects have the same bounds for all. No redirect of a POST
    is followed: the request would go to a host that the user did not name.
    """

    def __init__(self, connections: int) -> None:
        limits = httpx2.Limits(max_connections=connections, keepalive_expiry=_KEPT_OPEN_S)
        super().__init__(limits=limits)
        self.headers["Accept-Encoding"] = _ENCODINGS

    async def send(self, request: httpx2.Request, **more: Any) -> httpx2.Response:
        """Send a request and read its reply.

        Raises:
            httpx2.HTTPError: what httpx raises, and `ReplyTooLongError`.
        """
        streamed = more.pop("stream", False)
        more.pop("follow_redirects", None)
        multipart = request.headers.get("Content-Type", "").startswith("multipart/")
        seconds = _UPLOAD_S if multipart else request.extensions.get("timeout", {}).get("read")
        with _translated():
            async with asyncio.timeout(seconds):
                response = await self._arrived(request, more)
                if streamed and response.is_success:
                    return response
                return await _bounded(response)

    async def _arrived(self, request: httpx2.Request, more: Mapping[str, Any]) -> httpx2.Response:
        """Return the reply with its body unread, behind the redirects of a GET.

        httpx would follow them itself, but read all of their bodies.
        """
        for _ in range(_REDIRECTS_MOST):
            response = await super().send(request, stream=True, follow_redirects=False, **more)
            following = response.next_request
            if request.method != "GET" or following is None:
                return response
            await response.aclose()
            request = following
        raise httpx2.TooManyRedirects(f"more than {_REDIRECTS_MOST} redirects", request=request)


async def _bounded(response: httpx2.Response) -> httpx2.Response:
    """Return a reply with its body, which is read now."""
    try:
        encoding = response.headers.get("Content-Encoding", "")
        content = await _read(response.aiter_raw(), encoding)
    finally:
        await response.aclose()
    return _whole(response.status_code, response.headers.raw, content, response.request)


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
        raise httpx2.DecodingError("the reply is compressed in a way that was not requested")
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


_UNDONE = (b"content-encoding", b"transfer-encoding", b"content-length")
"""Headers that no longer apply to a body that has been read and decompressed."""


def _whole(status: int, headers: Any, content: bytes, request: httpx2.Request) -> httpx2.Response:
    kept = [pair for pair in headers if pair[0].lower() not in _UNDONE]
    return httpx2.Response(status, headers=kept, content=content, request=request)


@contextmanager
def _translated() -> Iterator[None]:
    """Turn aiohttp's errors into those that the SDK knows."""
    try:
        yield
    except aiohttp.ClientHttpProxyError as error:
        # It answered CONNECT, so nothing was sent to the endpoint.
        raise httpx2.ProxyError(str(error.status)) from error
    except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as error:
        raise httpx2.ConnectError(str(error)) from error
    except TimeoutError as error:
        raise httpx2.ReadTimeout(str(error)) from error
    except (aiohttp.ClientError, ConnectionError) as error:
        raise httpx2.ReadError(str(error)) from error
