"""An HTTP proxy that loses, refuses and cuts off what passes through it, at a set rate.

Which request fails how follows from its number alone, so that a test fails or passes every time.
"""

import http.client
import socket
import struct
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from targen.hashing import rng

KINDS = ("refused", "reset", "cut", "lost")
"""Refused with 503; reset before the server hears of it; the answer cut off in its middle; the
answer lost after the server did what it was asked."""


class FaultyProxy:
    """Stands before a server on loopback.

    Attributes:
        gone: while true, every connection is reset.
        seen: verb -> requests that came; `failed` kind -> requests that were failed.
    """

    def __init__(self, target: int, share: float) -> None:
        self.target, self.share = target, share
        self.gone = False
        self.seen: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def fault(self, verb: str) -> str | None:
        """Return how the next request fails, None where it does not."""
        with self._lock:
            self.seen[verb] += 1
            if self.gone:
                kind: str | None = "gone"
            else:
                draw = rng("fault", sum(self.seen.values()))
                kind = draw.choice(KINDS) if draw.random() < self.share else None
            if kind:
                self.failed[kind] += 1
            return kind

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    proxy: FaultyProxy
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        body = self._body()
        kind = self.proxy.fault(self.command)
        if kind in ("gone", "reset"):
            self._reset()
            return
        if kind == "refused":
            self._answer(503, [], b"<Error><Code>SlowDown</Code></Error>")
            return
        connection = http.client.HTTPConnection("127.0.0.1", self.proxy.target, timeout=60)
        connection.request(self.command, self.path, body, dict(self.headers.items()))
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if kind == "lost":
            self._reset()
            return
        self._answer(answer.status, answer.getheaders(), content, cut=kind == "cut")

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve  # noqa: N815

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            continue
        del self.headers["Transfer-Encoding"]
        return b"".join(parts)

    def _answer(
        self, status: int, headers: list[tuple[str, str]], content: bytes, cut: bool = False
    ) -> None:
        self.send_response_only(status)
        dropped = ("connection", "transfer-encoding")
        length = "content-length" in {name.lower() for name, _ in headers}
        for name, value in headers:
            if name.lower() not in dropped:
                self.send_header(name, value)
        if not length:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if cut else content)
        if cut:
            self._reset()

    def _reset(self) -> None:
        self.wfile.flush()
        # Linger of zero: the other side sees a reset, not an orderly end.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""
