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


_Part = tuple[str, str, bool, str, str]
"""What to search for: part of a form, the form, whether the part is its end, two rare letters."""


@lru_cache(maxsize=16)
def _forms(secret: str) -> tuple[_Part, ...]:
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
    known = sorted(part for part in ends + heads if len(part[0]) == SHORTEST_KEY)
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


def _without(text: str, spans: list[tuple[int, int]]) -> str:
    if not spans:
        return text
    pieces, at = [], 0
    for start, end in sorted(spans):
        if start >= at:
            pieces += [text[at:start], MARK]
        at = max(at, end)
    return "".join([*pieces, text[at:]])
