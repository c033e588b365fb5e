"""One process with one engine: what the benchmarks start, kill and run side by side.

`python -m bench.llm_runner '{"url": ..., "store": ..., "first": 0, "count": 100}'` prints its
figures as JSON at the end.
"""

import asyncio
import json
import sys
import time
from collections import Counter
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
    """Ask requests `first` to `first + count`, for at most `seconds`; return what came of it."""
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


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main(**json.loads(sys.argv[1])))))
