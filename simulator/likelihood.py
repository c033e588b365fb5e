"""Log-probabilities of the embedded model's tokens, for methods that choose by them."""

import math
import re
from hashlib import blake2b
from typing import Any, Final

_TOKEN: Final = re.compile(r"\s?\w+|\s?[^\w\s]+|\s+")
_COMMON: Final = frozenset("etaoinshrdlu")


def logprob(token: str) -> float:
    """Return the natural logarithm of a token's probability, between -12 and -0.01."""
    word = token.strip().casefold()
    rare = sum(letter.isalpha() and letter not in _COMMON for letter in word)
    mark = blake2b(word.encode("utf-8", "surrogatepass"), digest_size=4).digest()
    spread = int.from_bytes(mark, "big") / 2**32
    return max(-12.0, -(0.01 + 0.08 * len(word) + 0.3 * rare + spread * math.log(4)))


def content(text: str) -> list[dict[str, Any]]:
    """Return the tokens of a text as the `content` of a choice's `logprobs`."""
    return [
        {"token": token, "logprob": logprob(token), "bytes": None, "top_logprobs": []}
        for token in _TOKEN.findall(text)
    ]
