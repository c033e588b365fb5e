"""Settings of an engine, also for named endpoints."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from targen.errors import EndpointError
from targen.llm.local_embeddings import name_of
from targen.llm.prices import Price, price_of
from targen.llm.types import Request
from targen.redaction import remember
from targen.tasks.endpoints import EMBEDDED_ENDPOINT, Endpoint, normalized, unknown

EMBEDDED_MODEL = "targen-embedded"
DEFAULT_BASE_URL = "https://api.openai.com/v1"


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Settings of one engine: one model at one endpoint, for one step of one run.

    Attributes:
        model: model name at the endpoint; None is the simulator, which needs no network.
        base_url: root of the OpenAI-compatible API; None is the SDK's default.
        api_key: the secret; None is OPENAI_API_KEY, as the SDK reads it.
        own_key: True if nothing but this key may be sent: a named endpoint gets nothing that the
            SDK would read from OPENAI_* variables.
        key_variable: the environment variable that the key is from, for messages; None if the
            endpoint asks for none.
        endpoint_name: logical name of the endpoint, part of every request's identity; None is
            the normalized base URL. Give one if the same model moves between addresses.
        store_url: SQLAlchemy URL of the completion store (SQLite or PostgreSQL).
        embedding_model: model that embeds texts at the endpoint, or
            `sentence-transformers:NAME`; None is the simulator.
        mode: `live` sends request by request; `batch` submits files of requests, whose answers
            come within a day at the batch price.
        concurrency: maximum number of requests in flight; ignored in batch mode.
        budget_usd: ceiling in US dollars over all runs that share the store; None is no ceiling.
        task_budget_usd: the same over all runs of `task`.
        replace_damaged: delete stored answers that fail their checksum and request them again,
            instead of ending with an error.
        timeout_s: seconds until a call without a complete reply is given up and tried again;
            None derives them from the request's output bound, see `timeout_of`.
        patience_s: seconds that an endpoint that has answered before may be unreachable.
        requests_per_minute: a known limit; None lets the engine find it.
        tokens_per_minute: the same for prompt and output tokens together; None is no limit.
        price: of `model`; None looks it up in the price file.
        embedding: settings to embed texts with; None is the embedding model at this endpoint.
        simulator: makes the ASGI application that answers if `model` is None.
        run_id, task, step: who asks; written into the ledger of uses, not part of the identity.
    """

    model: str | None = None
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    own_key: bool = False
    key_variable: str | None = "OPENAI_API_KEY"
    endpoint_name: str | None = None
    store_url: str = "sqlite:///data/completions.db"
    embedding_model: str | None = None
    mode: Literal["live", "batch"] = "live"
    concurrency: int = 64
    budget_usd: float | None = None
    task_budget_usd: float | None = None
    replace_damaged: bool = False
    timeout_s: float | None = None
    patience_s: float = 300.0
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    price: Price | None = None
    embedding: "EngineSettings | None" = field(default=None, repr=False)
    simulator: Callable[[], Any] | None = field(default=None, repr=False)
    run_id: str = ""
    task: str = ""
    step: str = ""

    def to_embed(self) -> "EngineSettings":
        """Return settings for embedding alone, which need no chat model's endpoint."""
        if self.embedding is not None:
            return self.embedding
        local = name_of(self.embedding_model)
        model = None if local else self.embedding_model
        return replace(self, model=model, mode="live", price=None)

    @property
    def embedded(self) -> bool:
        """True if the simulator answers."""
        return self.model is None

    @property
    def model_name(self) -> str:
        """The model's name on the wire and in the identity."""
        return self.model if self.model is not None else EMBEDDED_MODEL

    def price_of(self, model: str | None, endpoint: str) -> Price | None:
        """Return what a request costs; None if the price is not known.

        Args:
            model: the model that it names, None for the engine's own.
            endpoint: the logical name.

        Raises:
            SpecError: the price file cannot be read.
        """
        if self.embedded:
            return Price(0.0, 0.0)
        name = model or self.model_name
        if self.price is not None and name == self.model_name:
            return self.price
        return price_of(name, endpoint)

    def endpoint(self, base_url: str) -> str:
        """Return the logical endpoint name; `base_url` is the one that the client ended up with."""
        if self.embedded:
            return EMBEDDED_ENDPOINT
        return self.endpoint_name or normalized(base_url)


_LEAST_TIMEOUT_S, _MOST_TIMEOUT_S = 120.0, 1800.0
_START_S = 60.0
"""For the queue of the server and the prompt."""
_SLOWEST_TOKENS_PER_S = 5.0
"""What a 7B model on a laptop's CPU writes for one of several requests at once."""


def timeout_of(request: Request, settings: EngineSettings, timeouts: int = 0) -> float:
    """Return the seconds within which the reply to `request` must be complete.

    This is the value in the settings. Without one, it is 60 s plus 1 s for every 5 tokens of the
    output limit, at least 120 s and at most 1,800 s. Either doubles with each timeout that the
    request has had, up to 1,800 s.
    """
    seconds = settings.timeout_s
    if seconds is None:
        seconds = _START_S + request.sampling.output_bound / _SLOWEST_TOKENS_PER_S
        seconds = min(_MOST_TIMEOUT_S, max(_LEAST_TIMEOUT_S, seconds))
    return max(seconds, min(seconds * 2.0**timeouts, _MOST_TIMEOUT_S))


NO_KEY = "none"
"""What is sent as the key to an endpoint that asks for none; the SDK requires one."""


def at(
    name: str, known: Mapping[str, Endpoint], path: Path, base: EngineSettings
) -> EngineSettings:
    """Return `base` with the settings of the endpoint `name`, except its key.

    Raises:
        EndpointError: the endpoint is not defined.
    """
    endpoint = known.get(name)
    if endpoint is None:
        raise EndpointError(f"{unknown(name, known, path)}.")
    prices = endpoint.prices
    price = None
    if prices is not None:
        price = Price(prices.prompt, prices.completion, prices.batch_factor, prices.cached)
    return replace(
        base,
        model=endpoint.model,
        base_url=endpoint.base_url,
        api_key=None,
        own_key=True,
        key_variable=endpoint.api_key_env,
        endpoint_name=name,
        mode=endpoint.mode or base.mode,
        concurrency=endpoint.concurrency or base.concurrency,
        timeout_s=endpoint.timeout_s or base.timeout_s,
        patience_s=endpoint.patience_s or base.patience_s,
        requests_per_minute=endpoint.requests_per_minute,
        tokens_per_minute=endpoint.tokens_per_minute,
        price=price,
        # A step's own endpoint is for its questions: vectors must be comparable between steps.
        embedding=base.to_embed(),
    )


def with_key(
    name: str, known: Mapping[str, Endpoint], path: Path, base: EngineSettings
) -> EngineSettings:
    """Return the settings of `at` with the endpoint's key, as an engine needs them.

    Raises:
        EndpointError: the endpoint is not defined, or its key's variable is not set.
    """
    settings = at(name, known, path, base)
    variable = known[name].api_key_env
    key = NO_KEY if variable is None else os.environ.get(variable)
    if not key:
        raise EndpointError(
            f"The endpoint '{name}' takes its key from the environment variable {variable}, which "
            "is not set: set it, or leave api_key_env out if the endpoint asks for no key."
        )
    remember(key)
    return replace(settings, api_key=key)
