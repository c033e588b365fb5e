"""What a step would cost, before a cent is spent.

Here belongs the dry run: requests are looked up in the store and bounded, none is sent.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from targen.llm.budget import bound, prompt_bound
from targen.llm.identity import identify
from targen.llm.prices import Price, price_of
from targen.llm.settings import DEFAULT_BASE_URL, EngineSettings
from targen.llm.store import Store
from targen.llm.types import Request


@dataclass(frozen=True, slots=True)
class Estimate:
    """What requests would need.

    Attributes:
        requests: how many different ones; `stored`: how many of them are answered already.
        prompt_tokens, output_tokens: upper bounds over those that would be asked.
        cost_usd: upper bound in US dollars; None where a price is not known.
    """

    requests: int
    stored: int
    prompt_tokens: int
    output_tokens: int
    cost_usd: float | None


async def estimate(settings: EngineSettings, requests: Iterable[Request]) -> Estimate:
    """Bound the calls, tokens and cost of `requests`; nothing is sent.

    Asking again after malformed answers, at most twice a request, is not counted.

    Raises:
        StoreError: the completion store cannot be read.
    """
    return await asyncio.to_thread(_estimate, settings, requests)


def _estimate(settings: EngineSettings, requests: Iterable[Request]) -> Estimate:
    endpoint = settings.endpoint(settings.base_url or DEFAULT_BASE_URL)
    model = settings.model_name
    wanted = {identify(request, model, endpoint)[0]: request for request in requests}
    store = Store(settings.store_url)
    try:
        stored = store.known(wanted)
    finally:
        store.close()
    prompt = output = 0
    cost: float | None = 0.0
    batch = settings.mode == "batch"
    for request_id, request in wanted.items():
        if request_id in stored:
            continue
        prompt += prompt_bound(request)
        output += request.sampling.max_output_tokens
        name = request.model or model
        price = Price(0, 0) if settings.embedded else price_of(name, endpoint)
        cost = None if cost is None or price is None else cost + bound(request, price, batch)
    return Estimate(len(wanted), len(stored), prompt, output, cost)
