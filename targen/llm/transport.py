"""An HTTP client for the SDK that does less for each call."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import getproxies

import aiohttp
import httpx2
import openai

_PLAIN = "targen_plain_headers"


def make_client(connections: int) -> httpx2.AsyncClient:
    """Return the client to give to the SDK; with a proxy in the environment, the SDK's own."""
    limits = httpx2.Limits(max_connections=connections, keepalive_expiry=30.0)
    if any(scheme in getproxies() for scheme in ("http", "https", "all")):
        return openai.DefaultAioHttpClient(limits=limits)
    return LeanClient(limits)


class LeanClient(openai.DefaultAioHttpClient):
    """Sends plain POSTs straight through one aiohttp session."""

    def __init__(self, limits: httpx2.Limits) -> None:
        super().__init__(limits=limits)
        self._limits = limits
        self._session: aiohttp.ClientSession | None = None
        self._urls: dict[str, httpx2.URL] = {}

    def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=self._limits.max_connections or 0,
            keepalive_timeout=self._limits.keepalive_expiry,
            ssl=httpx2.create_ssl_context(),
        )
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    def build_request(self, method: str, url: Any, **more: Any) -> httpx2.Request:
        """Build a request; a plain one without parsing its URL and copying its headers again."""
        content = more.get("content")
        unusual = more.get("params") or more.get("files") or more.get("data")
        if method.upper() != "POST" or unusual or not isinstance(content, bytes):
            return super().build_request(method, url, **more)
        parsed = self._urls.get(url)
        if parsed is None:
            parsed = self._urls[url] = httpx2.URL(url)
        timeout = httpx2.Timeout(more.get("timeout", self.timeout))
        return httpx2.Request(
            "POST",
            parsed,
            stream=httpx2.ByteStream(content),
            extensions={"timeout": timeout.as_dict(), _PLAIN: (more["headers"], content)},
        )

    async def send(self, request: httpx2.Request, **more: Any) -> httpx2.Response:
        """Send a request and read its reply."""
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
                    sock_connect=timeout["connect"], sock_read=timeout["read"]
                ),
            ) as reply:
                content = await reply.read()
        if 300 <= reply.status < 400:
            return await super().send(self._usual(request, headers), **more)
        raw = [pair for pair in reply.raw_headers if pair[0].lower() not in _UNDONE]
        return _Whole(reply.status, raw, content, request)

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


class _Whole(httpx2.Response):
    """A response whose body is there already: its own way to read it is long."""

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
"""Headers that no longer hold for a body that aiohttp has read and unpacked."""


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
