"""What a provider's prompt cache would read."""

import random

from targen.llm import prompt_cache
from targen.llm.types import Request

BYTES = prompt_cache.BYTES_PER_TOKEN


def test_a_prompt_is_its_messages_in_order() -> None:
    messages = ({"role": "system", "content": "é"}, {"role": "user", "content": "b"})
    assert prompt_cache.prompt_of(Request(messages, {})) == "system\né\nuser\nb\n".encode()


def test_the_static_prefix_is_common_to_all() -> None:
    prompts = [b"x" * 400 + tail for tail in (b"one", b"two", b"three")]
    assert prompt_cache.static_tokens(prompts) == 100
    assert prompt_cache.static_tokens([*prompts, b"other"]) == 0
    assert prompt_cache.static_tokens(prompts[:1]) == prompt_cache.static_tokens([]) == 0


def test_a_cache_reads_what_an_earlier_prompt_began_with() -> None:
    first, second = b"a" * 4096, b"b" * 4096
    prompts = [first + b"1", second + b"1", first + b"2", second + b"2", first + b"3"]
    # Three of the five begin like an earlier one.
    assert prompt_cache.cached_tokens(prompts) == 3 * 1024
    assert prompt_cache.cached_tokens(prompts, shortest=1025) == 0
    assert prompt_cache.cached_tokens([first]) == prompt_cache.cached_tokens([]) == 0


def test_the_order_of_the_calls_does_not_matter() -> None:
    chance = random.Random(1)
    prompts = [b"".join(chance.choices([b"aaaa", b"bbbb"], k=12)) for _ in range(50)]

    def read(ordered: list[bytes]) -> int:
        """Return the tokens that a cache reads if the prompts come in this order."""
        total = 0
        for at, prompt in enumerate(ordered):
            shared = [
                next((n for n in range(48) if prompt[n] != other[n]), 48) for other in ordered[:at]
            ]
            total += max(shared, default=0) // BYTES
        return total

    expected = prompt_cache.cached_tokens(prompts, shortest=0)
    assert expected == read(prompts) == read(prompts[::-1])
