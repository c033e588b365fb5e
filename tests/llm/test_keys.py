"""No key reaches what is shown, logged or stored, whatever fails."""

import asyncio
import json
import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web

from dagster_project import alerts
from resources.llm import LLMResource
from targen import redaction
from targen.errors import EndpointError, StoreError, TargenError
from targen.llm import outage
from targen.llm.client import Client
from targen.llm.engine import EmbeddingEngine, Engine
from targen.llm.settings import EngineSettings
from targen.store.completions import Store
from targen.tasks.endpoints import normalized
from tests.support.endpoint import GOOD, Endpoint, completion, failure, requests

KEY = "sk-canary/4711+abcdefGHIJ"
ESCAPED = "".join(f"\\u{ord(character):04x}" for character in KEY)


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the keys of other tests."""
    monkeypatch.setattr(redaction, "_KNOWN", {})


def assert_clean(*shown: object) -> None:
    """Check that no text has the key or half of it, plain or escaped."""
    for one in shown:
        text = one if isinstance(one, str) else repr(one)
        decoded = text.replace("\\\\", "\\").replace("\\/", "/")
        for part in (KEY, KEY[:13], KEY[-12:]):
            escaped = "".join(f"\\u{ord(character):04x}" for character in part)
            assert part not in decoded and escaped not in decoded, text[:2000]


@pytest.mark.parametrize(
    ("key", "position", "what"),
    [
        ("sk-canary’4711", 10, "outside ASCII"),
        ("sk-canary4711é", 14, "outside ASCII"),
        ("sk-canary4711\n", 14, "line break"),
        ("\r\nsk-canary4711", 1, "line break"),
        (" sk-canary4711", 1, "white space"),
        ("sk-canary4711 ", 14, "white space"),
        ("sk-canary 4711", 10, "white space"),
        ("sk-canary\t4711", 10, "white space"),
        ("sk-canary\u00a04711", 10, "white space"),
        ("sk-canary\u200b4711", 10, "outside ASCII"),
        ('"sk-canary4711"', 1, "quotation mark"),
        ("'sk-canary4711'", 1, "quotation mark"),
        ("sk-canary\x004711", 10, "control character"),
        ("sk-canary\x7f4711", 10, "control character"),
    ],
)
def test_a_key_that_cannot_be_sent_is_one_error_without_it(
    settings: Any, monkeypatch: pytest.MonkeyPatch, key: str, position: int, what: str
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    made = [settings("http://127.0.0.1:9/v1", api_key=key, key_variable="STRONG_KEY")]
    if "\x00" not in key:
        monkeypatch.setenv("OPENAI_API_KEY", key)
        made.append(settings("http://127.0.0.1:9/v1", api_key=None))
    for one, variable in zip(made, ("STRONG_KEY", "OPENAI_API_KEY"), strict=False):
        with pytest.raises(EndpointError, match=f"in {variable} .*character {position} of") as told:
            Client(one)
        assert what in str(told.value)
        shown = "".join(traceback.format_exception(told.value))
        assert "canary" not in shown and "4711" not in shown


def test_a_key_from_secrets_manager_is_named_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.llm.from_secrets_manager", lambda name, client: "sk canary 4711")
    resource = LLMResource(model="m", api_key_secret="name", data_dir=str(tmp_path))
    with pytest.raises(EndpointError, match="TARGEN_API_KEY_SECRET"):
        Client(resource.settings("r", "t", "s"))


@pytest.mark.parametrize(
    "secret",
    ["sk\\cd<e>f%41+g/h=i", "pass%20word%3Dlong", "ab\\nef\\u0041ghijklmn", "a=414&lt;defghijk"],
)
def test_a_secret_that_looks_escaped_is_found(secret: str) -> None:
    quoted = json.dumps(secret)
    for text in (secret, quoted, json.dumps(quoted), quote(secret, safe=""), f"{secret} {quoted}"):
        assert not any(
            part in redaction.redacted(text, secret) for part in (secret[:8], secret[-8:])
        )


@pytest.mark.parametrize(
    "proxy",
    [
        "http://u:canarysecret@h:bad", "gopher://h:1", "socks5://u:canarysecret@h:1",
        "http://u:canarysecret@h:99999", "http://",
    ],
)  # fmt: skip
def test_a_proxy_that_cannot_be_used_is_one_error(
    settings: Any, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(EndpointError, match=r"HTTP_PROXY.* cannot be used") as told:
        Client(settings("http://127.0.0.1:9/v1"))
    assert "canarysecret" not in "".join(traceback.format_exception(told.value))
    redaction.remember_environment()
    assert "canarysecret" not in redaction.redacted(f"cannot connect to {proxy}")


def test_a_short_key_is_a_word(settings: Any) -> None:
    client = Client(settings("http://127.0.0.1:9/v1", api_key="none"))
    assert redaction.redacted("none of them") == "none of them"
    asyncio.run(client.close())


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        ESCAPED,
        ESCAPED.replace("\\", "\\\\"),
        ESCAPED.upper().replace("\\U", "\\u"),
        KEY.replace("/", "\\/"),
        KEY.replace("/", "%2F").replace("+", "%2B"),
        f"wrong: {KEY[:-3]}",
        f"'{KEY[:12]}'",
        f"{KEY} and {KEY}",
    ],
)
def test_a_key_is_found_however_it_is_written(text: str) -> None:
    redaction.remember(KEY)
    clean = redaction.redacted(f"before {text}")
    assert clean.startswith("before ") and "[the API key]" in clean
    assert_clean(clean)
    assert redaction.redacted("Keys start with sk-canary, most of the time.") == (
        "Keys start with sk-canary, most of the time."
    )


def _raw(content: str, status: int = 200, **headers: str) -> web.Response:
    return web.Response(text=content, status=status, headers=headers)


def _error(key: str) -> web.Response:
    """Refuse the key, written in JSON as given."""
    return _raw(f'{{"error": {{"message": "Wrong: {key}", "param": "{key}"}}}}', 401)


def _escaped(body: Any, endpoint: Endpoint) -> web.Response:
    """Answer with a field for a key in each place, written in JSON with escapes."""
    reply = {
        "id": "@",
        "model": "@",
        "system_fingerprint": "@",
        "choices": [{"message": {"content": "@", "refusal": "@"}, "finish_reason": "stop"}],
    }
    return _raw(json.dumps(reply).replace("@", ESCAPED))


def _redirect(body: Any, endpoint: Endpoint) -> web.Response:
    return _raw("", 307, Location=f"http://{KEY[:9]}.example.org/{KEY}?key={KEY}")


async def _hang(body: Any, endpoint: Endpoint) -> web.Response:
    await asyncio.sleep(1)
    return _raw(KEY)


def _cut(body: Any, endpoint: Endpoint) -> web.Response:
    raise ConnectionResetError


ANSWERS: dict[str, Callable[[Any, Endpoint], Any]] = {
    "401 plain": lambda b, e: failure(401, f"Incorrect API key provided: {KEY}."),
    "401 escaped": lambda b, e: _error(ESCAPED),
    "401 slash": lambda b, e: _error(KEY.replace("/", "\\/")),
    "401 cut off": lambda b, e: failure(401, "x" * 285 + KEY),
    "401 text": lambda b, e: _raw(f"no {ESCAPED}", 401),
    "400 in a parameter": lambda b, e: failure(400, "Unsupported", param=KEY),
    "403": lambda b, e: failure(403, f"{KEY} may not"),
    "404": lambda b, e: failure(404, f"no model for {KEY}"),
    "429": lambda b, e: failure(429, KEY, code="insufficient_quota"),
    "500 page": lambda b, e: _raw(f"<html>{KEY}</html>", 500),
    "garbage": lambda b, e: _raw(f"{KEY} is no JSON"),
    "garbage escaped": lambda b, e: _raw(f"{ESCAPED} is no JSON"),
    "garbage cut off": lambda b, e: _raw("x" * 68 + KEY),
    "redirect": _redirect,
    "hanging": _hang,
    "cut": _cut,
    "bad gzip": lambda b, e: web.Response(
        body=KEY.encode(), headers={"Content-Encoding": "gzip", "Content-Type": "text/plain"}
    ),
    "answer": lambda b, e: completion(json.dumps({"items": [{"text": KEY}]})),
    "answer escaped": lambda b, e: completion(GOOD.replace("a", ESCAPED)),
    "answer no JSON": lambda b, e: completion(f"My key is {KEY}"),
    "answer of keys": _escaped,
    "refusal": lambda b, e: completion(None, refusal=f"I do not say {KEY}"),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_the_key_comes_out_nowhere(
    settings: Any,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.setattr(outage, "FRESH_S", 0.05)
    for logger in ("targen", "openai", "httpx2", "asyncio", "aiohttp"):
        caplog.set_level(logging.DEBUG, logger=logger)
    async with Endpoint(ANSWERS[name]) as endpoint:
        made = settings(endpoint, api_key=KEY, timeout_s=0.2, patience_s=1.0, embedding_model="e")
        shown = await _everything_shown(Engine(made), made)
        async with EmbeddingEngine(made) as engine:
            try:
                await asyncio.wait_for(engine.embed(["a"]), 20)
            except (TargenError, TimeoutError) as error:
                shown.append("".join(traceback.format_exception(error)))
    assert_clean(*shown, caplog.text)
    with_key = [file for file in tmp_path.rglob("*") if file.is_file()]  # noqa: ASYNC240
    assert with_key
    for file in with_key:
        assert KEY.encode() not in file.read_bytes()


async def _everything_shown(engine: Engine, made: EngineSettings) -> list[str]:
    """Run an engine; return every text that a caller can see of it."""
    shown: list[str] = [repr(made), repr(engine)]
    try:
        async with engine as llm:
            async for outcome in llm.run(requests(6)):
                shown += [repr(outcome), str(outcome.error), str(outcome.raw)]
    except TargenError as error:
        shown += [repr(error), "".join(traceback.format_exception(error))]
    shown.append(repr(engine.stats))
    store = Store(made.store_url)
    with store.read() as connection:
        ids = connection.exec_driver_sql("SELECT request_id FROM completions").scalars().all()
    # What is stored is compressed: a search of the file would find nothing.
    shown += [str(value) for row in store.completions(list(ids)).rows() for value in row]
    store.close()
    return shown


async def test_a_refused_connection_does_not_show_the_key(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    made = settings("http://127.0.0.1:9/v1", api_key=KEY)
    assert_clean(*await _everything_shown(Engine(made), made), caplog.text)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OPENAI_ORG_ID", f"örg {KEY}"),
        ("OPENAI_PROJECT_ID", f"two\nlines {KEY}"),
        ("OPENAI_CUSTOM_HEADERS", f"X-Täm: {KEY}"),
        ("OPENAI_CUSTOM_HEADERS", f"X-Team: a\rb{KEY}"),
        ("OPENAI_CUSTOM_HEADERS", f"X-Team: ’{KEY}"),
    ],
)
async def test_a_bad_header_is_one_error_without_the_key(
    settings: Any, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    async with Endpoint(lambda body, endpoint: completion(GOOD)) as endpoint:
        made = settings(endpoint, api_key=KEY)
        shown = await _everything_shown(Engine(made), made)
    assert_clean(*shown)
    assert variable in shown[2] and "no request to" in shown[2]


@pytest.mark.parametrize(
    "url",
    [
        f"http://127.0.0.1:{KEY}/v1",
        f"http://me:{KEY}@127.0.0.1/v1",
        f"ftp://127.0.0.1/{KEY}",
        f"http:///{KEY}",
        f"http://[{KEY}/v1",
        "127.0.0.1:8000/v1",
        "http://127.0.0.1:70000/v1",
    ],
)
def test_a_bad_base_url_is_one_error_without_its_secret(settings: Any, url: str) -> None:
    with pytest.raises(EndpointError, match="base URL") as told:
        Client(settings(url))
    assert_clean("".join(traceback.format_exception(told.value)))


async def test_a_secret_in_the_query_of_the_base_url_is_not_shown(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def answer(body: Any, endpoint: Endpoint) -> web.StreamResponse:
        return failure(404, f"no model for {KEY}")

    async with Endpoint(answer) as endpoint:
        for mode in ("live", "batch"):
            made = settings(f"{endpoint.url}?api-key={KEY.replace('+', '%2B')}", mode=mode)
            shown = await _everything_shown(Engine(made), made)
            # The settings hold it, as they hold the key.
            assert_clean(*shown[1:], caplog.text)
    assert KEY not in normalized(f"http://host/v1?api-key={KEY}")


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:{KEY}@127.0.0.1:9/db",
        f"postgresql://127.0.0.1:9/db?password={KEY}&connect_timeout=1",
        f"postgresql://127.0.0.1:9/db?user=me&sslpassword={KEY}",
        f"postgresql://me:a@b:{KEY}@127.0.0.1/db",
        f"postgresql://127.0.0.1:{KEY[:9]}/db",
        f"mysql+nothing://me:{KEY}@127.0.0.1/db",
        f"no URL {KEY}",
    ],
)
def test_a_secret_in_the_address_of_the_store_is_not_shown(url: str) -> None:
    url = url.replace("/4711+", "4711")
    secret = KEY.replace("/4711+", "4711")
    with pytest.raises(StoreError, match="completion store") as told:
        Store(url)
    shown = "".join(traceback.format_exception(told.value))
    assert secret not in shown and secret[:13] not in shown


def test_a_log_record_never_has_the_key(caplog: pytest.LogCaptureFixture) -> None:
    redaction.remember(KEY)
    logger = logging.getLogger("targen")
    logger.warning("sent %s", {"Authorization": f"Bearer {KEY}"})
    logger.warning("no key here: %d", 5)
    try:
        raise ValueError(f"Invalid header value b'Bearer {KEY}'")
    except ValueError:
        logger.exception("It failed")
    assert "no key here: 5" in caplog.text and "ValueError" in caplog.text
    assert "[the API key]" in caplog.text
    assert_clean(caplog.text)


@pytest.mark.parametrize(
    "address", [f"http://127.0.0.1:9/{KEY}", f"http://127.0.0.1:{KEY}/x", f"nothing {KEY}"]
)
def test_an_alert_that_cannot_be_sent_does_not_show_its_address(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "_PAUSES_S", ())
    with pytest.raises(TargenError, match="No alert was sent") as told:
        alerts.send({"text": "x"}, address)
    assert_clean("".join(traceback.format_exception(told.value)))
