"""The gate before the web servers: who is let through, and with what."""

import asyncio
from typing import Any, cast

import pytest
from dagster_webserver.webserver import DagsterWebserver
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from targen.cli.gate import Gate, known_hosts
from targen.errors import TargenError
from targen.settings import Settings
from targen_dagster.webserver import gated

HERE = "127.0.0.1:3000"
JSON = "application/json"


def ask(
    method: str = "GET",
    path: str = "/",
    *,
    kind: str = "http",
    read_only: bool = False,
    repeated: str | None = None,
    **given: str,
) -> Any:
    """Return the messages that the server would send for a request, by the gate or behind it."""
    headers = {"host": HERE, **{name.replace("_", "-"): value for name, value in given.items()}}
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    pairs += [(repeated.encode(), b"x")] if repeated else []
    scope = {"type": kind, "method": method, "path": path, "query_string": b"", "headers": pairs}
    sent: list[Any] = []

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        if kind == "websocket":
            await send({"type": "websocket.accept"})
            return
        policy = [(b"content-security-policy", b"base-uri 'none'")]
        await send({"type": "http.response.start", "status": 200, "headers": policy})

    async def send(message: Any) -> None:
        sent.append(message)

    gate = Gate(behind, {"targen.example.org"}, read_only, {"/server_info"})
    asyncio.run(gate(scope, None, send))  # type: ignore[arg-type]
    return sent


def status(*arguments: Any, **options: Any) -> int:
    return int(ask(*arguments, **options)[0]["status"])


@pytest.mark.parametrize(
    "host",
    [HERE, "localhost:3000", "LOCALHOST", "[::1]:3000", "targen.example.org", "127.0.0.1"],
)
def test_known_hosts_are_answered(host: str) -> None:
    assert status(host=host) == 200
    assert ask(kind="websocket", host=host)[0]["type"] == "websocket.accept"


@pytest.mark.parametrize(
    "host",
    [
        "", "evil.example", "evil.example:3000", "127.0.0.1.evil.example", "localhost.evil:3000",
        "127.0.0.1@evil.example", "127.0.0.1:3000.evil", "127.0.0.2", "0.0.0.0:3000", "127.0.0.1:",
        "targen.example.org.evil", "[::2]", "evil.example#127.0.0.1", " 127.0.0.1",
    ],
)  # fmt: skip
def test_other_hosts_are_refused(host: str) -> None:
    """As after DNS rebinding, which makes the origin the server's own."""
    assert status(host=host, origin=f"http://{host}", sec_fetch_site="same-origin") == 403
    assert ask(kind="websocket", host=host)[0]["type"] == "websocket.close"


def test_a_probe_may_name_any_host_but_only_to_read_the_version() -> None:
    assert status(path="/server_info", host="10.0.0.7:3000") == 200
    assert status("POST", "/server_info", host="10.0.0.7:3000", content_type=JSON) == 403


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        (HERE, f"http://{HERE}"),
        ("localhost", "http://localhost"),
        ("localhost:80", "http://localhost"),
        ("targen.example.org", "https://targen.example.org"),
        ("targen.example.org", "https://targen.example.org:443"),
        ("[::1]:3000", "http://[::1]:3000"),
    ],
)
def test_its_own_pages_are_answered(host: str, origin: str) -> None:
    own: dict[str, Any] = {"host": host, "origin": origin, "sec_fetch_site": "same-origin"}
    assert status("POST", "/graphql", content_type=JSON, **own) == 200
    assert ask(kind="websocket", path="/graphql", **own)[0]["type"] == "websocket.accept"


@pytest.mark.parametrize(
    "origin",
    [
        "null", "", "http://evil.example", "http://127.0.0.1:3001", "http://localhost:3000",
        "http://127.0.0.1", f"http://{HERE}.evil.example", f"http://{HERE}@evil.example",
        f"file://{HERE}", f"chrome-extension://{HERE}", f"http://evil.example/{HERE}", HERE,
    ],
)  # fmt: skip
def test_other_origins_are_refused(origin: str) -> None:
    for method, path in (("GET", "/"), ("POST", "/graphql"), ("OPTIONS", "/graphql")):
        assert status(method, path, origin=origin, content_type=JSON) == 403
    refused = ask(kind="websocket", path="/graphql", origin=origin)
    assert refused == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.parametrize("site", ["cross-site", "same-site", "unknown"])
def test_another_site_can_open_a_page_and_nothing_more(site: str) -> None:
    assert status(sec_fetch_site=site, sec_fetch_dest="document") == 200
    for target in ("iframe", "empty", "image", "script", "object", "style", "embed"):
        assert status(sec_fetch_site=site, sec_fetch_dest=target) == 403
    posted: dict[str, Any] = {"content_type": JSON, "sec_fetch_dest": "document"}
    assert status("POST", "/graphql", sec_fetch_site=site, **posted) == 403
    assert ask(kind="websocket", sec_fetch_site=site)[0]["type"] == "websocket.close"


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (JSON, 200),
        ("Application/JSON; charset=UTF-8", 200),
        ("", 415),
        ("text/plain", 415),
        ("text/plain; application/json", 415),
        ("text/plain;charset=application/json", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=application/json", 415),
        ("application/graphql", 415),
        ("application/json, text/plain", 415),
        ("application/jsonp", 415),
    ],
)
def test_only_json_is_posted(content_type: str, expected: int) -> None:
    """Other types need no preflight, and Dagster would take the query from the address."""
    assert status("POST", "/graphql", content_type=content_type) == expected
    assert status("POST", "/report_asset_check/a", content_type=content_type) == expected


@pytest.mark.parametrize("path", ["/graphql", "/graphql/", "/prefix/graphql"])
def test_a_get_executes_no_graphql(path: str) -> None:
    for method in ("GET", "HEAD"):
        for accept in ("image/*", "*/*", JSON, ""):
            assert status(method, path, accept=accept) == 405
    assert status("GET", path, accept="text/html,*/*") == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"])
def test_other_methods_are_refused(method: str) -> None:
    (start, body) = ask(method, content_type=JSON)
    assert start["status"] == 405
    assert (b"allow", b"GET, HEAD, POST") in start["headers"]
    assert b"access-control-allow-origin" not in {name for name, _ in start["headers"]}
    assert b"GET, HEAD, POST" in body["body"]
    assert status("POST", read_only=True, content_type=JSON) == 405


@pytest.mark.parametrize("name", ["host", "origin", "content-type", "sec-fetch-site", "Host"])
def test_a_header_that_occurs_twice_is_refused(name: str) -> None:
    """Gate and server could read different ones."""
    given = {name.lower().replace("-", "_"): f"http://{HERE}"} if name != "Host" else {}
    assert status("POST", repeated=name, **given) == 400
    assert ask(kind="websocket", repeated=name, **given)[0]["type"] == "websocket.close"


def test_of_two_accept_headers_the_gate_reads_the_first_as_the_server_does() -> None:
    assert status("GET", "/graphql", accept="image/*", repeated="accept") == 405


def test_no_other_site_can_show_an_answer() -> None:
    for start in (ask()[0], ask(host="evil.example")[0]):
        headers = start["headers"]
        assert (b"content-security-policy", b"frame-ancestors 'self'") in headers
        assert (b"cross-origin-resource-policy", b"same-origin") in headers
    assert (b"content-security-policy", b"base-uri 'none'") in ask()[0]["headers"]


def test_the_hosts_of_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TARGEN_UI_HOSTS", " Targen.example.org, [::7] ")
    assert Settings.from_environment().ui_hosts == "targen.example.org,[::7]"
    assert known_hosts(["https://A.example:99/x", "/targen", None]) == {"a.example"}
    for wrong in ("http://x", "*", "a:80", "a b", ".a"):
        monkeypatch.setenv("TARGEN_UI_HOSTS", wrong)
        with pytest.raises(TargenError, match="TARGEN_UI_HOSTS must be host names"):
            Settings.from_environment()


class Bare(DagsterWebserver[Any, Any]):
    """Dagster's webserver without a workspace."""

    async def download_notebook(self, request: Any) -> PlainTextResponse:  # type: ignore[override]
        return PlainTextResponse("a notebook")

    def index_html_endpoint(self, request: Any) -> PlainTextResponse:  # type: ignore[override]
        return PlainTextResponse("the index")


@pytest.mark.parametrize("prefix", ["", "/dagster"])
def test_no_notebook_of_this_machine_is_shown(prefix: str) -> None:
    """Its scripts would run in the origin of the UI."""

    def made() -> Starlette:
        return Starlette(routes=Bare(cast("Any", None), prefix).build_routes())

    for path in (f"{prefix}/notebook", f"{prefix}/dagit/notebook"):
        assert TestClient(made(), f"http://{HERE}").get(path).text == "a notebook"
        behind = TestClient(gated(made(), Settings(pages_url="/targen")), f"http://{HERE}")
        assert behind.get(path).text == "the index"
