"""The check of every request to a web server of this package: who asks, and for what.

A web server on loopback has no login, so any page in the user's browser could send it requests.
The gate lets through what the server's own pages and programs on this machine send.
"""

import re
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
_HEADERS: Final = (
    # For all answers: no other site may show them in a frame, read them, or keep a handle on the
    # window that has them open.
    (b"content-security-policy", b"frame-ancestors 'self'"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
)
_ONCE: Final = ("host", "origin", "content-type", "sec-fetch-site", "sec-fetch-dest")
_JSON: Final = re.compile(r"application/json(\s*;\s*charset=\"?utf-8\"?)?\s*", re.IGNORECASE)
_OWN: Final = "This server answers its own pages only."


class Gate:
    """ASGI middleware that refuses requests of other sites, and mutations by GET.

    - The Host header must name a known host. A name that an attacker's DNS server points to
      loopback (DNS rebinding) is refused. `open_paths` are exempt, for probes of a cluster.
    - An Origin header must be that of the server. Browsers send it with every POST and WebSocket.
    - Fetch metadata must not name another site, unless a link opens a page.
    - The methods are GET, HEAD and, unless `read_only`, POST of `application/json`. A page of
      another site can send such a POST only after a preflight, which is refused.
    - GET executes no GraphQL. It only opens the editor for it.

    The first three also apply to WebSockets.
    """

    def __init__(
        self,
        app: "ASGIApp",
        hosts: Collection[str] = (),
        read_only: bool = False,
        open_paths: Collection[str] = (),
    ) -> None:
        """Take the application, and the names of hosts that are known besides loopback."""
        self._app, self._hosts = app, LOOPBACK | frozenset(hosts)
        self._methods = ("GET", "HEAD") if read_only else ("GET", "HEAD", "POST")
        self._open_paths = frozenset(open_paths)

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refused = self._refusal(scope)
        if refused is None:
            await self._app(scope, receive, _guarded(send) if scope["type"] == "http" else send)
        elif scope["type"] == "websocket":
            # Before it is accepted: the server answers 403.
            await send({"type": "websocket.close", "code": 1008})
        else:
            await _refuse(_guarded(send), *refused, self._methods)

    def _refusal(self, scope: "Scope") -> tuple[int, str] | None:
        """Return status and reason if the request is refused."""
        headers: dict[str, str] = {}
        for raw, value in scope["headers"]:
            name = raw.decode("latin-1").lower()
            if name in headers and name in _ONCE:
                return 400, f"The header {name} occurs twice."
            # Starlette reads the first one, too.
            headers.setdefault(name, value.decode("latin-1"))
        if scope["type"] == "websocket":
            return self._foreign(headers, opens=False)
        method = scope["method"]
        opens = method == "GET" and headers.get("sec-fetch-dest", "document") == "document"
        probe = method in ("GET", "HEAD") and scope["path"] in self._open_paths
        foreign = None if probe else self._foreign(headers, opens)
        return foreign or self._unsafe(method, scope["path"], headers)

    def _unsafe(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, str] | None:
        if method not in self._methods:
            return 405, f"This server takes {', '.join(self._methods)} only."
        if method == "POST" and not _JSON.fullmatch(headers.get("content-type", "")):
            return 415, "Send the content type application/json."
        # Dagster shows its editor for this, whatever the query string says.
        editor = method == "GET" and "text/html" in headers.get("accept", "")
        if method != "POST" and path.rstrip("/").endswith("/graphql") and not editor:
            return 405, "GraphQL is executed by POST only."
        return None

    def _foreign(self, headers: dict[str, str], opens: bool) -> tuple[int, str] | None:
        host = headers.get("host", "").lower()
        if host_name(host) not in self._hosts:
            return 403, (
                "This server answers on loopback, at the host of TARGEN_PAGES_URL and at those of "
                "TARGEN_UI_HOSTS only."
            )
        origin = headers.get("origin")
        if origin is not None and _authority(origin) != _without_default_port(host, origin):
            return 403, _OWN
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not opens:
            return 403, _OWN
        return None


def host_name(host: str) -> str:
    """Return a Host header without its port."""
    return re.sub(r":\d{1,5}$", "", host)


def known_hosts(addresses: Iterable[str | None]) -> set[str]:
    """Return the hosts of addresses that have one, as the gate takes them."""
    return {host for one in addresses if one and (host := host_name(urlsplit(one).netloc.lower()))}


def _authority(origin: str) -> str | None:
    """Return host and port of an origin, without the scheme's own port; None for `null`."""
    found = re.fullmatch(r"https?://([^/?#@\s]+)", origin.lower())
    return _without_default_port(found[1], origin) if found else None


def _without_default_port(host: str, origin: str) -> str:
    # Behind a proxy that speaks TLS, only the origin tells the scheme.
    return host.removesuffix(":443" if origin.lower().startswith("https:") else ":80")


def _guarded(send: "Send") -> "Send":
    """Return `send` with the gate's headers on every answer."""

    async def guarded(message: "Message") -> None:
        if message["type"] == "http.response.start":
            sent: list[Any] = list(message.get("headers", ()))
            present = {name.lower() for name, _ in sent}
            # A second policy adds to the first.
            added = [
                pair
                for pair in _HEADERS
                if pair[0] == b"content-security-policy" or pair[0] not in present
            ]
            message = {**message, "headers": [*sent, *added]}
        await send(message)

    return guarded


async def _refuse(send: "Send", status: int, text: str, methods: Iterable[str]) -> None:
    content = f"{text}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(content)).encode()),
        (b"cache-control", b"no-store"),
        *([(b"allow", ", ".join(methods).encode())] if status == 405 else []),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
