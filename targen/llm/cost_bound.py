"""Upper bound of what a request can cost, for reservations."""

from targen.hashing import canonical
from targen.llm.prices import Price
from targen.llm.types import Request

TOKENS_PER_MESSAGE = 16
"""Tokens that a chat format adds around one message, generously."""

WORDS_ADDED = 200
"""Bytes of the words around a schema that is told in words."""


def prompt_bound(request: Request) -> int:
    """Return the most prompt tokens that `request` can have.

    No tokeniser makes more tokens than the text has UTF-8 bytes. The schema is counted twice,
    because it may go out in the response format and in words.
    """
    text = sum(len(message["content"].encode("utf-8", "replace")) for message in request.messages)
    schema = len(canonical(request.schema).encode("utf-8", "replace"))
    return text + 2 * schema + TOKENS_PER_MESSAGE * (len(request.messages) + 2) + WORDS_ADDED


def bound(request: Request, price: Price, batch: bool = False) -> float:
    """Return the most that `request` can cost, in US dollars."""
    return price.cost(prompt_bound(request), request.sampling.max_output_tokens, batch)
