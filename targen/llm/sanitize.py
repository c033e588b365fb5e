"""Makes text from an endpoint safe to store: valid Unicode, and no API key in it."""

import base64
import re
from bisect import bisect_right
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import quote

SHORTEST_KEY = 12
"""Characters. Shorter keys are placeholders for servers that need none, such as "none"."""

MARK = "[the API key]"

_COMMON = '"PRWB0STIAMC12zqxjkvbpygfwmucldrhsnioate'

_LONE = re.compile("[\ud800-\udfff]")
_ESCAPE = re.compile(
    r"\\+(?:u00(?P<json>[2-7][0-9a-f]))?|%(?P<url>[2-7][0-9a-f])"
    r"|&#(?:x0{0,4}(?P<hex>[2-7][0-9a-f])|0{0,4}(?P<dec>1[01][0-9]|12[0-6]|[3-9][0-9]));",
    re.IGNORECASE,
)
_OPENINGS = ("u00", "U00", "%", "&#")


def storable(text: str) -> str:
    """Return `text` as valid Unicode without NUL, so that every table and database takes it.

    The two halves of a surrogate pair are joined; a lone half becomes U+FFFD.
    """
    if "\0" in text:
        text = text.replace("\0", "")
    if not text.isascii() and _LONE.search(text):
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def redacted(text: str, secret: bytes | str) -> str:
    """Return `text` with "[the API key]" wherever it contains the key.

    Finds the key as it is, URL-encoded, in Base64, and written with JSON, URL or HTML escapes; and
    its first or last 12 characters or more, so that a truncated key is found too.

    Args:
        text: what an endpoint sent.
        secret: the key. One that is shorter than 12 characters is not searched for.
    """
    if isinstance(secret, bytes):
        secret = secret.decode("utf-8", "replace")
    if len(secret) < SHORTEST_KEY or len(text) < SHORTEST_KEY:
        return text
    forms = _forms(secret)
    # Dropping the backslashes undoes the common escapes: one quick search clears most answers.
    flat = text.replace("\\", "")
    if not any(opening in flat for opening in _OPENINGS) and not _spans(flat, forms):
        return text
    flat, pieces = _unescaped(text)
    places = [piece[0] for piece in pieces]
    found = []
    for start, end in _spans(flat, forms):
        place, origin, _ = pieces[bisect_right(places, start) - 1]
        last_place, last_origin, last_end = pieces[bisect_right(places, end - 1) - 1]
        whole = last_end if last_end is not None else last_origin + end - last_place
        found.append((origin + start - place, whole))
    # The escapes themselves may belong to a form, as those of the URL-encoded key do.
    text = _without(text, found)
    return _without(text, _spans(text, forms))


def _unescaped(text: str) -> tuple[str, list[tuple[int, int, int | None]]]:
    """Return `text` without its escapes, and where its pieces come from.

    Each piece is (its place in the result, its start in `text`, its end in `text` if it is one
    escaped character).
    """
    parts: list[str] = []
    pieces: list[tuple[int, int, int | None]] = []
    length = at = 0
    for found in _ESCAPE.finditer(text):
        if found.start() > at:
            parts.append(text[at : found.start()])
            pieces.append((length, at, None))
            length += found.start() - at
        at = found.end()
        digits = found["json"] or found["url"] or found["hex"]
        if digits or found["dec"]:
            parts.append(chr(int(digits, 16) if digits else int(found["dec"])))
            pieces.append((length, found.start(), at))
            length += 1
    if at < len(text):
        parts.append(text[at:])
        pieces.append((length, at, None))
    return "".join(parts), pieces


@lru_cache(maxsize=16)
def _forms(secret: str) -> tuple[tuple[str, str, bool], ...]:
    """Return what to search for: part of a form, the form, and whether the part is its end."""
    url = quote(secret, safe="")
    plain = {secret, url, re.sub("%..", lambda found: found.group().lower(), url)}
    coded = set()
    content = secret.encode("utf-8", "replace")
    for before in range(3):
        # What precedes the key shifts its Base64; the first and last characters depend on it.
        text = base64.b64encode(b"\0" * before + content).decode()
        whole = text[(0, 2, 3)[before] : len(text) - (0, 3, 2)[(before + len(content)) % 3]]
        coded |= {whole, whole.replace("+", "-").replace("/", "_")}
    # The search for its beginning finds the whole form as well.
    ends = [(form[-SHORTEST_KEY:], form, True) for form in plain]
    heads = [(form[:SHORTEST_KEY], form, False) for form in plain | coded]
    return tuple(sorted(part for part in ends + heads if len(part[0]) == SHORTEST_KEY))


@lru_cache(maxsize=256)
def _rarest(part: str) -> str:
    """Return the characters of `part`, those first that are rare in English text and JSON."""
    return "".join(sorted(set(part), key=lambda character: (_COMMON.find(character), character)))


def _spans(text: str, forms: Iterable[tuple[str, str, bool]]) -> list[tuple[int, int]]:
    """Return where `text` holds a form, or at least 12 characters of its beginning or end."""
    spans = []
    for part, form, is_end in forms:
        # A search for one character is many times as fast as one for twelve.
        if not all(character in text for character in _rarest(part)):
            continue
        at = text.find(part)
        while at >= 0:
            start, end = at, at + len(part)
            if is_end:
                while (
                    end - start < len(form) and start and text[start - 1] == form[start - end - 1]
                ):
                    start -= 1
            else:
                while text[end : end + 1] == form[end - start : end - start + 1] != "":
                    end += 1
            spans.append((start, end))
            at = text.find(part, end)
    return spans


def _without(text: str, spans: list[tuple[int, int]]) -> str:
    if not spans:
        return text
    pieces, at = [], 0
    for start, end in sorted(spans):
        if start >= at:
            pieces += [text[at:start], MARK]
        at = max(at, end)
    return "".join([*pieces, text[at:]])
