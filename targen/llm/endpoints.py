"""Engine settings for a named endpoint."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from targen.errors import EndpointError
from targen.llm.prices import Price
from targen.llm.settings import EngineSettings
from targen.tasks.endpoints import Endpoint, unknown

NO_KEY = "none"
"""What goes out as the key to an endpoint that asks for none; the SDK insists on one."""


def at(
    name: str, known: Mapping[str, Endpoint], path: Path, base: EngineSettings
) -> EngineSettings:
    """Return `base` with everything that the endpoint `name` has of its own, but for its key.

    Raises:
        EndpointError: there is no such endpoint.
    """
    endpoint = known.get(name)
    if endpoint is None:
        raise EndpointError(f"{unknown(name, known, path)}.")
    prices = endpoint.prices
    price = None
    if prices is not None:
        price = Price(prices.prompt, prices.completion, prices.batch_factor)
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
        requests_per_minute=endpoint.requests_per_minute,
        tokens_per_minute=endpoint.tokens_per_minute,
        price=price,
        # A step's own endpoint is for its questions: vectors must be comparable between steps.
        embedding=base.to_embed(),
    )


def with_key(
    name: str, known: Mapping[str, Endpoint], path: Path, base: EngineSettings
) -> EngineSettings:
    """Return what `at` does, and the endpoint's key in it: what an engine can be opened with.

    Raises:
        EndpointError: there is no such endpoint, or its key's variable is not set.
    """
    settings = at(name, known, path, base)
    variable = known[name].api_key_env
    key = NO_KEY if variable is None else os.environ.get(variable)
    if not key:
        raise EndpointError(
            f"The endpoint '{name}' takes its key from the environment variable {variable}, which "
            "is not set: set it, or leave api_key_env out where the endpoint asks for no key."
        )
    return replace(settings, api_key=key)
