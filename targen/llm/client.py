"""The way to an endpoint: one SDK client with one connection pool."""

import os
import socket
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai

from targen.errors import EndpointError
from targen.llm import reply as replies
from targen.llm.settings import DEFAULT_BASE_URL, EngineSettings
from targen.tasks.endpoints import normalised

NO_HEADERS: Mapping[str, str] = {}

_UNSENT = tuple(
    f"X-Stainless-{name}"
    for name in (
        "Lang",
        "Package-Version",
        "OS",
        "Arch",
        "Runtime",
        "Runtime-Version",
        "Async",
        "Retry-Count",
        "Read-Timeout",
    )
)
"""Headers by which the SDK describes this machine to its maker: no endpoint needs them."""


def _instead_of_the_environments(key: str) -> dict[str, Any]:
    """Return headers that take the place of those in OPENAI_CUSTOM_HEADERS."""
    lines = os.environ.get("OPENAI_CUSTOM_HEADERS", "").splitlines()
    names = [line.partition(":")[0].strip() for line in lines]
    return {**{name: openai.Omit() for name in names if name}, "Authorization": f"Bearer {key}"}


class Client:
    """Sends bodies to one endpoint. The SDK's own retries are off: there is one retry layer."""

    def __init__(self, settings: EngineSettings) -> None:
        """Open the client; nothing is sent yet.

        Raises:
            EndpointError: no key, or the base URL is no URL or holds credentials.
        """
        if settings.embedded:
            self.base_url = "http://embedded/v1"
            if settings.simulator is None:
                raise EndpointError("No model is named, and no simulator is plugged in.")
            transport = httpx2.ASGITransport(settings.simulator())
            http: httpx2.AsyncClient = httpx2.AsyncClient(transport=transport)
            key: str | None = "embedded"
        else:
            given = settings.base_url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_BASE_URL
            self.base_url = normalised(given) and given
            if "@" in urlsplit(given).netloc:
                raise EndpointError(
                    f"The base URL of {normalised(given)} holds a user name or a password, which "
                    "the openai SDK does not send beside a key: name it without them."
                )
            # aiohttp is imported only where there is a network.
            from targen.llm.transport import make_client  # noqa: PLC0415

            http = make_client(settings.concurrency + 1)
            key = settings.api_key
            if not settings.own_key:
                key = key or os.environ.get("OPENAI_API_KEY")
        if not key:
            raise EndpointError(
                f"No API key for {self.base_url}: set OPENAI_API_KEY "
                "(any word, for a server that asks for none)."
            )
        self._secret = key.encode()
        self._sdk = openai.AsyncOpenAI(
            base_url=self.base_url,
            api_key=key,
            max_retries=0,
            timeout=httpx2.Timeout(settings.timeout_s or 600.0, connect=10.0),
            http_client=http,
            default_headers=_instead_of_the_environments(key) if settings.own_key else None,
        )
        if settings.own_key:
            self._sdk.organization = self._sdk.project = self._sdk.admin_api_key = None
        # Absolute: the SDK then need not parse and join two URLs for every call.
        # The SDK ends a root with a slash, but not one without a path: then the words would become
        # part of the host's name, and the key would go there.
        self._chat_url = str(self._sdk.base_url).rstrip("/") + "/chat/completions"
        # Whatever is not given, the SDK copies deeply from its defaults for every call.
        self._options: openai.RequestOptions = {
            "headers": dict.fromkeys(_UNSENT, openai.Omit()),
            "max_retries": 0,
            "timeout": self._sdk.timeout,
            "params": {},
            "security": {"bearer_auth": True, "admin_api_key_auth": True},
        }

    async def chat(
        self, body: Mapping[str, Any], key: str, timeout_s: float
    ) -> tuple[replies.Reply, Mapping[str, str]]:
        """Send one chat completion request; return the reply and its headers. Never raises.

        Args:
            body: the JSON body.
            key: idempotency key; the same for a call that is tried again.
        """
        try:
            response = await self._sdk.post(
                self._chat_url,
                cast_to=httpx2.Response,
                body=body,
                options={
                    **self._options,
                    "idempotency_key": key,
                    "timeout": httpx2.Timeout(timeout_s, connect=min(10.0, timeout_s)),
                },
            )
        except openai.APIStatusError as error:
            response = error.response
        except openai.APIConnectionError as error:
            return self._lost(error), NO_HEADERS
        return self.read(response), response.headers

    def read(self, response: httpx2.Response) -> replies.Reply:
        """Interpret a response, with the API key removed from its text."""
        return replies.read(response.status_code, response.headers, response.content, self._secret)

    def _lost(self, error: openai.APIConnectionError) -> replies.Reply:
        cause = error.__cause__
        # The SDK's aiohttp transport calls a refused connection a ConnectTimeout.
        unreached = isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout)
        if unreached:
            words = f"cannot reach {self.base_url}: {_plainly(error)}"
        elif isinstance(error, openai.APITimeoutError):
            words = f"no answer from {self.base_url} in time"
        else:
            words = f"the connection to {self.base_url} was cut"
        return replies.Reply("transient", words=words, ambiguous=not unreached)

    @property
    def sdk(self) -> openai.AsyncOpenAI:
        """The SDK's client, for what is no chat completion."""
        return self._sdk

    async def close(self) -> None:
        """Close all connections."""
        await self._sdk.close()


def _plainly(error: BaseException) -> str:
    """Return for the user why a connection could not be made."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, ssl.SSLError):
            return "its certificate is not trusted, or it does not speak TLS"
        if isinstance(found, socket.gaierror):
            return "its name is not known; check the address and the network"
        if isinstance(found, ConnectionRefusedError):
            return "nothing answers at this port; is the server running?"
        found = getattr(found, "os_error", None) or found.__cause__ or found.__context__
    return "no connection in time; check the address, the network and the proxy settings"
