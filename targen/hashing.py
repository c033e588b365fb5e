"""Content hashes and the random numbers derived from them."""

import hashlib
import json
import random
from collections.abc import Iterable
from datetime import date
from typing import Any


def iso_date(value: object) -> str:
    """Return a date as YYYY-MM-DD, for the argument `default` of `json.dumps`.

    Raises:
        TypeError: the value is no date.
    """
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is not JSON serializable")


def canonical(content: Any) -> str:
    """Render JSON-like content in one form only: sorted keys, no spaces, no NaN, ISO dates."""
    return json.dumps(
        content,
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
        default=iso_date,
    )


def digest(content: Any) -> str:
    """Return the sha256 of the canonical JSON of `content`, 64 hex digits."""
    # surrogatepass: a lone surrogate can arrive in model output and must not stop the hashing.
    return sha256_of(canonical(content).encode("utf-8", "surrogatepass"))


def digest_of_text(parts: Iterable[str]) -> str:
    """Return the `digest` of the text that the parts make together, without joining them."""
    found = hashlib.sha256(b'"')
    for part in parts:
        # JSON escapes each character on its own.
        found.update(canonical(part)[1:-1].encode("utf-8", "surrogatepass"))
    found.update(b'"')
    return found.hexdigest()


def sha256_of(content: bytes) -> str:
    """Return the sha256 of bytes as they are, 64 hex digits: of a file, or of canonical JSON."""
    return hashlib.sha256(content).hexdigest()


def short_id(content: Any) -> str:
    """Return the first 16 hex digits of `digest(content)`: the form of every row id."""
    return digest(content)[:16]


def rng(*content: Any) -> random.Random:
    """Return a random generator whose seed is the sha256 of `content`."""
    return random.Random(int(digest(list(content)), 16))  # noqa: S311 - for sampling, not secrecy
