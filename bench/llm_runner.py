"""A process with one engine, for benchmarks that start, kill or combine several."""

import asyncio
import multiprocessing
import time
from collections import Counter
from multiprocessing.process import BaseProcess
from typing import Any

from targen.errors import TargenError
from targen.llm.engine import Engine, EngineSettings
from targen.llm.types import Request, Sampling

SCHEMA = {
    "type": "object",
    "properties": {"items": {"type": "array", "items": {"type": "object"}}},
    "required": ["items"],
}


async def main(
    url: str,
    store: str,
    first: int,
    count: int,
    concurrency: int = 100,
    seconds: float | None = None,
    budget: float | None = None,
) -> dict[str, Any]:
    """Send requests `first` to `first + count` for at most `seconds`; return the results."""
    settings = EngineSettings(
        model="m",
        base_url=url,
        api_key="x",
        endpoint_name="bench",
        store_url=store,
        concurrency=concurrency,
        budget_usd=budget,
        run_id=f"bench-{first}",
    )
    requests = (
        Request(
            ({"role": "user", "content": f"Question {n}"},),
            SCHEMA,
            sampling=Sampling(max_output_tokens=64),
        )
        for n in range(first, first + count)
    )
    statuses: Counter[str] = Counter()
    error = None
    async with Engine(settings) as llm:
        started = time.monotonic()
        try:
            async for outcome in llm.run(requests):
                statuses[outcome.status] += 1
                if seconds is not None and time.monotonic() - started > seconds:
                    break
        except TargenError as caught:
            error = f"{type(caught).__name__}: {caught}"
    return {"error": error, "statuses": statuses, **llm.stats.as_dict()}


def start(**options: Any) -> BaseProcess:
    """Start `main` with `options` in a process of its own.

    The processes are forked from one that has loaded everything, so that several start together.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bench.llm_runner", "targen.llm.transport"])
    process = context.Process(target=_run, args=(options,))
    process.start()
    return process


def _run(options: dict[str, Any]) -> None:
    asyncio.run(main(**options))
