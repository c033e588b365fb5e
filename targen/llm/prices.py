"""What tokens cost."""

import os
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from targen.errors import SpecError
from targen.hashing import canonical
from targen.llm.types import Request
from targen.reading import read_bytes
from targen.settings import variable

VARIABLE = variable("prices_file")


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for one million tokens.

    `cached` is the price of prompt tokens that the endpoint reads from its prompt cache; None is
    the price of other prompt tokens.
    """

    prompt: float
    completion: float
    batch_factor: float = 0.5
    cached: float | None = None

    def cost(
        self,
        prompt_tokens: int,
        completion_tokens: int,
        batch: bool = False,
        cached_tokens: int | None = None,
    ) -> float:
        """Return the cost in US dollars.

        Args:
            prompt_tokens: all prompt tokens, with the cached ones.
            completion_tokens: output tokens.
            batch: whether the batch price applies; to cached tokens as well.
            cached_tokens: prompt tokens that were read from the cache; None counts as 0.
        """
        full = (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1_000_000
        full -= self.saved(cached_tokens or 0)
        return full * self.batch_factor if batch else full

    def saved(self, cached_tokens: int) -> float:
        """Return what reading prompt tokens from the cache saves at the live price, in dollars."""
        cached = self.prompt if self.cached is None else self.cached
        return cached_tokens * (self.prompt - cached) / 1_000_000


def price_of(model: str, endpoint: str) -> Price | None:
    """Return the price of `model` at `endpoint`, or None if the file does not name it.

    An entry may name an endpoint; without one it applies to the model at any endpoint.

    Raises:
        SpecError: the file that TARGEN_PRICES names cannot be read.
    """
    for entry in _entries(os.environ.get(VARIABLE)):
        if entry["model"] == model and entry.get("endpoint", endpoint) == endpoint:
            return Price(
                float(entry["prompt"]),
                float(entry["completion"]),
                float(entry.get("batch_factor", 0.5)),
                None if entry.get("cached") is None else float(entry["cached"]),
            )
    return None


_MOST_BYTES = 1_000_000


@lru_cache(maxsize=4)
def _entries(path: str | None) -> tuple[dict[str, Any], ...]:
    from ruamel.yaml import YAML  # noqa: PLC0415 (not needed by the simulator)
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415

    place = path or "the built-in price file"
    try:
        text = (
            read_bytes(Path(path), _MOST_BYTES).decode("utf-8")
            if path
            else resources.files("targen.llm").joinpath("prices.yaml").read_text("utf-8")
        )
        entries = YAML(typ="safe").load(text)["models"]
        for entry in entries:
            if not isinstance(entry["model"], str):
                raise TypeError("model is not text")
            for name in ("prompt", "completion"):
                if not float(entry[name]) >= 0:
                    raise ValueError(f"{name} of {entry['model']} is negative")
            if not 0 <= float(entry.get("cached") or 0) <= float(entry["prompt"]):
                raise ValueError(f"cached of {entry['model']} must be from 0 to its prompt price")
    except (OSError, YAMLError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise SpecError(
            f"Prices cannot be read from {place}: {error!r}. It needs a list `models` of entries "
            "with model, prompt and completion (US dollars per million tokens)."
        ) from error
    return tuple(entries)


TOKENS_PER_MESSAGE = 16
"""Generous estimate of the tokens that a chat format adds around one message."""

WORDS_ADDED = 200
"""Bytes added around a schema that is described in the prompt."""


def prompt_bound(request: Request) -> int:
    """Return the most prompt tokens that `request` can have.

    No tokenizer makes more tokens than the text has UTF-8 bytes. The schema is counted twice,
    because it may go out in the response format and in words.
    """
    text = sum(len(message["content"].encode("utf-8", "replace")) for message in request.messages)
    schema = len(canonical(request.schema).encode("utf-8", "replace"))
    return text + 2 * schema + TOKENS_PER_MESSAGE * (len(request.messages) + 2) + WORDS_ADDED


def bound(request: Request, price: Price, batch: bool = False) -> float:
    """Return the most that `request` can cost, in US dollars."""
    return price.cost(prompt_bound(request), request.sampling.output_bound, batch)
