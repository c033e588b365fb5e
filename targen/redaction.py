"""Keeps secrets out of everything that is shown, logged or stored.

The process remembers its secrets: keys, passwords in addresses, the path of the webhook. Texts
of endpoints, the message of every `TargenError`, every log record and the traceback of a crash pass
`redacted`. It finds a secret that an endpoint or a library repeats, in the usual encodings. An
endpoint that wants to hide the key in its answers can always do so, but it has the key anyway.
"""

import base64
import html.entities
import logging
import os
import re
import sys
import traceback
from bisect import bisect_right
from collections.abc import Iterable
from functools import lru_cache
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

SHORTEST = 12
"""Characters. Shorter secrets are not searched for: keys such as "none" are placeholders for
servers that need no key."""

MARK = "[the API key]"
_OTHER_MARK = "[a secret]"
_WITHHELD = "[text withheld because it contains a secret in several encodings]"

SECRET_NAME = re.compile(r"key|token|secret|pass|pwd|sig|cred|auth", re.IGNORECASE)
"""Finds the parameters of a URL's query that contain secrets."""

_VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "HF_TOKEN")
_ADDRESSES = (
    "OPENAI_BASE_URL", "TARGEN_STORE_URL", "DAGSTER_POSTGRES_URL", "TARGEN_CELERY_BROKER",
    "TARGEN_CELERY_BACKEND", "TARGEN_ALERT_WEBHOOK", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY",
)  # fmt: skip

_COMMON = '"PRWB0STIAMC12zqxjkvbpygfwmucldrhsnioate'
_ROUNDS = 4
"""How often encodings inside encodings are undone."""

_NAMED = {
    name.removesuffix(";"): text
    for name, text in html.entities.html5.items()
    if len(text) == 1 and " " < text < "\x7f"
}
_TWO = "[2-7][0-9a-f]"
_ESCAPE = re.compile(
    rf"\\+(?:u00(?P<json>{_TWO})|u\{{0{{0,6}}(?P<brace>{_TWO})\}}|x(?P<c>{_TWO})"
    r"|(?P<octal>0?(?:1[0-7][0-7]|[4-7][0-7])(?![0-7]))"
    r"|[rntfv]|u00(?:[01][0-9a-f]|7f|ad)|x[01][0-9a-f]|u200[b-f]|u206[0-4]|ufeff)?"
    rf"|%(?:25)*(?P<url>{_TWO})|=(?P<printable>{_TWO})"
    rf"|&(?:amp;)*(?:#(?:x0{{0,6}}(?P<hex>{_TWO})|0{{0,6}}(?P<dec>1[01][0-9]|12[0-6]|[3-9][0-9]))"
    r"|(?P<named>[a-z]{2,8}));"
    r"|[\s\x00-\x1f\x7f\xad\u200b-\u200f\u2060-\u2064\ufeff]+",
    re.IGNORECASE,
)
_OPENINGS = re.compile(
    rf"\\(?:u00|u20|ufeff|u\{{|x[0-7]|[0-7]{{2}})|%{_TWO}|={_TWO}|&[#a-z]", re.IGNORECASE
)
_MARKS = ("%", "=", "&", "\\u", "\\U", "\\x", "\\X", *(f"\\{digit}" for digit in range(8)))
"""The search for the beginnings of escapes is faster than that for whole ones."""
_HIDDEN = str.maketrans("", "", "\0\xad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\\")

_KNOWN: dict[str, str] = {}
"""Secret -> what to write instead of it."""


def remember(secret: str | None, mark: str = MARK) -> None:
    """Keep a secret out of what this process shows, logs and stores from now on."""
    if secret is None or len(secret) < SHORTEST or secret in _KNOWN:
        return
    _KNOWN[secret] = mark
    _install()


def remember_address(address: str | None) -> None:
    """Remember the password and the secret parameters of an address, if it has any."""
    try:
        parts = urlsplit(address or "")
        password, pairs = parts.password, parse_qsl(parts.query)
    except ValueError:
        return
    remember(password and unquote(password), _OTHER_MARK)
    for name, value in pairs:
        if SECRET_NAME.search(name):
            remember(value)


def remember_environment() -> None:
    """Remember the secrets among the variables of the environment that this package reads."""
    remember(os.environ.get("OPENAI_API_KEY"))
    for name in _VARIABLES:
        remember(os.environ.get(name), _OTHER_MARK)
    for name in _ADDRESSES:
        remember_address(os.environ.get(name))
        # Proxies are usually in lower case.
        remember_address(os.environ.get(name.lower()))
    # The secret of a webhook is its path. Its host is none, and errors must be able to name it.
    webhook = os.environ.get("TARGEN_ALERT_WEBHOOK", "")
    remember(webhook.partition("://")[2].partition("/")[2], _OTHER_MARK)


def redacted(text: str, secret: bytes | str = "") -> str:
    """Return `text` with "[the API key]" wherever it contains a secret.

    Finds a secret as it is, URL-encoded, in Base64 or hexadecimal, and written with escapes of
    JSON, C, URLs, HTML or quoted-printable mail, also with white space or invisible characters in
    it; and its first or last 12 characters or more, so that a truncated secret is found too. A text
    that contains one only after several decodings is withheld as a whole.

    Args:
        text: any text.
        secret: a key to search for besides those that this process remembers.
    """
    if len(text) < SHORTEST or not (secret or _KNOWN):
        return text
    if isinstance(secret, bytes):
        secret = secret.decode("utf-8", "replace")
    secrets = {**({secret: MARK} if len(secret) >= SHORTEST else {}), **_KNOWN}
    layers = _layers(text)
    for known, mark in secrets.items():
        forms = _forms(known)
        if any(_spans(layer, forms) for layer in layers):
            text = _without_secret(text, forms, mark)
            layers = _layers(text)
    return text


def _layers(text: str) -> list[str]:
    """Return a text as it is, and decoded as often as it can be."""
    if not any(mark in text for mark in _MARKS) or _OPENINGS.search(text) is None:
        # One quick search clears most texts.
        quick = text.replace("\\n", "").replace("\\r", "").replace("\\t", "")
        quick = quick.replace("\\", "").replace("\0", "")
        if not quick.isascii():
            quick = quick.translate(_HIDDEN)
        return [text, "".join(quick.split())]
    layers = [text]
    for _ in range(_ROUNDS):
        layers.append(_unescaped(layers[-1])[0])
        if _OPENINGS.search(layers[-1]) is None:
            break
    return layers


def _without_secret(text: str, forms: tuple["_Part", ...], mark: str) -> str:
    flat, pieces = _unescaped(text)
    places = [piece[0] for piece in pieces]
    found = []
    for start, end in _spans(flat, forms):
        place, origin, _ = pieces[bisect_right(places, start) - 1]
        last_place, last_origin, last_end = pieces[bisect_right(places, end - 1) - 1]
        whole = last_end if last_end is not None else last_origin + end - last_place
        found.append((origin + start - place, whole))
    # The escapes themselves may belong to a form, as those of the URL-encoded key do.
    text = _without(text, found, mark)
    text = _without(text, _spans(text, forms), mark)
    return _WITHHELD if any(_spans(layer, forms) for layer in _layers(text)) else text


def _unescaped(text: str) -> tuple[str, list[tuple[int, int, int | None]]]:
    """Return `text` without its escapes, and where its pieces come from.

    Each piece is (its place in the result, its start in `text`, its end in `text` if it is one
    escaped character).
    """
    parts: list[str] = []
    pieces: list[tuple[int, int, int | None]] = []
    length = at = 0
    for found in _ESCAPE.finditer(text):
        meant = _meant(found)
        if meant is None:
            continue
        if found.start() > at:
            parts.append(text[at : found.start()])
            pieces.append((length, at, None))
            length += found.start() - at
        at = found.end()
        if meant:
            parts.append(meant)
            pieces.append((length, found.start(), at))
            length += 1
    if at < len(text):
        parts.append(text[at:])
        pieces.append((length, at, None))
    return "".join(parts), pieces


def _meant(found: "re.Match[str]") -> str | None:
    """Return the character that an escape means, '' if it means none; None if it is no escape."""
    kind = found.lastgroup
    if kind is None:
        return ""
    written = found[kind]
    if kind == "named":
        return _NAMED.get(written)
    return chr(int(written, {"dec": 10, "octal": 8}.get(kind, 16)))


_Part = tuple[str, str, bool, str, str]
"""What to search for: part of a form, the form, whether the part is its end, two rare letters."""


@lru_cache(maxsize=64)
def _forms(secret: str) -> tuple[_Part, ...]:
    url = quote(secret, safe="")
    plain = {secret, "".join(secret.split()), url}
    plain.add(re.sub("%..", lambda found: found.group().lower(), url))
    # Where escapes are undone, so are those that a secret only seems to contain.
    plain.add(_unescaped(secret)[0])
    content = secret.encode("utf-8", "replace")
    coded = {content.hex(), content.hex().upper()}
    for before in range(3):
        # What precedes the key shifts its Base64; the first and last characters depend on it.
        text = base64.b64encode(b"\0" * before + content).decode()
        whole = text[(0, 2, 3)[before] : len(text) - (0, 3, 2)[(before + len(content)) % 3]]
        coded |= {whole, whole.replace("+", "-").replace("/", "_")}
    # The search for its beginning finds the whole form as well. The beginning of hexadecimal text
    # says less than that of others: the same 12 characters of it are 6 of the key.
    ends = [(form[-SHORTEST:], form, True) for form in plain]
    heads = [(form[:SHORTEST], form, False) for form in plain | coded]
    known = sorted(part for part in ends + heads if len(part[0]) == SHORTEST)
    return tuple((*part, *_rarest(part[0])) for part in known)


def _rarest(part: str) -> tuple[str, str]:
    """Return two characters of `part` that are rare in English text and JSON."""
    by_rarity = sorted(set(part), key=lambda character: (_COMMON.find(character), character))
    return by_rarity[0], by_rarity[min(1, len(by_rarity) - 1)]


def _spans(text: str, parts: Iterable[_Part]) -> list[tuple[int, int]]:
    """Return where `text` holds a form, or at least 12 characters of its beginning or end."""
    spans: list[tuple[int, int]] = []
    for part, form, is_end, rare, next_rare in parts:
        # A search for one character is many times as fast as one for twelve.
        if rare not in text or next_rare not in text:
            continue
        at = text.find(part)
        while at >= 0:
            start, end = at, at + len(part)
            if is_end:
                before = form[: -len(part)]
                while before and start and text[start - 1] == before[-1]:
                    start, before = start - 1, before[:-1]
            else:
                while text[end : end + 1] == form[end - start : end - start + 1] != "":
                    end += 1
            spans.append((start, end))
            at = text.find(part, end)
    return spans


def _without(text: str, spans: list[tuple[int, int]], mark: str) -> str:
    if not spans:
        return text
    pieces, at = [], 0
    for start, end in sorted(spans):
        if start >= at:
            pieces += [text[at:start], mark]
        at = max(at, end)
    return "".join([*pieces, text[at:]])


def redacted_trace(error: BaseException) -> str | None:
    """Return the traceback of an error without its secrets; None if it contains none."""
    trace = "".join(traceback.format_exception(error)).rstrip()
    clean = redacted(trace)
    return None if clean == trace else clean


class _Installed:
    """What Python called before: the factory of log records and the hook for crashes."""

    factory: Any = None
    hook: Any = None


def _install() -> None:
    """Redact all log records and tracebacks of this process from now on."""
    if _Installed.factory is None:
        _Installed.factory, _Installed.hook = logging.getLogRecordFactory(), sys.excepthook
        logging.setLogRecordFactory(_record)
        sys.excepthook = _crashed


def _record(*arguments: Any, **more: Any) -> logging.LogRecord:
    record: logging.LogRecord = _Installed.factory(*arguments, **more)
    try:
        message = record.getMessage()
    except Exception:
        # A wrong format, which logging would report with the arguments.
        message = f"{record.msg} {record.args!r}"
        record.msg, record.args = message, ()
    if (clean := redacted(message)) != message:
        record.msg, record.args = clean, ()
    if record.exc_info and record.exc_info[1] is not None:
        trace = redacted_trace(record.exc_info[1])
        if trace is not None:
            record.exc_info, record.exc_text = None, trace
    return record


def _crashed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    clean = redacted_trace(error)
    if clean is None:
        _Installed.hook(kind, error, trace)
    else:
        sys.stderr.write(f"{clean}\n")
