"""What goes to an embeddings endpoint in one request, and the reading of its reply."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

TEXTS = 64
"""Texts in one request at most; all known endpoints take as many."""

BYTES = 100_000
"""UTF-8 bytes in one request at most, so that no request exceeds OpenAI's 300,000 tokens."""


@dataclass(frozen=True, slots=True)
class Vectors:
    """A reply that could be read: (texts, dimensions), its tokens, and what is reserved for it."""

    rows: npt.NDArray[np.float32]
    tokens: int | None
    reserved: float = 0.0


def parts(texts: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the texts by key in requests of at most `TEXTS` texts and `BYTES` bytes."""
    found: list[dict[str, str]] = []
    size = 0
    for key, text in texts.items():
        length = len(sendable(text).encode())
        if not found or len(found[-1]) >= TEXTS or size + length > BYTES:
            found.append({})
            size = 0
        found[-1][key] = text
        size += length
    return found


def read_answer(content: bytes, count: int) -> Vectors:
    """Return the vectors of a reply in the order of the texts, whatever order they came in.

    Raises:
        ValueError: it is not `count` finite vectors of one length.
    """
    try:
        data = json.loads(content)
        items = data["data"]
        places = [item.get("index", at) for at, item in enumerate(items)]
        vectors = [_vector(item["embedding"]) for item in items]
        whole = len(items) == count and set(places) == set(range(count))
    except (KeyError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
        raise ValueError(f"it has not the form of one ({type(error).__name__})") from error
    if not whole:
        raise ValueError(f"it numbers {len(places)} vectors for {count} texts otherwise")
    if len({vector.size for vector in vectors}) != 1 or not vectors[0].size:
        raise ValueError("its vectors differ in length")
    rows = np.stack([vector for _, vector in sorted(zip(places, vectors, strict=True), key=_first)])
    if not np.isfinite(rows).all():
        raise ValueError("it holds numbers that are not finite")
    usage = data.get("usage")
    tokens = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    return Vectors(rows, tokens if isinstance(tokens, int) and tokens >= 0 else None)


def _first(pair: tuple[int, Any]) -> int:
    return pair[0]


def _vector(given: Any) -> npt.NDArray[np.float32]:
    """Return a vector that came as a list of numbers or as base64 of little-endian floats."""
    if isinstance(given, str):
        return np.frombuffer(base64.b64decode(given, validate=True), dtype="<f4")
    return np.asarray(given, dtype=np.float32).reshape(-1)


def sendable(text: str) -> str:
    """Return the text with lone surrogates, which JSON in UTF-8 cannot hold, as question marks."""
    return text.encode("utf-8", "replace").decode()
