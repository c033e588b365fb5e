"""A key in every encoding, through every error path: in no file that a run leaves, nor shown."""

import asyncio
import base64
import gzip
import json
import random
import sqlite3
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl
import pytest
import zstandard
from aiohttp import web

from targen import redaction
from targen.hashing import digest
from tests.llm.test_foreign_endpoint import make_run
from tests.support.endpoint import Endpoint
from tests.support.models import random_value

KEY = "sk-canary/47+11-ZwQ0123456789abcdefXYZ"


def each(form: Callable[[str], str]) -> str:
    return "".join(form(character) for character in KEY)


ENCODINGS = {
    "plain": KEY,
    "url": quote(KEY, safe=""),
    "percent": each(lambda c: f"%{ord(c):02X}"),
    "percent twice": each(lambda c: f"%25{ord(c):02x}"),
    "json": each(lambda c: f"\\u{ord(c):04x}"),
    "json twice": each(lambda c: f"\\\\\\\\u{ord(c):04X}"),
    "slash": KEY.replace("/", "\\/"),
    "c": each(lambda c: f"\\x{ord(c):02x}"),
    "octal": each(lambda c: f"\\{ord(c):03o}"),
    "brace": each(lambda c: f"\\u{{{ord(c):x}}}"),
    "html decimal": each(lambda c: f"&#{ord(c)};"),
    "html hexadecimal": each(lambda c: f"&#x{ord(c):X};"),
    "html twice": each(lambda c: f"&amp;#{ord(c)};"),
    "html named": KEY.replace("/", "&sol;").replace("+", "&plus;"),
    "base64": base64.b64encode(KEY.encode()).decode(),
    "base64 shifted": base64.b64encode(f"user:{KEY}".encode()).decode(),
    "base64 for urls": base64.urlsafe_b64encode(f"x{KEY}?".encode()).decode(),
    "base64 escaped": quote(base64.b64encode(KEY.encode()).decode(), safe=""),
    "hexadecimal": KEY.encode().hex(),
    "quoted printable": each(lambda c: f"={ord(c):02X}"),
    "lines": "\r\n ".join(KEY[at : at + 7] for at in range(0, len(KEY), 7)),
    "invisible": "\u200b".join(KEY),
    "zeros": "\x00".join(KEY),
    "beginning": KEY[:14] + "...",
    "end": "..." + KEY[-14:],
    "mixed": each(lambda c: f"&#37;{ord(c):02x}" if c in "-/+" else f"\\u{ord(c):04x}"),
}
FORMS = [form.encode() for name, form in ENCODINGS.items() if name not in ("beginning", "end")]
FORMS += [KEY[:13].encode(), KEY[-13:].encode()]


@pytest.mark.parametrize("name", ENCODINGS)
def test_every_encoding_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_KNOWN", {})
    text = f"before {ENCODINGS[name]} after"
    assert redaction.redacted(text) == text
    redaction.remember(KEY)
    for wrapped in (text, json.dumps({"error": text}), repr(text), f"<p>{text}</p>"):
        clean = redaction.redacted(wrapped)
        assert ENCODINGS[name] not in clean and KEY[:12] not in clean and KEY[-12:] not in clean
        assert redaction.MARK in clean or "withheld" in clean


def echoing(body: Any, endpoint: Endpoint) -> web.Response:
    """Answer, and repeat the key in another encoding and another place at each call."""
    number = len(endpoint.bodies)
    names = list(ENCODINGS)
    leak = ENCODINGS[names[number % len(names)]]
    schema = body["response_format"]["json_schema"]["schema"] if "response_format" in body else {}
    rng = random.Random(digest([body["messages"], body.get("seed")]))
    value = json.dumps(random_value(schema, rng)) if schema else "{}"
    printable = "".join(c for c in leak if c.isprintable() and c.isascii())
    headers = {"X-Echo": printable, "X-Request-Id": printable}
    kind = number % 5
    if kind == 1:
        error = {"error": {"message": f"Slow down, {leak}", "code": "rate_limit", "param": leak}}
        return web.json_response(error, status=429, headers={**headers, "Retry-After": "0"})
    if kind == 3:
        return web.Response(text=f"<p>{leak}</p>", status=500, headers=headers)
    reply = {
        "id": leak,
        "model": leak,
        "system_fingerprint": leak,
        "choices": [
            {
                "message": {"content": f"{value} (You sent {leak}.)", "reasoning": leak},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 7, "completion_tokens": 5},
    }
    return web.json_response(reply, headers=headers)


def failing(body: Any, endpoint: Endpoint) -> web.Response:
    text = " ".join(form for name, form in ENCODINGS.items() if name != "zeros")
    return web.json_response({"error": {"message": text, "param": text}}, status=401)


@pytest.mark.parametrize("server", [echoing, failing])
async def test_no_file_of_a_run_and_no_terminal_has_the_key(
    server: Callable[[Any, Endpoint], web.Response], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.llm.test_foreign_endpoint.KEY", KEY)
    async with Endpoint(server) as endpoint:
        status, out, err = await make_run(tmp_path, endpoint, "rte")
        # The schemas of both answers and errors are honest, so the run ends as it should.
        assert status == (0 if server is echoing else 1), err[-2000:]
        assert len(endpoint.bodies) > (30 if server is echoing else 0)
    found = await asyncio.to_thread(leaks, tmp_path)
    assert found == []
    assert not [form for form in FORMS if form in (out + err).encode()]
    if server is echoing:
        raw = b"".join(content for _, content in contents(tmp_path / "data/completions.db"))
        assert redaction.MARK.encode() in raw


def leaks(folder: Path) -> list[str]:
    """Return where files contain the key, in any encoding, also within compressed content."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    assert len(files) > 5
    return [
        f"{path.relative_to(folder)} ({where}): {form[:40]!r}"
        for path in files
        for where, content in contents(path)
        for form in FORMS
        if form in content
    ]


def contents(path: Path) -> list[tuple[str, bytes]]:
    """Return what a file contains, as it is and as its readers see it."""
    raw = path.read_bytes()
    found = [("bytes", raw)]
    if raw.startswith(b"SQLite format 3"):
        with sqlite3.connect(path) as database:
            names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            for (name,) in names.fetchall():
                for row in database.execute(f'SELECT * FROM "{name}"'):
                    found += [(name, cell(value)) for value in row if value is not None]
        database.close()
    elif raw.startswith(b"PAR1"):
        table = pl.read_parquet(path)
        found += [(name, str(table[name].to_list()).encode()) for name in table.columns]
    elif raw.startswith(b"\x1f\x8b"):
        found.append(("gzip", gzip.decompress(raw)))
    return found


def cell(value: Any) -> bytes:
    """Return a value of a database as bytes, uncompressed."""
    content = value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
    if content.startswith(b"\x28\xb5\x2f\xfd"):
        return zstandard.ZstdDecompressor().decompress(content, max_output_size=1 << 24)
    if content[:1] == b"\x78":
        try:
            return zlib.decompress(content)
        except zlib.error:
            return content
    return content
