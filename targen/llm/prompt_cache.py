"""What a provider's prompt cache would read of the prompts of a step.

Providers keep the beginnings of prompts that they have read and charge less for them when another
prompt begins alike. OpenAI does so for prefixes of at least 1,024 tokens
(https://platform.openai.com/docs/guides/prompt-caching).
"""

from collections.abc import Sequence
from itertools import pairwise

from targen.llm.types import Request

SHORTEST = 1024
"""Tokens of the shortest prefix that OpenAI's cache reads."""

BYTES_PER_TOKEN = 4
"""As in the simulator; OpenAI's rule of thumb for English."""


def prompt_of(request: Request) -> bytes:
    """Return the messages of a request as one text, in the order in which a model reads them."""
    parts = (f"{message['role']}\n{message['content']}\n" for message in request.messages)
    return "".join(parts).encode("utf-8", "replace")


def static_tokens(prompts: Sequence[bytes]) -> int:
    """Return the tokens with which all of several prompts begin; 0 if there is only one."""
    if len(prompts) < 2:
        return 0
    return _common(min(prompts), max(prompts)) // BYTES_PER_TOKEN


def cached_tokens(prompts: Sequence[bytes], shortest: int = SHORTEST) -> int:
    """Return how many tokens a cache that evicts nothing would serve, with calls in sequence.

    A real cache reads fewer: calls in flight do not share what they read, and unused prefixes are
    forgotten within minutes.

    Args:
        prompts: from `prompt_of`.
        shortest: tokens of the shortest prefix that it keeps.
    """
    # In sorted order, a prompt shares with its predecessor the most that it shares with any of the
    # prompts before it.
    ordered = sorted(prompts)
    shared = (_common(first, second) // BYTES_PER_TOKEN for first, second in pairwise(ordered))
    return sum(tokens for tokens in shared if tokens >= shortest)


def _common(first: bytes, second: bytes) -> int:
    """Return the number of bytes with which both begin."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        if first[:middle] == second[:middle]:
            low = middle
        else:
            high = middle - 1
    return low
