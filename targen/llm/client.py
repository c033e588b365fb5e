"""The way to an endpoint: one SDK client with one connection pool."""

import json
import os
import re
import socket
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx2

from targen.errors import EndpointError
from targen.llm import reply as replies
from targen.llm.keys import check_key
from targen.llm.settings import DEFAULT_BASE_URL, EngineSettings
from targen.redaction import redacted, remember, remember_address
from targen.tasks.endpoints import normalized

if TYPE_CHECKING:
    # Imported only when it is used: it takes half a second, which a run without calls to a server
    # does not need.
    import openai

    from targen.llm.transport import ChatConnection

_OTHER_CALLS_S = 180.0
"""The timeout of calls that are not a chat completion, if none is set."""

_SENDABLE = re.compile(r"[\t\x20-\x7e]*")

NO_HEADERS: Mapping[str, str] = {}


def _instead_of_the_environments(key: str) -> dict[str, Any]:
    """Return headers that take the place of those in OPENAI_CUSTOM_HEADERS."""
    import openai  # noqa: PLC0415 (see above)

    lines = os.environ.get("OPENAI_CUSTOM_HEADERS", "").splitlines()
    names = [line.partition(":")[0].strip() for line in lines]
    return {**{name: openai.Omit() for name in names if name}, "Authorization": f"Bearer {key}"}


class Client:
    """Sends bodies to one endpoint. The SDK's own retries are off: there is one retry layer."""

    def __init__(self, settings: EngineSettings) -> None:
        """Open the client; nothing is sent yet.

        Raises:
            EndpointError: no key, a key that cannot be sent, the base URL is not a URL or contains
                credentials, or a proxy cannot be used. The message never contains the key.
        """
        self.settings = settings
        query = ""
        if settings.embedded:
            self.base_url = "http://embedded/v1"
            if settings.simulator is None:
                raise EndpointError(
                    "No model is set, and this engine was made without the simulator. Set "
                    "TARGEN_MODEL, or pass `simulator` in the engine's settings."
                )
            transport = httpx2.ASGITransport(settings.simulator())
            http: httpx2.AsyncClient = httpx2.AsyncClient(transport=transport)
            key: str | None = "embedded"
        else:
            self.base_url, query = _base_url(settings)
            key = _key(settings, self.base_url)
            # aiohttp is imported only where there is a network.
            from targen.llm.transport import BoundedClient  # noqa: PLC0415

            try:
                http = BoundedClient(settings.concurrency + 1)
            except Exception as error:
                # It reads the proxies of the environment.
                raise _unusable_proxy(error) from None
        if not key:
            raise EndpointError(
                f"No API key for {self.base_url}: set OPENAI_API_KEY "
                "(any word, for a server that asks for none)."
            )
        self._secret = key.encode()
        self._http, self._key, self._query = http, key, query
        self._sdk: openai.AsyncOpenAI | None = None
        self._through = ""
        self._connection = self._connect()

    def _connect(self) -> "ChatConnection | _InProcess":
        settings = self.settings
        if settings.embedded:
            headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
            return _InProcess(self._http, f"{self.base_url}/chat/completions", headers)
        sdk = self.sdk
        # The SDK ends a root with a slash, but not one without a path: then the words would become
        # part of the host's name, and the key would go there.
        url = str(sdk.base_url).rstrip("/") + "/chat/completions"
        headers = {
            name: value
            for name, value in {**sdk.default_headers, **sdk.auth_headers}.items()
            if isinstance(value, str) and not name.lower().startswith("x-stainless-")
        }
        if not all(_SENDABLE.fullmatch(name + value) for name, value in headers.items()):
            raise EndpointError(self._unusable("a header contains a character that cannot be sent"))
        from targen.llm.transport import ChatConnection  # noqa: PLC0415 (see above)

        address = f"{url}?{self._query}" if self._query else url
        try:
            connection = ChatConnection(address, headers, settings.concurrency + 1)
        except ValueError as error:
            raise _unusable_proxy(error) from None
        self._through = _shown_proxy(connection.proxy)
        return connection

    def _open(self) -> "openai.AsyncOpenAI":
        import openai  # noqa: PLC0415 (see above)

        settings, key, problem = self.settings, self._key, ""
        try:
            sdk = openai.AsyncOpenAI(
                base_url=self.base_url,
                api_key=key,
                max_retries=0,
                timeout=httpx2.Timeout(settings.timeout_s or _OTHER_CALLS_S, connect=10.0),
                http_client=self._http,
                default_headers=_instead_of_the_environments(key) if settings.own_key else None,
                default_query=dict(parse_qsl(self._query, keep_blank_values=True)),
            )
        except Exception as error:
            problem = type(error).__name__
        if problem:
            # Raised outside of the handler: the SDK's error may quote the key.
            raise EndpointError(self._unusable(problem))
        if settings.own_key:
            sdk.organization = sdk.project = sdk.admin_api_key = None
        return sdk

    async def chat(
        self, body: Mapping[str, Any], key: str, timeout_s: float
    ) -> tuple[replies.Reply, Mapping[str, str]]:
        """Send one chat completion request; return the reply and its headers. Never raises.

        Args:
            body: the JSON body.
            key: idempotency key; the same for a call that is tried again.
            timeout_s: seconds until the reply must be complete.
        """
        try:
            content = json.dumps(
                body, ensure_ascii=False, separators=(",", ":"), allow_nan=False
            ).encode()
            code, headers, reply = await self._connection.post(
                content, {"Idempotency-Key": key}, timeout_s
            )
        except Exception as error:
            return self.reply_of(error, body), NO_HEADERS
        return self._read(code, headers, reply), headers

    def read(self, response: httpx2.Response) -> replies.Reply:
        """Interpret a response, with the API key removed from its text."""
        return self._read(response.status_code, response.headers, response.content)

    def _read(self, code: int, headers: Mapping[str, str], content: bytes) -> replies.Reply:
        if 300 <= code < 400:
            words = _redirected(headers.get("Location", ""), self.base_url)
            return replies.Reply("endpoint", words=redacted(words), code=code)
        return replies.read(code, headers, content, self._secret)

    def reply_of(self, error: Exception, body: Mapping[str, Any] | None = None) -> replies.Reply:
        """Return what an error of the SDK or of its transport means, without the key.

        Args:
            error: what a call raised.
            body: the JSON body that was sent, to tell a faulty request from a faulty setting.
        """
        import openai  # noqa: PLC0415 (see above)

        if isinstance(error, openai.APIStatusError):
            return self.read(error.response)
        if isinstance(error, openai.APIConnectionError | httpx2.HTTPError):
            return self._lost(error)
        if body is not None:
            try:
                json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
            except (ValueError, TypeError, RecursionError):
                words = "the request cannot be written as JSON in UTF-8"
                return replies.Reply("failed", words=words)
        return replies.Reply("endpoint", words=self._unusable(type(error).__name__))

    def _unusable(self, problem: str) -> str:
        return (
            f"no request to {self.base_url} can be made ({problem}): check OPENAI_BASE_URL, "
            "OPENAI_CUSTOM_HEADERS, OPENAI_ORG_ID, OPENAI_PROJECT_ID and the proxy settings"
        )

    def _lost(self, error: Exception) -> replies.Reply:
        cause = error if isinstance(error, httpx2.HTTPError) else error.__cause__ or error
        # The SDK's aiohttp transport calls a refused connection a ConnectTimeout.
        unreached = isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout)
        if type(cause).__name__ == "ReplyTooLongError":
            # By name: aiohttp is imported only where there is a network. Not transient: the next
            # reply would be as long.
            words = f"the reply from {self.base_url} is longer than 16 MB and was not read"
            return replies.Reply("failed", words=words, ambiguous=True)
        through = f" through the proxy {self._through}" if self._through else ""
        if isinstance(cause, httpx2.ProxyError):
            return self._not_let_through(str(cause))
        if unreached:
            words = f"cannot reach {self.base_url}{through}: {_plainly(error)}"
        elif isinstance(cause, httpx2.DecodingError):
            words = f"the reply from {self.base_url} cannot be decompressed"
        elif isinstance(cause, httpx2.TimeoutException):
            words = f"no complete answer from {self.base_url} in time"
        else:
            words = f"the connection to {self.base_url}{through} was cut"
        return replies.Reply("transient", words=words, ambiguous=not unreached)

    def _not_let_through(self, status: str) -> replies.Reply:
        """Return what it means that the proxy does not connect to the endpoint."""
        words = f"the proxy {self._through} does not connect to {self.base_url} (status {status})"
        if not status.startswith("4"):
            return replies.Reply("transient", words=words)
        hint = ", because it wants another user name or password" if status == "407" else ""
        return replies.Reply("endpoint", words=words + hint)

    @property
    def sdk(self) -> "openai.AsyncOpenAI":
        """The SDK's client, for what is not a chat completion."""
        if self._sdk is None:
            self._sdk = self._open()
        return self._sdk

    async def close(self) -> None:
        """Close all connections."""
        await self._connection.close()
        # The SDK's client, if any, has no other connections.
        await self._http.aclose()


class _InProcess:
    """Posts to an application in this process: the simulator."""

    def __init__(self, http: httpx2.AsyncClient, url: str, headers: Mapping[str, str]) -> None:
        self._http, self._url, self._headers = http, url, headers

    async def post(
        self, body: bytes, headers: Mapping[str, str], timeout_s: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        reply = await self._http.post(
            self._url, content=body, headers={**self._headers, **headers}, timeout=timeout_s
        )
        return reply.status_code, reply.headers, reply.content

    async def close(self) -> None:
        """The client is closed by its owner."""


def _unusable_proxy(error: Exception) -> EndpointError:
    # Without the error's words, which may quote a password.
    return EndpointError(
        "HTTP_PROXY, HTTPS_PROXY or ALL_PROXY names a proxy that cannot be used "
        f"({type(error).__name__}). Write it as in http://host:3128."
    )


def _shown_proxy(proxy: str | None) -> str:
    """Return a proxy's address without a user name and a password; empty without a proxy."""
    parts = urlsplit(proxy or "")
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if proxy else ""


def _base_url(settings: EngineSettings) -> tuple[str, str]:
    """Return the base URL without its query, and the query, which goes behind every path."""
    given = settings.base_url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_BASE_URL
    shown = normalized(given)
    parts = urlsplit(given.strip())
    if "@" in parts.netloc:
        raise EndpointError(
            f"The base URL of {shown} contains a user name or a password, which the openai SDK "
            "does not send with a key: remove them from the URL."
        )
    remember_address(given.strip())
    return f"{parts.scheme}://{parts.netloc}{parts.path}", parts.query


def _key(settings: EngineSettings, base_url: str) -> str | None:
    key = settings.api_key
    if not settings.own_key:
        key = key or os.environ.get("OPENAI_API_KEY")
    if key:
        check_key(key, settings.key_variable or f"the settings of {base_url}")
        remember(key)
    return key


def _redirected(location: str, base_url: str) -> str:
    """Say where a redirect leads, without a query, a user name or a password."""
    try:
        parts = urlsplit(urljoin(base_url, location))
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not location or host is None:
        return "a redirect to nowhere"
    where = f"{parts.scheme}://{host}" + (f":{port}" if port else "")
    return (
        f"a redirect to {where}, which is not followed because the prompts would go to an address "
        "that the settings do not name"
    )


def _plainly(error: BaseException) -> str:
    """Return for the user why a connection could not be made."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, ssl.SSLError):
            return "its certificate is not trusted, or it does not speak TLS"
        if isinstance(found, socket.gaierror):
            return "its name is not known; check the address and the network"
        if isinstance(found, ConnectionRefusedError):
            return "no server listens at this port; start it, or check the address"
        found = getattr(found, "os_error", None) or found.__cause__ or found.__context__
    return "no connection in time; check the address, the network and the proxy settings"
