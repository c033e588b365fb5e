"""What tokens cost.

Here belongs the price of a model at a day, read from a dated YAML file that a user can replace
(TARGEN_PRICES). An unknown price is None, never 0.
"""

import os
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from targen.errors import SpecError
from targen.settings import variable

VARIABLE = variable("prices_file")


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for one million tokens."""

    prompt: float
    completion: float
    batch_factor: float = 0.5

    def cost(self, prompt_tokens: int, completion_tokens: int, batch: bool = False) -> float:
        """Return the cost in US dollars."""
        full = (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1_000_000
        return full * self.batch_factor if batch else full


def price_of(model: str, endpoint: str) -> Price | None:
    """Return the price of `model` at `endpoint`, or None where the file does not name it.

    An entry may name an endpoint; without one it holds for the model wherever it is served.

    Raises:
        SpecError: the file that TARGEN_PRICES names cannot be read.
    """
    for entry in _entries(os.environ.get(VARIABLE)):
        if entry["model"] == model and entry.get("endpoint", endpoint) == endpoint:
            return Price(
                float(entry["prompt"]),
                float(entry["completion"]),
                float(entry.get("batch_factor", 0.5)),
            )
    return None


@lru_cache(maxsize=4)
def _entries(path: str | None) -> tuple[dict[str, Any], ...]:
    from ruamel.yaml import YAML  # noqa: PLC0415 (not needed by the embedded model)
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415

    place = path or "the built-in price file"
    try:
        text = (
            Path(path).read_text("utf-8")
            if path
            else resources.files("targen.llm").joinpath("prices.yaml").read_text("utf-8")
        )
        entries = YAML(typ="safe").load(text)["models"]
        for entry in entries:
            if not isinstance(entry["model"], str):
                raise TypeError("model is not a text")
            for name in ("prompt", "completion"):
                if not float(entry[name]) >= 0:
                    raise ValueError(f"{name} of {entry['model']} is negative")
    except (OSError, YAMLError, KeyError, TypeError, ValueError) as error:
        raise SpecError(
            f"Prices cannot be read from {place}: {error!r}. It needs a list `models` of entries "
            "with model, prompt and completion (US dollars per million tokens)."
        ) from error
    return tuple(entries)
